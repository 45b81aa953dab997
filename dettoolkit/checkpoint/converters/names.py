"""Tables of names that are read in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

PARAMETERS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

_FIELD = re.compile(r"\{(\d*)([a-z])([+-]\d+)?\}|(\*)")
_NUMBER, _PARAMETER = r"(0|[1-9]\d*)", f"({'|'.join(PARAMETERS)})"


class Pattern:
    """A name with open places: ``res{s+1}.{b}.conv{n}.*``.

    ``{n}`` stands for a number n; ``{2n}``, ``{3n+1}`` or ``{n-1}`` for a number that n can be worked out of; ``*`` for the
    name of a parameter (weight, bias, running_mean, running_var, num_batches_tracked).

    Args:
        text: the pattern.
    """

    def __init__(self, text: str) -> None:
        self._parts: list[str | tuple[str, int, int]] = []  # literal text, or (letter, factor, offset); "*" is a letter too
        end = 0
        for found in _FIELD.finditer(text):
            self._parts.append(text[end : found.start()])
            self._parts.append((found[4] or found[2], int(found[1] or 1), int(found[3] or 0)))
            end = found.end()
        self._parts.append(text[end:])
        self._fields = [part for part in self._parts if isinstance(part, tuple)]
        regex = [re.escape(p) if isinstance(p, str) else _PARAMETER if p[0] == "*" else _NUMBER for p in self._parts]
        self._regex = re.compile("".join(regex))

    def read(self, name: str) -> dict[str, Any] | None:
        """Return what stands in the open places of ``name``, or None where it does not follow the pattern."""
        found = self._regex.fullmatch(name)
        if found is None:
            return None
        values: dict[str, Any] = {}
        for (letter, factor, offset), text in zip(self._fields, found.groups(), strict=True):
            if letter == "*":
                values["*"] = text
                continue
            value, rest = divmod(int(text) - offset, factor)
            if rest or value < 0 or values.setdefault(letter, value) != value:
                return None
        return values

    def write(self, values: Mapping[str, Any]) -> str | None:
        """Return the name with ``values`` in its open places, or None where one would be negative."""
        words = []
        for part in self._parts:
            if isinstance(part, str):
                words.append(part)
                continue
            letter, factor, offset = part
            value = values[letter] if letter == "*" else factor * values[letter] + offset
            if letter != "*" and value < 0:
                return None
            words.append(str(value))
        return "".join(words)


class NameTable:
    """Pairs of patterns: the name in another toolkit, and ours. The first pair that fits counts.

    Args:
        rows: the pairs; both patterns of a pair have the same open places.
    """

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self._rows = [(Pattern(theirs), Pattern(ours)) for theirs, ours in rows]

    def ours(self, name: str) -> str | None:
        """Return our name of a parameter of the other toolkit, or None where the table has none."""
        return _first((theirs, ours, name) for theirs, ours in self._rows)

    def theirs(self, name: str) -> str | None:
        """Return the other toolkit's name of a parameter of ours, or None where the table has none."""
        return _first((ours, theirs, name) for theirs, ours in self._rows)


def prefixed(rows: Iterable[tuple[str, str]], theirs: str, ours: str) -> list[tuple[str, str]]:
    """Return rows of a table with something in front of each name."""
    return [(theirs + their_name, ours + our_name) for their_name, our_name in rows]


def _first(attempts: Iterable[tuple[Pattern, Pattern, str]]) -> str | None:
    for read, write, name in attempts:
        values = read.read(name)
        if values is not None:
            return write.write(values)
    return None
