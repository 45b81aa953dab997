"""The rules of a recipe: each gives a value and says why."""

from __future__ import annotations

import math
from dataclasses import dataclass

_REFERENCE_IMAGES = 117_266  # COCO train2017, those with objects
_REFERENCE_EPOCHS = 90_000 * 16 / _REFERENCE_IMAGES  # Detectron2's 1x schedule: 12.3
_FROM_SCRATCH = 3  # times as long: He et al., "Rethinking ImageNet Pre-training", ICCV 2019
_FEWEST_ITERATIONS = 500
_SMALL_SETS = ((2_000, 4), (10_000, 8))  # up to so many images, batches of so many
_FEW_FOR_BATCH_NORM = 4
_MOST_WORKERS = 8


@dataclass(frozen=True)
class Advice:
    """A value of the config, and why.

    Args:
        key: dotted, of the config.
        value: as YAML reads it.
        why: in a sentence.
    """

    key: str
    value: int | float | str
    why: str


@dataclass(frozen=True)
class BatchPlan:
    """How a batch is computed.

    Args:
        size: images of an optimizer step.
        accumulate: parts that each process computes its share in.
        at_once: images of a process at a time.
        why: in a sentence.
    """

    size: int
    accumulate: int
    at_once: int
    why: str


def plan_batch(images: int, processes: int, fits: int, reference: int) -> BatchPlan:
    """Return the batch for a data set, divided so that it fits into memory.

    Args:
        images: of the training set.
        processes: that train together.
        fits: images that fit into the memory of a process at a time, 1 or more.
        reference: the batch that the config's learning rate is meant for.
    """
    wanted = next((min(size, reference) for most, size in _SMALL_SETS if images <= most), reference)
    each = max(1, round(wanted / processes))
    accumulate = next(parts for parts in range(1, each + 1) if each % parts == 0 and each // parts <= fits)
    reason = f"the batch that the learning rate is meant for ({reference})"
    if wanted < reference:
        reason = f"of {images:,} images, small batches make more steps an epoch, and these learn more than few large ones"
    if each * processes != wanted:
        reason += f"; a multiple of {processes} processes"
    return BatchPlan(each * processes, accumulate, each // accumulate, reason)


def epochs_for(images: int, batch: int, pretrained: bool) -> tuple[int, str]:
    """Return the number of epochs for a data set, and why.

    Epochs fall, and iterations rise, with the size of the set: epochs go with its cube root. Detectron2's schedules for COCO
    (117,266 images, 12.3 epochs), VOC 2007 and 2012 (16,551 images, 17.4) and Cityscapes (2,975 images, 64.5) lie around it.

    Args:
        images: of the training set.
        batch: images of an optimizer step.
        pretrained: whether the backbone or the whole model has weights to start from.
    """
    epochs = _REFERENCE_EPOCHS * (_REFERENCE_IMAGES / images) ** (1 / 3) * (1 if pretrained else _FROM_SCRATCH)
    per_epoch = max(1, images // batch)
    rounded = max(1, round(epochs), math.ceil(_FEWEST_ITERATIONS / per_epoch))
    words = (
        f"COCO's 1x schedule is {_REFERENCE_EPOCHS:.1f} epochs of {_REFERENCE_IMAGES:,} images; epochs go with the cube root "
        "of the number of images, so that a small set is seen more often in fewer steps"
    )
    if not pretrained:
        words += f"; {_FROM_SCRATCH} times as long, since nothing is learned yet (no WEIGHTS)"
    return rounded, f"{words}: {rounded * per_epoch:,} iterations of {batch} images"


def warm_up(iterations: int, batch: int, reference: int) -> tuple[str, str]:
    """Return the length of the warm-up, and why.

    Args:
        iterations: of the training.
        batch: images of an optimizer step.
        reference: the batch that the config's learning rate is meant for.
    """
    usual = min(1000, iterations // 10)
    if batch < 4 * reference:
        return "auto", f"{usual:,} iterations: 1000, at most a tenth of the training"
    longer = min(1000 * batch // (4 * reference), iterations // 5)
    if longer <= usual:
        return "auto", f"{usual:,} iterations, a tenth of the training, though the learning rate is large"
    times = batch / reference
    return f"{longer}it", f"a learning rate {times:.3g} times as large is reached more slowly (Goyal et al., 2017)"


def workers(cores: int, processes: int, now: int) -> tuple[int, str]:
    """Return the number of worker processes for each training process, and why.

    Args:
        cores: of the machine.
        processes: that train on it.
        now: as configured.
    """
    number = max(1, min(_MOST_WORKERS, (cores - processes) // processes))
    more = f", {now} as configured" if now != number else ""
    return (
        number,
        f"{cores} cores for {processes} training processes{more}; raise it where the log says that steps wait for data",
    )


def batch_norm_advice(at_once: int, trains_batch_norm: bool) -> str:
    """Return a sentence where batch norm would see few images at a time, or an empty string."""
    if not trains_batch_norm or at_once >= _FEW_FOR_BATCH_NORM:
        return ""
    return (
        f"batch norm takes its statistics from {at_once} images at a time: FrozenBN with pretrained weights, GN, or SyncBN on "
        "several GPUs do not depend on that"
    )
