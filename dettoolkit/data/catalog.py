"""The catalog: which data set a name in ``DATASETS.TRAIN`` or ``DATASETS.TEST`` stands for."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.paths import AbsentError
from dettoolkit.data.image_form import image_form
from dettoolkit.data.mixing import mix, shares, weights_of_images
from dettoolkit.errors import ConfigError, DataError, did_you_mean, listed
from dettoolkit.registry import DATASETS
from dettoolkit.structures import DatasetInfo, Sample

ROOT_VARIABLE = "DETTOOLKIT_DATA"

_registered: dict[str, dict[str, Any]] = {}


class JoinedDataset(DetectionDataset):
    """Several data sets of the same classes, one after another.

    Args:
        parts: at least one; name, category ids and form of the images are those of the first.

    Raises:
        DataError: their classes differ.
    """

    def __init__(self, parts: Sequence[DetectionDataset]) -> None:
        for part in parts[1:]:
            check_same_classes(parts[0].info, part.info)
        self.parts = list(parts)
        self.form = self.parts[0].form
        super().__init__(parts[0].info, chain.from_iterable(part.records for part in parts))

    def __getitem__(self, index: int) -> Sample:
        """Return the sample at ``index``, counted through all parts."""
        part, index_in_part = self._located(index)
        return part[index_in_part]

    def read_image(self, image_id: int | str) -> Tensor:
        """Return the image with that id, of the first part that has one: ids may repeat between the parts."""
        part, _ = self._located(self.index_of(image_id))
        return part.read_image(image_id)

    def _located(self, index: int) -> tuple[DetectionDataset, int]:
        index = range(len(self))[index]  # negative indices, and IndexError past the end
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise AssertionError("the parts are as long as all records together")


def register_dataset(name: str, node: Mapping[str, Any], overwrite: bool = False) -> None:
    """Give a data set a name from Python, where ``DATASETS.CATALOG`` has none.

    Args:
        name: what ``DATASETS.TRAIN`` and ``DATASETS.TEST`` call it.
        node: as in the YAML, e.g. ``{"NAME": "COCODataset", "ANNOTATIONS": "train.json", "IMAGES": "images"}``.
        overwrite: whether a different data set of that name is replaced.

    Raises:
        ConfigError: the name stands for a different data set; the message has the difference. The same once more is allowed.
    """
    present = _registered.get(name)
    if present is not None and present != dict(node) and not overwrite:
        rows = [
            f"  {key}: {present.get(key, '(not set)')!r} is registered, {node.get(key, '(not set)')!r} came"
            for key in {**present, **node}
            if present.get(key) != node.get(key)
        ]
        raise ConfigError(
            f"the data set {name!r} is registered and differs:\n"
            + "\n".join(rows)
            + "\nTake another name, or pass overwrite=True."
        )
    _registered[name] = copy.deepcopy(dict(node))


def build_dataset(cfg: Any, name: str) -> DetectionDataset:
    """Build the data set that a name stands for in ``DATASETS.CATALOG`` or, failing that, from :func:`register_dataset`.

    ``DATASETS.EMPTY_IMAGES`` holds for training: a set that is not in ``DATASETS.TRAIN`` keeps its empty images, since
    leaving them out would hide what is wrongly found there.

    Args:
        cfg: the config of the run.
        name: the name of the data set.

    Raises:
        ConfigError: no data set has that name, or its node does not fit its class.
        DataError: its files are missing or broken.
    """
    section = cfg.DATASETS
    node, path = section.CATALOG.get(name), f"DATASETS.CATALOG.{name}"
    if node is None:
        node, path = _registered.get(name), f"the registered data set {name}"
    if node is None:
        names = [*section.CATALOG, *_registered]
        raise ConfigError(f"DATASETS: no data set {name!r}.{did_you_mean(name, names)} DATASETS.CATALOG has: {listed(names)}.")
    root = os.environ.get(ROOT_VARIABLE, "data") if section.ROOT is None else section.ROOT
    empty_images = section.EMPTY_IMAGES if name in section.TRAIN else "keep"
    wired = {"name": name, "root": str(Path(root).expanduser()), "on_bad": section.ON_BAD, "empty_images": empty_images}
    try:
        dataset = DATASETS.build(node, path, **wired)
    except ConfigError as error:
        if isinstance(error.__cause__, DataError):  # the files are at fault, not the config
            where = _origin_of_root(section.ROOT, root) if isinstance(error.__cause__, AbsentError) else ""
            raise DataError(f"{path}: {error.__cause__}{where}") from error.__cause__
        raise
    dataset.form = image_form(cfg)
    return dataset


def _origin_of_root(from_config: str | None, root: str) -> str:
    """Return where the folder that paths are relative to comes from, as a sentence."""
    if from_config is not None:
        return f" DATASETS.ROOT is {root!r}."
    if ROOT_VARIABLE in os.environ:
        return f" That is {root!r}, from the environment variable {ROOT_VARIABLE}."
    return f" That is {root!r}, the default: the config does not set it, nor does the environment variable {ROOT_VARIABLE}."


def build_train_dataset(cfg: Any) -> DetectionDataset:
    """Build the data sets of ``DATASETS.TRAIN``, joined if they are several, with the shares and weights of ``DATASETS.MIX``.

    Raises:
        ConfigError: ``DATASETS.TRAIN`` is empty, or ``DATASETS.MIX`` names a set that is not in it; see also
            :func:`build_dataset`.
        DataError: the classes of the sets differ; see also :func:`build_dataset`.
    """
    if not cfg.DATASETS.TRAIN:
        raise ConfigError("DATASETS.TRAIN: expected the names of the data sets to train on, got an empty list")
    taken = shares(cfg.DATASETS)
    parts = [build_dataset(cfg, name) for name in cfg.DATASETS.TRAIN]
    weights = mix(parts, taken)
    dataset = parts[0] if len(parts) == 1 else JoinedDataset(parts)
    dataset.image_weights = None if weights is None else weights_of_images(parts, weights)
    return dataset


def check_same_classes(train: DatasetInfo, test: DatasetInfo) -> None:
    """Compare the classes of two data sets by name: label k must mean the same in both.

    Raises:
        DataError: a class is missing or unknown, or their order differs.
    """
    if train.class_names == test.class_names:
        return
    here = f"{train.name} has the classes {listed(train.class_names)}; {test.name} has {listed(test.class_names)}."
    unknown = [name for name in test.class_names if name not in train.class_names]
    missing = [name for name in train.class_names if name not in test.class_names]
    if not unknown and not missing:
        raise DataError(f"{here} They are the same in another order: give both the same order by CLASSES.")
    if len(unknown) == len(test.class_names):
        raise DataError(f"{here} They share none.")
    rows = [f"Only {test.name} has {name!r}.{did_you_mean(name, missing)}" for name in unknown]
    rows += [f"Only {train.name} has {name!r}." for name in missing]
    raise DataError(f"{here} {' '.join(rows)}")
