"""META_ARCHS: whole detectors; each says which parts it is made of."""

from dettoolkit.modeling.meta_archs.build import build_model
from dettoolkit.modeling.meta_archs.retinanet import RetinaNet

__all__ = ["RetinaNet", "build_model"]
