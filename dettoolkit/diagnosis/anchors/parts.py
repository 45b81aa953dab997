"""What of a detector decides which anchor stands for which object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.errors import ConfigError
from dettoolkit.modeling import build_model
from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.registry import ANCHORS, MATCHERS


@dataclass(frozen=True)
class AnchorParts:
    """The anchors of a detector, and what they are matched by.

    Args:
        anchors: of the detector.
        matcher: of MATCHERS.
        divisibility: height and width of what the network gets are multiples of it.
    """

    anchors: GridAnchors
    matcher: Any
    divisibility: int

    @property
    def positive_from(self) -> float:
        """The IoU from which an anchor is positive; 0.5, as RetinaNet has it, where the matcher has no such threshold."""
        return float(getattr(self.matcher, "positive_from", 0.5))

    @classmethod
    def of_model(cls, model: nn.Module) -> AnchorParts:
        """Return the parts of a model.

        Raises:
            ConfigError: its anchors are no grid of fixed shapes, or it has none.
        """
        anchors, matcher = getattr(model, "anchors", None), getattr(getattr(model, "criterion", None), "matcher", None)
        if not isinstance(anchors, GridAnchors) or matcher is None:
            name = type(anchors).__name__ if anchors is not None else f"nothing ({type(model).__name__})"
            raise ConfigError(f"MODEL.ANCHORS: what is examined are GridAnchors and classes made of it, got {name}.")
        return cls(anchors, matcher, int(getattr(model, "size_divisibility", 1)))

    @classmethod
    def of_config(cls, cfg: CfgNode, num_classes: int) -> AnchorParts:
        """Build a model and return its parts; see :meth:`of_model`."""
        cfg = cfg.clone()
        cfg.defrost()
        cfg.MODEL.NUM_CLASSES = num_classes
        return cls.of_model(build_model(cfg))

    def rebuilt(self, cfg: CfgNode) -> AnchorParts:
        """Return the parts of a config that differs from this one in ``MODEL.ANCHORS`` and ``MODEL.MATCHER`` at most.

        Raises:
            ConfigError: one of them cannot be built.
        """
        anchors = ANCHORS.build(cfg.MODEL.ANCHORS, "MODEL.ANCHORS", strides=self.anchors.strides)
        return AnchorParts(anchors, MATCHERS.build(cfg.MODEL.MATCHER, "MODEL.MATCHER"), self.divisibility)
