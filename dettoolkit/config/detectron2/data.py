"""DATASETS and DATALOADER."""

from __future__ import annotations

from typing import Any

from dettoolkit.config.detectron2.settings import Settings

# names that Detectron2 gives (detectron2/data/datasets/builtin.py) -> annotations, images; under its ./datasets
_COCO = {
    f"coco_{year}_{split}": (f"coco/annotations/instances_{name}{year}{more}.json", f"coco/{images}{year}")
    for year, split, name, more, images in (
        (2014, "train", "train", "", "train"),
        (2014, "val", "val", "", "val"),
        (2014, "minival", "minival", "", "val"),
        (2014, "valminusminival", "valminusminival", "", "val"),
        (2017, "train", "train", "", "train"),
        (2017, "val", "val", "", "val"),
        (2017, "val_100", "val", "_100", "val"),
    )
}
_LARGEST = 10_000  # pixels
_FLIPS = {"horizontal": "RandomHorizontalFlip", "vertical": "RandomVerticalFlip"}


def datasets_node(settings: Settings) -> dict[str, Any]:
    """Return ``DATASETS``."""
    names = {key: settings[f"DATASETS.{key}"] for key in ("TRAIN", "TEST")}
    for key, of_key in names.items():
        unknown = [name for name in of_key if name not in _COCO]
        if unknown:
            why = f"{', '.join(unknown)}: registered by Python, or no boxes to be had. Give it an entry in DATASETS.CATALOG"
            settings.lose(f"DATASETS.{key}", why)
    drops_empty = settings["DATALOADER.FILTER_EMPTY_ANNOTATIONS"]
    return {
        "CATALOG": {
            name: {"NAME": "COCODataset", "ANNOTATIONS": _COCO[name][0], "IMAGES": _COCO[name][1]}
            for name in dict.fromkeys([*names["TRAIN"], *names["TEST"]])
            if name in _COCO
        },
        **names,
        "TRAIN_TRANSFORMS": _train_transforms(settings),
        "TEST_TRANSFORMS": _resize([settings["INPUT.MIN_SIZE_TEST"]], settings["INPUT.MAX_SIZE_TEST"]),
        "EMPTY_IMAGES": "drop" if drops_empty else "keep",
    }


def dataloader_node(settings: Settings) -> dict[str, Any]:
    """Return ``DATALOADER``."""
    grouping = settings["DATALOADER.ASPECT_RATIO_GROUPING"]
    return {
        "NUM_WORKERS": settings["DATALOADER.NUM_WORKERS"],
        "SAMPLER": {**_sampler(settings), "ASPECT_GROUPING": grouping},
    }


def _sampler(settings: Settings) -> dict[str, Any]:
    sampler = settings["DATALOADER.SAMPLER_TRAIN"]
    if sampler == "TrainingSampler":
        return {"NAME": "TrainingSampler"}
    repeats = sampler == "RepeatFactorTrainingSampler"
    if repeats and settings["DATALOADER.REPEAT_SQRT"] and 0 < settings["DATALOADER.REPEAT_THRESHOLD"] <= 1:
        return {"NAME": "RepeatFactorSampler", "THRESHOLD": settings["DATALOADER.REPEAT_THRESHOLD"]}
    why = "with this REPEAT_THRESHOLD, or without REPEAT_SQRT, " if repeats else ""
    further = ("DATALOADER.REPEAT_THRESHOLD", "DATALOADER.REPEAT_SQRT")
    settings.lose(
        "DATALOADER.SAMPLER_TRAIN", f"{sampler} {why}is not converted: each image is shown once an epoch here", further
    )
    return {"NAME": "TrainingSampler"}


def _train_transforms(settings: Settings) -> list[dict[str, Any]]:
    if settings["INPUT.CROP.ENABLED"]:
        kind = settings["INPUT.CROP.TYPE"]
        settings.lose("INPUT.CROP.ENABLED", f"there is no crop of {kind} here", ["INPUT.CROP.SIZE"])
    flip = settings["INPUT.RANDOM_FLIP"]
    if flip not in (*_FLIPS, "none"):
        raise settings.refuse("INPUT.RANDOM_FLIP", f"expected horizontal, vertical or none, got {flip!r}")
    resized = _resize(_train_sizes(settings), settings["INPUT.MAX_SIZE_TRAIN"])
    return [*resized, {"NAME": _FLIPS[flip]}] if flip in _FLIPS else resized


def _train_sizes(settings: Settings) -> list[int]:
    sizes, sampling = settings["INPUT.MIN_SIZE_TRAIN"], settings["INPUT.MIN_SIZE_TRAIN_SAMPLING"]
    if sampling not in ("choice", "range"):
        raise settings.refuse("INPUT.MIN_SIZE_TRAIN_SAMPLING", f"expected choice or range, got {sampling!r}")
    if sampling == "choice" and (sizes == [0] or min(sizes, default=0) >= 1):
        return list(sizes)
    if sampling == "range" and len(sizes) == 2 and 1 <= sizes[0] <= sizes[1] <= _LARGEST:
        return list(range(sizes[0], sizes[1] + 1))  # Detectron2 draws whole pixels, both ends included
    wanted = f"the smallest and the largest, at most {_LARGEST}," if sampling == "range" else "sizes"
    raise settings.refuse("INPUT.MIN_SIZE_TRAIN", f"expected {wanted} in pixels, got {sizes}")


def _resize(sizes: list[int], max_size: int) -> list[dict[str, Any]]:
    """Return the resizing, or nothing: a size of 0 leaves images as they are in Detectron2."""
    return [{"NAME": "ResizeShortestEdge", "SIZES": sizes, "MAX_SIZE": max_size}] if sizes != [0] else []
