"""Draw what a run found on its test pictures beside the ground truth, and say where everything of the run is.

python tools/draw_predictions.py --config-file configs/quick_start.yaml
python tools/draw_predictions.py --config-file my.yaml --num-images 100 --output pictures OUTPUT_DIR runs/my_run

The newest run of the config's OUTPUT_DIR is drawn, from the predictions.json of its last evaluation; no network is run.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.cli.font_option import add_font_option, style_with_font
from dettoolkit.errors import CheckpointError, ConfigError, EvaluationError

if TYPE_CHECKING:
    from dettoolkit.data.datasets.dataset import DetectionDataset
    from dettoolkit.engine.run_folder import RunFolder
    from dettoolkit.structures import DatasetInfo, Detections
    from dettoolkit.visualization import DrawingStyle

_SHEET = 16  # comparisons on the contact sheet at most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config of the run")
    parser.add_argument("--num-images", type=int, default=16, metavar="N", help="how many of each data set (default: 16)")
    parser.add_argument("--score-threshold", type=float, default=0.3, metavar="S", help="lowest score drawn (default: 0.3)")
    parser.add_argument("--output", metavar="DIR", help="new or empty folder (default: the next free pictures in the run's)")
    add_font_option(parser)
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. OUTPUT_DIR runs/my_run")


def run(arguments: argparse.Namespace) -> None:
    """Draw."""
    from dettoolkit.cli.output_folder import claim_folder
    from dettoolkit.config import load_config
    from dettoolkit.data import build_dataset
    from dettoolkit.engine.folder_names import next_free
    from dettoolkit.engine.run_folder import RunFolder

    if arguments.num_images < 1:
        raise ConfigError(f"--num-images: expected 1 or more, got {arguments.num_images}.")
    if not 0 <= arguments.score_threshold <= 1:
        raise ConfigError(f"--score-threshold: expected 0 to 1, got {arguments.score_threshold}.")
    style = style_with_font(arguments.font)
    cfg = load_config(arguments.config_file, arguments.overrides)
    name = cfg.OUTPUT_DIR or f"runs/{Path(arguments.config_file).stem}"
    try:
        run_folder = RunFolder.for_evaluation(name, of_run=True)
    except CheckpointError:
        raise EvaluationError(f"OUTPUT_DIR {name}: there is no run with a checkpoint, so nothing to draw.") from None
    datasets = [build_dataset(cfg, name) for name in cfg.DATASETS.TEST]
    found = [read_predictions(run_folder.inference(one.info.name) / "predictions.json", one.info) for one in datasets]
    pictures = claim_folder(arguments.output or next_free(run_folder.path / "pictures"))
    for dataset, detections in zip(datasets, found, strict=True):
        folder = pictures if len(datasets) == 1 else pictures / dataset.info.name
        _draw(dataset, detections, folder, arguments.num_images, arguments.score_threshold, style)
    print(_summary(run_folder, pictures))


def read_predictions(path: Path, info: DatasetInfo) -> dict[Any, Detections]:
    """Return the detections of each image by its id, from a file in COCO's results format.

    Args:
        path: a ``predictions.json`` of an evaluation.
        info: category ids in the order of the labels.

    Raises:
        EvaluationError: there is no such file, or it holds something else.
    """
    import torch

    from dettoolkit.structures import Detections

    if not path.is_file():
        raise EvaluationError(f"there is no {path}: an evaluation writes it (tools/train_net.py --eval-only).")
    labels = {category: label for label, category in enumerate(info.category_ids)}
    rows: dict[Any, list[tuple[list[float], float, int]]] = defaultdict(list)
    try:
        for row in json.loads(path.read_text(encoding="utf-8")):
            x, y, width, height = row["bbox"]
            rows[row["image_id"]].append(([x, y, x + width, y + height], row["score"], labels[row["category_id"]]))
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path}: expected detections in COCO's results format: {error!r}") from error
    found = {}
    for image_id, items in rows.items():
        boxes, scores, classes = zip(*items, strict=True)
        found[image_id] = Detections(torch.tensor(boxes), torch.tensor(scores), torch.tensor(classes))
    return found


def _draw(
    dataset: DetectionDataset,
    found: Mapping[Any, Detections],
    folder: Path,
    count: int,
    threshold: float,
    style: DrawingStyle,
) -> None:
    from dettoolkit.cli.contact_sheet import contact_sheet
    from dettoolkit.structures import Detections
    from dettoolkit.visualization import draw_comparison, save_picture

    count = min(count, len(dataset))
    sheet = []
    for number in range(count):
        sample = dataset[number * len(dataset) // count]  # spread over the data set
        detections = found.get(sample["image_id"], Detections.empty())
        picture = draw_comparison(sample["image"], sample["original"], detections, dataset.info.class_names, threshold, style)
        save_picture(picture, folder / f"{number + 1:04d}_{Path(sample['file_name']).stem}.jpg")
        if number < _SHEET:
            sheet.append(picture)
    save_picture(contact_sheet(sheet, math.ceil(math.sqrt(len(sheet) / 2))), folder / "contact_sheet.jpg")


def _summary(run_folder: RunFolder, pictures: Path) -> str:
    rows = {
        "run": run_folder.path,
        "report": run_folder.path / "report" / "index.html",
        "pictures": pictures / "contact_sheet.jpg",
        "detector": run_folder.newest_checkpoint(),
        "numbers": run_folder.path / "metrics.jsonl",
    }
    return "\n".join(f"{name:<10}{path}" for name, path in rows.items() if path is not None and path.exists())
