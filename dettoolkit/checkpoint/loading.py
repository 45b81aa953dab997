"""From weight files to models: what a file is, is recognised by its content."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fvcore.common.config import CfgNode
from torch import Tensor, nn

from dettoolkit.checkpoint.fetching import fetch
from dettoolkit.checkpoint.load_report import LoadReport, compare
from dettoolkit.checkpoint.safe_reader import read
from dettoolkit.errors import CheckpointError, listed

logger = logging.getLogger(__name__)

TORCHVISION_RESNET = "torchvision ResNet"
_RESNET_NAMES = {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"}
_WRAPPERS = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put in front of names


def load_weights(
    model: nn.Module,
    source: str | Path | Mapping[str, Any],
    *,
    strict: bool = True,
    other_classes: Literal["error", "reinitialise"] = "error",
    classification_layer: str = "head.classification",
    offline: bool = False,
) -> LoadReport:
    """Load the weights of a file into ``model``, whatever kind of weight file it is.

    Known are checkpoints of dettoolkit (``{"model": ...}``), bare state dicts (also of wrapped models: ``module.``), and
    classification weights of torchvision's ResNets, which go into ``model.backbone`` without their last layer ``fc``.
    Nothing is loaded when an error is raised.

    Args:
        model: takes the weights, on its own device and in its own dtypes.
        source: a path, a URL, ``torchvision://NAME``, or what such a file holds.
        strict: whether all tensors must fit; False loads those that do and logs the others.
        other_classes: what happens when only the number of classes differs: an error (inference), or the classification
            layer keeps the model's initial values (training).
        classification_layer: name of the layer whose outputs are the classes.
        offline: never use the network.

    Returns:
        What was loaded and what was not.

    Raises:
        CheckpointError: the file cannot be read, or does not fit; missing, unknown and mismatched names are listed.
    """
    name = "the given weights" if isinstance(source, Mapping) else str(source)
    data = source if isinstance(source, Mapping) else read(fetch(source, offline))
    kind, state = recognise(data, name)
    target = getattr(model, "backbone", model) if kind == TORCHVISION_RESNET else model
    report = _load(target, state, kind, name, strict, classes_of=(model, classification_layer, other_classes))
    into = "the model" if target is model else "its backbone"
    logger.info("%s (%s): %d tensors loaded into %s", name, kind, len(report.loaded), into)
    return report


def load_backbone(backbone: nn.Module, source: str | Path, offline: bool = False) -> LoadReport:
    """Load a backbone alone: from classification weights, or from the part ``backbone.`` of a detector's file.

    Args:
        backbone: takes the weights.
        source: as in :func:`load_weights`, or ``timm://``: timm's own weights of the backbone's model.
        offline: never use the network.

    Raises:
        CheckpointError: as :func:`load_weights`.
    """
    name = str(source)
    data = _timm_state(backbone, offline) if name == "timm://" else read(fetch(source, offline))
    kind, state = recognise(data, name)
    part = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    report = _load(backbone, part or state, kind, name)
    logger.info("%s (%s): %d tensors loaded into the backbone", name, kind, len(report.loaded))
    return report


def load_pretrained(model: nn.Module, cfg: CfgNode, offline: bool = False) -> list[LoadReport]:
    """Load what training starts from: ``MODEL.WEIGHTS`` for the whole model, or else ``MODEL.BACKBONE.WEIGHTS``.

    A whole model of other classes keeps all but its classification layer.

    Args:
        model: the model built from ``cfg``.
        cfg: the config of the run.
        offline: never use the network.

    Returns:
        One report, or none where the config names no weights.

    Raises:
        CheckpointError: weights that cannot be had or do not fit.
    """
    if cfg.MODEL.WEIGHTS:
        return [load_weights(model, cfg.MODEL.WEIGHTS, other_classes="reinitialise", offline=offline)]
    of_backbone = cfg.MODEL.get("BACKBONE", {}).get("WEIGHTS")
    return [load_backbone(model.backbone, of_backbone, offline)] if of_backbone else []  # type: ignore[arg-type]


def recognise(data: Mapping[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    """Return what kind of file ``data`` comes from, and its state dict without the names of wrappers.

    Raises:
        CheckpointError: there are no weights in it.
    """
    kind, state = "state dict", data
    if isinstance(data.get("model"), Mapping):
        kind, state = "checkpoint", data["model"]
    if not state or not any(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(
            f"{name} has no weights: expected names and tensors, or those under the key 'model'; its keys: {listed(data, 10)}."
        )
    for wrapper in _WRAPPERS:
        if all(key.startswith(wrapper) for key in state):
            state = {key.removeprefix(wrapper): value for key, value in state.items()}
    if state.keys() >= _RESNET_NAMES:
        kind, state = TORCHVISION_RESNET, {key: value for key, value in state.items() if not key.startswith("fc.")}
    return kind, dict(state)


def _load(
    target: nn.Module,
    state: dict[str, Any],
    kind: str,
    name: str,
    strict: bool = True,
    classes_of: tuple[nn.Module, str, str] | None = None,
) -> LoadReport:
    if kind == TORCHVISION_RESNET:
        state = _fit_input_channels(state, target)
    report = compare(name, kind, state, target.state_dict())
    if classes_of is not None:
        report = _settle_classes(report, *classes_of)
    if not report.complete:
        message = f"{name} ({kind}) does not fit the model:\n{report.describe()}"
        if strict:
            raise CheckpointError(message)
        logger.warning("%s\nThe other %d tensors are loaded.", message, len(report.loaded))
    target.load_state_dict({key: state[key] for key in report.loaded}, strict=False)
    return report


def _settle_classes(report: LoadReport, model: nn.Module, layer: str, other_classes: str) -> LoadReport:
    """Take the classification layer out of the mismatches when nothing but its number of outputs differs."""
    outputs_only = [bad.name.startswith(f"{layer}.") and bad.in_file[1:] == bad.in_model[1:] for bad in report.mismatched]
    if not outputs_only or not all(outputs_only):  # with other anchors, say, the box layer differs too: not the same network
        return report
    outputs, new = report.mismatched[0], getattr(getattr(model, "head", None), "num_classes", None)
    change = f"{outputs.in_file[0]} -> {outputs.in_model[0]} outputs"
    if new and outputs.in_file[0] * new % outputs.in_model[0] == 0:
        change = f"{outputs.in_file[0] * new // outputs.in_model[0]} -> {new} classes"
    if other_classes == "error":
        raise CheckpointError(
            f"{report.source}: the classification layer is of other classes than the model ({change}). "
            "Build the model with the number of classes of the file, or train it with these weights as MODEL.WEIGHTS."
        )
    logger.info("classification layer re-initialised (%s)", change)
    return replace(report, mismatched=(), reinitialised=tuple(bad.name for bad in report.mismatched))


def _fit_input_channels(state: dict[str, Any], backbone: nn.Module) -> dict[str, Any]:
    """Turn a first convolution for RGB into one for C channels: each gets the mean over RGB, times 3 / C.

    The response to a gray image, the same value in all channels, stays what it was.
    """
    weight, wanted = state["conv1.weight"], backbone.state_dict().get("conv1.weight")
    if wanted is None or weight.shape[1] != 3 or wanted.shape[1] == 3:
        return state
    channels = wanted.shape[1]
    logger.info("first convolution adapted from 3 to %d channels", channels)
    return {**state, "conv1.weight": (weight.mean(1, keepdim=True) * 3 / channels).repeat(1, channels, 1, 1)}


def _timm_state(backbone: Any, offline: bool) -> dict[str, Any]:
    """Return timm's own weights for the model of a Timm backbone."""
    model = getattr(backbone, "model_name", None)
    if model is None:
        raise CheckpointError(f"timm:// is for the backbone Timm, this one is {type(backbone).__name__}.")
    if offline:
        raise CheckpointError(f"timm:// may need the network for {model!r}, which may not be used; give a path instead.")
    import timm

    try:
        body = timm.create_model(model, features_only=True, pretrained=True, in_chans=backbone.in_channels)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"timm:// has no weights for {model!r}: {error}") from error
    return {f"body.{key}": value for key, value in body.state_dict().items()}
