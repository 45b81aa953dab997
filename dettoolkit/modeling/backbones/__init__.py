"""BACKBONES: images -> ``{"C2": [N, c, h, w], ..., "C5": ...}``, with ``channels`` and ``strides`` by level."""

from dettoolkit.modeling.backbones.resnet import ResNet
from dettoolkit.modeling.backbones.timm import Timm

__all__ = ["ResNet", "Timm"]
