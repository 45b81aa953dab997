"""Online hard example mining, the paper's rival of focal loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms

from dettoolkit.registry import MINERS
from dettoolkit.structures import IGNORED

_FIRST = 8  # candidates for each example wanted, to begin with; more are taken where too few are left


@MINERS.register()
class OHEM:
    """Online hard example mining over dense anchors (Shrivastava et al., CVPR 2016; RetinaNet, section 5.1, "OHEM").

    The examples of an image are scored by their loss; those whose predicted box overlaps that of a harder one are left out
    (NMS, whatever their classes); the hardest of the rest count, each with weight 1. Use it with CrossEntropyLoss.

    With ``negatives_per_positive`` 3 it is the paper's OHEM 1:3 (after SSD, Liu et al., ECCV 2016): after NMS of all
    examples, the hardest positives, and for each of them the 3 hardest negatives; of an image without positives, nothing.

    How many examples NMS leaves, and whether more must be looked at, is known only when they are: on a GPU each image is waited
    for.

    Args:
        num_examples: how many examples of an image count at most; the batch size of the paper's table 1d.
        nms_iou_threshold: IoU with a harder example's box above which an example is left out; 0.7 and 0.5 in table 1d.
        negatives_per_positive: how many negatives may count for each positive; null: as many as are hard enough.
        max_candidates: how many of the hardest examples of an image, and with ``negatives_per_positive`` all positives, NMS
            looks at; easier ones are out. The result is that of all examples unless fewer than asked for are left.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        num_examples: int = 128,
        nms_iou_threshold: float = 0.5,
        negatives_per_positive: int | None = None,
        max_candidates: int = 10_000,
    ) -> None:
        if not 0 <= nms_iou_threshold <= 1:
            raise ValueError(f"nms_iou_threshold expects a number in 0..1, got {nms_iou_threshold}")
        if negatives_per_positive is not None and negatives_per_positive < 1:
            raise ValueError(f"negatives_per_positive expects null or a number >= 1, got {negatives_per_positive}")
        least = 1 + (negatives_per_positive or 0)
        if not least <= num_examples <= max_candidates:
            raise ValueError(f"num_examples expects {least} to max_candidates = {max_candidates}, got {num_examples}")
        self.num_examples = num_examples
        self.nms_iou_threshold = nms_iou_threshold
        self.negatives_per_positive = negatives_per_positive
        self.max_candidates = max_candidates

    def __call__(self, loss: Tensor, labels: Tensor, boxes: Tensor) -> tuple[Tensor, int]:
        """Return the weight, 0 or 1, of each of ``[R]`` examples of an image, and how many have weight 1.

        Args:
            loss: ``[R]`` losses.
            labels: ``[R]`` classes, -1 for negatives, -2 for ignored anchors, which are never chosen.
            boxes: ``[R, 4]`` predicted boxes.
        """
        hardest_first = loss.argsort(descending=True, stable=True)
        hardest_first = hardest_first[labels[hardest_first] != IGNORED]
        chosen = self._chosen(hardest_first, loss, labels >= 0, boxes)
        return torch.zeros_like(loss).index_fill_(0, chosen, 1.0), len(chosen)

    def _chosen(self, hardest_first: Tensor, loss: Tensor, positive: Tensor, boxes: Tensor) -> Tensor:
        """Return the indices of the chosen examples.

        NMS of the hardest examples is the beginning of NMS of all: easier examples suppress none of them.
        """
        length, limit = _FIRST * self.num_examples, min(self.max_candidates, len(hardest_first))
        if self.negatives_per_positive is not None:
            places = torch.nonzero(positive[hardest_first]).flatten()
            length = max(length, int(places[-1]) + 1 if len(places) else 0)  # up to the easiest positive
        while True:
            length = min(length, limit)
            candidates = hardest_first[:length]
            if self.negatives_per_positive is not None:
                candidates = torch.cat([candidates, hardest_first[places[places >= length]]])
            kept = candidates[nms(boxes[candidates], loss[candidates], self.nms_iou_threshold)]
            chosen, complete = self._hardest(kept, positive)
            if complete or length == limit:
                return chosen
            length *= 2

    def _hardest(self, kept: Tensor, positive: Tensor) -> tuple[Tensor, bool]:
        """Return what counts of the examples that NMS kept, hardest first, and whether these are as many as asked for."""
        if self.negatives_per_positive is None:
            return kept[: self.num_examples], len(kept) >= self.num_examples
        positives = kept[positive[kept]][: self.num_examples // (1 + self.negatives_per_positive)]
        wanted = len(positives) * self.negatives_per_positive
        negatives = kept[~positive[kept]][:wanted]
        return torch.cat([positives, negatives]), len(negatives) == wanted
