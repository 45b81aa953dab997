"""What a report says of anchors and data: the doctors' results as plain data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.config import load_config
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.diagnosis.anchors import AnchorParts, Suggestion, examine, findings, suggest
from dettoolkit.diagnosis.anchors.boxes import sampled_images, transformed_boxes
from dettoolkit.diagnosis.dataset import quick_check
from dettoolkit.errors import ConfigError
from dettoolkit.report import AnchorData, FindingsData

logger = logging.getLogger(__name__)

_MOST_BOXES, _MOST_IMAGES = 20_000, 500  # two seconds or so
_TRIAL_BOXES, _TRIAL_IMAGES = 3_000, 150  # each of some twenty changes is computed with


def diagnose_anchors(
    model: nn.Module, dataset: DetectionDataset, cfg: CfgNode, config_file: Path | None = None
) -> AnchorData | None:
    """Return what the anchors can do for the objects of a data set, from a part of its images, none of which is decoded.

    Args:
        model: a detector.
        dataset: whose boxes are taken.
        cfg: of the run.
        config_file: with the same config, from which changes are tried; None: none are tried, and the boxes go through
            ``DATASETS.TEST_TRANSFORMS``, since there is no training.

    Returns:
        None where the anchors are none that can be examined, or there are no objects.
    """
    key = "TEST_TRANSFORMS" if config_file is None else "TRAIN_TRANSFORMS"
    cfg = cfg.clone()
    cfg.defrost()
    cfg.DATASETS.TRAIN_TRANSFORMS = cfg.DATASETS[key]
    records, names = dataset.records, dataset.info.class_names
    try:
        parts = AnchorParts.of_model(model)
    except ConfigError as error:  # anchors of another kind
        logger.info("anchors are not compared with objects: %s", error)
        return None
    indices = sampled_images(records.num_boxes, _MOST_BOXES, cfg.SEED, _MOST_IMAGES)
    examination = examine(transformed_boxes(cfg, records, indices), parts, names)
    if not examination.overall.count:
        return None
    suggestions = [] if config_file is None else _suggestions(cfg, parts, dataset, indices, config_file)
    return AnchorData(
        dataset.info.name,
        f"DATASETS.{key}",
        examination.to_dict(),
        findings(examination, records, dataset.info.name),
        [each.to_dict() for each in suggestions],
    )


def _suggestions(
    cfg: CfgNode, parts: AnchorParts, dataset: DetectionDataset, indices: np.ndarray, config_file: Path
) -> list[Suggestion]:
    """Return the config as it is, and changes of it that have been loaded with the whole config."""
    records, names = dataset.records, dataset.info.class_names
    fewer = indices[sampled_images(records.num_boxes[indices], _TRIAL_BOXES, cfg.SEED, _TRIAL_IMAGES)]
    if not any((~records[int(index)].ignore).any() for index in fewer):
        return []
    now, *changes = suggest(cfg, parts, records, names, fewer, lambda more: _changed(cfg, more))
    return [now, *(change for change in changes if _loads(config_file, change.overrides))]


def _changed(cfg: CfgNode, overrides: Sequence[str]) -> CfgNode:
    """Return the config with some values changed. Loading the file anew would take a tenth of a second for each trial."""
    changed = cfg.clone()
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        *path, last = key.split(".")
        node: Any = changed
        for part in path:
            node = node[int(part) if part.isdigit() else part]
        node[last] = yaml.safe_load(text)
    return changed


def _loads(config_file: Path, overrides: Sequence[str]) -> bool:
    try:
        load_config(config_file, list(overrides))
    except ConfigError as error:
        logger.info("a change of the anchors is left out of the report: %s", error)
        return False
    return True


def diagnose_data(train: DetectionDataset | None, test: Sequence[DetectionDataset]) -> FindingsData:
    """Return what the boxes and classes of data sets show.

    Args:
        train: that was trained on; None: there was no training.
        test: that was evaluated on.
    """
    trained = [] if train is None else [train]
    names = [dataset.info.name for dataset in (*trained, *test)]
    return FindingsData(names, quick_check(trained, test))
