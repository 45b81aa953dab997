"""What is broken in a data set: found while its files are parsed, reported all together."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, Protocol

from dettoolkit.errors import DataError, listed

if TYPE_CHECKING:
    from dettoolkit.data.datasets.entries import Entry

logger = logging.getLogger(__name__)

EXAMPLES_PER_KIND = 5


class Observer(Protocol):
    """Sees what the files of a data set say before anything of it is judged, clipped or left out."""

    def entry(self, entry: Entry) -> None:
        """Take an image as its file gives it."""

    def fault(self, kind: str, where: str) -> None:
        """Take something broken that made it into no entry, in the words of :meth:`Faults.add`."""

    def left_out(self, kind: str) -> None:
        """Take something that is not broken and made it into no entry, in the words of :meth:`Faults.count`."""


_observer: ContextVar[Observer | None] = ContextVar("observer of data sets", default=None)


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Have an observer see all that the data sets built meanwhile read, of whatever format they are.

    They then collect what is broken without a word, to the end: neither ``on_bad`` nor a set of which nothing is left raises.
    What leaves a whole set without meaning, such as a file that is missing, is an error as ever.
    """
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


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
        self._observer = _observer.get()
        self._examples: dict[str, list[str]] = defaultdict(list)
        self._broken: Counter[str] = Counter()
        self._filtered: Counter[str] = Counter()

    def saw(self, entry: Entry) -> None:
        """Show an entry, still as its file gives it, to the observer if there is one (:func:`observed_by`)."""
        if self._observer is not None:
            self._observer.entry(entry)

    def add(self, kind: str, where: str, of_entry: bool = False) -> None:
        """Note something broken, which the parser leaves out.

        Args:
            kind: what is wrong, in words that go before a number: ``"boxes without area"``.
            where: file, id and what came there.
            of_entry: whether it can be seen in an entry that :meth:`saw` was called with.
        """
        if self._observer is not None and not of_entry:
            self._observer.fault(kind, where)
        self._broken[kind] += 1
        if len(self._examples[kind]) < EXAMPLES_PER_KIND:
            self._examples[kind].append(where)

    def count(self, kind: str) -> None:
        """Count something that is not broken and left out because the config says so."""
        if self._observer is not None:
            self._observer.left_out(kind)
        self._filtered[kind] += 1

    def report(self) -> None:
        """Log what is filtered out; raise or log what is broken.

        Raises:
            DataError: something is broken and ``on_bad`` is ``error``; each kind with its number and first examples.
        """
        if self._observer is not None:
            return
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
        if (num_images and num_boxes) or self._observer is not None:
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
