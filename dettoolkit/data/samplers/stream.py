"""StreamItem: one place in the stream of training images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamItem:
    """Which image comes, and what seeds its transforms.

    Args:
        index: of the image in the data set.
        epoch: how often the data set has been gone through before.
        position: how many items come before it in the shuffled stream, over all epochs; no two items share one.
        view: which of the image's views, in evaluation with several.
    """

    index: int
    epoch: int
    position: int
    view: int = 0
