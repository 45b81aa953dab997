"""The moving average of the weights."""

from __future__ import annotations

import copy
import logging
import math
from typing import Any

import torch
from torch import Tensor, nn

from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import ConfigError
from dettoolkit.registry import HOOKS

logger = logging.getLogger(__name__)


@HOOKS.register()
class EMA(Hook):
    """Keeps the exponential moving average of the weights; evaluation, checkpoints and predictions take it.

    After optimizer step t (from 1) the average becomes ``d_t * average + (1 - d_t) * weights``, with
    ``d_t = decay * (1 - exp(-t / warmup))``: a short memory first, so that the random weights of the beginning are soon
    forgotten. Buffers, such as the statistics of batch norm, are copied: they are averages already. A step whose loss is not
    finite changes nothing, and no GPU is waited for to know that. Each process works out the same average for itself.

    The weights that are trained stay as they are; checkpoints have both, ``model`` and ``training.model``, and training goes on
    from them as if it had never stopped. Stands before Evaluation and the hooks that save.

    Args:
        model: whose weights are averaged (wired).
        decay: how much of the average a step keeps, from 0 (the weights themselves) to below 1; 0.9998 remembers 5000 steps.
        warmup: steps after which the decay has come to 63 % of its value, and to 99 % after five times as many; 0: none.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, model: nn.Module, decay: float = 0.9998, warmup: float = 2000.0) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay expects a number from 0 to below 1, got {decay}")
        if not 0 <= warmup < math.inf:
            raise ValueError(f"warmup expects a finite number of steps, 0 or more, got {warmup}")
        self.model, self.decay, self.warmup = model, decay, warmup
        self.average = copy.deepcopy(model).requires_grad_(False).eval()
        self.num_steps = 0
        self._iteration: int | None = None

    def before_train(self, trainer: Trainer) -> None:
        """Begin with the weights as they are, or with the average of the training that goes on.

        Raises:
            ConfigError: another hook has brought a model for evaluation.
        """
        if trainer.model_for_evaluation not in (self.model, self.average):
            raise ConfigError("HOOKS: EMA stands twice, or beside another hook that brings the model for evaluation.")
        if not self.num_steps:
            self.average.load_state_dict(self.model.state_dict())
        trainer.model_for_evaluation, self._iteration = self.average, trainer.iteration
        logger.info("the moving average of the weights is what is evaluated and predicted with")

    def after_step(self, trainer: Trainer) -> None:
        """Move the average to the weights."""
        share = trainer.updated * (1 - self.decay_of(self.num_steps + 1))
        with torch.no_grad():
            _move(list(self.average.parameters()), list(self.model.parameters()), share)
            if buffers := list(self.average.buffers()):
                torch._foreach_copy_(buffers, list(self.model.buffers()))
        self.num_steps, self._iteration = self.num_steps + 1, trainer.iteration

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """Take in the last step, should the training have ended between it and :meth:`after_step`: its state may be saved."""
        if self._iteration is not None and trainer.iteration > self._iteration and not trainer.is_updating:
            self.after_step(trainer)

    def decay_of(self, step: int) -> float:
        """Return what step number ``step`` of the average, from 1, keeps of it."""
        return self.decay * (1 - math.exp(-step / self.warmup)) if self.warmup else self.decay

    def state_dict(self) -> dict[str, Any]:
        """Return how many steps are averaged; checkpoints have the average as their model."""
        return {"num_steps": self.num_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the average, which the model of the training has been given for the moment."""
        self.num_steps = state["num_steps"]
        self.average.load_state_dict(self.model.state_dict())


def _move(average: list[Tensor], weights: list[Tensor], share: Tensor | float) -> None:
    """Move ``average`` to ``weights`` by ``share`` of the way, in a few kernels."""
    if not isinstance(share, Tensor):
        if share:
            torch._foreach_lerp_(average, weights, share)
        return
    ways = torch._foreach_sub(weights, average)
    torch._foreach_mul_(ways, share)
    torch._foreach_add_(average, ways)
