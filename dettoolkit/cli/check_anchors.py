"""Say how many objects of the training set the anchors can reach, and which change of the config would reach more.

python tools/check_anchors.py --config-file configs/quick_start.yaml
python tools/check_anchors.py --config-file my.yaml --json MODEL.ANCHORS.BASE_SCALE 2

Best possible recall by size and class at IoU 0.4, 0.5 and 0.7, objects that are matched only by force, the load of the
levels, positives an image, and changes with the recall that each would bring. No image is decoded: boxes go through
TRAIN_TRANSFORMS, once, without their images. Each image is padded by itself, to what the network can take.

Exit code: 0 where nothing is to be mended (hints may be printed), 1 where something is, 2 where it cannot be said.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from dettoolkit.errors import ConfigError, DataError

_TO_MEND = 1
_BOXES, _IMAGES = 20_000, 500  # that each change is computed with


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config, or the name of a shipped one")
    parser.add_argument("--num-images", type=int, metavar="N", help="look at N images drawn at random (default: all)")
    parser.add_argument("--no-suggestions", action="store_true", help="leave out what other anchors would bring")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. MODEL.ANCHORS.BASE_SCALE 2")


def run(arguments: argparse.Namespace) -> int:
    """Examine, print, and return the exit code."""
    from dettoolkit.config import load_config
    from dettoolkit.data import build_train_dataset
    from dettoolkit.diagnosis.anchors import AnchorParts, describe, examine, findings, suggest
    from dettoolkit.diagnosis.anchors.boxes import sampled_images, transformed_boxes

    if arguments.num_images is not None and arguments.num_images < 1:
        raise ConfigError(f"--num-images: expected 1 or more, got {arguments.num_images}.")

    def load(more: Any = ()) -> Any:
        return load_config(arguments.config_file, [*arguments.overrides, *more])

    cfg = load()
    dataset = build_train_dataset(cfg)
    records, names = dataset.records, dataset.info.class_names
    parts = AnchorParts.of_config(cfg, len(names))
    indices = sampled_images(records.num_boxes, None, cfg.SEED, arguments.num_images)
    examination = examine(transformed_boxes(cfg, records, indices), parts, names)
    if not examination.overall.count:
        raise DataError(
            f"{dataset.info.name}: no object in {examination.num_images} images after DATASETS.TRAIN_TRANSFORMS: "
            "there is nothing to compare the anchors with."
        )
    found = findings(examination, records, dataset.info.name)
    suggestions = []
    if not arguments.no_suggestions:
        shown = indices[
            examination.objects.images.unique().numpy()
        ]  # of sparse sets a few images drawn from all have no object
        fewer = shown[sampled_images(records.num_boxes[shown], _BOXES, cfg.SEED, _IMAGES)]
        suggestions = suggest(cfg, parts, records, names, fewer, load)
    if arguments.json:
        told = {"findings": [finding.to_dict() for finding in found], "suggestions": [each.to_dict() for each in suggestions]}
        print(json.dumps({**examination.to_dict(), **told}, indent=2))
    else:
        print(describe(examination, suggestions, found))
    return _TO_MEND if any(finding.severity != "hint" for finding in found) else 0
