"""The parts of an evaluation's time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from dettoolkit.engine.evaluation_time import DATA, DETECTIONS, EVALUATORS, LOSSES, NETWORK, clocked, evaluation_time
from dettoolkit.engine.step_clock import REST, StepClock


def test_waiting_counts_to_its_part_and_what_the_loop_does_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def batches() -> Iterator[Any]:
        for number in range(3):
            now[0] += 2.0  # seconds until a batch is there
            yield number
        now[0] += 0.5  # and until there is no more

    clock = StepClock(torch.device("cpu"))
    clock.start()
    seen = []
    for batch in clocked(batches(), clock, DATA):
        seen.append(batch)
        now[0] += 10.0
    assert seen == [0, 1, 2]
    assert clock.stop() == {DATA: 6.5, REST: 30.0}


def test_parts_come_in_the_order_of_the_work_and_the_rest_is_of_the_evaluators() -> None:
    told = evaluation_time("set", torch.device("cpu"), 7, {REST: 1.0, DETECTIONS: 2.0, NETWORK: 3.0, DATA: 4.0})
    assert list(told.seconds.items()) == [(DATA, 4.0), (NETWORK, 3.0), (DETECTIONS, 2.0), (EVALUATORS, 1.0)]
    assert LOSSES not in told.seconds  # none were computed
    assert (told.dataset, told.num_images) == ("set", 7)
    assert told.device.startswith("cpu, ")
