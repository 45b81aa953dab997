"""Duration: how long something lasts, in iterations or in epochs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dettoolkit.errors import ConfigError


@dataclass(frozen=True)
class Duration:
    """A number of iterations, or of epochs that becomes iterations once the length of an epoch is known.

    Args:
        amount: how many.
        unit: ``"it"`` (one optimizer step each) or ``"ep"`` (once over the training images each).
    """

    amount: float
    unit: Literal["it", "ep"]

    @classmethod
    def parse(cls, text: str | int) -> Duration:
        """Return the duration that ``text`` names: ``90000``, ``"90000it"`` or ``"12ep"``; epochs may be broken (``"0.5ep"``).

        Raises:
            ConfigError: the text is none of these, or negative.
        """
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(it|ep)?\s*", str(text))
        if match is None or isinstance(text, bool):
            raise ConfigError(f"expected iterations (90000 or '90000it') or epochs ('12ep'), got {text!r}")
        amount, unit = float(match[1]), match[2] or "it"
        if unit == "it" and not amount.is_integer():
            raise ConfigError(f"expected a whole number of iterations, got {text!r}")
        return cls(amount, "ep" if unit == "ep" else "it")

    def iterations(self, iterations_per_epoch: int) -> int:
        """Return the duration in whole iterations: 0 stays 0, anything else is at least 1."""
        if self.unit == "it":
            return int(self.amount)
        return max(1, round(self.amount * iterations_per_epoch)) if self.amount else 0

    def __str__(self) -> str:
        return f"{self.amount:g}{self.unit}" if self.unit == "ep" else f"{int(self.amount)}it"
