"""The learning-rate range test (Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fvcore.common.config import CfgNode

from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.rehearsal.rehearsing import rehearsing
from dettoolkit.engine.trainer import Trainer

_BELOW, _ABOVE = 1e-4, 1e3  # the rates tried, in times of the configured one
_SMALLEST, _LARGEST = 1e-6, 10.0  # what no detector needs less or more than: from here on at least, and to there at most
_MEMORY = 0.9  # of the smoothed loss for what came before, corrected for its start as Adam's averages are
_DIVERGED = 4.0  # times the best smoothed loss so far, as fastai stops
_SETTLED = 5  # steps before which a loss says nothing


@dataclass(frozen=True)
class RangeTest:
    """What the loss did while the learning rate rose exponentially.

    Rates are in the units of ``SOLVER.BASE_LR``: for ``REFERENCE_BATCH_SIZE`` images.

    Args:
        rates: of each step, ascending.
        losses: of each step; the last one may not be finite.
        smoothed: the same, as far as they are finite, averaged exponentially.
        configured: ``SOLVER.BASE_LR``.
        suggested: where the smoothed loss fell most steeply, at most a tenth of ``diverged``; None where it did not fall.
        lowest: the rate at which the smoothed loss was lowest; None where no loss was finite.
        diverged: from which rate on the loss grew fourfold or was not finite; None: it did not, up to the last rate.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    configured: float
    suggested: float | None
    lowest: float | None
    diverged: float | None


def learning_rate_range(cfg: CfgNode, steps: int = 100, offline: bool = False) -> RangeTest:
    """Train a throw-away model while the rate rises from 1e-6, or a ten-thousandth of the configured one, until it diverges.

    Args:
        cfg: of one process.
        steps: at most.
        offline: never use the network.
    """
    with rehearsing(cfg, offline, quiet=True) as (trainer, _):
        per_base = trainer.optimizer.param_groups[0]["lr"] / cfg.SOLVER.BASE_LR
        base = cfg.SOLVER.BASE_LR
        lowest = min(base * _BELOW, _SMALLEST / per_base)
        highest = max(min(base * _ABOVE, _LARGEST / per_base), 10 * base)
        rising = _RisingRate(base, lowest, highest, steps)
        trainer.hooks, trainer.num_iterations = [rising], steps
        trainer.train()
    return read_range(rising.rates, rising.losses, base)


def read_range(rates: Sequence[float], losses: Sequence[float], configured: float) -> RangeTest:
    """Return what a course of losses says.

    Args:
        rates: of each step, ascending.
        losses: of each step; none after the first that is not finite.
        configured: the rate that the config has.
    """
    smoothed = smooth([loss for loss in losses if math.isfinite(loss)])
    diverged = rates[len(smoothed)] if len(smoothed) < len(losses) else None
    for step in range(_SETTLED, len(smoothed)):
        if smoothed[step] > _DIVERGED * min(smoothed[: step + 1]):
            diverged = rates[step]
            break
    suggested = _steepest(rates, smoothed)
    if suggested is not None and diverged is not None:
        suggested = min(suggested, diverged / 10)
    lowest = rates[smoothed.index(min(smoothed))] if smoothed else None
    return RangeTest(tuple(rates), tuple(losses), tuple(smoothed), configured, suggested, lowest, diverged)


def smooth(losses: Sequence[float]) -> list[float]:
    """Return the exponential average of the losses, which is the first loss itself at the first step."""
    average, found = 0.0, []
    for step, loss in enumerate(losses, start=1):
        average = _MEMORY * average + (1 - _MEMORY) * loss
        found.append(average / (1 - _MEMORY**step))
    return found


def _steepest(rates: Sequence[float], smoothed: Sequence[float]) -> float | None:
    """Return the rate at which the loss fell most for a step of the same ratio, before it was lowest; None: it never fell."""
    if len(smoothed) <= _SETTLED:
        return None
    lowest = min(range(len(smoothed)), key=lambda step: smoothed[step])
    falls = {step: smoothed[step - 1] - smoothed[step] for step in range(_SETTLED, lowest + 1)}
    best = max(falls, key=lambda step: falls[step], default=None)
    return rates[best] if best is not None and falls[best] > 0 else None


class _RisingRate(Hook):
    """Raises the learning rates of all parameter groups by the same factor in each step, and notes the losses."""

    def __init__(self, base: float, lowest: float, highest: float, steps: int) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._lowest, self._factor = lowest, (highest / lowest) ** (1 / max(1, steps - 1))
        self._base, self._configured = base, list[float]()

    def before_train(self, trainer: Trainer) -> None:
        self._configured = [group["lr"] for group in trainer.optimizer.param_groups]

    def before_step(self, trainer: Trainer) -> None:
        rate = self._lowest * self._factor**trainer.iteration
        for group, configured in zip(trainer.optimizer.param_groups, self._configured, strict=True):
            group["lr"] = configured * rate / self._base
        self.rates.append(rate)

    def is_due(self, trainer: Trainer) -> bool:
        del trainer
        return True

    def after_step(self, trainer: Trainer) -> None:
        self.losses.append(float(trainer.latest_metrics["loss"]))
        smoothed = smooth(self.losses)
        gone = len(smoothed) > _SETTLED and smoothed[-1] > _DIVERGED * min(smoothed)
        if gone or not math.isfinite(self.losses[-1]):
            trainer.request_stop("the loss diverged")
