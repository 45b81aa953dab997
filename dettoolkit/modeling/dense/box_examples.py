"""What box losses learn from: the positive anchors, alone or among all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dettoolkit.distributed import picks_at_once
from dettoolkit.structures import Annotations, DensePredictions


@dataclass(frozen=True)
class BoxExamples:
    """P anchors with what is predicted at them and the ground truth that they stand for.

    Where P is all N * R anchors, those that are not positive predict themselves and stand for themselves: every loss of them
    is finite and, with weight 0, has no gradient.

    Args:
        positive: ``[N, R]`` bool: the anchors that stand for a box.
        anchors: ``[P, 4]``.
        deltas: ``[P, 4]``, predicted.
        boxes: ``[P, 4]``, those of the ground truth.
    """

    positive: Tensor
    anchors: Tensor
    deltas: Tensor
    boxes: Tensor

    @property
    def are_all_anchors(self) -> bool:
        """Whether the P anchors are all N * R, rather than the positive ones."""
        return len(self.anchors) == self.positive.numel()

    def weights(self, factors: Tensor) -> Tensor:
        """Return ``[P]``: the factor of the image, of ``factors [N]``, for positive anchors, and 0 for others."""
        if self.are_all_anchors:
            return (factors[:, None] * self.positive).flatten()
        return factors[:, None].expand(self.positive.shape)[self.positive]

    def spread(self, values: Tensor) -> Tensor:
        """Return ``[N, R]``: ``values [P]`` at the places of the positive anchors, 0 at the others."""
        zeros = values.new_zeros(self.positive.shape)
        if self.are_all_anchors:
            return torch.where(self.positive, values.view(self.positive.shape), zeros)
        return zeros.masked_scatter(self.positive, values)


def box_examples(
    predictions: DensePredictions, anchors: Sequence[Tensor], indices: Tensor, targets: Sequence[Annotations]
) -> BoxExamples:
    """Return the positive anchors on the CPU, and all anchors on accelerators, which need not be waited for then.

    Args:
        predictions: of N images.
        anchors: L tensors ``[R_l, 4]``.
        indices: ``[N, R]`` int64: of the box that an anchor stands for, or less than 0.
        targets: the ground truth of each image.
    """
    deltas, every_anchor = torch.cat(predictions.deltas, dim=1), torch.cat(list(anchors))
    make = _positives if picks_at_once(indices.device) else _all_anchors
    return make(deltas, every_anchor, indices, targets)


def _positives(deltas: Tensor, anchors: Tensor, indices: Tensor, targets: Sequence[Annotations]) -> BoxExamples:
    positive = indices >= 0
    image, position = torch.nonzero(positive, as_tuple=True)
    offsets = torch.tensor([0, *(len(target) for target in targets)], device=indices.device).cumsum(0)
    boxes = torch.cat([target.boxes for target in targets])[offsets[image] + indices[image, position]]
    return BoxExamples(positive, anchors[position], deltas[image, position], boxes)


def _all_anchors(deltas: Tensor, anchors: Tensor, indices: Tensor, targets: Sequence[Annotations]) -> BoxExamples:
    positive = indices >= 0
    # zeros are chosen, not multiplied with: what else is predicted there may be infinite
    deltas = torch.where(positive[..., None], deltas, 0.0)
    boxes = [
        torch.where(row[:, None] >= 0, target.boxes[row.clamp(min=0)], anchors) if len(target) else anchors
        for row, target in zip(indices, targets, strict=True)
    ]
    return BoxExamples(positive, anchors.repeat(len(targets), 1), deltas.flatten(0, 1), torch.cat(boxes))
