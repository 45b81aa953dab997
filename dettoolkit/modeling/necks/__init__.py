"""NECKS: ``{"C2": map, ...}`` -> a list of L maps with one number of channels, with ``channels`` and ``strides``."""

from dettoolkit.modeling.necks.fpn import FPN

__all__ = ["FPN"]
