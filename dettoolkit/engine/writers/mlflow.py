"""Numbers for MLflow."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import MissingDependencyError
from dettoolkit.registry import WRITERS

_AT_ONCE = 1000  # metrics: as many as a server takes
_RUN_ID = ".mlflow_run_id"


@WRITERS.register()
class MLflowWriter:
    """An MLflow run (extra ``mlflow``), named after the run folder; a resumed training goes on with it.

    The run folder keeps the run's id in ``.mlflow_run_id``. Steps that a resumed training does again have a second point.
    Characters that MLflow allows in no name, as class names may have, become ``_``.

    Args:
        folder: of the run (wired).
        experiment: name of the experiment, made where it is missing.
        tracking_uri: of the server, or a store on the disk; null: the environment variable MLFLOW_TRACKING_URI, or what MLflow
            takes without one.

    Raises:
        MissingDependencyError: MLflow is not installed.
    """

    is_elsewhere = True

    def __init__(self, folder: str, experiment: str = "dettoolkit", tracking_uri: str | None = None) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise MissingDependencyError("MLflowWriter needs mlflow: pip install 'dettoolkit[mlflow]'") from error
        self._mlflow = mlflow
        self.folder, self.experiment, self.tracking_uri = Path(folder), experiment, tracking_uri
        self._client: Any = None
        self._run_id = ""
        self._trainer: Trainer | None = None

    def open(self, trainer: Trainer) -> None:
        """Start the run, or go on with it."""
        client, file = self._mlflow.MlflowClient(tracking_uri=self.tracking_uri), self.folder / _RUN_ID
        if trainer.iteration and file.is_file():
            self._run_id = file.read_text(encoding="utf-8").strip()
            client.update_run(self._run_id, status="RUNNING")
        else:
            found = client.get_experiment_by_name(self.experiment)
            experiment = client.create_experiment(self.experiment) if found is None else found.experiment_id
            self._run_id = client.create_run(experiment, run_name=self.folder.name).info.run_id
            file.write_text(self._run_id, encoding="utf-8")
        self._client, self._trainer = client, trainer  # only now: what a server refused to begin, close() must not end

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        """Add a point to each curve."""
        now = int(time.time() * 1000)
        metrics = [
            self._mlflow.entities.Metric(re.sub(r"[^\w\-. /]", "_", name, flags=re.ASCII), float(value), now, trainer.iteration)
            for name, value in numbers.items()
        ]
        for start in range(0, len(metrics), _AT_ONCE):
            self._client.log_batch(self._run_id, metrics=metrics[start : start + _AT_ONCE])

    def close(self) -> None:
        """Say that the run has ended, and whether all of its steps were done."""
        if self._client is None or self._trainer is None:
            return
        done = self._trainer.iteration >= self._trainer.num_iterations or self._trainer.stop_reason
        self._client.set_terminated(self._run_id, status="FINISHED" if done else "FAILED")
        self._client = None
