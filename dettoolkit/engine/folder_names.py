"""Names of run folders: numbers in place of ``{number}``, and names that are still free."""

from __future__ import annotations

import glob
import re
from pathlib import Path

NUMBER = "{number}"


def existing(name: str) -> dict[int, Path]:
    """Return the folders that there are, by the number in place of ``{number}``; none where the name has none."""
    if NUMBER not in name:
        return {}
    before, after = name.split(NUMBER, 1)
    paths = glob.glob(f"{glob.escape(before)}*{glob.escape(after)}")
    matches = {path: re.fullmatch(rf"{re.escape(before)}(\d+){re.escape(after)}", path) for path in paths}
    return {int(match[1]): Path(path) for path, match in matches.items() if match}


def _with_number(name: str, number: int) -> Path:
    return Path(name.replace(NUMBER, str(number)))


def latest(name: str) -> Path:
    """Return the folder of the largest number that there is, or of number 1."""
    return _with_number(name, max(existing(name), default=1)) if NUMBER in name else Path(name)


def next_numbered(name: str) -> Path:
    """Return the folder of the next free number."""
    return _with_number(name, max(existing(name), default=0) + 1) if NUMBER in name else Path(name)


def next_free(path: Path) -> Path:
    """Return ``path``, or the first of ``path_2``, ``path_3``, ... that does not exist; a number that is there counts on."""
    stem, number = re.fullmatch(r"(.*?)(?:_(\d+))?", path.name).groups()  # type: ignore[union-attr]
    candidate, count = path, int(number or 1)
    while candidate.exists():
        count += 1
        candidate = path.with_name(f"{stem}_{count}")
    return candidate
