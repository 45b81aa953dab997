from __future__ import annotations

import logging
import math
from typing import Any

import pytest

from dettoolkit.errors import ConfigError
from dettoolkit.registry import SCHEDULES
from dettoolkit.solver import LearningRateSchedule, build_schedule, scale_learning_rate, warmup_length
from dettoolkit.solver.schedules import Constant, Cosine, Linear, MultiStep


def _solver(schedule: dict[str, Any], length: str | int = "auto", factor: float = 0.001) -> dict[str, Any]:
    return {"SCHEDULE": schedule, "WARMUP": {"LENGTH": length, "FACTOR": factor}}


@pytest.mark.parametrize("milestones", [[60000, 80000], ["60000", "80000it"], None, ["8ep", 80000]])
def test_the_1x_schedule_of_detectron2(milestones: list[Any] | None) -> None:
    # lr 0.01, 90,000 iterations, warm-up of 1000 from a thousandth, a tenth at 60k and 80k. By hand:
    # it 0: 0.01 x 0.001; it 500: 0.01 x (0.001 + 0.999 x 500 / 1000) = 0.01 x 0.5005
    node = {"NAME": "MultiStep"} if milestones is None else {"NAME": "MultiStep", "MILESTONES": milestones}
    schedule = build_schedule(_solver(node), 90_000, iterations_per_epoch=7500)
    expected = {0: 1e-5, 500: 5.005e-3, 999: 0.01 * (0.001 + 0.999 * 0.999), 1000: 1e-2, 59_999: 1e-2}
    expected |= {60_000: 1e-3, 79_999: 1e-3, 80_000: 1e-4, 89_999: 1e-4}
    for iteration, rate in expected.items():
        assert 0.01 * schedule.multiplier(iteration) == pytest.approx(rate, rel=1e-9), iteration


def test_cosine_is_evaluated_at_the_share_of_the_whole_training() -> None:
    schedule = build_schedule(_solver({"NAME": "Cosine", "END_FACTOR": 0.1}, length=10, factor=0.5), 100, 10)
    for iteration in (10, 50, 99):
        expected = 0.1 + 0.9 * (1 + math.cos(math.pi * iteration / 100)) / 2
        assert schedule.multiplier(iteration) == pytest.approx(expected, rel=1e-12)
    at_its_end = 0.1 + 0.9 * (1 + math.cos(math.pi * 0.1)) / 2
    assert schedule.multiplier(0) == pytest.approx(0.5)
    assert schedule.multiplier(5) == pytest.approx((0.5 + at_its_end) / 2)  # half way up to the schedule's value


def test_linear_and_constant_by_hand() -> None:
    linear, constant = LearningRateSchedule(Linear(0.2), 8), LearningRateSchedule(Constant(), 8)
    assert [linear.multiplier(i) for i in (0, 4, 7)] == pytest.approx([1.0, 0.6, 0.3])  # 1 - 0.8 x i / 8
    assert [constant.multiplier(i) for i in (0, 7)] == [1.0, 1.0]


@pytest.mark.parametrize("num_iterations", [1, 2, 3, 5, 9, 10, 17])
def test_default_schedule_fits_the_shortest_trainings(num_iterations: int) -> None:
    schedule = build_schedule(_solver({"NAME": "MultiStep"}), num_iterations, 3)
    values = [schedule.multiplier(iteration) for iteration in range(num_iterations)]
    falls = [
        0.01 if 9 * i >= 8 * num_iterations else 0.1 if 3 * i >= 2 * num_iterations else 1.0 for i in range(num_iterations)
    ]
    assert values[num_iterations // 10 :] == pytest.approx(falls[num_iterations // 10 :])


def test_without_a_milestone_the_rate_stays() -> None:
    assert LearningRateSchedule(MultiStep(10, 5, milestones=()), 10).multiplier(9) == 1.0


@pytest.mark.parametrize(
    ("milestones", "message"),
    [
        ([60000], r"60000 is iteration 60000, and the training has 100 iterations \(10 an epoch\)"),
        (["10ep"], "10ep is iteration 100, and the training has 100"),
        ([0], "0 is iteration 0"),
        ([1.5], "expected a fraction between 0 and 1, iterations or epochs, got 1.5"),
        ([0.0], "expected a fraction between 0 and 1, iterations or epochs, got 0.0"),
        (["8 epochs"], r"expected iterations \(90000 or '90000it'\) or epochs \('12ep'\), got '8 epochs'"),
        ([80, "5ep"], r"expected ascending ones, got \[80, '5ep'\] = iterations \[80, 50\]"),
    ],
)
def test_milestones_that_do_not_fit_are_refused(milestones: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_schedule(_solver({"NAME": "MultiStep", "MILESTONES": milestones}), 100, 10)
    assert str(caught.value).startswith("SOLVER.SCHEDULE")


@pytest.mark.parametrize(("name", "parameter", "value"), [("MultiStep", "GAMMA", 0.0), ("Cosine", "END_FACTOR", 1.5)])
def test_factors_are_checked(name: str, parameter: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"SOLVER.SCHEDULE.*{parameter}: expected .*, got {value}"):
        build_schedule(_solver({"NAME": name, parameter: value}), 100, 10)


@pytest.mark.parametrize("length", [100, "10ep", "20ep"])
def test_a_warm_up_as_long_as_the_training_is_refused(length: str | int) -> None:
    with pytest.raises(
        ConfigError, match=r"WARMUP.LENGTH: the warm-up of \d+ iterations does not end within the training of 100"
    ):
        build_schedule(_solver({"NAME": "Constant"}, length), 100, 10)


def test_a_warm_up_that_is_no_duration_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"SOLVER.WARMUP.LENGTH: expected iterations .*, got 'long', or auto"):
        warmup_length("long", 100, 10)


def test_automatic_warm_up_is_1000_iterations_or_a_tenth() -> None:
    assert [warmup_length("auto", total, 10) for total in (5, 100, 90_000)] == [0, 10, 1000]
    assert warmup_length("0.5ep", 100, 10) == 5
    assert warmup_length(0, 100, 10) == 0


@pytest.mark.parametrize("iteration", [-1, 10])
def test_an_iteration_outside_the_training_has_no_rate(iteration: int) -> None:
    with pytest.raises(ValueError, match=f"from 0 to 9, got {iteration}"):
        LearningRateSchedule(Constant(), 10).multiplier(iteration)


def test_the_rate_follows_the_batch_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert scale_learning_rate(0.01, 8, 16) == 0.005
    assert caplog.messages == ["learning rate 0.01 -> 0.005 (batch 8, reference 16)"]


def test_without_a_reference_the_rate_stays(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert scale_learning_rate(0.01, 8, None) == 0.01
        assert scale_learning_rate(0.01, 16, 16) == 0.01
    assert caplog.messages == []


@pytest.mark.parametrize("numbers", [(0.0, 8, 16), (0.01, 0, 16), (0.01, 8, 0)])
def test_numbers_that_are_not_positive_are_refused(numbers: tuple[float, int, int]) -> None:
    with pytest.raises(ConfigError, match="expected positive numbers, got"):
        scale_learning_rate(*numbers)


def test_the_schedules_are_registered() -> None:
    assert {name for name, _ in SCHEDULES} >= {"MultiStep", "Cosine", "Linear", "Constant"}
    assert SCHEDULES.get("Cosine") is Cosine
