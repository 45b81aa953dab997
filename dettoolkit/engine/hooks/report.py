"""The page at the end of a run."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dettoolkit.distributed import is_main_process
from dettoolkit.engine.analysing import write_analyses
from dettoolkit.engine.environment import describe_environment
from dettoolkit.engine.evaluating import DatasetEvaluation
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import HOOKS
from dettoolkit.report import ReportData, write_report

logger = logging.getLogger(__name__)


@HOOKS.register()
class Report(Hook):
    """Writes ``report/index.html`` after training. Stands after MetricWriters, whose file it reads.

    Args:
        evaluations: one for each data set (wired).
        run_folder: of the run (wired).
        config_text: the resolved config as YAML (wired).
    """

    def __init__(self, evaluations: Sequence[DatasetEvaluation], run_folder: RunFolder, config_text: str) -> None:
        self.evaluations = evaluations
        self.folder = run_folder
        self.config_text = config_text

    def after_train(self, trainer: Trainer) -> None:
        """Write the page of the last evaluation."""
        write_run_report(self.folder.path, self.evaluations, self.config_text)


def write_run_report(folder: Path, evaluations: Sequence[DatasetEvaluation], config_text: str) -> None:
    """Write ``report/index.html``, and an ``analysis.json`` for each data set, of what was evaluated last.

    Pictures and curves of the page are those of the first data set.
    """
    evaluated = [evaluation for evaluation in evaluations if evaluation.results]
    if not is_main_process() or not evaluated:
        return
    write_analyses(folder, evaluated)
    first = evaluated[0]
    curves: dict[str, Any] = next((evaluator.curves() for evaluator in first.evaluators if hasattr(evaluator, "curves")), {})
    data = ReportData(
        title=folder.name,
        class_names=first.dataset.info.class_names,
        results={evaluation.name: evaluation.results for evaluation in evaluated},
        curves=curves,
        history=_history(folder / "metrics.jsonl"),
        images=first.examples,
        focal=first.focal,
        config_text=config_text,
        environment_text=describe_environment(),
    )
    logger.info("report: %s", write_report(folder, data, first.dataset.read_image))


def _history(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
