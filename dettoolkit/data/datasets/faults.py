"""What is broken in a data set: found while its files are parsed, reported all together."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from dettoolkit.errors import DataError, listed

logger = logging.getLogger(__name__)

EXAMPLES_PER_KIND = 5


class Faults:
    """Collects what is broken and what is filtered out.

    Args:
        name: the data set's name in ``DATASETS.CATALOG``.
        on_bad: ``error``: :meth:`report` raises if anything is broken; ``drop``: it logs what was left out.
    """

    def __init__(self, name: str, on_bad: Literal["error", "drop"]) -> None:
        if on_bad not in ("error", "drop"):
            raise ValueError(f"DATASETS.ON_BAD: expected 'error' or 'drop', got {on_bad!r}")
        self.name = name
        self.on_bad = on_bad
        self._examples: dict[str, list[str]] = defaultdict(list)
        self._broken: Counter[str] = Counter()
        self._filtered: Counter[str] = Counter()

    def add(self, kind: str, where: str) -> None:
        """Note something broken, which the parser leaves out.

        Args:
            kind: what is wrong, in words that go before a number: ``"boxes without area"``.
            where: file, id and what came there.
        """
        self._broken[kind] += 1
        if len(self._examples[kind]) < EXAMPLES_PER_KIND:
            self._examples[kind].append(where)

    def count(self, kind: str) -> None:
        """Count something that is not broken and left out because the config says so."""
        self._filtered[kind] += 1

    def report(self) -> None:
        """Log what is filtered out; raise or log what is broken.

        Raises:
            DataError: something is broken and ``on_bad`` is ``error``; each kind with its number and first examples.
        """
        if self._filtered:
            logger.info("%s: left out: %s", self.name, _sums(self._filtered))
        if not self._broken:
            return
        examples = [f"  {kind}: {self._broken[kind]}{_indented(self._examples[kind])}" for kind in self._broken]
        rows = "\n".join(examples)
        if self.on_bad == "error":
            raise DataError(
                f"{self.name}: {sum(self._broken.values())} of its images and boxes are broken\n{rows}\n"
                "Repair the files, or set DATASETS.ON_BAD: drop to train without what is broken."
            )
        logger.warning("%s: dropped what is broken (DATASETS.ON_BAD: drop)\n%s", self.name, rows)

    def check_not_empty(self, num_images: int, num_boxes: int, class_names: Sequence[str]) -> None:
        """Refuse a set of which the filters left no image, or of whose boxes they left none; warn of one that never had a box.

        Raises:
            DataError: says what each filter left out, and the classes.
        """
        left_out = self._broken + self._filtered
        if num_images and num_boxes:
            return
        if num_images and not any("box" in kind for kind in left_out):
            logger.warning(
                "%s: none of its %d images has a box: there is nothing to learn from it but background",
                *(self.name, num_images),
            )
            return
        nothing = "no image is" if num_images == 0 else f"of {num_images} images, no box is"
        raise DataError(
            f"{self.name}: {nothing} left. Left out: {_sums(left_out) or 'nothing, the files name none'}. "
            f"Classes expected: {listed(class_names)}."
        )


def size_fault(stated: tuple[int, int], found: tuple[int, int]) -> str:
    """Return what is wrong when annotations state another (height, width) than the image has, or an empty string."""
    if stated == found:
        return ""
    message = f"the annotations say {stated[1]} x {stated[0]} (width x height), the image is {found[1]} x {found[0]}"
    if stated == found[::-1]:
        message += (
            ": width and height are swapped. The EXIF orientation is applied here; annotations made on the unturned "
            "image do not fit it. Turn the stored images and remove the tag, or annotate what viewers show."
        )
    return message


def _sums(counts: Counter[str]) -> str:
    return ", ".join(f"{kind}: {number}" for kind, number in counts.items())


def _indented(examples: Sequence[str]) -> str:
    return "".join(f"\n    {example}" for example in examples)
