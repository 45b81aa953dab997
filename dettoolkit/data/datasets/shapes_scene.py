"""The scenes of the ``shapes`` data set: which pixel belongs to what, before any colour."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data.datasets.shapes_forms import CLASSES, DISTRACTORS, Dice, Mask, bounds, draw_mask

Box = tuple[int, int, int, int]

MIN_SIDE = 12
SMALLEST_DIAMETER = 14
NUM_REGIONS = 4
ATTEMPTS = 12
MAX_TILT = 50  # 11 degrees
OCTAVES = {64: (0, 1), 128: (0, 1, 1, 2), 256: (0, 1, 1, 1, 2, 2, 2, 3), 512: (0, 1, 1, 2, 2, 3, 3, 4)}
# in 256ths of a form's pixels inside the picture: how many must be visible, and how many may be of what shall be hidden
MIN_VISIBLE = 154
PARTLY_HIDDEN = 218


@dataclass
class Scene:
    """A picture without colours. Everything that covers pixels is an owner and has a number.

    Args:
        owners: ``[S, S]`` uint8, who is seen at each pixel: 0..3 the regions of the background, then the strips, objects
            and distractors.
        extents: (x1, y1, x2, y2) of each owner, far edges exclusive: all its pixels inside the picture, the hidden ones too.
        numbers: ``[G]``, which owners are the objects.
        labels: ``[G]``, 0..5, in the order of ``CLASSES``.
        areas: ``[G]``, pixels inside the picture, the hidden ones too.
    """

    owners: NDArray[np.uint8]
    extents: list[Box]
    numbers: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)

    @property
    def boxes(self) -> list[Box]:
        """(x1, y1, x2, y2) of the objects, ``[G]``."""
        return [self.extents[number] for number in self.numbers]

    def visible_shares(self) -> NDArray[np.float64]:
        """Return ``[G]``: which share of the pixels that it has inside the picture is visible of each object."""
        counts = np.bincount(self.owners.reshape(-1), minlength=len(self.extents))
        return counts[self.numbers] / np.array(self.areas)


@dataclass
class _Place:
    extent: Box
    mask: Mask  # of the pixels inside the extent
    uncovered: Mask
    num_visible: int


def make_scene(dice: Dice, size: int) -> Scene:
    """Place strips, objects and distractors from the front to the back, and the background behind them.

    Whatever comes later lies further back: what is visible of a thing is known, and final, as soon as it is placed.

    Args:
        dice: the stream of this picture's scene.
        size: S, the picture's side: 64, 128, 256 or 512.
    """
    num_objects = max(dice.between(max(1, 3 * size // 256), 12 * size // 256) for _ in range(2))
    num_distractors = dice.between(1, max(1, 2 * size // 256))
    while True:
        scene = Scene(np.zeros((size, size), np.uint8), [(0, 0, size, size)] * NUM_REGIONS)
        free = np.ones((size, size), np.bool_)
        for _ in range(dice.between(1, 2)):
            _add_strip(scene, free, dice)
        still_to_place = [True] * num_objects + [False] * num_distractors
        while still_to_place and _add_form(scene, free, dice, is_object=still_to_place.pop(dice.below(len(still_to_place)))):
            pass
        if not still_to_place and len(scene.numbers) == num_objects:
            _add_background(scene, free, dice)
            return scene


def _distances(dice: Dice, size: int) -> NDArray[np.float32]:
    """Return ``[S, S]``: how far each pixel is from a line through the middle of the picture, with a sign."""
    cosine, sine = dice.direction()
    x, y = (dice.between(size // 4, 3 * size // 4) for _ in range(2))
    pixels = np.arange(size, dtype=np.float32)
    return (pixels - x) * cosine + ((pixels - y) * sine)[:, None]


def _add_strip(scene: Scene, free: Mask, dice: Dice) -> None:
    """Lay a strip of 4 to 10 pixels across the whole picture."""
    strip = free & (abs(_distances(dice, len(free))) <= dice.between(4, 10) / 2.0)
    scene.owners[strip] = len(scene.extents)
    free[strip] = False
    scene.extents.append((0, 0, len(free), len(free)))


def _add_background(scene: Scene, free: Mask, dice: Dice) -> None:
    """Divide what is free by two lines into four regions."""
    first, second = (_distances(dice, len(free)) > 0.0 for _ in range(2))
    np.copyto(scene.owners, first + second * np.uint8(2), where=free)


def _add_form(scene: Scene, free: Mask, dice: Dice, is_object: bool) -> bool:
    """Place an object or a distractor, a smaller one where there is no room. Return whether there was any."""
    size = len(free)
    forms = list((CLASSES if is_object else DISTRACTORS).values())
    label = dice.below(len(forms))
    to_be_hidden = is_object and dice.below(4) == 0
    # octaves of equal weight, within each all diameters alike: nearly uniform on the scale of logarithms
    octave = dice.choose(OCTAVES[size])
    for diameter in [SMALLEST_DIAMETER << max(0, octave - smaller) for smaller in range(4)]:
        direction = dice.tilt(MAX_TILT) if is_object else dice.direction()
        mask = draw_mask(forms[label], dice.between(diameter, 2 * diameter), direction, dice.between(102, 128) / 128.0)
        if is_object and (min(mask.shape) < MIN_SIDE or max(mask.shape) > 3 * size // 4):
            continue
        place = _find_place(mask, free, dice, to_be_hidden)
        if place is None:
            continue
        x1, y1, x2, y2 = place.extent
        scene.owners[y1:y2, x1:x2][place.uncovered] = len(scene.extents)
        free[y1:y2, x1:x2][place.uncovered] = False
        if is_object:
            scene.numbers.append(len(scene.extents))
            scene.labels.append(label)
            scene.areas.append(int(np.count_nonzero(place.mask)))
        scene.extents.append(place.extent)
        return True
    return False


def _find_place(mask: Mask, free: Mask, dice: Dice, to_be_hidden: bool) -> _Place | None:
    """Try some places: the first that hides as much as it shall, else the first that does not hide too much."""
    admissible = None
    for _ in range(ATTEMPTS):
        place = _some_place(mask, free, dice)
        if place is None:
            continue
        visible, area = 256 * place.num_visible, np.count_nonzero(place.mask)
        if visible >= MIN_VISIBLE * area:
            if not to_be_hidden or visible <= PARTLY_HIDDEN * area:
                return place
            admissible = admissible or place
    return admissible


def _some_place(mask: Mask, free: Mask, dice: Dice) -> _Place | None:
    """Return a random place, where each edge of the picture cuts off a quarter at most; None if too little is left."""
    size = len(free)
    height, width = mask.shape
    x = dice.between(-(width // 4), size - width + width // 4)
    y = dice.between(-(height // 4), size - height + height // 4)
    if x < 0 or y < 0 or x + width > size or y + height > size:
        mask = mask[max(0, -y) : size - y, max(0, -x) : size - x]
        x1, y1, x2, y2 = bounds(mask)
        if min(x2 - x1, y2 - y1) < MIN_SIDE:
            return None
        mask = mask[y1:y2, x1:x2]
        x, y = max(0, x) + x1, max(0, y) + y1
        height, width = mask.shape
    uncovered = mask & free[y : y + height, x : x + width]
    return _Place((x, y, x + width, y + height), mask, uncovered, int(np.count_nonzero(uncovered)))
