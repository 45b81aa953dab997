"""A detector with another NMS than the one it was trained with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from dettoolkit.errors import ConfigError
from dettoolkit.registry import NMS


def with_nms(model: Any, node: Mapping[str, Any]) -> Any:
    """Return a detector that removes duplicates in another way; the given one stays as it is, and shares its weights.

    Args:
        model: with a ``decoder`` that has an ``nms``.
        node: ``{"NAME": "SoftNMS", "SIGMA": 0.3}`` say.

    Raises:
        ConfigError: there is no such NMS, or nothing to put it into.
    """
    nms = NMS.build(node, "nms")
    decoder = getattr(model, "decoder", None)
    if not hasattr(decoder, "nms"):
        raise ConfigError(f"nms: {type(model).__name__} has no decoder whose NMS could be replaced.")
    metadata = getattr(model, "metadata", None)  # of an exported file
    if getattr(metadata, "nms", "outside") == "inside":
        raise ConfigError("nms: the exported file removes duplicates itself. Export it again with --nms outside.")
    changed = copy.copy(model)
    changed.decoder = copy.copy(decoder)
    changed.decoder.nms = nms
    return changed
