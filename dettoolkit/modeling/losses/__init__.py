"""LOSSES: logits and labels, or predicted and wanted boxes -> sums in float32."""

from dettoolkit.modeling.losses.box import CIoULoss, DIoULoss, GIoULoss, L1Loss, SmoothL1Loss
from dettoolkit.modeling.losses.cross_entropy import CrossEntropyLoss
from dettoolkit.modeling.losses.distribution_focal import DistributionFocalLoss
from dettoolkit.modeling.losses.focal import FocalLoss, sigmoid_focal_loss
from dettoolkit.modeling.losses.focal_star import FocalStarLoss
from dettoolkit.modeling.losses.hinge import HingeLoss
from dettoolkit.modeling.losses.quality_focal import QualityFocalLoss
from dettoolkit.modeling.losses.varifocal import VarifocalLoss

__all__ = [
    "CIoULoss",
    "CrossEntropyLoss",
    "DIoULoss",
    "DistributionFocalLoss",
    "FocalLoss",
    "FocalStarLoss",
    "GIoULoss",
    "HingeLoss",
    "L1Loss",
    "QualityFocalLoss",
    "SmoothL1Loss",
    "VarifocalLoss",
    "sigmoid_focal_loss",
]
