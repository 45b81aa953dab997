"""HEADS: maps of the neck -> :class:`~dettoolkit.structures.DensePredictions`."""

from dettoolkit.modeling.heads.retinanet_head import RetinaNetHead

__all__ = ["RetinaNetHead"]
