"""The whole conversion: Detectron2's files and overrides in, a config of ours and a report out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dettoolkit.config.detectron2.data import dataloader_node, datasets_node
from dettoolkit.config.detectron2.detection import anchors_node, coder_node, decoder_node, losses_node, matcher_node
from dettoolkit.config.detectron2.network import (
    backbone_node,
    head_node,
    input_node,
    neck_node,
    pyramid_levels,
    weights,
)
from dettoolkit.config.detectron2.reading import read_files, read_overrides
from dettoolkit.config.detectron2.settings import Finding, Settings
from dettoolkit.config.detectron2.solver import evaluation_node, hooks_node, solver_node
from dettoolkit.config.pruning import without_defaults
from dettoolkit.config.run_keys import RUN_SCHEMA
from dettoolkit.config.yaml_reader import dump

_WIDTH = 118


@dataclass(frozen=True)
class Conversion:
    """A config of ours that was made of one of Detectron2's.

    Args:
        config: the keys that differ from our defaults, in our order.
        lost: what has no equivalent here and changes results.
        ignored: what was set and changes nothing.
        sources: the files, the config first, and the overrides.
    """

    config: dict[str, Any]
    lost: list[Finding]
    ignored: list[Finding]
    sources: list[str]

    def to_yaml(self) -> str:
        """Return the config as a file: what it was made of in comments, then the keys."""
        lines = ["Made of a config of Detectron2 by dettoolkit convert-config: " + ", ".join(self.sources)]
        if self.config.get("DATASETS", {}).get("CATALOG"):
            lines.append("Paths are relative to DATASETS.ROOT or $DETTOOLKIT_DATA; to Detectron2 it was $DETECTRON2_DATASETS.")
        for words, findings in (("Not converted, so results differ:", self.lost), ("Without influence:", self.ignored)):
            lines += [words, *(f"  {finding}" for finding in findings)] if findings else []
        return "".join(f"{_comment(line)}\n" for line in lines) + dump(self.config, compact=True)


def convert_config(path: str | Path, overrides: Sequence[str] = ()) -> Conversion:
    """Turn a RetinaNet config of Detectron2 into one of ours that means the same.

    Args:
        path: a YAML file; its ``_BASE_`` files are read too, and expressions in it worked out, never run.
        overrides: ``[KEY, VALUE, KEY, VALUE, ...]`` with Detectron2's keys.

    Raises:
        ConfigError: files that cannot be read, another architecture than RetinaNet, or values that Detectron2 itself would
            refuse.
    """
    given, files = read_files(path)
    settings = Settings(given | read_overrides(overrides))
    if settings["VERSION"] != 2:
        raise settings.refuse("VERSION", f"expected a config of version 2, got {settings['VERSION']}")
    if settings["MODEL.META_ARCHITECTURE"] != "RetinaNet":
        name = settings["MODEL.META_ARCHITECTURE"]
        raise settings.refuse("MODEL.META_ARCHITECTURE", f"expected RetinaNet, which is what there is here, got {name}")
    config = {
        "MODEL": _model(settings),
        "DATASETS": datasets_node(settings),
        "DATALOADER": dataloader_node(settings),
        "SOLVER": solver_node(settings),
        "EVALUATION": evaluation_node(settings),
        "HOOKS": hooks_node(settings),
        **_run(settings),
    }
    pairs = [f"{key} {text}" for key, text in zip(overrides[::2], overrides[1::2], strict=True)]
    sources = [*(str(file) for file in files), *pairs]
    return Conversion(without_defaults(config, RUN_SCHEMA), settings.lost + settings.unknown, settings.ignored, sources)


def _model(settings: Settings) -> dict[str, Any]:
    for key, what in (("MODEL.MASK_ON", "masks"), ("MODEL.KEYPOINT_ON", "keypoints")):
        if settings[key]:
            settings.lose(key, f"there are no {what} here, only boxes")
    levels = pyramid_levels(settings)
    of_model, of_backbone = weights(settings)
    device = settings["MODEL.DEVICE"]
    return {
        "NUM_CLASSES": settings["MODEL.RETINANET.NUM_CLASSES"],
        "WEIGHTS": of_model,
        "DEVICE": "auto" if device == "cuda" else device,
        "INPUT": input_node(settings),
        "BACKBONE": {**backbone_node(settings), "WEIGHTS": of_backbone},
        "NECK": neck_node(settings, levels),
        "ANCHORS": anchors_node(settings, levels),
        "HEAD": head_node(settings),
        "BOX_CODER": coder_node(settings),
        "MATCHER": matcher_node(settings),
        "LOSSES": losses_node(settings),
        "NORMALIZER": "moving_average",
        "DECODER": decoder_node(settings),
    }


def _run(settings: Settings) -> dict[str, Any]:
    folder, seed = settings["OUTPUT_DIR"], settings["SEED"]
    # of the defaults, ./output would be refused for a second run, and a random seed cannot be had again
    return {"OUTPUT_DIR": None if folder == "./output" else folder, "SEED": max(seed, 0)}


def _comment(line: str) -> str:
    indent = "# " + " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(
        " ".join(line.split()), _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )
