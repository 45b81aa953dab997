"""The built-in synthetic data set: a small, real detection problem that needs no download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.shapes_forms import CLASSES, Dice
from dettoolkit.data.datasets.shapes_painting import paint
from dettoolkit.data.datasets.shapes_scene import Scene, make_scene
from dettoolkit.data.records import Record
from dettoolkit.registry import DATASETS
from dettoolkit.structures import DatasetInfo

VERSION = 1
# the number of a split in the key of a picture, and how many pictures it has unless the config says otherwise
SPLITS = {"train": (0, 4000), "val": (1, 300), "test": (2, 300)}
IMAGE_SIZES = (64, 128, 256, 512)
SCENE, COLOURS = 0, 1


@DATASETS.register()
class ShapesDataset(DetectionDataset):
    """``shapes``, version 1: six forms before, behind and among textured things of no class, drawn when they are read.

    A picture depends on (version, split, index, image size) alone and has the same bits on every machine; what is said
    here is frozen, and a change makes another version. Splits share no picture; a longer split begins with the shorter one.
    With S the image size, 256 unless said otherwise:

    *Dice.* Numbers come from ``PCG64(SeedSequence((1, split, index, S, stream))).random_raw()``: split 0 train, 1 val, 2
    test; stream 0 for the scene, 1 for the colours. One of n: (raw * n) >> 64. A tilt up to m: k of -m..m, t = k / 512,
    cosine (1 - t t) / (1 + t t), sine 2 t / (1 + t t). A direction: a tilt up to 212 (45 degrees) and 0 to 3 quarter
    turns. Numbers are taken in blocks of 256, random bytes from what follows the present block. Draws happen in the order
    that the code has them, floats are Python's, planes of pixels float32.

    *Classes.* disc, ring, square, triangle, cross, star: inequalities on (u, v) within the unit circle
    (``shapes_forms.CLASSES``), v shortened to 102..128 of 128, then tilted up to 50 (11 degrees). Six other forms have no
    class, each like one that has: half disc, arc, angle, chevron, tee, bar (``DISTRACTORS``); they point in any direction.
    A pixel belongs to a form when its centre does.

    *Scene* (``shapes_scene``), from the front to the back: 1 or 2 strips right across the picture, 4 to 10 pixels wide;
    then, in random order, objects and 1 or 2 distractors (one where S is below 256, 1 to 4 at 512); behind them the
    background, cut by two lines into four regions. The number of objects is the greater of two of 3 S / 256 to
    12 S / 256 (rounded down, at least 1), their classes are all alike. A quarter of them shall be partly hidden. The
    diameter of the unit circle comes from one of the octaves 14..28, 28..56, 56..112, 112..224 (numbered from 0;
    ``OCTAVES`` has their weights), within it any whole number; where no place is found, from an octave less, four times in all.
    Objects are 12 to 3 S / 4 pixels wide and high. In a place no edge of the picture cuts off more than a quarter, and of
    a form's pixels inside the picture 154/256 are visible at least. Of 12 random places the first is taken (of what
    shall be hidden the first that hides 38/256, else the first). A scene without room for all is begun anew.

    *Boxes* hold all pixels of a form inside the picture, the hidden ones too; areas count these pixels.

    *Colours* (``shapes_painting``) of objects, distractors, strips and regions are drawn alike, so that neither colour nor
    texture tells what a thing is. A first colour, each channel one of 16..239, and a second one within 40 of it; between
    them two bands or a wave; laid out as grain of 2 to 5 pixels, shades of period 64 to 400, or stripes, dots or checks of
    period 4 to 24 in any direction. At last the picture is blurred by 1-2-1 both ways, and gray noise is added: a random
    byte less 128, times 4..24, over 256.

    A picture has 9 objects on average; nearly half of them are hidden by a tenth or more.

    Args:
        split: ``train``, ``val`` or ``test``.
        num_images: how many pictures; null: 4000 for train, 300 for val and test.
        image_size: S, pixels: 64, 128, 256 or 512. Version 1 in the narrow sense, the one to compare numbers on, is 256; at
            64 there are 1 to 3 objects with sides of 12 to 48.
        name: the name in ``DATASETS.CATALOG``.

    Raises:
        ValueError: no such split or size, or no pictures asked for.
    """

    def __init__(
        self,
        split: Literal["train", "val", "test"],
        num_images: int | None = None,
        image_size: Literal[64, 128, 256, 512] = 256,
        name: str = "shapes",
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
        if image_size not in IMAGE_SIZES:
            raise ValueError(f"image_size: expected one of {', '.join(map(str, IMAGE_SIZES))}, got {image_size!r}")
        self._split, default = SPLITS[split]
        self._image_size = image_size
        num_images = default if num_images is None else num_images
        if num_images < 1:
            raise ValueError(f"num_images: expected 1 or more, got {num_images}")
        super().__init__(DatasetInfo(name, tuple(CLASSES)), self._records(split, num_images))

    def scene(self, index: int) -> Scene:
        """Return who is seen where in picture ``index``: for those who want masks."""
        return make_scene(self._dice(index, SCENE), self._image_size)

    def _dice(self, index: int, stream: int) -> Dice:
        return Dice(VERSION, self._split, index, self._image_size, stream)

    def _records(self, split: str, num_images: int) -> Iterator[Record]:
        for index in range(num_images):
            scene = self.scene(index)
            yield Record(
                image_id=index,
                file_name=f"shapes_{split}_{index:06d}.png",
                height=self._image_size,
                width=self._image_size,
                boxes=np.array(scene.boxes, np.float32),
                labels=np.array(scene.labels, np.int64),
                ignore=np.zeros(len(scene.labels), np.bool_),
                areas=np.array(scene.areas, np.float32),
            )

    def _image(self, record: Record) -> Tensor:
        index = int(record.image_id)
        return torch.from_numpy(paint(self.scene(index), self._dice(index, COLOURS)))
