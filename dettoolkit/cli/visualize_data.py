"""Draw samples with their annotations as the model gets them: after all transforms, in the order of the training.

python tools/visualize_data.py --config-file configs/quick_start.yaml --num-images 32
python tools/visualize_data.py --config-file my.yaml --split test --output test_samples
python tools/visualize_data.py --config-file my.yaml --epoch 11     # after strong transforms have closed, say

One picture a sample (without the padding of its batch) and contact_sheet.jpg. The same config and SEED give the same pictures.
Ignore regions are dashed and hatched.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.cli.font_option import add_font_option, style_with_font
from dettoolkit.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from dettoolkit.structures import Annotations, Batch

_THUMBNAIL = 320  # pixels of the longer side
_SHEET = 48  # samples on the contact sheet at most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config, or the name of a shipped one")
    parser.add_argument("--output", metavar="DIR", help="new or empty folder (default: the next free samples_<config>)")
    parser.add_argument("--num-images", type=int, default=16, metavar="N", help="how many samples (default: 16)")
    parser.add_argument(
        "--split", choices=("train", "test"), default="train", help="which data sets and transforms (default: train)"
    )
    parser.add_argument(
        "--epoch", type=int, default=0, metavar="N", help="the epoch of the training that is shown, from 0 on (default: 0)"
    )
    add_font_option(parser)
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. SEED 1")


def run(arguments: argparse.Namespace) -> None:
    """Draw."""
    from dettoolkit.cli.contact_sheet import contact_sheet
    from dettoolkit.cli.output_folder import claim_folder
    from dettoolkit.config import load_config
    from dettoolkit.engine.folder_names import next_free
    from dettoolkit.visualization import draw_annotations, save_picture

    if arguments.num_images < 1:
        raise ConfigError(f"--num-images: expected 1 or more, got {arguments.num_images}.")
    _check_epoch(arguments)
    style = style_with_font(arguments.font)
    cfg = load_config(arguments.config_file, arguments.overrides)
    class_names, batches = _train_batches(cfg, arguments.epoch) if arguments.split == "train" else _test_batches(cfg)
    folder = claim_folder(arguments.output or next_free(Path(f"samples_{Path(arguments.config_file).stem}")))
    thumbnails = []
    samples = itertools.islice(_samples(batches), arguments.num_images)
    for number, (name, image, truth) in enumerate(samples, start=1):
        picture = draw_annotations(image, truth, class_names, style)
        save_picture(picture, folder / f"{number:04d}_{Path(name).stem}.jpg")
        if number <= _SHEET:
            small, fewer = _shrunk(image, truth)
            thumbnails.append(draw_annotations(small, fewer, class_names, style))
    save_picture(contact_sheet(thumbnails, math.ceil(math.sqrt(len(thumbnails)))), folder / "contact_sheet.jpg")
    print(f"{number} samples and contact_sheet.jpg are in {folder}")


def _check_epoch(arguments: argparse.Namespace) -> None:
    if arguments.epoch < 0:
        raise ConfigError(f"--epoch: expected 0 or more, got {arguments.epoch}.")
    if arguments.epoch and arguments.split == "test":
        raise ConfigError("--epoch: test samples are the same in every epoch; use it with --split train.")


def _train_batches(cfg: Any, epoch: int) -> tuple[tuple[str, ...], Iterator[Batch]]:
    """Return the class names, and the batches of the training from the begin of an epoch on."""
    from dettoolkit.data import build_train_dataset
    from dettoolkit.data.loader import build_train_loader

    dataset = build_train_dataset(cfg)
    loader = build_train_loader(
        dataset,
        cfg.DATASETS.TRAIN_TRANSFORMS,
        global_batch_size=cfg.SOLVER.BATCH_SIZE,
        seed=cfg.SEED,
        sampler_node=cfg.DATALOADER.SAMPLER,
        pad_to=cfg.DATALOADER.PAD_TO,
        length=cfg.SOLVER.LENGTH,
    )
    loader.load_state_dict(loader.state_dict() | {"batches_taken": epoch * loader.batches_per_epoch})
    return dataset.info.class_names, iter(loader)


def _test_batches(cfg: Any) -> tuple[tuple[str, ...], Iterator[Batch]]:
    from dettoolkit.data import build_dataset, check_same_classes
    from dettoolkit.data.loader import build_test_loader

    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST: expected the names of the data sets to evaluate on, got an empty list")
    datasets = [build_dataset(cfg, name) for name in cfg.DATASETS.TEST]
    for dataset in datasets[1:]:
        check_same_classes(datasets[0].info, dataset.info)
    loaders = (build_test_loader(dataset, cfg.DATASETS.TEST_TRANSFORMS, batch_size=1) for dataset in datasets)
    return datasets[0].info.class_names, itertools.chain.from_iterable(loaders)


def _samples(batches: Iterator[Batch]) -> Iterator[tuple[str, Any, Annotations]]:
    """Yield file name, ``[3, h, w]`` image without padding and annotations."""
    from dettoolkit.data.image_form import as_shown

    for batch in batches:
        for image, (height, width), target, sample in zip(
            batch.images, batch.image_sizes, batch.targets, batch.samples, strict=True
        ):
            yield sample["file_name"], as_shown(image[:, :height, :width]), target


def _shrunk(image: Any, annotations: Annotations) -> tuple[np.ndarray, Annotations]:
    """Return a thumbnail with its annotations, so that lines and names are drawn at its own size."""
    import cv2

    from dettoolkit.structures import Annotations

    picture = image.permute(1, 2, 0).numpy()
    height, width = picture.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    factors = annotations.boxes.new_tensor([size[0] / width, size[1] / height] * 2)
    shrunk = Annotations(annotations.boxes * factors, annotations.labels, annotations.ignore)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), shrunk
