"""The kinds of findings that the check of a data set knows: how bad each is, its title and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from dettoolkit.structures import Finding, FindingExample, Severity

EXAMPLES_KEPT = 50  # of a finding in one data set


@dataclass(frozen=True)
class Kind:
    """What is the same of all findings of one kind."""

    severity: Severity
    title: str
    advice: str


_MEND = "Mend the files, or have --fix write a copy without them."

# in the order in which they are told: what explains others comes first
KINDS = {
    "xywh-read-as-xyxy": Kind(
        "error",
        "boxes that are x, y, width, height where two corners are expected",
        "Convert the annotations to the format that the data set's class reads (--fix does).",
    ),
    "xyxy-read-as-xywh": Kind(
        "error",
        "boxes that are two corners where x, y, width, height are expected",
        "Convert the annotations: width = x2 - x1, height = y2 - y1 (--fix does).",
    ),
    "centre-read-as-corner": Kind(
        "error",
        "boxes that are given by their centre where the left upper corner is expected",
        "Convert the annotations: x = centre x - width / 2, y = centre y - height / 2 (--fix does, for all boxes of the set).",
    ),
    "normalised-coordinates": Kind(
        "error",
        "boxes in shares of the image where pixels are expected",
        "Multiply x by the image's width and y by its height (--fix does).",
    ),
    "pixels-read-as-shares": Kind(
        "error",
        "boxes in pixels where shares of the image are expected",
        "Divide x by the image's width and y by its height (--fix does).",
    ),
    "boxes-displaced": Kind(
        "error",
        "boxes outside the image in data sets where more than a quarter of all are",
        "Not single boxes are wrong but how all were written: look for a shift, another size of the images or another format. "
        "--fix leaves them as they are.",
    ),
    "missing-image": Kind("error", "image files that are not there", "Correct the names or the folder of the images."),
    "unreadable-image": Kind("error", "files that are no readable image", _MEND),
    "truncated-image": Kind(
        "error", "images that cannot be decoded: cut short or damaged", "Fetch them again from their source."
    ),
    "unfit-image": Kind(
        "error",
        "images of other channels or bits than the config declares",
        "See MODEL.INPUT.PIXEL_MEAN, which has a number for each channel, and DATASETS.PIXEL_RANGE.",
    ),
    "image-outside-folder": Kind("error", "file names that lead out of the folder of the images", "Correct the names."),
    "exif-trap": Kind(
        "error",
        "annotations made on the stored pixels of images that their EXIF orientation turns",
        "Turn the stored images and remove the tag, or turn the boxes with the image (--fix does).",
    ),
    "exchanged-size": Kind(
        "error",
        "images whose width and height are exchanged in the annotations",
        "Exchange the two numbers (--fix does); the boxes fit the image as it is.",
    ),
    "image-size-mismatch": Kind(
        "error",
        "images of another size than their annotations say",
        "If images were resized, scale the boxes as well; else correct the names.",
    ),
    "boxes-not-finite": Kind("error", "boxes with a number that is not finite", _MEND),
    "boxes-without-area": Kind("error", "boxes of zero or negative size", _MEND),
    "boxes-outside-image": Kind(
        "error",
        "boxes that leave the image by more than 2 pixels",
        "Look whether the boxes are those of this image. --fix cuts them off at its edge, however far they leave it, and "
        "removes those of which less than a pixel is left.",
    ),
    "duplicate-image-ids": Kind("error", "image ids that stand twice", "Give each image an id of its own."),
    "duplicate-annotation-ids": Kind("error", "annotation ids that stand twice", "Number the annotations anew (--fix does)."),
    "unknown-category": Kind(
        "error", "boxes of a category that is not declared", "Declare the category, or correct the boxes."
    ),
    "unknown-image": Kind("error", "boxes of an image that is not declared", "Declare the image, or leave the boxes out."),
    "classes-differ": Kind(
        "error", "data sets of one run that do not have the same classes", "Give all of them the same CLASSES."
    ),
    "leaked-picture": Kind(
        "error",
        "pictures that are trained on and evaluated on",
        "Leave them out of the training set, or the evaluation praises what was learned by heart.",
    ),
    "no-boxes": Kind("warning", "data sets without a single box", "There is nothing to learn from them but background."),
    "same-picture": Kind("warning", "pictures that are there more than once", "Keep one of them, with the better boxes."),
    "leaked-scene": Kind(
        "warning",
        "pairs of pictures of the same scene in two splits, one of them evaluated on",
        "Keep such pictures in one split, or the evaluation flatters.",
    ),
    "repeated-file": Kind("warning", "image files that are listed more than once", "Join their entries into one."),
    "mislabelled-image": Kind(
        "warning",
        "image files whose suffix names another format than they have",
        "Rename them; here the format is told by content, other programs go by the name.",
    ),
    "exif-orientation": Kind(
        "warning",
        "images with an EXIF orientation, where sizes do not tell which way the boxes were drawn",
        "Boxes are read as drawn on the image as viewers show it: look at some. Turn the stored images to be safe.",
    ),
    "duplicate-boxes": Kind("warning", "boxes that stand twice: same class, same place", "Remove one of the two (--fix does)."),
    "same-box-two-classes": Kind(
        "warning", "boxes that stand twice with different classes", "Look which class is right, and remove the other box."
    ),
    "unused-class": Kind(
        "warning",
        "classes that no box of the training sets has",
        "The detector cannot learn them: leave them out of the categories (CLASSES), or look for the missing boxes.",
    ),
    "class-not-in-training": Kind(
        "warning",
        "classes that are evaluated on and never trained on",
        "Their AP will be 0. Move some of their images to the training set, or leave the class out.",
    ),
    "evaluated-on-training": Kind(
        "hint", "data sets that are trained on and evaluated on", "The evaluation shows how well they are learned by heart."
    ),
    "class-not-in-test": Kind(
        "hint", "classes that are trained on and not in the test set", "No AP says how well they are found."
    ),
    "class-imbalance": Kind(
        "hint",
        "classes that are rare beside the most frequent one",
        "Look at their AP on its own; repeat their images in training if it is low.",
    ),
    "tiny-objects": Kind(
        "hint",
        "objects that are tiny after the test transforms' resizing",
        "Train and test at a larger size, or with anchors and a level for them.",
    ),
    "empty-images": Kind(
        "hint", "images without boxes", "They are trained on as background: see that nothing is unlabelled there."
    ),
    "overlapping-pictures": Kind(
        "hint",
        "pairs of pictures of the same scene, shifted, that no evaluation is flattered by",
        "Keep such pictures together where you split the data anew.",
    ),
    "left-out": Kind(
        "hint", "things that are left out because the config says so, or because they repeat others", "See that this is meant."
    ),
    "exif-applied": Kind("hint", "images that their EXIF orientation turns, as their annotations expect", ""),
}
_KIND_OF_WORDS = {
    "repeated image ids": "duplicate-image-ids",
    "repeated annotation ids": "duplicate-annotation-ids",
    "boxes of an unknown category": "unknown-category",
    "boxes of an unknown class": "unknown-category",
    "boxes of an unknown image": "unknown-image",
}


def counted(number: int, one: str, more: str = "") -> str:
    """Return a number with its noun: ``1 box``, ``2 boxes``; ``more``: the plural where an s does not make it."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def found(kind: str, count: int, examples: Iterable[FindingExample]) -> list[Finding]:
    """Return the finding of a kind in a list, or an empty list where ``count`` is 0; examples: the worst first."""
    if not count:
        return []
    known = KINDS[kind]
    return [Finding(kind, known.severity, known.title, count, tuple(islice(examples, EXAMPLES_KEPT)), known.advice)]


def found_by_parser(words: str, count: int, examples: Iterable[FindingExample]) -> Finding:
    """Return the finding for what a format's parser calls broken; of words that are not known here its kind is made."""
    kind = _KIND_OF_WORDS.get(words)
    if kind is not None:
        return found(kind, count, examples)[0]
    slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    return Finding(slug, "error", words, count, tuple(islice(examples, EXAMPLES_KEPT)), _MEND)


def joined(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding a kind, of the findings of several data sets, errors first."""
    by_kind: dict[str, Finding] = {}
    for finding in findings:
        first = by_kind.get(finding.kind)
        if first is not None:
            examples = first.examples + finding.examples
            finding = Finding(finding.kind, first.severity, first.title, first.count + finding.count, examples, first.advice)
        by_kind[finding.kind] = finding
    kinds, severities = list(KINDS), ("error", "warning", "hint")

    def place(finding: Finding) -> tuple[int, int]:
        return severities.index(finding.severity), kinds.index(finding.kind) if finding.kind in KINDS else len(kinds)

    return sorted(by_kind.values(), key=place)
