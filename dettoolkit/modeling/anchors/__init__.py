"""ANCHORS: map sizes -> boxes by level."""

from dettoolkit.modeling.anchors.grid_anchors import GridAnchors

__all__ = ["GridAnchors"]
