"""The score threshold of each class that meets a wish: best F1, a precision, a recall, or the least cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from dettoolkit.errors import ConfigError, did_you_mean
from dettoolkit.evaluation.analysis.score_curves import ScoreCurve
from dettoolkit.structures import ScoreThresholds

WISHES = ("best_f1", "precision>=P", "recall>=R", "cost=A:M")

_NUMBER = r"(\d+\.?\d*|\.\d+)"
_FORM = re.compile(rf"(best_f1)|(precision|recall)\s*>=\s*{_NUMBER}|cost\s*=\s*{_NUMBER}\s*:\s*{_NUMBER}")


@dataclass(frozen=True)
class Wish:
    """What a score threshold is chosen for.

    Args:
        kind: ``best_f1``: the highest F1; ``precision``: at least ``least``, and then the highest recall; ``recall``: at least
            ``least``, and then the highest precision; ``cost``: the smallest sum of what false alarms and misses cost.
        least: of ``precision`` and ``recall``, in 0..1.
        false_alarm: cost of a wrong detection.
        miss: cost of an object that is not found.
    """

    kind: Literal["best_f1", "precision", "recall", "cost"]
    least: float = 0.0
    false_alarm: float = 1.0
    miss: float = 1.0

    @classmethod
    def parse(cls, text: str, where: str = "wish") -> Wish:
        """Return the wish that a text says: ``best_f1``, ``precision>=0.9``, ``recall>=0.8``, or ``cost=1:5``.

        In the last one a false alarm costs 1 and a miss 5.

        Args:
            text: one of these.
            where: what the error calls it: the config key or option.

        Raises:
            ConfigError: it is none of these, or a precision or recall is not above 0 and at most 1.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            near = did_you_mean(text, WISHES)
            raise ConfigError(
                f"{where}: expected best_f1, precision>=P, recall>=R, or cost=A:M (A of a false alarm, M of a miss), "
                f"got {text!r}.{near}"
            )
        best, kind, least, false_alarm, miss = match.groups()
        if best:
            return cls("best_f1")
        if kind:
            if not 0 < float(least) <= 1:
                raise ConfigError(f"{where}: expected a {kind} above 0 and at most 1, got {text!r}.")
            return cls("precision" if kind == "precision" else "recall", least=float(least))
        if not float(false_alarm) + float(miss):
            raise ConfigError(f"{where}: a false alarm or a miss must cost something, got {text!r}.")
        return cls("cost", false_alarm=float(false_alarm), miss=float(miss))

    def __str__(self) -> str:
        if self.kind == "cost":
            return f"cost={self.false_alarm:g}:{self.miss:g}"
        return self.kind if self.kind == "best_f1" else f"{self.kind}>={self.least:g}"


@dataclass(frozen=True)
class OperatingPoint:
    """A score threshold of one class, and what it led to where it was measured.

    Args:
        threshold: detections with a score of at least this are kept; None without objects or detections to measure on.
        precision: right ones among the kept; None where nothing is kept.
        recall: objects that are found among all; None without objects.
        f1: harmonic mean of both; None without objects.
        true_positives: kept and right.
        false_positives: kept and wrong.
        misses: objects not found.
        is_met: whether the wish is met; where it is not, the threshold is the one that comes nearest.
        note: why it is not met; empty where it is.
    """

    threshold: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    true_positives: int
    false_positives: int
    misses: int
    is_met: bool
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def operating_point(curve: ScoreCurve, wish: Wish) -> OperatingPoint:
    """Return the threshold of one class that meets a wish, or comes nearest to it.

    Among thresholds that are equally good the highest is taken: it reports least.
    """
    if not curve.num_truth:
        return OperatingPoint(None, None, None, None, 0, 0, 0, False, "there is no object of the class to measure on")
    if len(curve.thresholds) < 2:
        return OperatingPoint(None, None, 0.0, 0.0, 0, 0, curve.num_truth, False, "there is no detection of the class")
    index, note = _CHOICES[wish.kind](curve, wish)
    return _point(curve, index, note)


def score_thresholds(
    curves: Sequence[ScoreCurve], class_names: Sequence[str], wish: Wish, dataset: str
) -> tuple[ScoreThresholds, tuple[OperatingPoint, ...]]:
    """Return the thresholds of all K classes as they are stored, and what they lead to.

    Args:
        curves: K of them.
        class_names: K names.
        wish: the same for all classes.
        dataset: that was measured on.
    """
    points = tuple(operating_point(curve, wish) for curve in curves)
    by_class = {name: point.threshold for name, point in zip(class_names, points, strict=True)}
    return ScoreThresholds(by_class, str(wish), dataset), points


def _point(curve: ScoreCurve, index: int, note: str) -> OperatingPoint:
    precision = float(curve.precision[index])
    right = int(curve.true_positives[index])
    return OperatingPoint(
        threshold=float(curve.thresholds[index]),
        precision=None if np.isnan(precision) else precision,
        recall=float(curve.recall[index]),
        f1=float(curve.f1[index]),
        true_positives=right,
        false_positives=int(curve.false_positives[index]),
        misses=curve.num_truth - right,
        is_met=not note,
        note=note,
    )


def _best_f1(curve: ScoreCurve, wish: Wish) -> tuple[int, str]:
    note = "" if curve.true_positives[-1] else "no detection of the class is right"
    return int(curve.f1.argmax()), note


def _precision(curve: ScoreCurve, wish: Wish) -> tuple[int, str]:
    precision = np.nan_to_num(curve.precision, nan=-1.0)  # keeping nothing has no precision
    enough = np.flatnonzero(precision >= wish.least)
    if enough.size:
        return _first_of_best(enough, curve.true_positives[enough]), ""
    best = np.flatnonzero(precision == precision.max())
    index = _first_of_best(best, curve.true_positives[best])
    nearest = f"the highest precision is {precision[index]:.3f}, at a recall of {curve.recall[index]:.3f}"
    return index, f"{wish} is not reached: {nearest}"


def _recall(curve: ScoreCurve, wish: Wish) -> tuple[int, str]:
    enough = np.flatnonzero(curve.recall >= wish.least)
    if enough.size:
        return _first_of_best(enough, curve.precision[enough]), ""
    index = int(curve.recall.argmax())
    nearest = f"the highest recall is {curve.recall[index]:.3f}, at a precision of {np.nan_to_num(curve.precision[index]):.3f}"
    return index, f"{wish} is not reached: {nearest}"


def _cost(curve: ScoreCurve, wish: Wish) -> tuple[int, str]:
    misses = curve.num_truth - curve.true_positives
    return int((wish.false_alarm * curve.false_positives + wish.miss * misses).argmin()), ""


def _first_of_best(indices: np.ndarray, values: np.ndarray) -> int:
    return int(indices[values.argmax()])


_CHOICES: dict[str, Callable[[ScoreCurve, Wish], tuple[int, str]]] = {
    "best_f1": _best_f1,
    "precision": _precision,
    "recall": _recall,
    "cost": _cost,
}
