"""The registries: whatever has a ``NAME`` in the YAML has a registry here and a folder in the package that it names.

Register a class of your own with ``@LOSSES.register()`` in a file that the config's ``PLUGINS`` names.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from dettoolkit.registry.registry import Registry
from dettoolkit.registry.schema import Component, ListOf, MappingOf, Plain, Section, Value


@cache
def _torchvision_transforms() -> dict[str, Any]:
    from torchvision.transforms import v2

    return {name: cls for name, cls in vars(v2).items() if isinstance(cls, type) and issubclass(cls, v2.Transform)}


META_ARCHS = Registry("META_ARCHS", package="dettoolkit.modeling.meta_archs")
BACKBONES = Registry("BACKBONES", package="dettoolkit.modeling.backbones")
NECKS = Registry("NECKS", package="dettoolkit.modeling.necks")
HEADS = Registry("HEADS", package="dettoolkit.modeling.heads")
ANCHORS = Registry("ANCHORS", package="dettoolkit.modeling.anchors")
BOX_CODERS = Registry("BOX_CODERS", package="dettoolkit.modeling.box_coders")
MATCHERS = Registry("MATCHERS", package="dettoolkit.modeling.matchers")
MINERS = Registry("MINERS", package="dettoolkit.modeling.miners")
LOSSES = Registry("LOSSES", package="dettoolkit.modeling.losses")
NMS = Registry("NMS", package="dettoolkit.modeling.dense.nms")
DATASETS = Registry("DATASETS", package="dettoolkit.data.datasets")
TRANSFORMS = Registry("TRANSFORMS", package="dettoolkit.data.transforms", fallback=_torchvision_transforms)
SAMPLERS = Registry("SAMPLERS", package="dettoolkit.data.samplers")
OPTIMIZERS = Registry("OPTIMIZERS", package="dettoolkit.solver.optimizers")
SCHEDULES = Registry("SCHEDULES", package="dettoolkit.solver.schedules")
EVALUATORS = Registry("EVALUATORS", package="dettoolkit.evaluation")
HOOKS = Registry("HOOKS", package="dettoolkit.engine.hooks")
WRITERS = Registry("WRITERS", package="dettoolkit.engine.writers")

__all__ = [
    "ANCHORS",
    "BACKBONES",
    "BOX_CODERS",
    "DATASETS",
    "EVALUATORS",
    "HEADS",
    "HOOKS",
    "LOSSES",
    "MATCHERS",
    "META_ARCHS",
    "MINERS",
    "NECKS",
    "NMS",
    "OPTIMIZERS",
    "SAMPLERS",
    "SCHEDULES",
    "TRANSFORMS",
    "WRITERS",
    "Component",
    "ListOf",
    "MappingOf",
    "Plain",
    "Registry",
    "Section",
    "Value",
]
