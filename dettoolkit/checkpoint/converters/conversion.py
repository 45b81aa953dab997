"""What became of the tensors of a file in another toolkit's names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Conversion:
    """Weights under new names.

    Args:
        state: the tensors under their new names.
        renamed: old name -> new name of each tensor that has a place.
        left_over: old name -> why it is left out on purpose; nothing of the network is lost by it.
        unknown: old names that no rule knows.
        filled: new name -> where its tensor came from, for what the old format does not write down.
        problems: why the numbers would not be those of the old model, though the names fit.
    """

    state: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    left_over: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    filled: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def fill(self, name: str, value: Any, reason: str) -> None:
        """Add a tensor that the old format does not write down."""
        self.state[name] = value
        self.filled[name] = reason


def rename(
    state: Mapping[str, Any],
    new_name: Callable[[str], str | None],
    harmless: Iterable[tuple[str, str]] = (),
    left_out: Mapping[str, str] | None = None,
) -> Conversion:
    """Return the tensors under the names that ``new_name`` gives them.

    Args:
        state: tensors by name.
        new_name: the new name, or None where there is none.
        harmless: (regular expression, reason) of names that are left out on purpose.
        left_out: name -> reason of further ones.
    """
    done, reasons, by_name = Conversion(), list(harmless), left_out or {}
    for name, value in state.items():
        reason = by_name.get(name) or next((reason for pattern, reason in reasons if re.fullmatch(pattern, name)), None)
        new = None if reason else new_name(name)
        if reason is not None:
            done.left_over[name] = reason
        elif new is None or new in done.state:  # of two names for one place, neither is better
            done.unknown.append(name)
        else:
            done.state[new] = value
            done.renamed[name] = new
    return done
