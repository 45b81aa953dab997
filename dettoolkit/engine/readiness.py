"""What must be right before the first step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from dettoolkit.config import RUN_SCHEMA
from dettoolkit.config.check import Checker
from dettoolkit.config.yaml_reader import parse, plain
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.diagnosis.anchors import anchors_in_one_line
from dettoolkit.diagnosis.dataset import in_one_line, quick_check
from dettoolkit.distributed import is_main_process, world_size
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.errors import ConfigError, TrainingError, listed
from dettoolkit.modeling.layers import HostSyncBatchNorm
from dettoolkit.registry.schema import Problems

logger = logging.getLogger(__name__)


def check_ready_to_train(model: nn.Module, cfg: CfgNode, device: torch.device, resume: bool) -> None:
    """Refuse what cannot be learned from, and say what looks odd.

    Args:
        model: with its first weights.
        cfg: of the run.
        device: of the model.
        resume: whether the weights will come from a checkpoint.

    Raises:
        TrainingError: frozen stages with random weights.
    """
    pretrained = resume or cfg.MODEL.WEIGHTS or cfg.MODEL.get("BACKBONE", {}).get("WEIGHTS")
    backbone = getattr(model, "backbone", None)
    if not pretrained and getattr(backbone, "has_frozen_stages", False):
        raise TrainingError(
            "the backbone has frozen stages and random weights: they would stay random for ever. Set MODEL.BACKBONE.WEIGHTS "
            "(torchvision://resnet50, a path or a URL) or MODEL.WEIGHTS, or set MODEL.BACKBONE.FREEZE_STAGES to 0."
        )
    modules = list(model.modules())
    if not pretrained and any(isinstance(module, FrozenBatchNorm2d) for module in modules):
        logger.warning(
            "FrozenBN with random weights normalises nothing: to train from scratch, set MODEL.BACKBONE.NORM to BN or GN"
        )
    if any(isinstance(module, (nn.SyncBatchNorm, HostSyncBatchNorm)) for module in modules):
        if world_size() == 1:
            logger.info("SyncBN in one process is plain BN")
        elif device.type != "cuda":
            logger.info("SyncBN on %s exchanges its sums norm by norm, which is slow; BN and GN exchange nothing", device)
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    total, trained = sum(size for size, _ in sizes), sum(size for size, is_trained in sizes if is_trained)
    logger.info("%s: %s parameters, %s of them trained", type(model).__name__, f"{total:,}", f"{trained:,}")


def tell_about_anchors(model: nn.Module, dataset: DetectionDataset, cfg: CfgNode) -> None:
    """Log in one line how many objects the anchors can reach, in the main process.

    Args:
        model: of the training.
        dataset: that it is trained on.
        cfg: of the run.
    """
    if not is_main_process():
        return
    try:
        logger.info("%s", anchors_in_one_line(model, dataset, cfg))
    except ConfigError as error:  # anchors of another kind
        logger.info("anchors are not compared with objects: %s", error)


def tell_about_data(train: DetectionDataset, test: Sequence[DetectionDataset]) -> None:
    """Warn in a line each of what the boxes and classes of the data sets show, in the main process; say nothing else.

    Args:
        train: that it is trained on.
        test: that it is evaluated on.
    """
    if not is_main_process():
        return
    findings = [finding for finding in quick_check([train], test) if finding.severity != "hint"]
    for finding in findings:
        logger.warning("%s", in_one_line(finding))
    if findings:
        logger.warning("dettoolkit check-dataset shows all of them, and looks at the images as well")


def tell_other_settings(cfg: CfgNode, folder: RunFolder) -> None:
    """Warn where an evaluation builds another model, or treats images in another way, than the run whose weights it takes.

    Args:
        cfg: of the evaluation.
        folder: of the run.
    """
    if not folder.config_file.is_file():
        return
    trained, _ = parse(folder.config_file.read_text(encoding="utf-8"), str(folder.config_file))
    problems = Problems()
    complete = Checker(problems).node(RUN_SCHEMA, trained, "")  # with the defaults of keys that are newer than the run
    before, now = _flat(_settings(trained if problems.rows else plain(complete))), _flat(_settings(plain(cfg)))
    pairs = {key: (before.get(key, "(not set)"), now.get(key, "(not set)")) for key in {**before, **now}}
    changed = [f"{key}: {old} -> {new}" for key, (old, new) in pairs.items() if old != new]
    if changed:
        logger.warning("other settings than in %s: %s", folder.config_file, listed(changed, 10))


def _settings(cfg: dict[str, Any]) -> dict[str, Any]:
    """Return what decides what a network finds; weights and devices do not."""
    others = ("WEIGHTS", "DEVICE", "CHANNELS_LAST", "COMPILE")
    model = {key: value for key, value in cfg.get("MODEL", {}).items() if key not in others}
    return {"MODEL": model, "DATASETS": {"TEST_TRANSFORMS": cfg.get("DATASETS", {}).get("TEST_TRANSFORMS")}}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return {path: value}
    return {key: leaf for name, item in items for key, leaf in _flat(item, f"{path}.{name}".lstrip(".")).items()}
