"""Class weights from the boxes of the training set: numbers in the config before the model is built."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from fvcore.common.config import CfgNode
from numpy.typing import NDArray
from tabulate import tabulate

from dettoolkit.checkpoint import read
from dettoolkit.config.yaml_reader import parse
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.errors import ConfigError
from dettoolkit.modeling.losses.class_weights import weights_from_counts

logger = logging.getLogger(__name__)

_KEY = "MODEL.LOSSES.CLASSIFICATION.CLASS_WEIGHTS"


def with_class_weights(cfg: CfgNode, dataset: DetectionDataset) -> CfgNode:
    """Return the config with numbers in place of ``CLASS_WEIGHTS: inverse`` and the like, and log them as a table.

    Args:
        cfg: of a training.
        dataset: what is trained on; each box counts once, whatever the sampler makes of it, and ignored ones do not.

    Raises:
        ConfigError: the data set has no boxes.
    """
    kind = _unresolved(cfg)
    if kind is None:
        return cfg
    counts = box_counts(dataset)
    beta = cfg.MODEL.LOSSES.CLASSIFICATION.EFFECTIVE_NUMBER_BETA
    try:
        weights = weights_from_counts(kind, counts, beta)
    except ValueError as error:
        raise ConfigError(f"{_KEY} {kind}: {dataset.info.name}: {error}") from error
    rounded = [float(f"{weight:.6g}") for weight in weights]
    rows = list(zip(dataset.info.class_names, counts.tolist(), rounded, strict=True))
    logger.info("class weights (%s):\n%s", kind, tabulate(rows, ["class", "boxes", "weight"], tablefmt="github"))
    if not counts.all():
        logger.warning("%s: %d classes have no box to train on", dataset.info.name, int((counts == 0).sum()))
    return _with(cfg, rounded)


def with_class_weights_of(cfg: CfgNode, weights: str) -> CfgNode:
    """Return the config with the class weights that a checkpoint was trained with, where it only says how to compute them.

    Args:
        cfg: of an evaluation.
        weights: the file.

    Raises:
        ConfigError: a validation loss is wanted, and the file does not say.
    """
    kind = _unresolved(cfg)
    if kind is None:
        return cfg
    text = read(weights).get("config")
    trained = parse(text, weights)[0] if isinstance(text, str) else {}
    found: Any = trained
    for key in _KEY.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, list):
        return _with(cfg, found)
    if cfg.EVALUATION.LOSS:
        raise ConfigError(
            f"{_KEY} is {kind!r}, and {weights} does not say with which numbers it was trained. Give a list of numbers, or "
            "none, or leave out the validation loss by EVALUATION.LOSS false."
        )
    return cfg


def box_counts(dataset: DetectionDataset) -> NDArray[np.int64]:
    """Return ``[K]``: how many boxes each class has, without those to be ignored."""
    counts = np.zeros(dataset.info.num_classes, dtype=np.int64)
    for record in dataset.records:
        counts += np.bincount(record.labels[~record.ignore], minlength=len(counts))
    return counts


def _unresolved(cfg: CfgNode) -> Any:
    """Return how the class weights are to be computed; None where there is nothing to compute."""
    node = cfg.MODEL.get("LOSSES", {}).get("CLASSIFICATION", {})
    kind = node.get("CLASS_WEIGHTS", "none")
    return kind if isinstance(kind, str) and kind != "none" else None


def _with(cfg: CfgNode, weights: list[float]) -> CfgNode:
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.LOSSES.CLASSIFICATION.CLASS_WEIGHTS = weights
    cfg.freeze()
    return cfg
