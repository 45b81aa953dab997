"""MATCHERS: anchors and ground truth -> which box each anchor stands for."""

from dettoolkit.modeling.matchers.max_iou import MaxIoUMatcher

__all__ = ["MaxIoUMatcher"]
