"""What the classification loss makes of the outputs: who has how much of it, by level and by class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dettoolkit.distributed import sum_over_processes
from dettoolkit.errors import ConfigError
from dettoolkit.evaluation.analysis.logit_histogram import NEGATIVES, POSITIVES, bin_centers, count_logits_by_level
from dettoolkit.structures import IGNORED

HARDEST = 0.01  # the share of the anchors that is called the hardest


@dataclass(frozen=True)
class FocalStatistics:
    """Counts of logits with the losses that belong to them; positives and negatives are outputs, see ``count_logits``.

    Losses are those of the loss itself, all images alike: without the normaliser's factors and a miner's choice.

    Args:
        counts: ``[2, L, K, B]`` int64, negatives and positives by level, class and bin.
        losses: ``[2, B]`` float64, the loss of one output of each bin.
        hardest: ``[2, L + 1]`` float64, the loss of the hardest 1 % of the anchors and of all, by level and, last, of all
            levels together.
    """

    counts: Tensor
    losses: Tensor
    hardest: Tensor

    def over_all(self) -> dict[str, float]:
        """Return the numbers of all levels and classes together, see :func:`numbers`."""
        found = numbers(self.counts.sum(dim=(1, 2)), self.losses)
        found["hardest_share"] = self.hardest[0, -1] / self.hardest[1, -1]
        return _known(found, ())

    def by_level(self) -> list[dict[str, float]]:
        """Return the numbers of each level, and the level's share of the whole loss as ``share``."""
        found = numbers(self.counts.sum(dim=2), self.losses)
        found["hardest_share"] = self.hardest[0, :-1] / self.hardest[1, :-1]
        found["share"] = self._shares(2)
        return [_known(found, level) for level in range(self.counts.shape[1])]

    def by_class(self) -> list[dict[str, float]]:
        """Return the numbers of each class: of its output at every anchor, whatever the anchor's label."""
        found = numbers(self.counts.sum(dim=1), self.losses)
        found["share"] = self._shares(1)
        return [_known(found, label) for label in range(self.counts.shape[2])]

    def _shares(self, other: int) -> Tensor:
        loss = (self.counts.sum(dim=other) * self.losses[:, None]).sum(dim=(0, 2))
        return loss / loss.sum()


def numbers(counts: Tensor, losses: Tensor) -> dict[str, Tensor]:
    """Return the numbers of groups of outputs; NaN where there is nothing to divide by.

    - ``positives``: how many outputs are the class of their anchor's label.
    - ``positive_share``: the part of the loss that positives have; the rest to 1 is the negatives'.
    - ``effective_negatives``: ``(sum l)^2 / sum l^2`` over the losses l of the negatives, Kish's effective sample size
      (Survey Sampling, 1965): n if n of them share the loss evenly and the others have none.
    - ``hardest_share``: the part of the loss that the hardest 1 % of the outputs have.
    - ``p_t``: the mean of p_t = sigmoid(logit) over the positives.

    Args:
        counts: ``[2, ..., B]`` of outputs.
        losses: ``[2, B]`` of one output.

    Returns:
        ``[...]`` float64 each.
    """
    counts = counts.double()
    shape = (2, *[1] * (counts.dim() - 2), losses.shape[-1])
    by_side = (counts * losses.reshape(shape)).sum(-1)
    squares = (counts[NEGATIVES] * losses[NEGATIVES].square()).sum(-1)
    positives = counts[POSITIVES].sum(-1)
    return {
        "positives": positives,
        "positive_share": by_side[POSITIVES] / by_side.sum(0),
        "effective_negatives": by_side[NEGATIVES].square() / squares,
        "hardest_share": _share_of_hardest(counts, losses),
        "p_t": (counts[POSITIVES] * torch.sigmoid(bin_centers())).sum(-1) / positives,
    }


def bin_losses(classification_loss: Any) -> Tensor:
    """Return the loss of one output of each bin, as negative and as positive, ``[2, B]`` float64.

    Raises:
        ConfigError: the loss cannot be asked for single outputs.
    """
    logits = bin_centers().float()[:, None]
    sides = [_of_outputs(classification_loss, logits, torch.full((len(logits), 1), is_own)) for is_own in (False, True)]
    return torch.stack(sides)[..., 0].double()


def _of_outputs(classification_loss: Any, logits: Tensor, is_own: Tensor) -> Tensor:
    """Return the loss of each output ``[M, K]`` on its own: that of a detector with one class; ``is_own`` are the positives."""
    try:
        losses = classification_loss(logits[..., None], is_own.long() - 1, by_anchor=True)  # label 0, or -1 for background
    except (ValueError, RuntimeError, IndexError) as error:  # whatever a loss says to another number of classes
        raise ConfigError(f"{_not_of_outputs(classification_loss)}: {error}") from error
    return losses.detach()


def _check_sum_of_outputs(classification_loss: Any) -> None:
    """Compare the loss of some anchors of three classes with the sum over their outputs."""
    logits = 3 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60) % 4 - 1
    summed = _of_outputs(classification_loss, logits, labels[:, None] == torch.arange(3)).sum(-1)
    if not torch.allclose(summed, classification_loss(logits, labels, by_anchor=True).detach(), rtol=1e-3):
        raise ConfigError(_not_of_outputs(classification_loss))


class FocalObserver:
    """Sums up what a criterion shows its observers, until it is asked for :meth:`statistics`.

    Args:
        classification_loss: of the criterion; of its kind any loss does that is a sum over the outputs.

    Raises:
        ConfigError: it learns a quality, which observers are not shown, or cannot be asked for single outputs.
    """

    def __init__(self, classification_loss: Any) -> None:
        if classification_loss.needs_quality:
            name = type(classification_loss).__name__
            raise ConfigError(
                f"FocalMicroscope expects a classification loss of logits and labels alone, {name} learns a quality"
            )
        self.classification_loss = classification_loss
        self.losses = bin_losses(classification_loss)
        _check_sum_of_outputs(classification_loss)
        self._counts: list[Tensor] = []
        self._hardest: list[Tensor] = []

    def __call__(self, logits: Sequence[Tensor], labels: Sequence[Tensor], losses: Sequence[Tensor]) -> None:
        """Take L tensors ``[N, R_l, K]``, ``[N, R_l]`` and scalars; where a loss is not finite, nothing."""
        if bool(torch.stack(list(losses)).isfinite().all()):
            levels = zip(logits, labels, strict=True)
            by_anchor = [self.classification_loss(x, y, by_anchor=True)[y != IGNORED] for x, y in levels]
            self._hardest.append(torch.stack([_hardest_and_all(each) for each in [*by_anchor, torch.cat(by_anchor)]], dim=1))
            self._counts.append(count_logits_by_level(logits, labels))

    def forget(self) -> None:
        """Forget what was seen."""
        self._counts, self._hardest = [], []

    def statistics(self) -> FocalStatistics:
        """Return what was seen in all processes, which must call this together, and forget it.

        The hardest anchors are those of each process and part of a batch.
        """
        counts = sum_over_processes(torch.stack(self._counts).sum(0).cpu())
        hardest = sum_over_processes(torch.stack(self._hardest).sum(0).cpu().double())
        self.forget()
        return FocalStatistics(counts, self.losses, hardest)


def _share_of_hardest(counts: Tensor, losses: Tensor) -> Tensor:
    """Return the part of the loss of ``counts [2, ..., B]`` in the hardest 1 % of them, ``[...]``."""
    order = losses.flatten().argsort(descending=True)
    sorted_counts = counts.movedim(0, -2).flatten(-2)[..., order]
    room = HARDEST * sorted_counts.sum(-1, keepdim=True) - (sorted_counts.cumsum(-1) - sorted_counts)
    hardest = torch.minimum(sorted_counts, room.clamp(min=0))  # the last bin in part
    sorted_losses = losses.flatten()[order]
    return (hardest * sorted_losses).sum(-1) / (sorted_counts * sorted_losses).sum(-1)


def _hardest_and_all(losses: Tensor) -> Tensor:
    """Return the loss of the hardest 1 % of anchors, at least one of them, and of all, ``[2]``."""
    hardest = losses.topk(math.ceil(HARDEST * len(losses)), sorted=False).values
    return torch.stack([hardest.sum(), losses.sum()])


def _known(found: Mapping[str, Tensor], index: int | tuple[()]) -> dict[str, float]:
    values = {name: float(value[index]) for name, value in found.items()}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _not_of_outputs(classification_loss: Any) -> str:
    name = type(classification_loss).__name__
    return f"FocalMicroscope expects a classification loss that is a sum over the outputs, {name} is none"
