"""Looking into the classification loss while it is learnt from."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from dettoolkit.distributed import is_main_process
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import ConfigError
from dettoolkit.evaluation.analysis import FocalObserver, FocalSetting, FocalStatistics, advise_at_start, advise_in_training
from dettoolkit.registry import HOOKS
from dettoolkit.structures import DatasetInfo

logger = logging.getLogger(__name__)

_JUDGED_TOGETHER = 3  # looks; one batch may have few positives
_JUDGED_FROM, _LATE_FROM = 0.1, 0.25  # shares of the training; the warm-up is a tenth at most unless it was set
_FIRST_STEPS = 100  # in which no setting learns much


@HOOKS.register()
class FocalMicroscope(Hook):
    """Logs every ``period`` steps who has the classification loss, and warns where alpha, gamma or the prior look wrong.

    ``focal/positive_share`` is the positives' part of the loss, the rest is the negatives'; ``focal/effective_negatives``
    says how many negatives that is in effect, ``focal/hardest_share`` what part the hardest 1 % of the anchors have,
    ``focal/p_t`` the mean p_t of the positives, ``focal/positives`` how many there are. A level has its own as
    ``focal/P3/positive_share``, a class as ``focal/positive_share-cat``; both also have ``share``, their part of the whole
    loss. The numbers are those of the step's images in all processes, without the normaliser's factors and a miner's choice.

    Steps in between cost nothing. Stands before MetricWriters, which writes the numbers.

    Args:
        info: of the training data (wired).
        period: steps from one look to the next; the first step of a training is looked at too, but only judged.

    Raises:
        ValueError: a period below 1.
    """

    def __init__(self, info: DatasetInfo, period: int = 100) -> None:
        if period < 1:
            raise ValueError(f"period expects at least 1, got {period}")
        self.class_names = info.class_names
        self.period = period
        self._seen: deque[Tensor] = deque(maxlen=_JUDGED_TOGETHER)
        self._told: set[str] = set()
        self._criterion: Any = None
        self._observer: Any = None

    def before_train(self, trainer: Trainer) -> None:
        """Get ready to look.

        Raises:
            ConfigError: the detector has no criterion that can be observed, or its classification loss is none of outputs.
        """
        self._criterion = getattr(trainer.model, "criterion", None)
        if not hasattr(self._criterion, "observers"):
            raise ConfigError(
                f"FocalMicroscope expects a detector whose criterion has observers, {type(trainer.model).__name__} has none"
            )
        self._observer = FocalObserver(self._criterion.classification_loss)

    def before_step(self, trainer: Trainer) -> None:
        """Be among the observers of the steps to look at, and of no others."""
        if self._looks_at(trainer.iteration + 1):
            self._criterion.observers.append(self._look)

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether this step was looked at."""
        return self._looks_at(trainer.iteration)

    def after_step(self, trainer: Trainer) -> None:
        """Leave the numbers with the trainer, and say what looks wrong."""
        if self._look not in self._criterion.observers:
            return
        self._criterion.observers.remove(self._look)
        if not trainer.step_was_finite:
            self._observer.forget()
            return
        statistics = self._observer.statistics()
        if trainer.iteration % self.period == 0:
            levels = level_names(trainer.model, statistics.counts.shape[1])
            trainer.latest_metrics |= named_numbers(statistics, levels, self.class_names)
        self._judge(trainer, statistics)

    def _looks_at(self, iteration: int) -> bool:
        return iteration == 1 or iteration % self.period == 0

    def _look(self, logits: Sequence[Tensor], labels: Sequence[Tensor], losses: Sequence[Tensor]) -> None:
        if self._criterion.training:  # an evaluation in the same step is none of its business
            self._observer(logits, labels, losses)

    def _judge(self, trainer: Trainer, statistics: FocalStatistics) -> None:
        if not getattr(self._criterion.miner, "takes_all", False):
            return  # what the loss is after a miner's choice is not seen here
        counts, losses = statistics.counts.sum(dim=(1, 2)), statistics.losses
        setting = FocalSetting.of(self._criterion.classification_loss, getattr(trainer.model, "head", None))
        if trainer.iteration == 1:
            self._tell(trainer, advise_at_start(counts, losses, setting))
            return
        self._seen.append(counts)
        done = trainer.iteration / trainer.num_iterations
        if len(self._seen) == _JUDGED_TOGETHER and done >= _JUDGED_FROM and trainer.iteration >= _FIRST_STEPS:
            self._tell(trainer, advise_in_training(sum(self._seen), losses, setting, done >= _LATE_FROM))  # type: ignore[arg-type]

    def _tell(self, trainer: Trainer, advice: Mapping[str, str]) -> None:
        """Log what was not wrong at the last look already."""
        for kind, words in advice.items():
            if kind not in self._told and is_main_process():
                logger.warning("focal microscope, iteration %d: %s", trainer.iteration, words)
        self._told = set(advice)


def named_numbers(statistics: FocalStatistics, levels: Sequence[str], classes: Sequence[str]) -> dict[str, float]:
    """Return all numbers with the names that they are logged under, six digits of each."""
    named = {f"focal/{name}": value for name, value in statistics.over_all().items()}
    for level, found in zip(levels, statistics.by_level(), strict=True):
        named |= {f"focal/{level}/{name}": value for name, value in found.items()}
    for label, found in zip(classes, statistics.by_class(), strict=True):
        named |= {f"focal/{name}-{label}": value for name, value in found.items()}
    return {name: float(f"{value:.6g}") for name, value in named.items()}


def level_names(model: Any, num_levels: int) -> list[str]:
    """Return P3 for a level of stride 8, P4 for 16 and so on; ``level0``, ... for a detector whose strides are not known."""
    strides = getattr(getattr(model, "neck", None), "strides", None) or []
    names = [f"P{int(math.log2(stride))}" for stride in strides if math.log2(stride).is_integer()]
    return names if len(names) == num_levels else [f"level{index}" for index in range(num_levels)]
