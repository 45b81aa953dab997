"""No mining."""

from __future__ import annotations

import torch

from dettoolkit.modeling.miners import AllExamples


def test_every_example_counts_and_positives_are_counted() -> None:
    weights, count = AllExamples()(torch.rand(5), torch.tensor([0, -1, 2, -2, 1]), torch.zeros(5, 4))
    assert weights.tolist() == [1.0] * 5
    assert int(count) == 3
    assert AllExamples.takes_all
