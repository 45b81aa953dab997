"""What a config declares of its images holds for every file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.tv_tensors import Image as Image_

from dettoolkit.config import load_config
from dettoolkit.data import build_dataset
from dettoolkit.data.catalog import JoinedDataset
from dettoolkit.data.image_form import ImageForm, as_shown, check_transforms, image_form
from dettoolkit.data.loader import build_train_loader
from dettoolkit.errors import ConfigError, DataError

DEEP = np.array([[0, 1000, 2000], [3000, 4000, 5000]], np.uint16)


def test_a_range_becomes_0_to_255_and_what_lies_outside_the_nearer_end(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", DEEP)

    pixels = ImageForm(1, (1000, 4000)).read(tmp_path / "a.npy")

    # (v - 1000) * 255 / 3000
    assert pixels.tolist() == [[[0, 0, 85], [170, 255, 255]]]
    assert pixels.dtype == torch.float32


def test_negative_and_fractional_values_have_a_range_too(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[-1.0, 0.0, 1.0]]))

    assert ImageForm(1, (-1, 1)).read(tmp_path / "a.npy").tolist() == [[[0, 127.5, 255]]]


def test_8_bits_need_no_range_and_stay_as_they_are(tmp_path: Path) -> None:
    array = np.arange(40, dtype=np.uint8).reshape(2, 4, 5)
    np.save(tmp_path / "a.npy", array.transpose(1, 2, 0))

    pixels = ImageForm(2).read(tmp_path / "a.npy")
    assert (pixels.tolist(), pixels.dtype) == (array.tolist(), torch.uint8)


def test_gray_serves_for_three_channels_and_transparency_is_dropped(tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "gray.png")
    colour = Image.new("RGBA", (3, 2), (10, 20, 30, 40))
    colour.save(tmp_path / "colour.png")

    assert ImageForm(3, (0, 5000)).read(tmp_path / "gray.png").tolist() == [[[0, 51, 102], [153, 204, 255]]] * 3
    assert ImageForm(3, (0, 255)).read(tmp_path / "colour.png")[:, 0, 0].tolist() == [10, 20, 30]
    assert ImageForm(4).read(tmp_path / "colour.png")[:, 0, 0].tolist() == [10, 20, 30, 40]


def test_the_default_is_what_people_see(tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "gray.png")

    assert ImageForm().is_rgb
    assert ImageForm().read(tmp_path / "gray.png").tolist() == [[[0, 3, 7], [11, 15, 19]]] * 3  # over 256


@pytest.mark.parametrize(
    ("form", "array", "message"),
    [
        (
            ImageForm(5, (0, 9)),
            np.zeros((4, 6, 3), np.uint16),
            r"expected 5 channel\(s\), as many as MODEL\.INPUT\.PIXEL_MEAN .* has 3",
        ),
        (ImageForm(1), np.zeros((4, 6, 3), np.uint8), r"expected 1 channel\(s\), .* the file has 3"),
        (ImageForm(1), DEEP, r"its values are uint16: say what they span by DATASETS\.PIXEL_RANGE, \[0, 65535\]"),
        (ImageForm(3), np.zeros((4, 6, 3), np.uint8), r"got an array"),
        (ImageForm(1, (0, 4095)), np.zeros((4, 6), np.uint8), r"8 bits, which do not reach DATASETS\.PIXEL_RANGE \[0, 4095\]"),
        (ImageForm(1, (0, 1)), np.full((4, 6), np.nan), r"it has values that are not finite"),
    ],
)
def test_a_file_that_is_not_as_declared_is_named(tmp_path: Path, form: ImageForm, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)

    with pytest.raises(DataError, match=rf"a\.npy: .*{message}") as caught:
        form.read(tmp_path / "a.npy")
    assert str(caught.value).count("a.npy") == 1


def config(tmp_path: Path, *overrides: str) -> Any:
    (tmp_path / "my.yaml").write_text("DATASETS: {CATALOG: {shapes: {NAME: ShapesDataset, SPLIT: val, NUM_IMAGES: 1}}}\n")
    return load_config(tmp_path / "my.yaml", overrides)


def test_the_form_is_that_of_the_config(tmp_path: Path) -> None:
    assert image_form(config(tmp_path)) == ImageForm()
    five = ("MODEL.INPUT.PIXEL_MEAN", "[1, 1, 1, 1, 1]", "MODEL.INPUT.PIXEL_STD", "[1, 1, 1, 1, 1]")
    assert image_form(config(tmp_path, *five, "DATASETS.PIXEL_RANGE", "[0, 4095]")) == ImageForm(5, (0, 4095))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("4095", r"DATASETS\.PIXEL_RANGE .*: expected \[lowest, highest\] or null, got 4095"),
        ("[0, 1, 2]", r"DATASETS\.PIXEL_RANGE .*: expected \[lowest, highest\] or null"),
        ("[5, 5]", r"DATASETS\.PIXEL_RANGE: expected \[lowest, highest\], got \[5(\.0)?, 5(\.0)?\]"),
    ],
)
def test_a_wrong_range_is_refused(tmp_path: Path, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_dataset(config(tmp_path, "DATASETS.PIXEL_RANGE", value), "shapes")


def test_a_drawn_picture_of_other_channels_than_declared_is_refused(tmp_path: Path) -> None:
    cfg = config(tmp_path, "MODEL.INPUT.PIXEL_MEAN", "[1]", "MODEL.INPUT.PIXEL_STD", "[1]")

    with pytest.raises(DataError, match=r"shapes_val_000000\.png: expected 1 channel\(s\), .*the data set gives 3"):
        build_dataset(cfg, "shapes")[0]


def test_pictures_for_people_have_three_channels_of_8_bits() -> None:
    five = torch.arange(5.0).view(5, 1, 1) * 100.4
    assert as_shown(five).tolist() == [[[0]], [[100]], [[201]]]
    assert as_shown(five[1:3]).tolist() == [[[100]]] * 3
    assert as_shown(five[4:]).tolist() == [[[255]]] * 3  # 401.6 is cut off
    rgb = torch.zeros(3, 2, 2, dtype=torch.uint8)
    assert as_shown(rgb).dtype == torch.uint8


@pytest.mark.parametrize(
    ("node", "path"),
    [
        ({"NAME": "ColorJitter", "BRIGHTNESS": 0.2}, r"DATASETS\.TRAIN_TRANSFORMS\.1: ColorJitter takes"),
        (
            {"NAME": "RandomApply", "TRANSFORMS": [{"NAME": "RandomInvert"}]},
            r"TRAIN_TRANSFORMS\.1\.TRANSFORMS\.0: RandomInvert",
        ),
        ({"NAME": "GaussianNoise"}, r"GaussianNoise takes floating-point pixels to be in 0\.\.1"),
        ({"NAME": "RandAugment"}, r"RandAugment takes"),
    ],
)
def test_transforms_that_take_floats_for_0_to_1_are_refused(tmp_path: Path, node: dict[str, Any], path: str) -> None:
    data = build_dataset(config(tmp_path, "DATASETS.PIXEL_RANGE", "[0, 4095]"), "shapes")
    nodes = [{"NAME": "RandomHorizontalFlip"}, node]

    with pytest.raises(ConfigError, match=path):
        build_train_loader(data, nodes, global_batch_size=1, seed=0)
    with pytest.raises(ConfigError, match=path):
        build_train_loader(JoinedDataset([data, data]), nodes, global_batch_size=1, seed=0)
    build_train_loader(data, nodes[:1], global_batch_size=1, seed=0)
    check_transforms(ImageForm(), nodes, "")  # pixels of 8 bits are what they are made for


def test_torchvision_s_colour_transforms_would_cut_off_above_1() -> None:
    # the property that the refusal rests on
    pixels = torch.full((3, 4, 4), 200.0)
    assert v2.ColorJitter(brightness=(1.1, 1.1))(Image_(pixels)).max() == 1.0
