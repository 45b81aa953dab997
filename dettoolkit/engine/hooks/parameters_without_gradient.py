"""Naming what does not learn."""

from __future__ import annotations

import logging

from dettoolkit.distributed import world_size
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import TrainingError, listed
from dettoolkit.registry import HOOKS

logger = logging.getLogger(__name__)


@HOOKS.register()
class ParametersWithoutGradient(Hook):
    """After the first step, names trainable parameters that got no gradient: a part that is built but not used.

    In one process that is a warning. Several processes cannot average gradients that some parameters lack, and stop.
    """

    def __init__(self) -> None:
        self._looked = False

    def after_step(self, trainer: Trainer) -> None:
        """Look once.

        Raises:
            TrainingError: there are some, and several processes train.
        """
        if self._looked:
            return
        self._looked = True
        names = [
            name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad and parameter.grad is None
        ]
        if not names:
            return
        message = f"{len(names)} parameters got no gradient in the first step: {listed(names, 10)}"
        if world_size() > 1:
            raise TrainingError(f"{message}. To train in several processes, use them, or freeze or remove them.")
        logger.warning(message)
