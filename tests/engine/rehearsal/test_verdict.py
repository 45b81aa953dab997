from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dettoolkit.engine.rehearsal import Overfit, RangeTest, SmokeRun, plain_words, wrong
from dettoolkit.engine.rehearsal.verdict import duration

RANGE = RangeTest((1e-4, 1e-2, 1.0), (2.0, 1.0, 9.0), (2.0, 1.5, 5.0), 0.01, 0.01, 0.05, 1.0)
OVERFIT = Overfit((2.0, 1.0, 0.2), 5, 4, 30.0)
SMOKE = SmokeRun(steps=9, losses=(2.0, 1.5), seconds_a_step=0.5, checkpoint_is_equal=True, steps_of_all=7200)


def kinds(**results: object) -> list[str]:
    return [finding.kind for finding in wrong(**results)]  # type: ignore[arg-type]


def test_nothing_looks_wrong_where_nothing_is() -> None:
    overfit = replace(OVERFIT, losses=(2.0, *[0.2] * 5))
    assert kinds(range_test=RANGE, overfit=overfit, smoke=SMOKE) == []
    text = plain_words([], RANGE, overfit, SMOKE)
    assert text.startswith("Nothing looks wrong.")
    assert "about 0.01 is suggested" in text
    assert "the whole training: 7,200 steps, about 60 min" in text  # 7,200 * 0.5 s


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"configured": 1.0}, "learning-rate-too-high"),
        ({"configured": 0.11}, "learning-rate-high"),
        ({"configured": 0.1}, None),  # twice where the loss was lowest
        ({"suggested": None}, "loss-does-not-fall"),
        ({"configured": 0.00009}, "learning-rate-low"),
        ({"configured": 0.0001}, None),
    ],
)
def test_learning_rates(changes: dict, kind: str | None) -> None:
    assert kinds(range_test=replace(RANGE, **changes)) == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"num_objects": 0}, "batch-without-objects", "look at the data"),
        ({"losses": (2.0, math.nan)}, "cannot-overfit", "too high"),
        ({"losses": (2.0, 1.9)}, "cannot-overfit", "Likely causes"),
        ({"losses": (2.0, 1.9), "positives": 0.0}, "cannot-overfit", "check-anchors"),
    ],
)
def test_batches_that_are_not_learned(changes: dict, kind: str, words: str) -> None:
    (finding,) = wrong(overfit=replace(OVERFIT, **changes))
    assert finding.kind == kind
    assert words in finding.advice


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"failure": "out of memory", "checkpoint_is_equal": None}, "run-breaks-off"),
        ({"checkpoint_is_equal": False}, "checkpoint-differs"),
        ({"checkpoint_is_equal": None}, "no-checkpoint"),
        ({"share_waiting": 0.5}, "waits-for-data"),
    ],
)
def test_short_runs(changes: dict, kind: str) -> None:
    assert kinds(smoke=replace(SMOKE, **changes)) == [kind]


def test_errors_come_first() -> None:
    found = wrong(
        replace(RANGE, suggested=None), replace(OVERFIT, num_objects=0), replace(SMOKE, failure="no", share_waiting=0.9)
    )
    assert [finding.severity for finding in found] == ["error", "warning", "warning", "hint"]
    assert found[0].kind == "run-breaks-off"
    assert plain_words(found).startswith("error: the run broke off after 9 steps: no. ")


@pytest.mark.parametrize(
    ("seconds", "words"), [(40, "40 s"), (12 * 60, "12 min"), (3.5 * 3600, "3.5 h"), (50.4 * 3600, "2.1 days")]
)
def test_times_are_told_in_the_unit_that_suits_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words
