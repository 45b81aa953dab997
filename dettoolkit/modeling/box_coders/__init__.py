"""BOX_CODERS: boxes and anchors <-> what a head predicts."""

from dettoolkit.modeling.box_coders.delta_xywh import DeltaXYWHCoder

__all__ = ["DeltaXYWHCoder"]
