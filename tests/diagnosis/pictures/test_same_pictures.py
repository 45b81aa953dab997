from __future__ import annotations

import pickle
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from dettoolkit.data.image_io import read_image
from dettoolkit.diagnosis.pictures import Fingerprint, PictureName, fingerprint, same_pictures
from dettoolkit.diagnosis.pictures.gray import gray_levels


def _name(image_id: int, dataset: str = "set") -> PictureName:
    return PictureName(dataset, image_id)


def _same(*images: Tensor) -> list[tuple[tuple[int | str, ...], bool]]:
    groups = same_pictures({_name(index): fingerprint(image) for index, image in enumerate(images)})
    return [(tuple(name.image_id for name in group.pictures), group.identical) for group in groups]


def _compressed(image: Tensor, quality: int) -> Tensor:
    _, data = cv2.imencode(".jpg", image.permute(1, 2, 0).numpy(), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return torch.from_numpy(cv2.imdecode(data, cv2.IMREAD_UNCHANGED)).permute(2, 0, 1)


def test_a_fingerprint_is_small_and_plain_data(scene) -> None:
    one = fingerprint(scene(0, 240, 320))
    assert pickle.loads(pickle.dumps(one)) == one == fingerprint(scene(0, 240, 320).clone())
    assert len(pickle.dumps(one)) < 4000
    assert one != fingerprint(scene(1, 240, 320))


def test_the_hash_is_the_sign_of_the_lowest_frequencies_of_the_cosine_transform(scene) -> None:
    gray = gray_levels(scene(0, 32, 32)).astype(np.float64)  # 32 x 32 is hashed as it is
    place = np.arange(32)
    basis = np.cos(np.pi * np.outer(np.arange(8), 2 * place + 1) / 64) * np.where(np.arange(8) == 0, 1, np.sqrt(2))[:, None]
    coefficients = (basis @ gray @ basis.T).ravel()
    expected = "".join("1" if value > np.median(coefficients[1:]) else "0" for value in coefficients)
    assert f"{fingerprint(scene(0, 32, 32)).bits:064b}" == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda image: _compressed(image, 40),
        lambda image: functional.resize(image, [150, 200], antialias=True),
        lambda image: _compressed(functional.resize(image, [416, 416], antialias=True), 85),
        lambda image: (image.float() * 1.1 + 5).clamp(0, 255).byte(),
        lambda image: (image.float() * 0.8).byte(),
    ],
    ids=["compressed", "smaller", "squeezed into a square", "lighter", "darker"],
)
def test_a_copy_is_found_among_look_alikes(scene, change) -> None:
    images = [scene(seed, 480, 640) for seed in range(6)]
    assert _same(*images, change(images[3])) == [((3, 6), False)]


def test_pictures_that_hashes_take_for_the_same_are_told_apart(scene) -> None:
    image = scene(0, 480, 640)
    moved = image.roll(12, dims=2)  # a field moved by little: the hash agrees in nearly all bits
    differing = (fingerprint(image).bits ^ fingerprint(moved).bits).bit_count()
    assert differing <= 10
    assert _same(image, moved) == []


@pytest.mark.parametrize("count", [1, 6])
def test_pictures_of_a_fixed_camera_are_told_apart_by_what_moved_and_their_copies_are_found(scene, count: int) -> None:
    empty = scene(0, 480, 640)
    moments = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        moment = (empty + torch.from_numpy(generator.normal(0, 2, empty.shape))).clip(0, 255).byte()
        for x, y in generator.integers(0, (620, 465), (count, 2)).tolist():
            moment[:, y : y + 14, x : x + 19] = 40  # a car far away: 3 % of the width
        moments.append(moment)
    assert _same(empty, *moments) == []
    assert _same(empty, *moments, _compressed(moments[2], 15)) == [((3, 5), False)]


def test_the_same_pixels_are_told_from_copies_and_a_group_of_copies_names_all(scene) -> None:
    image = scene(0, 240, 320)
    assert _same(image, scene(1, 240, 320), _compressed(image, 60), image.clone()) == [((0, 3), True), ((0, 2, 3), False)]


def test_pixels_of_another_shape_are_not_identical() -> None:
    pixels = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    assert fingerprint(pixels).digest != fingerprint(pixels.reshape(3, 30, 20)).digest


def test_pictures_without_details_are_the_same_only_where_all_pixels_are() -> None:
    black, gray = torch.zeros(3, 90, 90, dtype=torch.uint8), torch.full((3, 90, 90), 128, dtype=torch.uint8)
    noise = gray + torch.randint(0, 2, gray.shape, dtype=torch.uint8)
    assert _same(black, gray, noise, black.clone()) == [((0, 3), True)]


def test_groups_grow_across_blocks(monkeypatch: pytest.MonkeyPatch, scene) -> None:
    image = scene(0, 240, 320)
    images = [scene(seed, 240, 320) if seed % 2 else _compressed(image, 95 - seed) for seed in range(12)]
    expected = _same(*images)
    assert expected == [((0, 2, 4, 6, 8, 10), False)]
    monkeypatch.setattr(
        sys.modules["dettoolkit.diagnosis.pictures.same_pictures"], "_BLOCK", 3
    )  # the function hides the module
    assert _same(*images) == expected


def test_the_similarity_is_the_lowest_of_the_group(scene) -> None:
    image = scene(0, 240, 320)
    prints = {_name(index): fingerprint(_compressed(image, quality)) for index, quality in enumerate((100, 20))}
    (group,) = same_pictures(prints, min_similarity=0.5)
    assert group.similarity < 1
    assert same_pictures(prints, min_similarity=group.similarity) == [group]
    assert same_pictures(prints, min_similarity=np.nextafter(group.similarity, 2)) == []


def test_nothing_and_one_picture_have_no_pairs(scene) -> None:
    assert same_pictures({}) == []
    assert _same(scene(0, 99, 99)) == []


def test_many_pictures_are_compared_in_a_moment() -> None:
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**63, 6_000)
    prints = {
        _name(index): Fingerprint(index.to_bytes(16, "big"), int(value), generator.bytes(48 * 48))
        for index, value in enumerate(bits)
    }
    prints[_name(6_000)] = Fingerprint(b"another", prints[_name(7)].bits ^ 0b1001, prints[_name(7)].thumbnail)
    (group,) = same_pictures(prints)
    assert group.pictures == (_name(7), _name(6_000))


def test_channels_other_than_three_count_alike_and_deep_ones_are_stretched() -> None:
    ramp = torch.arange(1000, dtype=torch.int32).reshape(1, 20, 50)
    # the middle 99.8 % of 0..999 are 0.999..998.001
    expected = ((np.arange(1000) - 0.999) * 255 / 997.002).round().clip(0, 255).reshape(20, 50)
    for deep in ((ramp * 4).to(torch.uint16), ramp / 1e6):  # 12 bits of 16; a file of floating-point numbers
        np.testing.assert_allclose(gray_levels(deep).astype(int), expected, atol=1)
    four = torch.stack([torch.full((5, 5), level) for level in (0, 10, 20, 50)]).to(torch.uint8)
    assert (gray_levels(four) == 20).all()


def test_rgb_is_weighted_as_opencv_does() -> None:
    image = torch.randint(0, 256, (3, 7, 9), dtype=torch.uint8)
    expected = (image.permute(1, 2, 0).numpy() @ np.array([0.299, 0.587, 0.114])).round()
    assert np.abs(gray_levels(image) - expected).max() <= 1


@pytest.mark.parametrize("shape", [(30, 40), (3, 0, 40), (1, 3, 30, 40)])
def test_what_is_no_image_is_refused(shape) -> None:
    with pytest.raises(ValueError, match=r"an image must be \[C, H, W\] and not empty, got \("):
        fingerprint(torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.slow
def test_txl_pbc_and_bccd_share_221_pictures(real_data: Path) -> None:
    files = [*sorted((real_data / "bccd/images").glob("*.jpg")), *sorted((real_data / "txl_pbc/images").glob("*/*.jpg"))]
    prints = {PictureName(file.parts[-3], str(file)): fingerprint(read_image(file)) for file in files}
    groups = same_pictures(prints)
    by_bytes: dict[bytes, list[str]] = {}
    for file in files:
        by_bytes.setdefault(file.read_bytes(), []).append(str(file))
    expected = {frozenset(names) for names in by_bytes.values() if len(names) > 1}
    assert len(expected) == 221  # the data set's own account
    assert {frozenset(name.image_id for name in group.pictures) for group in groups if group.identical} == expected
    # the others are BCCD's pictures, 640 x 480, squeezed into squares of 416 x 416
    for group in groups:
        if not group.identical:
            small = [cv2.imread(str(name.image_id)).shape[:2] for name in group.pictures]
            assert set(small) == {(480, 640), (416, 416)}
