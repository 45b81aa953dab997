"""The page at the end of a run."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.config import dump_config
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.distributed import is_main_process
from dettoolkit.engine.analysing import write_analyses
from dettoolkit.engine.diagnosing import diagnose_anchors, diagnose_data
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
        model: of the training (wired).
        evaluations: one for each data set (wired).
        run_folder: of the run (wired).
        cfg: of the run (wired).
        train_dataset: that is trained on (wired).
    """

    stands_after = ("Evaluation", "MetricWriters")

    def __init__(
        self,
        model: nn.Module,
        evaluations: Sequence[DatasetEvaluation],
        run_folder: RunFolder,
        cfg: CfgNode,
        train_dataset: DetectionDataset,
    ) -> None:
        self.model = model
        self.evaluations = evaluations
        self.folder = run_folder
        self.cfg = cfg
        self.train_dataset = train_dataset

    def after_train(self, trainer: Trainer) -> None:
        """Write the page of the last evaluation."""
        write_run_report(self.folder.path, self.evaluations, self.cfg, self.model, self.train_dataset)


def write_run_report(
    folder: Path,
    evaluations: Sequence[DatasetEvaluation],
    cfg: CfgNode,
    model: nn.Module,
    train_dataset: DetectionDataset | None = None,
) -> None:
    """Write ``report/index.html``, and an ``analysis.json`` for each data set, of what was evaluated last.

    Pictures, curves and analysis of the page are those of the first data set.

    Args:
        folder: of the run.
        evaluations: one for each data set.
        cfg: of the run.
        model: the detector, whose anchors are examined.
        train_dataset: that was trained on, the config being in ``folder / "config.yaml"``; None: there was no training.
    """
    evaluated = [evaluation for evaluation in evaluations if evaluation.results]
    if not is_main_process() or not evaluated:
        return
    started = time.perf_counter()
    data = report_data(folder, evaluated, cfg, model, train_dataset)
    analysed = time.perf_counter()
    path = write_report(folder, data, evaluated[0].dataset.read_image)
    seconds = (analysed - started, time.perf_counter() - analysed)
    logger.info("report: %s (%.1f s for the analysis, %.1f s for the page)", path, *seconds)


def report_data(
    folder: Path,
    evaluated: Sequence[DatasetEvaluation],
    cfg: CfgNode,
    model: nn.Module,
    train_dataset: DetectionDataset | None,
) -> ReportData:
    """Write the analyses and return what the page shows; the arguments are those of :func:`write_run_report`."""
    insights = write_analyses(folder, evaluated)
    first, trained = evaluated[0], train_dataset is not None
    insight = insights.get(first.name)
    curves: dict[str, Any] = next((evaluator.curves() for evaluator in first.evaluators if hasattr(evaluator, "curves")), {})
    return ReportData(
        title=folder.name,
        class_names=first.dataset.info.class_names,
        results={evaluation.name: evaluation.results for evaluation in evaluated},
        curves=curves,
        history=_history(folder / "metrics.jsonl"),
        images=first.examples if insight is None else insight.images,
        focal=first.focal,
        config_text=dump_config(cfg),
        environment_text=describe_environment(),
        analysis=None if insight is None else insight.analysis,
        intervals={name: each.intervals for name, each in insights.items() if each.intervals is not None},
        calibration=None if insight is None else insight.calibration,
        anchors=diagnose_anchors(model, train_dataset or first.dataset, cfg, folder / "config.yaml" if trained else None),
        findings=diagnose_data(train_dataset, [evaluation.dataset for evaluation in evaluated]),
        evaluation_time=first.time,
        batch_size=cfg.SOLVER.BATCH_SIZE,
    )


def _history(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
