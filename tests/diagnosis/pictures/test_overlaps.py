from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from dettoolkit.data.image_io import read_image
from dettoolkit.diagnosis.pictures import PictureName, SmallGray, overlapping_pictures, small_gray
from dettoolkit.diagnosis.pictures.shifted import ShiftSearch, correlation_near

HEIGHT, WIDTH = 240, 320


def _name(image_id: int, dataset: str = "set") -> PictureName:
    return PictureName(dataset, image_id)


@pytest.fixture(scope="module")
def crops(scene) -> dict[PictureName, SmallGray]:
    """Two windows of a large scene among five other scenes, then a third window that shows little of the first two."""
    large = scene(0, 600, 800)
    windows = [large[:, 100:340, 200:520], large[:, 160:400, 120:440], large[:, 0:240, 400:720]]
    images = [windows[0], *(scene(seed, HEIGHT, WIDTH) for seed in range(1, 6)), windows[1], windows[2]]
    return {_name(index, "train" if index < 3 else "val"): small_gray(image) for index, image in enumerate(images)}


def test_shifted_crops_of_a_scene_are_found_with_their_shift_and_share(crops) -> None:
    (overlap,) = overlapping_pictures(crops)
    assert (overlap.first, overlap.second) == (_name(0, "train"), _name(6, "val"))
    # worked by hand: the second window begins 80 pixels further left and 60 further down
    assert overlap.shift == pytest.approx((-80, 60), abs=2)
    assert overlap.share == pytest.approx((240 / 320) * (180 / 240), abs=0.02)
    assert overlap.score > 0.9


def test_less_overlap_is_found_where_it_is_asked_for(crops) -> None:
    # the third window shows 120 x 140 pixels of the first: 22 %; 40 x 80 of the second: 4 %
    found = {
        (overlap.first.image_id, overlap.second.image_id): overlap for overlap in overlapping_pictures(crops, min_share=0.2)
    }
    assert set(found) == {(0, 6), (0, 7)}
    assert found[0, 7].shift == pytest.approx((200, -100), abs=2)
    assert found[0, 7].share == pytest.approx(120 * 140 / (240 * 320), abs=0.02)


def test_pictures_of_one_data_set_are_left_out_where_that_is_asked_for(crops) -> None:
    assert len(overlapping_pictures(crops, across_datasets_only=True)) == 1
    together = {PictureName("one", name.image_id): picture for name, picture in crops.items()}
    assert overlapping_pictures(together, across_datasets_only=True) == []
    assert len(overlapping_pictures(together)) == 1


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, crops) -> None:
    expected = overlapping_pictures(crops)
    monkeypatch.setattr("dettoolkit.diagnosis.pictures.overlaps._BLOCK", 3)
    calls: list[tuple[int, int]] = []
    assert overlapping_pictures(crops, progress=lambda done, total: calls.append((done, total))) == expected
    assert calls[-1] == (28, 28)  # 8 pictures have 28 pairs
    calls.clear()
    overlapping_pictures(crops, across_datasets_only=True, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (15, 15)  # 3 pictures and 5


def test_only_pictures_of_one_size_are_compared(crops) -> None:
    other = SmallGray(crops[_name(6, "val")].levels, (HEIGHT * 2, WIDTH * 2))
    assert overlapping_pictures({**crops, _name(6, "val"): other}) == []


def test_the_shift_is_in_pixels_of_the_original(crops) -> None:
    larger = {name: SmallGray(picture.levels, (HEIGHT * 3, WIDTH * 3)) for name, picture in crops.items()}
    assert overlapping_pictures(larger)[0].shift == pytest.approx((-240, 180), abs=6)


@pytest.mark.parametrize("kind", ["round field of view", "time stamp", "nothing", "noise", "gradient"])
def test_what_all_pictures_of_a_camera_share_is_no_scene(scene, kind: str) -> None:
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:120, :160]
    pictures = []
    for seed in range(8):
        levels = small_gray(scene(seed, 480, 640)).levels.copy()
        if kind == "round field of view":
            levels[(y - 60) ** 2 + (x - 80) ** 2 > 58**2] = 0
        elif kind == "time stamp":
            levels[:12] = np.where((x[:12] // 3 + y[:12] // 4) % 2 == 0, 255, 0)
        elif kind == "noise":
            levels = (128 + generator.normal(0, 1, levels.shape)).astype(np.uint8)
        elif kind == "gradient":
            levels = (x + y * 0.3 + seed).astype(np.uint8)
        else:
            levels[:] = 128
        pictures.append(SmallGray(levels, (480, 640)))
    assert overlapping_pictures({_name(index): picture for index, picture in enumerate(pictures)}) == []


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"min_share must be above 0 and at most 1, got "):
        overlapping_pictures({}, min_share=share)


def test_correlations_at_all_shifts_are_those_of_the_overlaps() -> None:
    generator = np.random.default_rng(0)
    levels = [generator.integers(0, 256, (12, 16)).astype(np.uint8) for _ in range(2)]
    search = ShiftSearch(levels, 0.3)
    (first, second) = torch.fft.irfft2(search.spectra, s=search.grid)[:, :12, :16].double().numpy()
    mean, scale = (moment[0] for moment in search.as_first)
    other_mean, other_scale = (moment[1] for moment in search.as_second)
    product = torch.fft.irfft2(search.spectra[0] * search.spectra[1].conj(), s=search.grid)
    correlation = ((product - mean * other_mean) * scale * other_scale).numpy()
    for dx, dy in [(0, 0), (3, -2), (-7, 1), (5, 4)]:
        a = first[max(dy, 0) : 12 + min(dy, 0), max(dx, 0) : 16 + min(dx, 0)]
        b = second[max(-dy, 0) : 12 + min(-dy, 0), max(-dx, 0) : 16 + min(-dx, 0)]
        assert correlation[dy, dx] == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-4)


def test_a_shift_near_a_coarse_one_is_exact(scene) -> None:
    large = small_gray(scene(0, 160, 160)).levels  # kept as it is: 160 pixels
    first, second = large[10:110, 20:140], large[30:130, 15:135]
    score, shift = correlation_near(first, second, (-4 / 120, 21 / 100), 0.25)
    assert shift == (-5, 20)
    assert score > 0.9  # not 1: what is beyond the border counts in the blur


@pytest.mark.slow
def test_bccd(real_data: Path) -> None:
    """The pairs that its readers found by correlating all pictures at all shifts, nearly all overlapping by 30 % or more."""
    dataset_of = {
        image["file_name"]: split
        for split in ("train", "val", "test")
        for image in json.loads((real_data / f"bccd/annotations/bccd_{split}.json").read_text())["images"]
    }
    pictures = {
        PictureName(dataset_of[file.name], file.stem[-5:]): small_gray(read_image(file))
        for file in sorted((real_data / "bccd/images").glob("*.jpg"))
    }
    found = overlapping_pictures(pictures, across_datasets_only=True)
    account = (real_data / "bccd/README.md").read_text(encoding="utf-8").split("leaks")[1]
    expected = {frozenset(pair) for pair in re.findall(r"(\d{5})-(\d{5})", account)}
    assert len(expected) == 19
    pairs = {frozenset(str(name.image_id) for name in (overlap.first, overlap.second)) for overlap in found}
    # 00040 and 00041 share 27 %, seen by eye: the white cell, and the red ones around it
    assert pairs == expected | {frozenset(("00040", "00041"))}
