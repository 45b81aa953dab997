"""Counting logits."""

from __future__ import annotations

import torch

from dettoolkit.evaluation.analysis.logit_histogram import (
    BINS_PER_UNIT,
    LARGEST_LOGIT,
    NEGATIVES,
    NUM_BINS,
    POSITIVES,
    bin_centers,
    count_logits,
    count_logits_by_level,
)


def _bin(logit: float) -> int:
    """The bin of a logit, by hand: 1/32 wide from -32 on."""
    return int((logit + 32) * 32)


def test_the_bins_are_centred_on_the_logits_that_they_count() -> None:
    centers = bin_centers()
    assert (len(centers), BINS_PER_UNIT, LARGEST_LOGIT, NUM_BINS) == (2048, 32, 32, 2048)
    assert [_bin(float(center)) for center in centers[[0, 1023, 1024, 2047]]] == [0, 1023, 1024, 2047]
    assert float(centers[1024]) == 1 / 64


def test_each_output_is_counted_once_on_its_side_and_ignored_anchors_are_not() -> None:
    logits = torch.tensor([[1.0, -2.0], [3.0, 0.5], [-4.0, 7.0]])
    counts = count_logits(logits, torch.tensor([0, -1, -2]))
    wanted = torch.zeros(2, 2, NUM_BINS, dtype=torch.int64)
    wanted[POSITIVES, 0, _bin(1.0)] = 1  # class 0 is the label of the first anchor
    wanted[NEGATIVES, 1, _bin(-2.0)] = 1  # class 1 is not
    wanted[NEGATIVES, 0, _bin(3.0)] = 1
    wanted[NEGATIVES, 1, _bin(0.5)] = 1
    assert torch.equal(counts, wanted)


def test_many_outputs_are_counted_as_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (
        4 * torch.randn(3, 40_000, 3, generator=generator) * 64
    ).round() / 64 + 1 / 128  # many chunks, no logit on an edge
    labels = torch.randint(-2, 3, (3, 40_000), generator=generator)
    counts = count_logits(logits, labels)
    assert torch.equal(count_logits(logits, labels, by_class=False)[:, 0], counts.sum(1))
    for label in range(3):
        for side, chosen in ((NEGATIVES, (labels != label) & (labels != -2)), (POSITIVES, labels == label)):
            wanted = torch.histc(logits[..., label][chosen].double(), NUM_BINS, -LARGEST_LOGIT, LARGEST_LOGIT)
            assert torch.equal(counts[side, label].double(), wanted)


def test_logits_beyond_the_bins_are_in_the_last_ones() -> None:
    counts = count_logits(torch.tensor([[-1e9], [1e9], [float("inf")]]), torch.tensor([-1, -1, 0]))
    assert int(counts[NEGATIVES, 0, 0]) == int(counts[NEGATIVES, 0, -1]) == int(counts[POSITIVES, 0, -1]) == 1


def test_levels_are_kept_apart_and_half_precision_and_no_anchors_do() -> None:
    logits = [torch.zeros(1, 4, 2, dtype=torch.bfloat16), torch.zeros(1, 0, 2, dtype=torch.bfloat16)]
    counts = count_logits_by_level(logits, [torch.full((1, 4), -1), torch.full((1, 0), -1)])
    assert counts.shape == (2, 2, 2, NUM_BINS)
    assert counts.sum(dim=(0, 2, 3)).tolist() == [8, 0]
