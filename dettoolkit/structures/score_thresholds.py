"""ScoreThresholds: from which score on detections of a class are reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

DEFAULT_SCORE_THRESHOLD = 0.3
"""For classes without a threshold of their own: what a person wants to see, found by no measurement."""

_HIGHEST = 1 + 2**-23  # the next float32 above 1: of a class that is better never reported


@dataclass(frozen=True)
class ScoreThresholds:
    """A score threshold by class, and where it is from. It travels with checkpoints as plain data.

    Args:
        by_class: class name -> 0..1, or None where nothing could be measured.
        wish: what the thresholds were chosen to meet, e.g. ``precision>=0.9``.
        dataset: the data set that they were measured on.

    Raises:
        ValueError: a threshold is not in 0..1.
    """

    by_class: Mapping[str, float | None]
    wish: str = ""
    dataset: str = ""

    def __post_init__(self) -> None:
        for name, value in self.by_class.items():
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value <= _HIGHEST):
                raise ValueError(f"score threshold of class {name!r}: expected 0 to 1 or null, got {value!r}")

    def of_labels(self, class_names: Sequence[str]) -> Tensor:
        """Return ``[K]`` float32: the threshold of each label, the default for classes without one."""
        values = [self.by_class.get(name) for name in class_names]
        return torch.tensor([DEFAULT_SCORE_THRESHOLD if value is None else value for value in values])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint or a JSON file."""
        return {"by_class": dict(self.by_class), "wish": self.wish, "dataset": self.dataset}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScoreThresholds:
        """Return what :meth:`to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        return cls(dict(data["by_class"]), str(data["wish"]), str(data["dataset"]))
