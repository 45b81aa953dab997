"""How well the tensors of a file fit those of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dettoolkit.errors import did_you_mean, listed

# of no use for what the network computes: the counter of batch norm, and what the criterion remembers between steps
_OPTIONAL = ("num_batches_tracked",)
_OPTIONAL_PARTS = ("criterion.",)


@dataclass(frozen=True)
class Mismatch:
    """A tensor with different shapes in the file and in the model."""

    name: str
    in_file: tuple[int, ...]
    in_model: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} (file {list(self.in_file)}, model {list(self.in_model)})"


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a weight file.

    Args:
        source: the file.
        kind: what the file was recognised as.
        loaded: names that were (or can be) loaded.
        missing: names that only the model has.
        unexpected: names that only the file has.
        mismatched: names that both have, in different shapes.
        reinitialised: names that were left at the model's initial values because the classes differ.
    """

    source: str
    kind: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    reinitialised: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every tensor found its place."""
        return not (self.missing or self.unexpected or self.mismatched)

    def describe(self) -> str:
        """Return what did not fit, a line for each kind of problem, with the nearest names."""
        lines = []
        if self.missing:
            lines.append(f"{len(self.missing)} missing in the file: {listed(self.missing, 8)}")
        if self.unexpected:
            near = [name + did_you_mean(name, self.missing) for name in self.unexpected[:8]]
            more = f" and {len(self.unexpected) - 8} more" if len(self.unexpected) > 8 else ""
            lines.append(f"{len(self.unexpected)} unknown to the model: {', '.join(near)}{more}")
        if self.mismatched:
            lines.append(f"{len(self.mismatched)} of another shape: {listed(self.mismatched, 8)}")
        return "\n".join(lines)


def compare(source: str, kind: str, state: Mapping[str, Any], model_state: Mapping[str, Any]) -> LoadReport:
    """Return which tensors of ``state`` fit into a model with ``model_state``, by name and shape."""
    common = [name for name in model_state if name in state]
    wrong = {name for name in common if _shape(state[name]) != _shape(model_state[name])}
    return LoadReport(
        source,
        kind,
        loaded=tuple(name for name in common if name not in wrong),
        missing=tuple(name for name in model_state if name not in state and not _optional(name)),
        unexpected=tuple(name for name in state if name not in model_state and not _optional(name)),
        mismatched=tuple(Mismatch(name, _shape(state[name]), _shape(model_state[name])) for name in common if name in wrong),
    )


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))


def _optional(name: str) -> bool:
    return name.endswith(_OPTIONAL) or name.startswith(_OPTIONAL_PARTS)
