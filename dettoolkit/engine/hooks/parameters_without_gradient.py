"""Naming what does not learn."""

from __future__ import annotations

import logging

from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import listed
from dettoolkit.registry import HOOKS

logger = logging.getLogger(__name__)


@HOOKS.register()
class ParametersWithoutGradient(Hook):
    """After the first step, warns of trainable parameters that got no gradient: a part that is built but not used."""

    def __init__(self) -> None:
        self._looked = False

    def after_step(self, trainer: Trainer) -> None:
        """Look once."""
        if self._looked:
            return
        self._looked = True
        names = [name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad and parameter.grad is None]
        if names:
            logger.warning("%d parameters got no gradient in the first step: %s", len(names), listed(names, 10))
