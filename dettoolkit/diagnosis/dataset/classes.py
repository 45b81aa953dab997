"""What the classes of data sets show: their numbers, and who has which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data import check_same_classes
from dettoolkit.diagnosis.dataset.inspection import InspectedSet
from dettoolkit.diagnosis.dataset.kinds import counted, found
from dettoolkit.errors import DataError
from dettoolkit.structures import Finding, FindingExample

IMBALANCE = 20.0  # times as many boxes as a rare class has
_PLACEHOLDER = "(no category "  # COCODataset's name for an id that no category has


def class_counts(inspected: InspectedSet) -> NDArray[np.int64]:
    """Return ``[K]`` how many boxes each class has, crowd regions left out."""
    labels = inspected.boxes.labels[~inspected.boxes.ignore]
    return np.bincount(labels[labels >= 0], minlength=inspected.info.num_classes)


def class_findings(sets: Sequence[InspectedSet]) -> Iterator[Finding]:
    """Yield what is odd about the classes of the data sets of a run, all together."""
    yield from _differing(sets)
    yield from _in_both(sets)
    yield from _without_boxes(sets)
    train, test = (_counts_by_name(inspected for inspected in sets if use in inspected.uses) for use in ("train", "test"))
    yield from _unused(train, test)
    yield from _rare(train or _counts_by_name(sets))


def _differing(sets: Sequence[InspectedSet]) -> Iterator[Finding]:
    sets = [inspected for inspected in sets if inspected.uses]  # others may be compared for their pictures alone
    differences = [(other.info.name, _difference(sets[0], other)) for other in sets[1:]]
    examples = [FindingExample(text, name) for name, text in differences if text]
    yield from found("classes-differ", len(examples), examples)


def _difference(one: InspectedSet, other: InspectedSet) -> str:
    try:
        check_same_classes(one.info, other.info)
    except DataError as error:
        return str(error)
    return ""


def _in_both(sets: Sequence[InspectedSet]) -> Iterator[Finding]:
    examples = [FindingExample("", inspected.info.name) for inspected in sets if len(inspected.uses) == 2]
    yield from found("evaluated-on-training", len(examples), examples)


def _without_boxes(sets: Sequence[InspectedSet]) -> Iterator[Finding]:
    bare = [inspected for inspected in sets if not len(inspected.boxes.labels)]
    examples = (FindingExample(f"none of {len(inspected.images)} images has a box", inspected.info.name) for inspected in bare)
    yield from found("no-boxes", len(bare), examples)


def _counts_by_name(sets: Iterable[InspectedSet]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for inspected in sets:
        for name, count in zip(inspected.info.class_names, class_counts(inspected).tolist(), strict=True):
            if not name.startswith(_PLACEHOLDER):
                counts[name] = counts.get(name, 0) + count
    return counts


def _unused(train: dict[str, int], test: dict[str, int]) -> Iterator[Finding]:
    if not any(train.values()):  # told already
        return
    learned = [name for name, count in train.items() if count]
    only_tested = [name for name, count in test.items() if count and name not in learned]
    unused = [name for name in train if name not in learned and name not in only_tested]
    untested = [name for name in learned if test.get(name) == 0] if any(test.values()) else []
    yield from found("unused-class", len(unused), [FindingExample(name) for name in unused])
    examples = [
        FindingExample(f"{name}: {counted(test[name], 'box', 'boxes')} in the test sets, none to learn from")
        for name in only_tested
    ]
    yield from found("class-not-in-training", len(only_tested), examples)
    yield from found(
        "class-not-in-test",
        len(untested),
        [FindingExample(f"{name}: {counted(train[name], 'box', 'boxes')}") for name in untested],
    )


def _rare(counts: dict[str, int]) -> Iterator[Finding]:
    if not counts:
        return
    frequent = max(counts, key=lambda name: counts[name])
    rare = sorted((count, name) for name, count in counts.items() if 0 < count * IMBALANCE <= counts[frequent])
    examples = [
        FindingExample(
            f"{name}: {counted(count, 'box', 'boxes')}, 1 to {counts[frequent] / count:.0f} of {frequent} ({counts[frequent]})"
        )
        for count, name in rare
    ]
    yield from found("class-imbalance", len(rare), examples)
