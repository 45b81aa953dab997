"""Mixing training sets: a share of one, and how often the images of each come."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.errors import ConfigError, did_you_mean, listed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """What is trained on of one set: an entry of ``DATASETS.MIX``.

    Args:
        weight: how often each of its images comes in an epoch.
        fraction: the share of its images that is taken.
        fraction_seed: which images that are.
    """

    weight: float = 1.0
    fraction: float = 1.0
    fraction_seed: int = 0


def shares(section: Any) -> list[Share]:
    """Return the share of each set of ``DATASETS.TRAIN``.

    Args:
        section: ``DATASETS`` of a config.

    Raises:
        ConfigError: ``MIX`` names a set that is not trained on.
    """
    mix = section.get("MIX", {})
    for name in mix:
        if name not in section.TRAIN:
            near = did_you_mean(name, section.TRAIN)
            raise ConfigError(f"DATASETS.MIX.{name}: DATASETS.TRAIN has no {name!r}.{near} It has: {listed(section.TRAIN)}.")
    nodes = (mix.get(name, {}) for name in section.TRAIN)
    return [Share(**{key.lower(): value for key, value in node.items()}) for node in nodes]


def mix(parts: Sequence[DetectionDataset], taken: Sequence[Share]) -> list[float] | None:
    """Cut each set down to its share, log what an epoch is made of, and return how often each image comes, if not just once.

    Args:
        parts: the training sets; changed in place.
        taken: one for each.
    """
    rows = []
    for part, share in zip(parts, taken, strict=True):
        before = len(part)
        if share.fraction < 1:
            part.take(fraction_of([record.image_id for record in part.records], share.fraction, share.fraction_seed))
        cut = f" of {before} (FRACTION {share.fraction:g}, FRACTION_SEED {share.fraction_seed})" if share.fraction < 1 else ""
        rows.append(f"{part.info.name}: {len(part)}{cut} images, WEIGHT {share.weight:g}")
    if all(share == Share() for share in taken):
        return None
    total = sum(share.weight * len(part) for part, share in zip(parts, taken, strict=True))
    logger.info("DATASETS.MIX: %s; an epoch has %d images", "; ".join(rows), max(1, round(total)))
    weights = [share.weight for share in taken]
    return None if set(weights) == {1.0} else weights


def fraction_of(image_ids: Sequence[int | str], fraction: float, seed: int) -> list[int]:
    """Return the indices of a share of the images, at least one, in their order.

    Each image has a place in an order that only its id and ``seed`` say; a share takes the first. So a smaller share is
    contained in a larger one, and the order of the images in their file does not matter.

    Args:
        image_ids: of all images.
        fraction: above 0, at most 1.
        seed: 0 or more.
    """
    places = [
        blake2b(f"{seed}:{image_id}".encode("utf-8", "surrogateescape"), digest_size=8).digest() for image_id in image_ids
    ]
    count = max(1, round(fraction * len(places)))
    return sorted(sorted(range(len(places)), key=places.__getitem__)[:count])


def weights_of_images(parts: Sequence[DetectionDataset], weights: Sequence[float]) -> np.ndarray:
    """Return ``[len]`` float64: the weight of its set for each image of the sets together."""
    return np.repeat(np.asarray(weights, np.float64), [len(part) for part in parts])
