"""Changes: what a mended copy has otherwise than its original, one by one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """One thing that is otherwise in the mended copy.

    Args:
        dataset: name of the data set.
        file_name: of the image, as the original names it; empty where it is of none.
        what: what was done, and to what.
    """

    dataset: str
    file_name: str
    what: str

    def __str__(self) -> str:
        return ": ".join(word for word in (self.dataset, self.file_name, self.what) if word)
