"""Transforms made of transforms: those of ``torchvision.transforms.v2``, with their parts given as config nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torchvision.transforms import v2

from dettoolkit.data.transforms.surroundings import Surroundings, apply_all, apply_one
from dettoolkit.registry import TRANSFORMS, Component, ListOf

PARTS = {"TRANSFORMS": ListOf(Component(TRANSFORMS, wired=("training_length",)), doc="Transforms, in order.")}


@TRANSFORMS.register()
class Compose(v2.Compose):
    """Applies transforms one after another: one entry of a :class:`RandomChoice`, say.

    Args:
        transforms: a list of transforms.
    """

    PARTS = PARTS

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        super().__init__(transforms)

    def apply_in(self, sample: Any, surroundings: Surroundings) -> Any:
        """Return the sample after all of them."""
        return apply_all(self.transforms, sample, surroundings)


@TRANSFORMS.register()
class RandomApply(v2.RandomApply):
    """Applies transforms one after another to some of the samples, and leaves the others as they are.

    Args:
        transforms: a list of transforms.
        p: the probability, 0 to 1.
    """

    PARTS = PARTS

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__(transforms, p)

    def apply_in(self, sample: Any, surroundings: Surroundings) -> Any:
        """Return the sample after all of them, or as it is; the random number is torchvision's."""
        if torch.rand(1) >= self.p:
            return sample
        return apply_all(list(self.transforms), sample, surroundings)


@TRANSFORMS.register()
class RandomChoice(v2.RandomChoice):
    """Applies one transform of a list, drawn at random.

    Args:
        transforms: a list of transforms.
        p: how often each of them is drawn, relative to the others; null: equally often.
    """

    PARTS = PARTS

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: list[float] | None = None) -> None:
        super().__init__(transforms, p)

    def apply_in(self, sample: Any, surroundings: Surroundings) -> Any:
        """Return the sample after one of them; the random number is torchvision's."""
        which = int(torch.multinomial(torch.tensor(self.p), 1))
        return apply_one(self.transforms[which], sample, surroundings)
