"""OHEM by hand, against a search through all examples, and its properties."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from dettoolkit.modeling.miners import OHEM, ohem

# five boxes: 0 and 1 overlap by 8 of 12 (IoU 2/3), 2 and 3 by 9 of 11 (IoU 9/11), 4 is alone
BOXES = torch.tensor(
    [[0, 0, 10, 1], [2, 0, 12, 1], [50, 0, 60, 1], [51, 0, 61, 1], [100, 0, 110, 1]],
    dtype=torch.float32,
)
LOSS = torch.tensor([3.0, 4.0, 2.0, 1.0, 0.5])


def chosen(miner: Any, loss: Tensor = LOSS, labels: list[int] | Tensor | None = None, boxes: Tensor = BOXES) -> list[int]:
    """Return the indices that count, after checking that the weights are 0 and 1 and that the number is theirs."""
    labels = torch.as_tensor([-1] * len(loss) if labels is None else labels)
    weights, count = miner(loss, labels, boxes)
    assert weights.shape == loss.shape
    assert set(weights.tolist()) <= {0.0, 1.0}
    assert count == int(weights.sum())
    return torch.nonzero(weights).flatten().tolist()


def test_the_hardest_that_overlap_no_harder_one_count() -> None:
    # hardest first 1, 0, 2, 3, 4: by 0.5 box 1 suppresses 0, and 2 suppresses 3
    assert chosen(OHEM(2, 0.5)) == [1, 2]
    assert chosen(OHEM(3, 0.5)) == [1, 2, 4]
    assert chosen(OHEM(9, 0.5)) == [1, 2, 4]  # no more than there are
    assert chosen(OHEM(4, 0.7)) == [0, 1, 2, 4]
    assert chosen(OHEM(9, 0.9)) == [0, 1, 2, 3, 4]


def test_ignored_anchors_neither_count_nor_suppress() -> None:
    assert chosen(OHEM(2, 0.5), labels=[-1, -2, -1, -1, -1]) == [0, 2]


def test_one_to_three_keeps_positives_with_their_hardest_negatives() -> None:
    # 4 is positive and the easiest: with 1 to 1, the hardest negative beside it is 1
    assert chosen(OHEM(9, 0.5, 1), labels=[-1, -1, -1, -1, 2]) == [1, 4]
    assert chosen(OHEM(9, 0.5, 3), labels=[-1, -1, -1, -1, 2]) == [1, 2, 4]  # a third negative is not there
    assert chosen(OHEM(9, 0.9, 3), labels=[-1, -1, -1, -1, 2]) == [0, 1, 2, 4]
    # NMS comes first, of positives too: negative 1 suppresses positive 0
    assert chosen(OHEM(9, 0.5, 1), labels=[0, -1, -1, -1, -1]) == []
    # of 4 examples 1 to 1, two are positives: the hardest
    assert chosen(OHEM(4, 0.9, 1), labels=[0, -1, 0, -1, 0]) == [0, 1, 2, 3]


@pytest.mark.parametrize("labels", [[-1] * 5, [-2] * 5, [-1, -2, -1, -2, -1]])
def test_one_to_three_takes_nothing_of_an_image_without_positives(labels: list[int]) -> None:
    assert chosen(OHEM(4, 0.5, 3), labels=labels) == []


@pytest.mark.parametrize("ratio", [None, 3])
def test_there_may_be_nothing_to_choose_from(ratio: int | None) -> None:
    assert chosen(OHEM(4, 0.5, ratio), labels=[-2] * 5) == []
    assert chosen(OHEM(4, 0.5, ratio), torch.zeros(0), [], torch.zeros(0, 4)) == []


def test_easier_ones_than_the_candidates_are_out_but_for_positives() -> None:
    assert chosen(OHEM(2, 0.5, max_candidates=2)) == [1]  # of 1 and 0, overlapping, one is left
    assert chosen(OHEM(2, 0.5, 1, max_candidates=2), labels=[-1, -1, -1, -1, 2]) == [1, 4]


def test_a_loss_that_is_no_number_is_not_hidden() -> None:
    loss = torch.tensor([1.0, 2.0, float("nan"), 4.0, 5.0])
    assert 2 in chosen(OHEM(1, 0.5), loss)


def example(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return losses, labels and boxes of 600 anchors in clusters of about twenty."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(30, 2, generator=generator).repeat(20, 1) * 200 + torch.randn(600, 2, generator=generator) * 2
    side = 15 + torch.rand(600, 2, generator=generator) * 5
    labels = torch.where(torch.rand(600, generator=generator) < 0.05, 3, -1)
    labels[torch.rand(600, generator=generator) < 0.1] = -2
    return torch.rand(600, generator=generator), labels, torch.cat([corner, corner + side], dim=1)


def by_search(loss: Tensor, labels: Tensor, boxes: Tensor, threshold: float) -> list[int]:
    """Return what NMS of all examples keeps, hardest first."""
    overlaps: list[list[float]] = box_iou(boxes, boxes).tolist()
    kept: list[int] = []
    for index in sorted(range(len(loss)), key=lambda i: -float(loss[i])):
        if labels[index] != -2 and all(overlaps[index][other] <= threshold for other in kept):
            kept.append(index)
    return kept


@pytest.fixture(params=[1, 8])
def first(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many candidates for each example to begin with: 1 is too few."""
    monkeypatch.setattr(ohem, "_FIRST", request.param)


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("threshold", [0.5, 0.7])
@pytest.mark.parametrize("number", [1, 4, 16, 500])
def test_it_is_nms_of_all_examples(number: int, threshold: float) -> None:
    for seed in range(3):
        data = example(seed)
        expected = by_search(*data, threshold)[:number]
        assert chosen(OHEM(number, threshold), *data) == sorted(expected)


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("threshold", [0.5, 0.7])
@pytest.mark.parametrize("number", [4, 16, 500])
def test_one_to_three_is_chosen_after_nms_of_all_examples(number: int, threshold: float) -> None:
    for seed in range(3):
        loss, labels, boxes = example(seed)
        kept = by_search(loss, labels, boxes, threshold)
        positives = [index for index in kept if labels[index] >= 0][: number // 4]
        negatives = [index for index in kept if labels[index] < 0][: 3 * len(positives)]
        assert positives
        assert chosen(OHEM(number, threshold, 3), loss, labels, boxes) == sorted(positives + negatives)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"nms_iou_threshold": 1.5}, r"nms_iou_threshold expects a number in 0\.\.1, got 1\.5"),
        ({"negatives_per_positive": 0}, "negatives_per_positive expects null or a number >= 1, got 0"),
        ({"num_examples": 0}, "num_examples expects 1 to max_candidates = 10000, got 0"),
        ({"num_examples": 3, "negatives_per_positive": 3}, "num_examples expects 4 to max_candidates = 10000, got 3"),
        ({"num_examples": 300, "max_candidates": 200}, "num_examples expects 1 to max_candidates = 200, got 300"),
    ],
)
def test_numbers_out_of_range_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OHEM(**parameters)
