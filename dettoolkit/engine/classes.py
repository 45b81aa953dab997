"""The classes of data sets and checkpoints: label k must mean the same in all of a run."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from dettoolkit.checkpoint import fetch, read
from dettoolkit.data import check_same_classes
from dettoolkit.errors import CheckpointError, ConfigError, DataError, listed
from dettoolkit.structures import DatasetInfo

logger = logging.getLogger(__name__)


def num_classes(cfg: CfgNode, infos: list[DatasetInfo]) -> int:
    """Return the number of classes of ``infos``, at least one, after checking that all have the same classes.

    Raises:
        DataError: they have not.
        ConfigError: the config has another number.
    """
    first = infos[0]
    for info in infos[1:]:
        check_same_classes(first, info)
    if cfg.MODEL.NUM_CLASSES not in ("auto", first.num_classes):
        raise ConfigError(
            f"MODEL.NUM_CLASSES is {cfg.MODEL.NUM_CLASSES}, but {first.name} has {first.num_classes} classes "
            f"({listed(first.class_names)}). auto takes the number from the data set."
        )
    return first.num_classes


def classes_of_checkpoint(weights: str) -> list[DatasetInfo]:
    """Return the classes that a checkpoint of ours was trained on; nothing for other weight files, which do not say."""
    facts = read(fetch(weights)).get("dataset")
    return [replace(DatasetInfo.from_dict(facts), name=f"the checkpoint {weights}")] if isinstance(facts, dict) else []


def tell_other_classes(weights: str, info: DatasetInfo) -> None:
    """Warn where weights were trained on as many classes by other names: what they know of one class goes to another."""
    for before in classes_of_checkpoint(weights) if weights else []:
        if before.num_classes == info.num_classes and before.class_names != info.class_names:
            pairs = zip(before.class_names, info.class_names, strict=True)
            changed = [f"{old} -> {new}" for old, new in pairs if old != new]
            logger.warning("MODEL.WEIGHTS: the outputs of other classes are learned on from: %s", listed(changed, 10))


def check_classes_of_resumed(path: Path, facts: dict[str, Any] | None, info: DatasetInfo) -> None:
    """Compare the classes of the checkpoint that a training goes on from with those of its data.

    Args:
        path: of the checkpoint.
        facts: what it says of its classes; None: nothing.
        info: of the training data.

    Raises:
        CheckpointError: the names differ, or their order does. Other category ids alone are warned of: they change what
            files say and not what is learned.
    """
    if facts is None:
        return
    before = DatasetInfo.from_dict(facts)
    try:
        check_same_classes(replace(before, name="the checkpoint"), info)
    except DataError as error:
        raise CheckpointError(f"--resume from {path}: {error}") from error
    if before.category_ids != info.category_ids:
        ids = listed(before.category_ids, 10), listed(info.category_ids, 10)
        logger.warning("--resume: the same classes have other category ids than before: %s -> %s", *ids)
