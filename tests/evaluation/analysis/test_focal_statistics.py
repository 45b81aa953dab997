"""Who has the loss, against the losses of all outputs written out in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dettoolkit.errors import ConfigError
from dettoolkit.evaluation.analysis import FocalObserver, FocalStatistics
from dettoolkit.evaluation.analysis.focal_statistics import bin_losses, numbers
from dettoolkit.evaluation.analysis.logit_histogram import NUM_BINS
from dettoolkit.modeling.losses import CrossEntropyLoss, FocalLoss, QualityFocalLoss

ALPHA, GAMMA = 0.25, 2.0


def levels(sizes: tuple[int, ...] = (4000, 1000), num_classes: int = 3) -> tuple[list[Tensor], list[Tensor]]:
    """Logits as of a network half-way: background low, objects spread; one anchor in ten ignored."""
    generator = torch.Generator().manual_seed(1)
    logits = [torch.randn(2, size, num_classes, generator=generator) - 3 for size in sizes]
    labels = [torch.randint(-20, num_classes, (2, size), generator=generator) for size in sizes]
    labels = [torch.where(level < -2, -1, level) for level in labels]
    return logits, labels


def all_losses(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of each output ``[..., K]`` in float64 by the formula of the paper, and which are positives."""
    x = logits.double()
    positive = labels[..., None] == torch.arange(x.shape[-1])
    p_t = torch.where(positive, x.sigmoid(), 1 - x.sigmoid())
    alpha_t = torch.where(positive, ALPHA, 1 - ALPHA)
    loss = -alpha_t * (1 - p_t) ** GAMMA * p_t.log()
    return torch.where((labels == -2)[..., None], 0.0, loss), positive


def observe(loss: Any, logits: list[Tensor], labels: list[Tensor]) -> FocalStatistics:
    observer = FocalObserver(loss)
    observer(logits, labels, [torch.zeros(()) for _ in logits])
    return observer.statistics()


def _wanted(logits: Tensor, labels: Tensor, by_anchor: bool) -> dict[str, float]:
    """The numbers of outputs ``[M, K]``, sorted and summed one by one; hardest outputs, or anchors."""
    loss, positive = all_losses(logits, labels)
    kept = labels != -2
    negatives = loss[kept][~positive[kept]]
    hardest = (loss[kept].sum(-1) if by_anchor else loss[kept].flatten()).sort(descending=True).values
    return {
        "positives": int(positive.sum()),
        "positive_share": float(loss[positive].sum() / loss.sum()),
        "effective_negatives": float(negatives.sum() ** 2 / negatives.square().sum()),
        "hardest_share": float(hardest[: math.ceil(0.01 * len(hardest))].sum() / loss.sum()),
        "p_t": float(logits.double().sigmoid()[positive].mean()),
    }


def test_all_levels_together() -> None:
    logits, labels = levels()
    found = observe(FocalLoss(ALPHA, GAMMA), logits, labels).over_all()
    rows = torch.cat([level.reshape(-1, 3) for level in logits])
    assert found == pytest.approx(_wanted(rows, torch.cat([level.flatten() for level in labels]), True), rel=0.01)


def test_each_level() -> None:
    logits, labels = levels()
    found = observe(FocalLoss(ALPHA, GAMMA), logits, labels).by_level()
    total = sum(float(all_losses(*level)[0].sum()) for level in zip(logits, labels, strict=True))
    for numbers_of_level, x, y in zip(found, logits, labels, strict=True):
        wanted = _wanted(x.reshape(-1, 3), y.flatten(), True) | {"share": float(all_losses(x, y)[0].sum()) / total}
        assert numbers_of_level == pytest.approx(wanted, rel=0.01)


def test_each_class_is_its_output_at_every_anchor() -> None:
    logits, labels = levels()
    found = observe(FocalLoss(ALPHA, GAMMA), logits, labels).by_class()
    rows, flat = torch.cat([level.reshape(-1, 3) for level in logits]), torch.cat([level.flatten() for level in labels])
    for label, numbers_of_class in enumerate(found):
        alone = torch.where(flat == label, 0, torch.where(flat == -2, -2, -1))  # another class is background to this one
        wanted = _wanted(rows[:, [label]], alone, False)
        wanted["share"] = float(all_losses(rows, flat)[0][:, label].sum() / all_losses(rows, flat)[0].sum())
        assert numbers_of_class == pytest.approx(wanted, rel=0.02)  # 0.01 of 10 000 falls within a bin


def test_the_effective_number_of_equal_negatives_is_their_number() -> None:
    labels = torch.full((1, 500), -1)
    labels[0, 0] = 0
    (found,) = observe(FocalLoss(), [torch.full((1, 500, 1), -2.0)], [labels]).by_level()
    assert found["effective_negatives"] == pytest.approx(499, rel=1e-9)
    assert found["positives"] == 1


def test_one_negative_with_all_the_loss_is_one_in_effect() -> None:
    logits = torch.full((1, 500, 1), -30.0)
    logits[0, 7] = 3.0
    (found,) = observe(FocalLoss(), [logits], [torch.full((1, 500), -1)]).by_level()
    assert found["effective_negatives"] == pytest.approx(1, rel=1e-6)
    assert found["hardest_share"] == pytest.approx(1, rel=1e-6)
    assert found["positive_share"] == 0


def test_what_cannot_be_said_is_left_out() -> None:
    statistics = observe(FocalLoss(), [torch.zeros(1, 9, 2)], [torch.full((1, 9), -1)])
    assert "p_t" not in statistics.over_all()
    nothing = observe(FocalLoss(), [torch.zeros(1, 9, 2), torch.zeros(1, 0, 2)], [torch.full((1, 9), -2), torch.zeros(1, 0)])
    assert nothing.by_level() == [{"positives": 0.0}] * 2


def test_ignored_anchors_change_nothing() -> None:
    logits, labels = levels((300,))
    before = observe(FocalLoss(), logits, labels)
    logits[0][labels[0] == -2] += 50
    after = observe(FocalLoss(), logits, labels)
    assert before.over_all() == after.over_all()
    assert before.by_class() == after.by_class()


def test_parts_of_a_batch_are_added_and_then_forgotten() -> None:
    logits, labels = levels((300, 40))
    observer = FocalObserver(FocalLoss())
    for _ in range(2):
        for image in range(2):
            observer([x[[image]] for x in logits], [y[[image]] for y in labels], [torch.zeros(())])
        found = observer.statistics().by_class()
        assert found == [pytest.approx(each) for each in observe(FocalLoss(), logits, labels).by_class()]


def test_a_loss_that_is_no_number_is_not_counted() -> None:
    logits, labels = levels((300,))
    observer = FocalObserver(FocalLoss())
    observer([torch.full_like(logits[0], math.nan)], labels, [torch.tensor(math.nan)])
    observer(logits, labels, [torch.zeros(())])
    assert observer.statistics().over_all() == observe(FocalLoss(), logits, labels).over_all()


def test_the_losses_of_the_bins_are_those_of_single_outputs() -> None:
    table = bin_losses(CrossEntropyLoss())
    assert table.shape == (2, NUM_BINS)
    assert float(table[0, 1024]) == pytest.approx(math.log(1 + math.exp(1 / 64)), rel=1e-6)  # -log(1 - p) at logit 1/64
    assert float(table[1, 1024]) == pytest.approx(math.log(1 + math.exp(-1 / 64)), rel=1e-6)


def test_groups_of_any_shape_have_their_own_numbers() -> None:
    counts = torch.zeros(2, 4, 5, NUM_BINS, dtype=torch.int64)
    counts[:, 1, 2, 1000] = 7
    found = numbers(counts, bin_losses(FocalLoss()))
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(found, (4, 5))
    assert float(found["effective_negatives"][1, 2]) == pytest.approx(7, rel=1e-9)
    assert math.isnan(float(found["p_t"][0, 0]))


class _Softmax:
    """A loss whose outputs share one normalisation: no sum over outputs."""

    needs_quality = False

    def __call__(
        self, logits: Tensor, labels: Tensor, weights: Any = None, quality: Any = None, by_anchor: bool = False
    ) -> Tensor:
        with_background = torch.cat([logits, torch.zeros_like(logits[..., :1])], dim=-1)
        target = torch.where(labels < 0, logits.shape[-1], labels)
        return -with_background.log_softmax(-1).gather(-1, target[..., None])[..., 0]


def test_losses_that_cannot_be_looked_into_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"a sum over the outputs, _Softmax is none$"):
        FocalObserver(_Softmax())
    with pytest.raises(ConfigError, match=r"of logits and labels alone, QualityFocalLoss learns a quality$"):
        FocalObserver(QualityFocalLoss())
