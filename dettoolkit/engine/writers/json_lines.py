"""Numbers for programs."""

from __future__ import annotations

import json
import math
from pathlib import Path

from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import WRITERS


@WRITERS.register()
class JSONLinesWriter:
    """``metrics.jsonl``: one JSON object a line, with the iteration and the epoch.

    Args:
        folder: of the run (wired).
    """

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "metrics.jsonl"

    def open(self, trainer: Trainer) -> None:
        """Drop lines of steps that a resumed training does again."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _iteration(line) <= trainer.iteration]
            self.path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        """Append a line; a number that is not finite becomes null, since JSON has no other word for it."""
        row = {"iteration": trainer.iteration, "epoch": round(trainer.epoch, 4)}
        row |= {name: value if math.isfinite(value) else None for name, value in numbers.items()}  # type: ignore[misc]
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        """Nothing is held open."""


def _iteration(line: str) -> float:
    try:
        return json.loads(line)["iteration"]
    except (ValueError, KeyError, TypeError):
        return math.inf  # a line that was cut when the run was killed
