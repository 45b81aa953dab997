"""When to evaluate."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dettoolkit.engine.analysing import measure_thresholds
from dettoolkit.engine.checkpointing import Checkpointer
from dettoolkit.engine.evaluating import DatasetEvaluation, evaluate_all
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import HOOKS
from dettoolkit.structures import Duration

logger = logging.getLogger(__name__)


@HOOKS.register()
class Evaluation(Hook):
    """Evaluates on ``DATASETS.TEST`` every ``EVALUATION.PERIOD`` and at the end, and leaves the numbers with the trainer.

    With one data set they are named ``bbox/AP``, ``validation/loss``, ...; with several, ``<data set>/bbox/AP``, ....

    Args:
        evaluations: one for each data set (wired).
        evaluation_period: of ``EVALUATION.PERIOD`` (wired).
        run_folder: of the run (wired).
        checkpointer: is told the score thresholds that ``EVALUATION.THRESHOLDS`` leads to (wired).
    """

    stands_after = ("EMA",)

    def __init__(
        self,
        evaluations: Sequence[DatasetEvaluation],
        evaluation_period: Duration,
        run_folder: RunFolder,
        checkpointer: Checkpointer | None = None,
    ) -> None:
        self.evaluations = evaluations
        self.checkpointer = checkpointer
        self.period = evaluation_period
        self.folder = run_folder

    def before_train(self, trainer: Trainer) -> None:
        """Say so if there is nothing to evaluate on."""
        if not self.evaluations:
            logger.warning("DATASETS.TEST is empty: nothing will be evaluated, and there will be no best checkpoint")

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether it is time."""
        period = self.period.iterations(trainer.iterations_per_epoch)
        return trainer.iteration == trainer.num_iterations or bool(period and trainer.iteration % period == 0)

    def after_step(self, trainer: Trainer) -> None:
        """Evaluate when it is time."""
        if self.is_due(trainer):
            trainer.recorded |= evaluate_all(self.evaluations, trainer.model_for_evaluation, trainer.device, self.folder)
            trainer.latest_evaluation = dict(trainer.recorded)
            if self.checkpointer is not None:
                self.checkpointer.keep_thresholds(trainer.iteration, measure_thresholds(self.evaluations))

    def after_train(self, trainer: Trainer) -> None:
        """End the workers that wait for another evaluation."""
        self._close()

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """End them too: a notebook keeps what an exception refers to."""
        self._close()

    def _close(self) -> None:
        for evaluation in self.evaluations:
            evaluation.close()
