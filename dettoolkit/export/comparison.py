"""Are two lists of detections the same, up to rounding?"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torchvision.ops import box_iou

from dettoolkit.structures import Detections

BOX_TOLERANCE = 1e-3  # pixels
SCORE_TOLERANCE = 1e-5
_IOU_TOLERANCE = 1e-4  # of boxes of ten pixels that are a thousandth of a pixel apart
_SAME_BOX = 1.0  # pixels: boxes of one class and about one score that are nearer are one, and their difference is told
_SAME_SCORE = 0.01


@dataclass
class Differences:
    """How far the detections of two detectors are apart.

    Args:
        box: the largest difference of a coordinate, pixels.
        score: the largest difference of a score.
        num_detections: how many were compared.
        num_rounded: detections of one alone, by a rule that was decided by rounding: a duplicate at the very threshold of NMS,
            or one of two with the same score.
        problem: what is not accepted: which output, where, how far; None: all is.
    """

    box: float = 0.0
    score: float = 0.0
    num_detections: int = 0
    num_rounded: int = 0
    problem: str | None = None


@dataclass(frozen=True)
class Rules:
    """By which a detection may be left out.

    Args:
        max_detections: of an image.
        iou_threshold: of NMS; None where it has none.
        by_class: whether NMS keeps classes apart.
    """

    max_detections: int
    iou_threshold: float | None
    by_class: bool = True


@dataclass
class _Pairs:
    expected: list[int] = field(default_factory=list)
    found: list[int] = field(default_factory=list)


def compare(expected: list[Detections], found: list[Detections], rules: Rules) -> Differences:
    """Compare the detections of each image, best first.

    Order may differ between scores that are equal up to the tolerance.
    """
    result = Differences()
    for image, (one, other) in enumerate(zip(expected, found, strict=True)):
        pairs = _pairs(one, other)
        _note_differences(result, one[torch.tensor(pairs.expected).long()], other[torch.tensor(pairs.found).long()], image)
        alone = _without(len(one), pairs.expected), _without(len(other), pairs.found)
        for index in alone[0]:
            _note_alone(result, one, index, other, alone[1], rules, f"image {image}: only the model has")
        for index in alone[1]:
            _note_alone(result, other, index, one, alone[0], rules, f"image {image}: only the exported file has")
        result.num_detections += len(one)
    return result


def _pairs(one: Detections, other: Detections) -> _Pairs:
    """Pair each detection with the nearest of the same class and about the same score."""
    pairs = _Pairs()
    if not len(one) or not len(other):
        return pairs
    apart = (one.boxes[:, None] - other.boxes).abs().amax(dim=2)  # [D, D']
    scores_apart = (one.scores[:, None] - other.scores).abs()
    may_be = (one.labels[:, None] == other.labels) & (scores_apart <= _SAME_SCORE) & (apart <= _SAME_BOX)
    apart = torch.where(may_be, apart + scores_apart, torch.inf)
    for index in range(len(one)):
        distance, nearest = apart[index].min(dim=0)
        if distance < torch.inf:
            pairs.expected.append(index)
            pairs.found.append(int(nearest))
            apart[:, nearest] = torch.inf
    return pairs


def _without(count: int, taken: list[int]) -> list[int]:
    return sorted(set(range(count)) - set(taken))


def _note_differences(result: Differences, one: Detections, other: Detections, image: int) -> None:
    if not len(one):
        return
    box, score = (one.boxes - other.boxes).abs().amax(dim=1), (one.scores - other.scores).abs()
    result.box, result.score = max(result.box, float(box.max())), max(result.score, float(score.max()))
    for name, values, accepted in (("box", box, BOX_TOLERANCE), ("score", score, SCORE_TOLERANCE)):
        worst = int(values.argmax())
        if not float(values[worst]) <= accepted and result.problem is None:
            distance = f"{float(values[worst]):.3g} apart, accepted is {accepted:g}"
            result.problem = f"image {image}: the {name} of {_words(one, worst)} is {distance}"


def _note_alone(
    result: Differences, own: Detections, index: int, other: Detections, alone: list[int], rules: Rules, words: str
) -> None:
    if _by_rounding(own, index, other, alone, rules):
        result.num_rounded += 1
    elif result.problem is None:
        result.problem = f"{words} {_words(own, index)}"


def _by_rounding(own: Detections, index: int, other: Detections, alone: list[int], rules: Rules) -> bool:
    """Return whether rounding explains that ``other`` does not have a detection of ``own``.

    Either the other list was full before its score; or a better box of the other list, or an equal one, suppressed it, which
    it did not do here since it overlaps by the very threshold, or is itself in the other list alone (which is looked into for
    itself).
    """
    score = own.scores[index]
    if len(other) == rules.max_detections and score <= other.scores[-1] + SCORE_TOLERANCE:
        return True
    if rules.iou_threshold is None or not len(other):
        return False
    overlap = box_iou(own.boxes[index : index + 1], other.boxes)[0]
    is_alone = torch.zeros(len(other), dtype=torch.bool)
    is_alone[alone] = True
    rivals = other.scores >= score - SCORE_TOLERANCE
    if rules.by_class:
        rivals &= other.labels == own.labels[index]
    at_threshold = (overlap - rules.iou_threshold).abs() <= _IOU_TOLERANCE
    return bool((rivals & (at_threshold | (is_alone & (overlap > rules.iou_threshold)))).any())


def _words(detections: Detections, index: int) -> str:
    box = _rounded(detections.boxes[index])
    return f"detection {index} (label {int(detections.labels[index])}, score {float(detections.scores[index]):.6f}, box {box})"


def _rounded(values: Tensor) -> list[float]:
    return [round(float(value), 2) for value in values]
