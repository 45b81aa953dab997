"""The MLflow writer, against a stand-in for the library, and against the library where it is installed."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dettoolkit.engine.writers import MLflowWriter
from dettoolkit.errors import MissingDependencyError


class _StandIn:
    """The part of the library that is used: what a server would know."""

    def __init__(self) -> None:
        self.uris: list[str | None] = []
        self.experiments: list[str] = []
        self.runs: dict[str, SimpleNamespace] = {}
        self.entities = SimpleNamespace(Metric=lambda key, value, timestamp, step: (key, value, step))

    def MlflowClient(self, tracking_uri: str | None) -> _StandIn:
        self.uris.append(tracking_uri)
        return self

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        return SimpleNamespace(experiment_id=self.experiments.index(name)) if name in self.experiments else None

    def create_experiment(self, name: str) -> int:
        self.experiments.append(name)
        return len(self.experiments) - 1

    def create_run(self, experiment_id: int, run_name: str) -> SimpleNamespace:
        run = SimpleNamespace(experiment=experiment_id, name=run_name, metrics=[], batches=[], status="RUNNING")
        self.runs[f"id{len(self.runs)}"] = run
        return SimpleNamespace(info=SimpleNamespace(run_id=f"id{len(self.runs) - 1}"))

    def log_batch(self, run_id: str, metrics: list[Any]) -> None:
        self.runs[run_id].metrics += metrics
        self.runs[run_id].batches.append(len(metrics))

    def update_run(self, run_id: str, status: str) -> None:
        self.runs[run_id].status = status

    set_terminated = update_run


def _trainer(iteration: int, num_iterations: int = 10, stop_reason: str | None = None) -> Any:
    return SimpleNamespace(iteration=iteration, num_iterations=num_iterations, stop_reason=stop_reason)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> _StandIn:
    library = _StandIn()
    monkeypatch.setitem(sys.modules, "mlflow", library)  # type: ignore[arg-type]
    return library


def _folder(tmp_path: Path) -> str:
    (tmp_path / "my_run").mkdir(exist_ok=True)
    return str(tmp_path / "my_run")


def test_numbers_go_to_a_run_named_after_the_folder(library: _StandIn, tmp_path: Path) -> None:
    writer = MLflowWriter(_folder(tmp_path), "cells", "http://server")
    writer.open(_trainer(0))
    writer.write(_trainer(7), {"loss": 0.5, "bbox/AP-größe (a)": 0.25})
    assert library.uris == ["http://server"]
    assert library.experiments == ["cells"]
    run = library.runs["id0"]
    assert (run.name, run.experiment, run.status) == ("my_run", 0, "RUNNING")
    assert run.metrics == [("loss", 0.5, 7), ("bbox/AP-gr__e _a_", 0.25, 7)]


def test_a_resumed_training_goes_on_with_its_run_and_a_new_one_does_not(library: _StandIn, tmp_path: Path) -> None:
    for iteration, expected in ((0, 1), (4, 1), (0, 2)):
        writer = MLflowWriter(_folder(tmp_path))
        writer.open(_trainer(iteration))
        assert len(library.runs) == expected
        assert list(library.runs.values())[-1].status == "RUNNING"
        writer.close()
    assert library.experiments == ["dettoolkit"]


@pytest.mark.parametrize(
    ("iteration", "reason", "status"), [(10, None, "FINISHED"), (4, "nothing gets better", "FINISHED"), (4, None, "FAILED")]
)
def test_the_end_says_whether_all_was_done(
    library: _StandIn, tmp_path: Path, iteration: int, reason: str | None, status: str
) -> None:
    writer, trainer = MLflowWriter(_folder(tmp_path)), _trainer(0)
    writer.open(trainer)
    trainer.iteration, trainer.stop_reason = iteration, reason
    writer.close()
    writer.close()  # as after an exception in what comes after the training
    assert library.runs["id0"].status == status


def test_a_server_that_is_not_there_is_asked_once(library: _StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ending a run that never began would fail too, and hide why."""

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no server")

    for name in ("get_experiment_by_name", "set_terminated"):
        monkeypatch.setattr(library, name, refuse, raising=False)
    writer = MLflowWriter(_folder(tmp_path))
    with pytest.raises(ConnectionError, match="no server"):
        writer.open(_trainer(0))
    writer.close()


def test_many_numbers_go_in_parts(library: _StandIn, tmp_path: Path) -> None:
    writer = MLflowWriter(_folder(tmp_path))
    writer.open(_trainer(0))
    writer.write(_trainer(1), {f"n{index}": 0.0 for index in range(2300)})
    assert library.runs["id0"].batches == [1000, 1000, 300]


def test_without_the_library_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # None makes the import fail
    with pytest.raises(MissingDependencyError, match=r"pip install 'dettoolkit\[mlflow\]'"):
        MLflowWriter(str(tmp_path))


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_library_keeps_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    store = (tmp_path / "store").as_uri()
    for iteration, value in ((0, 0.5), (3, 0.25)):
        writer, trainer = MLflowWriter(_folder(tmp_path), tracking_uri=store), _trainer(iteration)
        writer.open(trainer)
        trainer.iteration += 1
        writer.write(trainer, {"loss": value, "bbox/AP-größe": math.nan})
        writer.close()
    client = mlflow.MlflowClient(tracking_uri=store)
    (run,) = client.search_runs([client.get_experiment_by_name("dettoolkit").experiment_id])
    assert run.info.run_name == "my_run"
    assert run.info.status == "FAILED"  # four of ten steps
    assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")] == [(1, 0.5), (4, 0.25)]
