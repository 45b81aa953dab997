"""LOSSES: logits and labels, or predicted and wanted boxes -> sums in float32."""

from dettoolkit.modeling.losses.box import CIoULoss, DIoULoss, GIoULoss, L1Loss, SmoothL1Loss
from dettoolkit.modeling.losses.cross_entropy import CrossEntropyLoss
from dettoolkit.modeling.losses.focal import FocalLoss, sigmoid_focal_loss

__all__ = ["CIoULoss", "CrossEntropyLoss", "DIoULoss", "FocalLoss", "GIoULoss", "L1Loss", "SmoothL1Loss", "sigmoid_focal_loss"]
