"""What has been measured so far: a JSON file that each point is added to as soon as it is there."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.growth.fitting import PowerLaw, fit_power_law

LEAST_MIB = 1.0  # below, pages that happen to be touched are all that is seen


@dataclass(frozen=True)
class Part:
    """The curve of the whole or of a part of the work.

    Args:
        name: what is done.
        values: the number that varies, ascending.
        milliseconds: the median of the rounds at each; None where no time was taken.
        mebibytes: the most memory beyond what was held before; None where the system does not say.
    """

    name: str
    values: list[int]
    milliseconds: list[float | None]
    mebibytes: list[float | None]

    @property
    def time_law(self) -> PowerLaw | None:
        """The power law of the time over the last points."""
        return fit_power_law(self.values, self.milliseconds)

    @property
    def memory_law(self) -> PowerLaw | None:
        """The power law of the memory over the last points; None where one of them is below ``LEAST_MIB``."""
        return fit_power_law(self.values, [mib if mib is not None and mib >= LEAST_MIB else None for mib in self.mebibytes])


class Measured:
    """The measured points of all curves.

    Args:
        path: of the JSON file, which may not exist yet.
        conditions: under which points are measured now: machine, versions, rounds, ...
    """

    def __init__(self, path: Path, conditions: dict[str, str]) -> None:
        self.path, self.conditions = path, conditions
        self.date = dt.date.today().isoformat()
        self.curves: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def has(self, curve: str, value: int) -> bool:
        """Whether the point is there."""
        return any(point["value"] == value for point in self.curves.get(curve, {}).get("points", []))

    def other_conditions(self, curve: str) -> str | None:
        """Return in what the conditions of a curve's points differ from those of now; None where they do not."""
        if curve not in self.curves:
            return None
        before = self.curves[curve]["conditions"]
        names = sorted(before.keys() | self.conditions.keys())
        changed = [name for name in names if before.get(name) != self.conditions.get(name)]
        return ", ".join(f"{name} was {before.get(name)}, is {self.conditions.get(name)}" for name in changed) or None

    def forget(self, curve: str) -> None:
        """Drop the points of a curve."""
        self.curves.pop(curve, None)

    def add(self, curve: str, point: dict[str, Any]) -> None:
        """Add a point and write the file."""
        entry = self.curves.setdefault(curve, {"date": self.date, "conditions": self.conditions, "points": []})
        entry["points"] = sorted([*entry["points"], point], key=lambda each: each["value"])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.curves, indent=1) + "\n", encoding="utf-8")

    def parts(self, curve: str) -> list[Part]:
        """Return the curves of the whole and of its parts, each over the values that it was measured at."""
        points = self.curves[curve]["points"]
        names = dict.fromkeys(name for point in points for name in point["parts"])
        return [_part(name, [point for point in points if name in point["parts"]]) for name in names]


def _part(name: str, points: list[dict[str, Any]]) -> Part:
    parts = [point["parts"][name] for point in points]
    milliseconds = [1e3 * median(part["seconds"]) if part["seconds"] else None for part in parts]
    return Part(name, [point["value"] for point in points], milliseconds, [part["extra_mib"] for part in parts])
