"""Transforms made of transforms: those of ``torchvision.transforms.v2``, with their parts given as config nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torchvision.transforms import v2

from dettoolkit.registry import TRANSFORMS, Component, ListOf

_PARTS = {"TRANSFORMS": ListOf(Component(TRANSFORMS), doc="Transforms, in order.")}


@TRANSFORMS.register()
class Compose(v2.Compose):
    """Applies transforms one after another: one entry of a :class:`RandomChoice`, say.

    Args:
        transforms: a list of transforms.
    """

    PARTS = _PARTS

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        super().__init__(transforms)


@TRANSFORMS.register()
class RandomApply(v2.RandomApply):
    """Applies transforms one after another to some of the samples, and leaves the others as they are.

    Args:
        transforms: a list of transforms.
        p: the probability, 0 to 1.
    """

    PARTS = _PARTS

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__(transforms, p)


@TRANSFORMS.register()
class RandomChoice(v2.RandomChoice):
    """Applies one transform of a list, drawn at random.

    Args:
        transforms: a list of transforms.
        p: how often each of them is drawn, relative to the others; null: equally often.
    """

    PARTS = _PARTS

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: list[float] | None = None) -> None:
        super().__init__(transforms, p)
