"""From weight files to models: what a file is, is recognised by its content."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.checkpoint.fetching import fetch
from dettoolkit.checkpoint.input_check import warn_of_other_input
from dettoolkit.checkpoint.load_report import LoadReport, compare
from dettoolkit.checkpoint.safe_reader import read
from dettoolkit.checkpoint.weight_source import WeightSource, recognise
from dettoolkit.errors import CheckpointError

logger = logging.getLogger(__name__)

_BACKBONE = "backbone."


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
    detectors and backbones of the toolkits in :mod:`dettoolkit.checkpoint.converters`. A backbone goes into
    ``model.backbone``. Nothing is loaded when an error is raised.

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
    weights = _open(source, model, offline)
    known, unknown = _in_our_names(weights)
    if all(key.startswith(_BACKBONE) for key in known):
        target, into = getattr(model, "backbone", model), "its backbone" if hasattr(model, "backbone") else "the model"
        report = _load(target, _adapted(_without_prefix(known), target) | unknown, weights, strict)
    else:
        classes_of = (model, classification_layer, other_classes)
        into, report = "the model", _load(model, known | unknown, weights, strict, classes_of)
    logger.info("%s (%s): %d tensors loaded into %s", weights.name, weights.kind, len(report.loaded), into)
    warn_of_other_input(weights, model)
    return report


def load_backbone(backbone: nn.Module, source: str | Path | Mapping[str, Any], offline: bool = False) -> LoadReport:
    """Load a backbone alone: from a backbone's weights, or from the backbone of a detector's file.

    Args:
        backbone: takes the weights.
        source: as in :func:`load_weights`, or ``timm://``: timm's own weights of the backbone's model.
        offline: never use the network.

    Raises:
        CheckpointError: as :func:`load_weights`.
    """
    return _load_backbone(backbone, source, offline)[0]


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
        with _named("MODEL.WEIGHTS"):
            return [load_weights(model, cfg.MODEL.WEIGHTS, other_classes="reinitialise", offline=offline)]
    of_backbone = cfg.MODEL.get("BACKBONE", {}).get("WEIGHTS")
    if not of_backbone:
        return []
    with _named("MODEL.BACKBONE.WEIGHTS"):
        report, weights = _load_backbone(model.backbone, of_backbone, offline)  # type: ignore[arg-type]
    warn_of_other_input(weights, model)
    return [report]


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Put the config's key in front of what cannot be had or does not fit."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{key}: {error}") from error.__cause__


def _open(source: str | Path | Mapping[str, Any], target: nn.Module, offline: bool) -> WeightSource:
    name = "the given weights" if isinstance(source, Mapping) else str(source)
    data = source if isinstance(source, Mapping) else read(fetch(source, offline))
    return recognise(data, name, own_names=target.state_dict().keys())


def _load_backbone(
    backbone: nn.Module, source: str | Path | Mapping[str, Any], offline: bool
) -> tuple[LoadReport, WeightSource]:
    if source == "timm://":
        weights = recognise(_timm_state(backbone, offline), str(source), own_names=backbone.state_dict().keys())
    else:
        weights = _open(source, backbone, offline)
    of_detector = {key: value for key, value in weights.state.items() if key.startswith(_BACKBONE)}
    part = replace(weights, state=of_detector or weights.state)
    known, unknown = _in_our_names(part)
    if any(key.startswith(_BACKBONE) for key in known):  # elsewhere the pyramid counts as a part of the backbone
        known = {key: value for key, value in known.items() if not key.startswith("neck.")}
    report = _load(backbone, _adapted(_without_prefix(known), backbone) | unknown, part)
    logger.info("%s (%s): %d tensors loaded into the backbone", weights.name, weights.kind, len(report.loaded))
    return report, weights


def _in_our_names(weights: WeightSource) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tensors by our names, and those that no rule knows by their own."""
    done = weights.to_dettoolkit()
    if done.problems:
        raise CheckpointError(f"{weights.name} ({weights.kind}) cannot be used here: {done.problems[0]}.")
    return done.state, {name: weights.state[name] for name in done.unknown}


def _without_prefix(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(_BACKBONE): value for key, value in state.items()}


def _load(
    target: nn.Module,
    state: dict[str, Any],
    weights: WeightSource,
    strict: bool = True,
    classes_of: tuple[nn.Module, str, str] | None = None,
) -> LoadReport:
    report = compare(weights.name, weights.kind, state, target.state_dict())
    if classes_of is not None:
        report = _settle_classes(report, *classes_of)
    if not report.complete:
        message = f"{weights.name} ({weights.kind}) does not fit the model:\n{report.describe()}"
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


def _adapted(state: dict[str, Any], backbone: nn.Module) -> dict[str, Any]:
    """Turn a first convolution for three channels into one for C: each gets the mean over the three, times 3 / C.

    The response to a gray image, the same value in all channels, stays what it was.
    """
    weight, wanted = state.get("conv1.weight"), backbone.state_dict().get("conv1.weight")
    if weight is None or wanted is None or weight.shape[1] != 3 or wanted.shape[1] == 3:
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
