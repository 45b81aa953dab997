"""From a checkpoint to the detector in it, without anything of the checkpoint being run, imported or fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.checkpoint import fetch, load_weights, read
from dettoolkit.config import RUN_SCHEMA, import_plugins
from dettoolkit.config.check import Checker
from dettoolkit.config.plugins import find_plugin
from dettoolkit.config.yaml_reader import parse, plain
from dettoolkit.errors import CheckpointError, ConfigError, listed, shown
from dettoolkit.modeling import build_model
from dettoolkit.registry import Section
from dettoolkit.registry.schema import Problems
from dettoolkit.structures import DatasetInfo, ScoreThresholds

SCORE_THRESHOLDS = "score_thresholds"
"""The key of a checkpoint that holds :class:`~dettoolkit.structures.ScoreThresholds` as plain data, in files that have any."""

# what inference needs of a config: an old run may name hooks or data sets that are no more
_NEEDED: dict[str, tuple[str, ...]] = {
    "MODEL": (),
    "DATASETS": ("PIXEL_RANGE", "TEST_TRANSFORMS", "TEST_VIEWS"),
    "SOLVER": ("AMP",),
}


@dataclass(frozen=True)
class StoredDetector:
    """A detector out of a checkpoint.

    Args:
        model: with its weights, on the CPU.
        cfg: the part of the run's config that inference needs: MODEL, of DATASETS ``PIXEL_RANGE``, ``TEST_TRANSFORMS`` and
            ``TEST_VIEWS``, and SOLVER.AMP.
        info: the classes it was trained on.
        score_thresholds: from which score on to report detections of a class; None where nobody chose any.
    """

    model: nn.Module
    cfg: CfgNode
    info: DatasetInfo
    score_thresholds: ScoreThresholds | None = None

    @classmethod
    def read(cls, path: str | Path, plugins: Sequence[str | Path] = ()) -> StoredDetector:
        """Read a checkpoint of a run.

        Args:
            path: a file or URL.
            plugins: Python files that register the components of the run's own; they are imported, the ones that the
                checkpoint names never are.

        Raises:
            CheckpointError: the file is no checkpoint of a run, or what is in it cannot be used here.
            ConfigError: a plugin cannot be imported.
        """
        data = read(fetch(path))
        _check_keys(path, data)
        import_plugins([find_plugin(str(plugin), None) for plugin in plugins])
        try:
            given, origins = parse(data["config"], "its config")
            if not isinstance(given, dict):
                raise ConfigError(f"expected a mapping, got {shown(given)}.")
            _check_plugins(path, given.get("PLUGINS", []), plugins)
            cfg = _checked(given, origins)
            model = build_model(cfg)
        except ConfigError as error:
            raise CheckpointError(f"{path}: a detector cannot be built from its config: {error}") from error
        info = _classes(path, data["dataset"], cfg.MODEL.NUM_CLASSES)
        load_weights(model, {"model": data["model"]})
        return cls(model, cfg, info, thresholds_of_checkpoint(path, data))


def thresholds_of_checkpoint(path: str | Path, data: Mapping[str, Any]) -> ScoreThresholds | None:
    """Return the score thresholds in a checkpoint; None where there are none.

    Args:
        path: for messages.
        data: what :func:`dettoolkit.checkpoint.read` returned.

    Raises:
        CheckpointError: there is something else in their place.
    """
    given = data.get(SCORE_THRESHOLDS)
    try:
        return None if given is None else ScoreThresholds.from_dict(given)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its {SCORE_THRESHOLDS} cannot be used: {error!r}.") from None


def _check_keys(path: str | Path, data: Mapping[str, Any]) -> None:
    expected = {"model": Mapping, "config": str, "dataset": Mapping}
    missing = [key for key, kind in expected.items() if not isinstance(data.get(key), kind)]
    if missing:
        raise CheckpointError(
            f"{path} is no checkpoint of a run: {listed(missing)} missing; its keys: {listed(data, 5)}. Prediction needs "
            "config and classes besides weights, as in the files of a run's checkpoints/ (model_final.pth). With bare weights: "
            "cfg = load_config(FILE); model = build_model(cfg); load_weights(model, PATH); Predictor(model, cfg, info)."
        )


def _check_plugins(path: str | Path, named: Sequence[str], given: Sequence[str | Path]) -> None:
    if named and not given:
        raise CheckpointError(
            f"{path} was trained with components of its own, from {listed(named)}. Code that a checkpoint names is never run "
            "by itself: pass files that you trust, --plugins FILE ... or plugins=[FILE, ...]."
        )


def _checked(given: Mapping[str, Any], origins: Mapping[tuple[str, ...], str]) -> CfgNode:
    schema, needed = {}, {}
    for section, keys in _NEEDED.items():
        node, values = RUN_SCHEMA.keys[section], given.get(section, {})
        if keys and isinstance(node, Section):
            node = Section({key: node.keys[key] for key in keys})
            values = {key: values[key] for key in keys if key in values} if isinstance(values, Mapping) else values
        schema[section], needed[section] = node, values
    problems = Problems()
    data = Checker(problems).node(Section(schema), needed, "")
    if problems.rows:
        rows = [f"  {key} ({origins.get(tuple(key.split('.')), 'its config')}): {what}" for key, what in problems.rows]
        raise ConfigError("\n" + "\n".join(rows))
    return CfgNode(plain(data))


def _classes(path: str | Path, data: Mapping[str, Any], num_classes: int) -> DatasetInfo:
    try:
        info = DatasetInfo.from_dict(dict(data))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its classes cannot be read: {error!r}.") from None
    if info.num_classes != num_classes:
        raise CheckpointError(
            f"{path} contradicts itself: its config has {num_classes} classes, its data set {info.num_classes} "
            f"({listed(info.class_names)})."
        )
    return info
