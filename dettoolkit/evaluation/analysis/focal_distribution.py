"""How unevenly focal loss is spread over a detector's outputs (Lin et al., ICCV 2017, figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dettoolkit.distributed import sum_over_processes
from dettoolkit.evaluation.analysis.logit_histogram import NEGATIVES, NUM_BINS, POSITIVES, bin_centers, count_logits

GAMMAS = (0.0, 0.5, 1.0, 2.0)  # those of the figure
_OUTPUTS_AN_IMAGE = 1 << 18  # negatives that are looked at, about a millisecond's work; the paper has 10^7 of a whole data set


@dataclass(frozen=True)
class FocalDistribution:
    """How many outputs of a detector have which p_t; a sample of the figure is an output: one class at one anchor.

    The normalised loss depends on p_t alone, alpha drops out, so that the curves of every gamma come from the same counts.

    Args:
        counts: ``[2, B]`` float64 of negatives and positives, see ``count_logits``.
    """

    counts: np.ndarray

    @property
    def num_negatives(self) -> int:
        """How many negatives there are, counting those that the looked-at ones stand for."""
        return round(self.counts[NEGATIVES].sum())

    @property
    def num_positives(self) -> int:
        """How many positives there are."""
        return round(self.counts[POSITIVES].sum())

    def cumulative(self, side: int, gamma: float) -> tuple[np.ndarray, np.ndarray]:
        """Return a curve of the figure: the outputs of one side from the easiest to the hardest, and their part of the loss.

        Args:
            side: 0 for negatives, 1 for positives.
            gamma: of the focal loss.

        Returns:
            ``[B + 1]`` float64 each, from 0 to 1: the fraction of the outputs, and that of the loss which these have. Empty
            where there are no outputs.
        """
        towards_easy = bin_centers() if side == POSITIVES else -bin_centers()
        losses = (torch.sigmoid(-towards_easy) ** gamma * functional.softplus(-towards_easy)).numpy()
        order = np.argsort(losses, kind="stable")
        counts = self.counts[side][order]
        if not counts.sum():
            return np.empty(0), np.empty(0)
        loss = counts * losses[order]
        return _from_0_to_1(counts), _from_0_to_1(loss)

    def hardest_with(self, side: int, gamma: float, share: float = 0.5) -> float:
        """Return the smallest fraction of the outputs of one side that has ``share`` of its loss, NaN without outputs."""
        fraction, loss = self.cumulative(side, gamma)
        return 1 - float(np.interp(1 - share, loss, fraction)) if len(loss) else float("nan")


class FocalDistributionCollector:
    """Counts logits as an observer of a criterion: all positives, and of the negatives those of anchors drawn at random.

    The anchors that are drawn stand for those that are not; small images are counted whole. The draws follow a seed of their
    own, the same at each :meth:`reset`.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was counted."""
        self._counts = torch.zeros(2, NUM_BINS, dtype=torch.float64)
        self._generator = torch.Generator().manual_seed(0)

    def __call__(self, logits: Sequence[Tensor], labels: Sequence[Tensor], losses: Sequence[Tensor]) -> None:
        """Take L tensors ``[N, R_l, K]``, ``[N, R_l]`` and scalars; where a loss is not finite, nothing."""
        if not bool(torch.stack(list(losses)).isfinite().all()):
            return
        rows = [x.reshape(-1, x.shape[-1]) for x in logits]
        row_labels = [y.flatten() for y in labels]
        num_anchors = sum(len(level) for level in rows)
        num_drawn = _OUTPUTS_AN_IMAGE * len(logits[0]) // max(1, logits[0].shape[-1])
        if num_drawn >= num_anchors:
            self._counts += count_logits(torch.cat(rows), torch.cat(row_labels), by_class=False)[:, 0].cpu()
            return
        positives = _picked(rows, row_labels, [torch.nonzero(level >= 0).flatten() for level in row_labels])
        self._counts[POSITIVES] += count_logits(*positives, by_class=False)[POSITIVES, 0].cpu()
        drawn = _picked(rows, row_labels, self._draw([len(level) for level in rows], num_drawn))
        self._counts[NEGATIVES] += num_anchors / num_drawn * count_logits(*drawn, by_class=False)[NEGATIVES, 0].cpu()

    def _draw(self, sizes: Sequence[int], number: int) -> list[Tensor]:
        """Return the indices of anchors of each level, ``number`` in all, drawn from all levels alike."""
        drawn = torch.randint(sum(sizes), (number,), generator=self._generator).sort().values
        starts = torch.tensor([0, *sizes]).cumsum(0)
        return [
            part - start
            for part, start in zip(drawn.tensor_split(torch.searchsorted(drawn, starts[1:-1])), starts, strict=False)
        ]

    def distribution(self) -> FocalDistribution:
        """Return what was counted in all processes, which must call this together."""
        return FocalDistribution(sum_over_processes(self._counts).numpy())


def _picked(rows: Sequence[Tensor], labels: Sequence[Tensor], indices: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the rows and labels of all levels that are at these indices of each."""
    moved = [index.to(level.device) for index, level in zip(indices, rows, strict=True)]
    picked = [(x[index], y[index]) for x, y, index in zip(rows, labels, moved, strict=True)]
    return torch.cat([x for x, _ in picked]), torch.cat([y for _, y in picked])


def _from_0_to_1(values: np.ndarray) -> np.ndarray:
    summed = np.concatenate([[0.0], values.cumsum()])
    return summed / summed[-1]
