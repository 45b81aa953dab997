"""From a config to a model."""

from __future__ import annotations

from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.registry import META_ARCHS


def build_model(cfg: CfgNode) -> nn.Module:
    """Build the detector that ``cfg.MODEL`` describes, with random weights; no file and no network is read.

    Args:
        cfg: a config from :func:`dettoolkit.config.load_config`.

    Raises:
        ConfigError: a part cannot be built; the message has its key.
    """
    return META_ARCHS.get(cfg.MODEL.META_ARCH.NAME).from_config(cfg)
