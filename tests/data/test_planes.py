"""Enlarging by planes against interpolation in float32, and memory that is put in order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import resize

from dettoolkit.data.image_io import read_image
from dettoolkit.data.planes import as_planes, enlarge, enlarges


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8))


def in_float32(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """torchvision's own interpolation in float32 with antialiasing, rounded."""
    return resize(pixels.float(), list(size), antialias=True).round()


def largest_difference(pixels: torch.Tensor, size: tuple[int, int]) -> float:
    return float((enlarge(pixels, size).float() - in_float32(pixels, size)).abs().max())


@pytest.mark.parametrize("size", [(48, 64), (80, 107), (60, 300), (41, 64), (40, 61), (333, 60)])
def test_noise_is_within_one_grey_level_of_float32(size):
    assert largest_difference(noise(3, 40, 60), size) <= 1


def test_black_beside_white_is_within_one_grey_level_of_float32():
    # the largest steps there are, which is where rounded weights move values furthest
    for seed in range(20):
        shape, size = (37 + seed, 53), (37 + 4 * seed, 53 + 3 * seed)
        assert largest_difference((noise(3, *shape, seed=seed) > 127).byte() * 255, size) <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1), (2, 3)])
def test_pictures_of_one_row_or_column_are_enlarged_too(shape):
    assert largest_difference(noise(3, *shape), (100, 101)) <= 1


def test_twice_as_wide_has_the_values_worked_by_hand():
    # centres of the new pixels lie at -0.25, 0.25, 0.75 and 1.25 of the old ones: 0, 100/4, 3 * 100/4 and 100
    assert enlarge(torch.tensor([[[0, 100]]], dtype=torch.uint8), (1, 4)).tolist() == [[[0, 25, 75, 100]]]


def test_real_pictures_are_those_of_float32_in_most_places(real_data):
    for path in sorted((real_data / "txl_pbc" / "images" / "val").iterdir())[:3]:
        pixels = read_image(path)
        size = (800, pixels.shape[2] * 800 // pixels.shape[1])
        difference = (enlarge(pixels, size).float() - in_float32(pixels, size)).abs()
        assert difference.max() <= 1
        assert (difference > 0).float().mean() < 0.12  # 0.08 measured; 0.07 by torchvision's own interpolation in uint8


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_the_order_of_memory_makes_no_difference(order):
    pixels = noise(3, 20, 30)
    back = tuple(int(axis) for axis in np.argsort(order))
    other = pixels.permute(order).contiguous().permute(back)
    assert torch.equal(as_planes(other), pixels)
    assert as_planes(other).is_contiguous()
    assert torch.equal(enlarge(other, (40, 60)), enlarge(pixels, (40, 60)))


def test_planes_in_order_are_not_copied():
    pixels = noise(3, 4, 5)
    assert as_planes(pixels).data_ptr() == pixels.data_ptr()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_any_number_of_channels_is_taken(channels):
    pixels = noise(channels, 9, 11)
    assert torch.equal(as_planes(pixels.permute(1, 2, 0).contiguous().permute(2, 0, 1)), pixels)
    assert largest_difference(pixels, (12, 15)) <= 1


@pytest.mark.parametrize(
    ("shape", "size", "taken"),
    [
        ((3, 10, 20), (11, 22), True),
        ((3, 10, 20), (10, 21), True),
        ((3, 10, 20), (10, 20), False),  # as it is
        ((3, 10, 20), (9, 22), False),  # a side becomes shorter, where antialiasing counts
        ((3, 10, 20), (11, 19), False),
        ((3, 0, 20), (11, 22), False),
        ((1, 3, 10, 20), (11, 22), False),
    ],
)
def test_only_enlargement_of_one_picture_is_taken(shape, size, taken):
    assert enlarges(torch.zeros(shape, dtype=torch.uint8), size) is taken


def test_only_eight_bits_are_taken():
    assert not enlarges(torch.zeros(3, 10, 20), (11, 22))
