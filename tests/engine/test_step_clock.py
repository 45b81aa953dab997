"""The clock's arithmetic by hand, on a time that is set."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from dettoolkit.engine.step_clock import REST, ClockedCall, StepClock, clocked_parts


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``passes(seconds)``: time goes on by these, and else stands still."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


@pytest.fixture
def clock() -> StepClock:
    return StepClock(torch.device("cpu"))


def test_the_time_of_an_inner_part_is_not_that_of_the_outer_one(clock: StepClock, passes: Callable[[float], None]) -> None:
    clock.start()
    passes(1)
    with clock.part("outer"):
        passes(2)
        with clock.part("inner"):
            passes(4)
        passes(8)
    passes(16)
    assert clock.stop() == {REST: 17, "outer": 10, "inner": 4}


def test_a_part_that_comes_twice_is_added_up(clock: StepClock, passes: Callable[[float], None]) -> None:
    clock.start()
    for seconds in (1, 2):
        with clock.part("head"):
            passes(seconds)
    assert clock.stop() == {REST: 0, "head": 3}


def test_a_part_that_turns_into_another_ends_where_it_would_have(clock: StepClock, passes: Callable[[float], None]) -> None:
    clock.start()
    with clock.part("backward"):
        passes(3)
        assert clock.is_inside("backward")
        clock.turn_into("communication")
        passes(5)
    passes(1)
    assert clock.stop() == {REST: 1, "backward": 3, "communication": 5}


def test_an_error_ends_its_part(clock: StepClock, passes: Callable[[float], None]) -> None:
    def fails() -> None:
        with clock.part("loss"):
            passes(2)
            raise KeyError

    clock.start()
    with pytest.raises(KeyError):
        fails()
    passes(1)
    assert clock.stop() == {REST: 1, "loss": 2}


def test_starting_again_forgets(clock: StepClock, passes: Callable[[float], None]) -> None:
    clock.start()
    passes(7)
    clock.start()
    passes(1)
    assert clock.stop() == {REST: 1}


class Part(nn.Module):
    """Takes the seconds that it is called with."""

    def __init__(self, passes: Callable[[float], None]) -> None:
        super().__init__()
        self.passes = passes

    def forward(self, seconds: float) -> float:
        self.passes(seconds)
        return seconds


class Matcher:
    """Takes a second; is no module."""

    allow_low_quality = True

    def __init__(self, passes: Callable[[float], None]) -> None:
        self.passes = passes

    def __call__(self) -> str:
        self.passes(1)
        return "matches"


class Criterion(Part):
    def __init__(self, passes: Callable[[float], None]) -> None:
        super().__init__(passes)
        self.matcher = Matcher(passes)

    def forward(self, seconds: float) -> float:
        assert self.matcher() == "matches"
        assert self.matcher.allow_low_quality
        return super().forward(seconds)


class Detector(nn.Module):
    def __init__(self, passes: Callable[[float], None]) -> None:
        super().__init__()
        self.backbone, self.head, self.criterion = Part(passes), Part(passes), Criterion(passes)

    def network(self, seconds: float) -> float:
        return self.head(2 * self.backbone(seconds))

    def forward(self, seconds: float) -> float:
        return self.criterion(self.network(seconds))


def test_the_parts_of_a_detector_are_told_apart(clock: StepClock, passes: Callable[[float], None]) -> None:
    model = Detector(passes)
    clock.start()
    with clocked_parts(model, clock):
        model(10.0)
    assert clock.stop() == {REST: 0, "backbone": 10, "head": 20, "loss": 20, "assignment": 1}


def test_a_compiled_network_is_one_part(clock: StepClock, passes: Callable[[float], None]) -> None:
    model = Detector(passes)
    compiled = model.network
    model.network = compiled  # type: ignore[method-assign]  (as compiling does: an attribute of this model)
    clock.start()
    with clocked_parts(model, clock):
        model(10.0)
    assert clock.stop() == {REST: 0, "network (compiled)": 30, "loss": 20, "assignment": 1}
    assert model.network is compiled


def test_a_detector_is_as_before_when_it_is_no_longer_watched(clock: StepClock, passes: Callable[[float], None]) -> None:
    model = Detector(passes)
    matcher = model.criterion.matcher
    with clocked_parts(model, clock):
        assert isinstance(model.criterion.matcher, ClockedCall)
    clock.start()
    model(10.0)
    assert clock.stop() == {REST: 51}
    assert model.criterion.matcher is matcher


def test_a_model_without_these_parts_is_all_rest(clock: StepClock, passes: Callable[[float], None]) -> None:
    model = Part(passes)
    clock.start()
    with clocked_parts(model, clock):
        model(3.0)
    assert clock.stop() == {REST: 3}
