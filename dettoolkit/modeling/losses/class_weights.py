"""Class weights: rare classes count more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dettoolkit.errors import ConfigError
from dettoolkit.modeling.losses.by_class import ByClass

FromCounts: TypeAlias = Literal["inverse", "sqrt", "effective_number"]


class ClassWeights:
    """What the loss of an anchor is multiplied with, by the class of its label; anchors of background count 1.

    All K outputs of the anchor are weighted, as by Cui et al. (CVPR 2019, section 4.3), so that a rare class counts more
    against the background and against other classes.

    Args:
        weights: ``none``, a number for each class, or how to compute them (:func:`weights_from_counts`): that is done when a
            training begins, which knows the counts. Before that no loss can be computed.
        num_classes: K; None: as many as there are numbers.
        beta: of ``effective_number``; checked here, used when a training begins.

    Raises:
        ValueError: another number of weights than of classes, or a number out of range.
    """

    def __init__(
        self,
        weights: Literal["none"] | FromCounts | Sequence[float] = "none",
        num_classes: int | None = None,
        beta: float = 0.999,
    ) -> None:
        if not 0 <= beta < 1:
            raise ValueError(f"effective_number_beta expects a number from 0 to below 1, got {beta}")
        self.setting = weights
        self._by_class: ByClass | None = None
        if not isinstance(weights, str):
            if not all(0 <= weight < np.inf for weight in weights):
                raise ValueError(f"class_weights expects finite numbers, 0 or more, got {list(weights)}")
            self._by_class = ByClass("class_weights", weights, num_classes)

    def times(self, logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor | None:
        """Return the weights of anchors, those of their classes multiplied in.

        Args:
            logits: ``[..., K]``.
            labels: ``[...]``: 0..K-1, -1 for background, -2 for ignored.
            weights: ``[...]``; None for 1.

        Raises:
            ConfigError: the weights are not known yet.
            ValueError: the logits are of another number of classes.
        """
        if self.setting == "none":
            return weights
        if self._by_class is None:
            raise ConfigError(
                f"MODEL.LOSSES.CLASSIFICATION.CLASS_WEIGHTS is {self.setting!r}, which a training turns into numbers: its "
                "config.yaml and its checkpoints have them. To compute losses without a training, give a list of numbers, "
                "or none."
            )
        by_class = self._by_class.on(logits)
        of_anchors = torch.where(labels >= 0, by_class[labels.clamp(0, len(by_class) - 1)], 1.0)
        return of_anchors if weights is None else of_anchors * weights

    def __repr__(self) -> str:
        return str(self.setting if isinstance(self.setting, str) else list(self.setting))


def weights_from_counts(kind: FromCounts, counts: NDArray[np.int64], beta: float = 0.999) -> NDArray[np.float64]:
    """Return a weight for each class whose mean over all boxes is 1.

    ``inverse`` is ``1 / n`` for a class of n boxes, ``sqrt`` is ``1 / sqrt(n)``, and ``effective_number`` is
    ``(1 - beta) / (1 - beta^n)`` (Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019,
    equation 10), which is 1 for beta = 0 and goes to ``inverse`` for beta -> 1.

    That the mean over the boxes is 1, and not that over the classes as in the paper, leaves the balance of objects and
    background what it was. A class without boxes has the largest weight of the others.

    Args:
        kind: the rule.
        counts: ``[K]`` boxes of each class.
        beta: of ``effective_number``, in [0, 1).

    Raises:
        ValueError: there is no box, or no such rule.
    """
    if not counts.any():
        raise ValueError("class weights need boxes, and there is none")
    n = np.maximum(counts, 1).astype(np.float64)
    if kind == "inverse":
        weights = 1 / n
    elif kind == "sqrt":
        weights = 1 / np.sqrt(n)
    elif kind == "effective_number":
        weights = (1 - beta) / -np.expm1(n * np.log(beta)) if beta else np.ones_like(n)
    else:
        raise ValueError(f"expected one of {', '.join(get_args(FromCounts))}, got {kind!r}")
    weights = np.where(counts > 0, weights, weights[counts > 0].max())
    return weights * (counts.sum() / (weights * counts).sum())
