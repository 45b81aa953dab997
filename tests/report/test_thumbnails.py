"""Pictures as large as a budget lets them be."""

from __future__ import annotations

import base64
import functools
import io
import threading
from collections import Counter

import pytest
import torch
from PIL import Image

from dettoolkit.errors import DataError
from dettoolkit.report.thumbnails import RUNGS, make_thumbnails, thumbnail


@functools.cache
def _read(image_id: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(image_id)
    coarse = torch.rand(1, 3, 30, 40, generator=generator) * 255
    image = torch.nn.functional.interpolate(coarse, size=(375, 500), mode="bilinear", align_corners=False)[0]
    return image.to(torch.uint8)


def _side(jpeg: bytes) -> int:
    return max(Image.open(io.BytesIO(jpeg)).size)


def test_a_large_budget_gives_the_highest_rung() -> None:
    large = torch.zeros(3, 750, 1000, dtype=torch.uint8)
    thumbnails = make_thumbnails([1, 2], lambda _: large, 10**9)
    assert thumbnails.side == RUNGS[0][0] == 960
    assert [Image.open(io.BytesIO(one.jpeg)).size for one in thumbnails.pictures] == [(960, 720)] * 2


@pytest.mark.parametrize("max_bytes", [400_000, 150_000])
def test_all_pictures_together_take_no_more_than_the_budget_and_not_much_less(max_bytes: int) -> None:
    thumbnails = make_thumbnails(range(30), _read, max_bytes)
    taken = sum(len(base64.b64encode(one.jpeg)) for one in thumbnails.pictures)
    assert max_bytes / 3 < taken <= max_bytes  # a rung has more than a third of the bytes of the one above
    assert {_side(one.jpeg) for one in thumbnails.pictures} == {thumbnails.side}


def test_a_sample_that_promises_too_much_is_corrected() -> None:
    def read(image_id: int) -> torch.Tensor:  # those sampled, every other one of 48, are flat and so small
        return torch.zeros(3, 375, 500, dtype=torch.uint8) if image_id % 2 == 0 else _read(image_id)

    thumbnails = make_thumbnails(range(48), read, 300_000)
    assert sum(len(base64.b64encode(one.jpeg)) for one in thumbnails.pictures) <= 300_000
    assert thumbnails.side < 960


def test_each_image_is_read_once_and_stands_in_its_place() -> None:
    read: Counter[int] = Counter()
    lock = threading.Lock()

    def counted(image_id: int) -> torch.Tensor:
        with lock:
            read[image_id] += 1
        return torch.full((3, 20, 20), image_id * 5, dtype=torch.uint8)

    thumbnails = make_thumbnails(range(50), counted, 60_000)
    assert read == Counter(range(50))
    grey = [Image.open(io.BytesIO(one.jpeg)).getpixel((5, 5)) for one in thumbnails.pictures]
    assert all(abs(value[0] - 5 * place) <= 2 for place, value in enumerate(grey) if isinstance(value, tuple))


def test_a_picture_is_never_enlarged() -> None:
    small = make_thumbnails([0], lambda _: torch.zeros(3, 30, 40, dtype=torch.uint8), 10**9)
    assert Image.open(io.BytesIO(small.pictures[0].jpeg)).size == (40, 30)


def test_an_image_that_cannot_be_read_says_why_and_leaves_the_others() -> None:
    def read(image_id: int) -> torch.Tensor:
        if image_id == 1:
            raise DataError("b.jpg: cut off")
        return _read(image_id)

    thumbnails = make_thumbnails([0, 1, 2], read, 400_000)
    assert [one.fault for one in thumbnails.pictures] == ["", "b.jpg: cut off", ""]
    assert [bool(one.jpeg) for one in thumbnails.pictures] == [True, False, True]


def test_nothing_to_show_and_no_room() -> None:
    assert make_thumbnails([], _read, 1000).pictures == []
    assert make_thumbnails(range(3), _read, 0).side == RUNGS[-1][0]


def test_a_single_picture_is_a_data_uri_of_its_proportion() -> None:
    kind, encoded = thumbnail(_read(0), 200).split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (200, 150)
