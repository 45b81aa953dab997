"""Weights of other toolkits under our names, and ours under theirs: one module a format.

Each has ``kind(names)``, which recognises it by the names of its tensors, and ``to_dettoolkit(state, anchors)`` and
``from_dettoolkit(state, anchors)``, which return a :class:`Conversion`. Our own names are what all meet in: those of a
detector, ``backbone.``, ``neck.`` and ``head.``, or of a backbone alone, with ``backbone.`` in front as well.
"""

from types import ModuleType

from dettoolkit.checkpoint.converters import caffe2, detectron2, mmdetection, torchvision
from dettoolkit.checkpoint.converters.conversion import Conversion

FORMATS: dict[str, ModuleType] = {
    "detectron2": detectron2,
    "torchvision": torchvision,
    "mmdetection": mmdetection,
    "caffe2": caffe2,
}

__all__ = ["FORMATS", "Conversion"]
