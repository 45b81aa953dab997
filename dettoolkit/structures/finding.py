"""Finding: what a diagnosis tells its user, in words, with the places to look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "hint"]


@dataclass(frozen=True)
class FindingExample:
    """One place where something was found.

    Args:
        text: what was found there, with its numbers.
        dataset: the name of the data set; empty where it is of none.
        image_id: of the image, in that data set; None where it is of no image.
        file_name: of the image, as its data set names it; empty where it is of no image.
        box: (x1, y1, x2, y2) in pixels of the original image, as the file gives it; None where it is of no box.
        place: file and id or line, to go and mend it; empty where there is none.
        group: consecutive examples of the same number are about one thing, and shown side by side; None: on its own.
    """

    text: str
    dataset: str = ""
    image_id: int | str | None = None
    file_name: str = ""
    box: tuple[float, float, float, float] | None = None
    place: str = ""
    group: int | None = None


@dataclass(frozen=True)
class Finding:
    """Something that a user should know before hours are lost to it.

    Args:
        kind: a name that stays: lower case, words joined by hyphens (``duplicate-boxes``).
        severity: ``error``: training would fail or learn what is wrong; ``warning``: most likely a mistake; ``hint``: worth
            knowing, no mistake by itself.
        title: what was found, in one line without the numbers.
        count: how many times.
        examples: the worst first; not all of them need be here.
        advice: what to do about it.
    """

    kind: str
    severity: Severity
    title: str
    count: int
    examples: tuple[FindingExample, ...] = ()
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)
