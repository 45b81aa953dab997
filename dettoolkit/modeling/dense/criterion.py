"""Predictions, anchors and ground truth -> losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dettoolkit.distributed import mean_over_processes
from dettoolkit.errors import ConfigError, listed
from dettoolkit.modeling.dense.box_examples import BoxExamples, box_examples
from dettoolkit.modeling.dense.normalizer import Normalizer
from dettoolkit.modeling.dense.quality import paired_iou
from dettoolkit.registry import LOSSES
from dettoolkit.structures import NEGATIVE, Annotations, DensePredictions, LossOutput, Matches

_PREDICTED = ("deltas", "boxes")  # what a box loss can operate on


class DenseCriterion(nn.Module):
    """Matches anchors with boxes and computes the classification and box losses, always in float32.

    In training mode the losses are normalised and weighted: they are what is minimised. In eval mode they are this
    process's weighted sums, with ``num_positives`` among the metrics, so that the validation loss of any number of
    images on any number of processes is one sum over the other; nothing is communicated and no state changes.

    A loss that ``needs_quality`` gets the matcher's; where the matcher gives none, the IoU of the box that a positive anchor
    predicts with the box that it stands for, without gradient, and 0 for the other anchors.

    Box losses get the positive anchors on the CPU, and on accelerators all anchors, those that are not positive with weight
    0: how many are positive, the host would have to wait for.

    Everything is computed in float32. Logits in bfloat16 are handed as they are to a loss that says ``takes_bfloat16``.

    A miner's choice is divided by the number of its examples, averaged over the processes, instead of by the normaliser.

    ``observers`` are called without gradient as ``observer(logits, labels, losses)``: L tensors ``[N, R_l, K]``,
    ``[N, R_l]`` and the classification loss of each level. Who wants some steps only joins and leaves the list around them.

    Args:
        matcher: of the registry MATCHERS.
        miner: of MINERS.
        coder: of BOX_CODERS.
        classification_loss: of LOSSES, on logits and labels.
        box_losses: of LOSSES, by name; each says whether it operates on deltas or boxes.
        loss_weights: name of a loss -> factor.
        normalizer: what the losses are divided by.

    Raises:
        ConfigError: a box loss for classification or the reverse, or a box loss on what no head predicts.
    """

    def __init__(
        self,
        matcher: Any,
        miner: Any,
        coder: Any,
        classification_loss: Any,
        box_losses: dict[str, Any],
        loss_weights: dict[str, float],
        normalizer: Normalizer,
    ) -> None:
        super().__init__()
        _check_kinds(classification_loss, box_losses.values())
        self.matcher, self.miner, self.coder = matcher, miner, coder
        self.classification_loss = classification_loss
        self.box_losses = box_losses
        self.loss_weights = loss_weights
        self.normalizer = normalizer
        self.observers: list[Callable[[list[Tensor], list[Tensor], list[Tensor]], None]] = []

    def forward(self, predictions: DensePredictions, anchors: Sequence[Tensor], targets: Sequence[Annotations]) -> LossOutput:
        """Return the losses of N images.

        Args:
            predictions: what the head returned.
            anchors: L tensors ``[R_l, 4]``.
            targets: the ground truth of each image.
        """
        with torch.autocast(predictions.logits[0].device.type, enabled=False):
            # a loss that computes in float32 by itself is spared a copy of the logits, the largest tensor of all
            as_they_are = getattr(self.classification_loss, "takes_bfloat16", False) and all(
                level.dtype == torch.bfloat16 for level in predictions.logits
            )
            return self._losses(predictions.float(logits=not as_they_are), anchors, targets)

    def _losses(self, predictions: DensePredictions, anchors: Sequence[Tensor], targets: Sequence[Annotations]) -> LossOutput:
        matches = [self.matcher(anchors, target, predictions) for target in targets]
        indices = torch.stack([match.indices for match in matches])  # [N, R]
        labels = torch.stack([_labels(match, target) for match, target in zip(matches, targets, strict=True)])
        num_positives = (labels >= 0).sum(dim=1)
        factors = self.normalizer(num_positives) if self.training else torch.ones(len(targets), device=labels.device)
        examples = box_examples(predictions, anchors, indices, targets)
        qualities = self._qualities(predictions, matches, examples)
        losses = {"loss_cls": self._classification(predictions, anchors, labels, qualities, factors)}
        losses |= self._boxes(examples, factors)
        weighted = {name: loss * self.loss_weights.get(name, 1.0) for name, loss in losses.items()}
        return LossOutput(weighted, {"num_positives": num_positives.sum()})

    def _classification(
        self,
        predictions: DensePredictions,
        anchors: Sequence[Tensor],
        labels: Tensor,
        qualities: Sequence[Tensor | None],
        factors: Tensor,
    ) -> Tensor:
        sizes = [level.shape[1] for level in predictions.logits]
        levels = list(zip(predictions.logits, labels.split(sizes, dim=1), qualities, strict=True))
        if getattr(self.miner, "takes_all", False):
            losses = [
                self.classification_loss(logits, level, factors[:, None].expand(level.shape), quality)
                for logits, level, quality in levels
            ]
        else:
            by_anchor = [
                self.classification_loss(logits, level, None, quality, by_anchor=True) for logits, level, quality in levels
            ]
            weights = self._mined_weights(torch.cat(by_anchor, dim=1), predictions, anchors, labels)
            losses = [(loss * weight).sum() for loss, weight in zip(by_anchor, weights.split(sizes, dim=1), strict=True)]
        with torch.no_grad():
            for observer in self.observers:
                observer(
                    [logits.detach().float() for logits, _, _ in levels],
                    [level for _, level, _ in levels],
                    [loss.detach() for loss in losses],
                )
        return torch.stack(losses).sum()

    @torch.no_grad()
    def _qualities(
        self, predictions: DensePredictions, matches: Sequence[Matches], examples: BoxExamples
    ) -> Sequence[Tensor | None]:
        """Return L tensors ``[N, R_l]`` for a loss that learns a quality, and L times None for others."""
        sizes = [level.shape[1] for level in predictions.logits]
        if not self.classification_loss.needs_quality:
            return [None] * len(sizes)
        predicted = self.coder.decode(examples.deltas, examples.anchors)
        computed = examples.spread(paired_iou(predicted, examples.boxes))
        pairs = zip(matches, computed, strict=True)
        return torch.stack([iou if match.quality is None else match.quality for match, iou in pairs]).split(sizes, dim=1)

    @torch.no_grad()
    def _mined_weights(
        self, losses: Tensor, predictions: DensePredictions, anchors: Sequence[Tensor], labels: Tensor
    ) -> Tensor:
        """Return ``[N, R]``: the miner's weights, in training over the number of its examples."""
        boxes = self.coder.decode(torch.cat(predictions.deltas, dim=1), torch.cat(list(anchors)))
        picked = [self.miner(*example) for example in zip(losses, labels, boxes, strict=True)]
        weights = torch.stack([weight for weight, _ in picked])
        if not self.training:
            return weights
        count = torch.stack([torch.as_tensor(number, device=labels.device) for _, number in picked]).sum()
        return weights / mean_over_processes(count.float()).clamp(min=1)

    def _boxes(self, examples: BoxExamples, factors: Tensor) -> dict[str, Tensor]:
        weights, losses = examples.weights(factors), {}
        for name, loss in self.box_losses.items():
            if loss.operates_on == "boxes":
                losses[name] = loss(self.coder.decode(examples.deltas, examples.anchors), examples.boxes, weights)
            else:
                losses[name] = loss(examples.deltas, self.coder.encode(examples.boxes, examples.anchors), weights)
        return losses


def _labels(matches: Matches, target: Annotations) -> Tensor:
    """Return ``[R]``: the class of each positive anchor, and what the matcher says of the others."""
    if not len(target):
        return matches.indices
    return torch.where(matches.indices > NEGATIVE, target.labels[matches.indices.clamp(min=0)], matches.indices)


def _check_kinds(classification_loss: Any, box_losses: Iterable[Any]) -> None:
    if not hasattr(classification_loss, "needs_quality"):
        raise ConfigError(f"classification takes a loss on logits and labels, {type(classification_loss).__name__} is none")
    for loss in box_losses:
        if not hasattr(loss, "operates_on"):
            raise ConfigError(f"regression takes losses on boxes or deltas, {type(loss).__name__} is none")
        if loss.operates_on not in _PREDICTED:
            fitting = [name for name, cls in LOSSES if getattr(cls, "operates_on", None) in _PREDICTED]
            raise ConfigError(
                f"{type(loss).__name__} operates on {loss.operates_on}, but heads predict deltas, and boxes by them: "
                f"regression takes one of {listed(fitting)}"
            )
