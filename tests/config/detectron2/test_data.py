"""DATASETS and DATALOADER."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dettoolkit.config.detectron2 import Conversion
from dettoolkit.errors import ConfigError

RESIZE = {"NAME": "ResizeShortestEdge", "SIZES": [480, 512], "MAX_SIZE": 900}
SIZES = "INPUT.MIN_SIZE_TRAIN=(480,512) INPUT.MAX_SIZE_TRAIN=900"


@pytest.mark.parametrize(
    ("overrides", "transforms"),
    [
        (SIZES, [RESIZE, {"NAME": "RandomHorizontalFlip"}]),
        (f"{SIZES} INPUT.RANDOM_FLIP=vertical", [RESIZE, {"NAME": "RandomVerticalFlip"}]),
        (f"{SIZES} INPUT.RANDOM_FLIP=none", [RESIZE]),
        (
            "INPUT.MIN_SIZE_TRAIN=(480,484) INPUT.MIN_SIZE_TRAIN_SAMPLING=range INPUT.RANDOM_FLIP=none",
            [{"NAME": "ResizeShortestEdge", "SIZES": [480, 481, 482, 483, 484], "MAX_SIZE": 1333}],
        ),
        ("INPUT.MIN_SIZE_TRAIN=(0,)", [{"NAME": "RandomHorizontalFlip"}]),  # 0: as the image is
    ],
)
def test_training_transforms(convert: Callable[..., Conversion], overrides: str, transforms: list[Any]) -> None:
    done = convert(overrides)
    assert done.lost == []
    assert done.config["DATASETS"]["TRAIN_TRANSFORMS"] == transforms


@pytest.mark.parametrize(
    ("overrides", "transforms"),
    [
        (
            "INPUT.MIN_SIZE_TEST=600 INPUT.MAX_SIZE_TEST=1000",
            [{"NAME": "ResizeShortestEdge", "SIZES": [600], "MAX_SIZE": 1000}],
        ),
        ("INPUT.MIN_SIZE_TEST=0", []),
    ],
)
def test_transforms_before_inference(convert: Callable[..., Conversion], overrides: str, transforms: list[Any]) -> None:
    assert convert(overrides).config["DATASETS"]["TEST_TRANSFORMS"] == transforms


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ("INPUT.RANDOM_FLIP=both", "expected horizontal, vertical or none, got 'both'"),
        ("INPUT.MIN_SIZE_TRAIN_SAMPLING=any", "expected choice or range, got 'any'"),
        ("INPUT.MIN_SIZE_TRAIN=()", r"expected sizes in pixels, got \[\]"),
        ("INPUT.MIN_SIZE_TRAIN=(0,800)", r"expected sizes in pixels, got \[0, 800\]"),
        ("INPUT.MIN_SIZE_TRAIN_SAMPLING=range", "expected the smallest and the largest"),
        ("INPUT.MIN_SIZE_TRAIN=(1,1000000000) INPUT.MIN_SIZE_TRAIN_SAMPLING=range", "at most 10000"),
    ],
)
def test_sizes_and_flips_that_there_are_not(convert: Callable[..., Conversion], overrides: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        convert(overrides)


def test_names_of_cocos_years(convert: Callable[..., Conversion]) -> None:
    done = convert("DATASETS.TRAIN=('coco_2014_train','coco_2014_valminusminival') DATASETS.TEST=('coco_2014_minival',)")
    assert done.lost == []
    assert done.config["DATASETS"]["TRAIN"] == ["coco_2014_train", "coco_2014_valminusminival"]
    assert done.config["DATASETS"]["CATALOG"] == {
        f"coco_2014_{name}": {
            "NAME": "COCODataset",
            "ANNOTATIONS": f"coco/annotations/instances_{name}2014.json",
            "IMAGES": f"coco/{'train' if name == 'train' else 'val'}2014",
        }
        for name in ("train", "valminusminival", "minival")
    }


def test_names_that_were_registered_by_python(convert: Callable[..., Conversion]) -> None:
    done = convert("DATASETS.TRAIN=('coco_2017_train','mine')")
    assert [str(finding) for finding in done.lost] == [
        "DATASETS.TRAIN (override DATASETS.TRAIN): mine: registered by Python, or no boxes to be had. "
        "Give it an entry in DATASETS.CATALOG"
    ]
    assert done.config["DATASETS"]["TRAIN"] == ["coco_2017_train", "mine"]
    assert list(done.config["DATASETS"]["CATALOG"]) == ["coco_2017_train", "coco_2017_val"]


def test_the_loader(convert: Callable[..., Conversion]) -> None:
    done = convert("DATALOADER.NUM_WORKERS=0 DATALOADER.ASPECT_RATIO_GROUPING=False DATALOADER.FILTER_EMPTY_ANNOTATIONS=False")
    assert done.config["DATALOADER"] == {
        "NUM_WORKERS": 0,
        "SAMPLER": {"NAME": "TrainingSampler", "ASPECT_GROUPING": False},
    }
    assert "EMPTY_IMAGES" not in done.config["DATASETS"]  # kept, as by default


def test_images_of_rare_classes_are_repeated_alike(convert: Callable[..., Conversion]) -> None:
    done = convert("DATALOADER.SAMPLER_TRAIN=RepeatFactorTrainingSampler DATALOADER.REPEAT_THRESHOLD=0.005")
    assert (done.lost, done.ignored) == ([], [])
    assert done.config["DATALOADER"]["SAMPLER"] == {"NAME": "RepeatFactorSampler", "THRESHOLD": 0.005}


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ("INPUT.CROP.ENABLED=True INPUT.CROP.SIZE=[0.5,0.5]", "INPUT.CROP.ENABLED"),
        ("DATALOADER.SAMPLER_TRAIN=RandomSubsetTrainingSampler", "DATALOADER.SAMPLER_TRAIN"),
        ("DATALOADER.SAMPLER_TRAIN=RepeatFactorTrainingSampler DATALOADER.REPEAT_THRESHOLD=0.0", "DATALOADER.SAMPLER_TRAIN"),
        (
            "DATALOADER.SAMPLER_TRAIN=RepeatFactorTrainingSampler DATALOADER.REPEAT_THRESHOLD=0.3 DATALOADER.REPEAT_SQRT=False",
            "DATALOADER.SAMPLER_TRAIN",
        ),
    ],
)
def test_what_has_no_equivalent_is_told_once(convert: Callable[..., Conversion], overrides: str, key: str) -> None:
    done = convert(overrides)
    assert [finding.key for finding in done.lost] == [key]
    assert done.ignored == []
