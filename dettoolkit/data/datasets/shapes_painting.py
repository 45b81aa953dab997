"""The colours of the ``shapes`` data set: everything that is seen gets a texture from one and the same family."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data.datasets.shapes_forms import Dice
from dettoolkit.data.datasets.shapes_scene import Scene

Phases = NDArray[np.uint8]
# what share of the second colour, in 256ths, each phase of a texture shows: two bands, or up and down again
BANDS = [0] * 128 + [256] * 128
WAVES = [2 * min(phase, 255 - phase) for phase in range(256)]
SHARES = np.array([BANDS, WAVES])


def paint(scene: Scene, dice: Dice) -> NDArray[np.uint8]:
    """Return the picture of a scene, uint8 RGB ``[3, S, S]``.

    Args:
        scene: who is seen where.
        dice: the stream of this picture's colours.
    """
    size = len(scene.owners)
    palettes = _palettes(dice, len(scene.extents))
    grain = dice.bytes(size * size).reshape(size, size)
    phases = np.zeros((size, size), np.uint8)
    for owner, (x1, y1, x2, y2) in enumerate(scene.extents):
        texture = _texture(dice, grain[y1:y2, x1:x2], np.arange(x1, x2), np.arange(y1, y2))
        np.copyto(phases[y1:y2, x1:x2], texture, where=scene.owners[y1:y2, x1:x2] == owner)
    entries = scene.owners.astype(np.intp) * 256 + phases
    return _photograph(palettes.take(np.pad(entries, 1, mode="edge"), axis=1), dice)


def _palettes(dice: Dice, count: int) -> NDArray[np.int16]:
    """Return ``[3, count * 256]``: for each owner and phase a mixture of two colours that are not far from each other."""
    colours, waveforms = [], []
    for _ in range(count):
        first = [dice.between(16, 239) for _ in range(3)]
        colours.append((first, [min(255, max(0, value + dice.between(-40, 40))) for value in first]))
        waveforms.append(dice.below(2))
    first_colours, second_colours = np.array(colours).transpose(1, 2, 0)[..., None]  # each [3, count, 1]
    shares = SHARES[waveforms]
    mixed = (first_colours * (256 - shares) + second_colours * shares) >> 8
    return mixed.astype(np.int16).reshape(3, -1)


def _texture(dice: Dice, grain: Phases, x: NDArray[np.int_], y: NDArray[np.int_]) -> Phases:
    """Return the phases ``[h, w]`` of a random texture at the pixels of columns ``x`` and rows ``y``."""
    kind = dice.choose(("grain", "shade", "stripes", "dots", "checks"))
    if kind == "grain":
        side = dice.between(2, 5)
        return grain[(y - y[0]) // side][:, (x - x[0]) // side]
    period = dice.between(64, 400) if kind == "shade" else dice.between(4, 24)
    cosine, sine = dice.direction()
    start = np.uint8(dice.below(256))
    # uint8 sums: a phase that reaches 256 begins again at 0
    along = (_phases(x, cosine, period) + start) + _phases(y, sine, period)[:, None]
    if kind in ("shade", "stripes"):
        return along
    across = _phases(x, -sine, period) + _phases(y, cosine, period)[:, None]
    return np.maximum(along, across) if kind == "dots" else (along ^ across) & np.uint8(128)


def _phases(pixels: NDArray[np.int_], component: float, period: int) -> Phases:
    """Return the phase at each pixel along one axis; the step from one to the next is a whole number of 1/65536 periods."""
    step = int(component * 65536.0 / period)
    return ((pixels * step >> 8) & 255).astype(np.uint8)


def _photograph(colours: NDArray[np.int16], dice: Dice) -> NDArray[np.uint8]:
    """Return ``[3, S, S]`` as a camera would see ``[3, S + 2, S + 2]``: blurred by 1-2-1 both ways, with noise."""
    size = colours.shape[1] - 2
    strength = dice.between(4, 24)
    noise = dice.bytes(size * size).reshape(size, size).astype(np.int16) - 128
    columns = colours[:, :-1] + colours[:, 1:]
    columns = columns[:, :-1] + columns[:, 1:]
    soft = columns[:, :, :-1] + columns[:, :, 1:]
    soft = soft[:, :, :-1] + soft[:, :, 1:]
    soft >>= 4
    soft += noise * strength >> 8
    return soft.clip(0, 255).astype(np.uint8)
