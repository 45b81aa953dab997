"""Sharding leaves no trace: two processes give the numbers of one, in both."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from dettoolkit.distributed import gather_objects, launch, rank
from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation import CocoEvaluator, VocEvaluator


def _evaluate(info: Any, samples: list[Any], detections: list[Any], shards: list[list[int]]) -> dict[str, Any]:
    """Evaluate this process's shard both ways; process 0 returns what all have."""
    mine = shards[rank()]
    seen: dict[str, Any] = {}
    for evaluator in (CocoEvaluator(info), VocEvaluator(info)):
        evaluator.update([samples[index] for index in mine], [detections[index] for index in mine])
        seen |= evaluator.compute()
        try:
            seen[type(evaluator).__name__] = len(evaluator.to_coco_results())
        except EvaluationError as error:
            seen[type(evaluator).__name__] = str(error)
    return {"processes": gather_objects(seen)}


def test_two_processes_give_the_numbers_of_one_and_the_main_one_keeps_the_detections(random_set, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    given = random_set(5)
    arguments = (given.info, given.samples, given.detections)
    (alone,) = _evaluate(*arguments, [list(range(40))])["processes"]
    shards = [list(range(23, 40)), [*range(23), 38, 39]]  # of unequal length; images 38 and 39 are padding in the second
    first, second = launch(_evaluate, (*arguments, shards), num_gpus=2, device="cpu", timeout=timedelta(seconds=60))[
        "processes"
    ]
    for seen in (first, second):
        assert {task: seen[task] for task in ("bbox", "voc")} == {task: alone[task] for task in ("bbox", "voc")}
    count = sum(len(found) for found in given.detections)
    assert (alone["CocoEvaluator"], first["CocoEvaluator"], first["VocEvaluator"]) == (count, count, count)
    assert "the main process has" in second["CocoEvaluator"]
    assert "the main process has" in second["VocEvaluator"]
