"""What the detector's own matcher makes of anchors and boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dettoolkit.diagnosis.anchors.boxes import TransformedBoxes
from dettoolkit.diagnosis.anchors.overlap import map_sizes, padded
from dettoolkit.diagnosis.anchors.parts import AnchorParts
from dettoolkit.structures import Annotations


@dataclass(frozen=True)
class Matching:
    """Counts over the images that the matcher was run on.

    Args:
        positives: ``[M, L]`` int64: positive anchors of each of M images at each level.
        anchors: ``[M]`` int64: all anchors of each image.
        num_objects: boxes in these images, without crowd regions.
        without_anchor: ``[*]`` int64: the ``numbers`` of the boxes that no anchor stands for.
    """

    positives: Tensor
    anchors: Tensor
    num_objects: int
    without_anchor: Tensor

    @property
    def num_images(self) -> int:
        """How many images the matcher was run on."""
        return len(self.positives)

    @property
    def share_by_level(self) -> list[float]:
        """Which share of the positives each level has; zeros where there are none."""
        by_level = self.positives.sum(0).double()
        return (by_level / by_level.sum().clamp(min=1)).tolist()


def match_images(found: TransformedBoxes, parts: AnchorParts, most_images: int) -> Matching:
    """Run the matcher on images spread evenly over the data set, each padded by itself.

    Args:
        found: boxes of all images, crowd regions included.
        parts: of the detector.
        most_images: how many images at most.
    """
    sizes = padded(found.sizes, parts.divisibility)
    starts = torch.searchsorted(found.images, torch.arange(len(sizes) + 1))
    count = min(len(sizes), most_images)
    chosen = torch.linspace(0, len(sizes) - 1, count).round().long() if count else torch.zeros(0, dtype=torch.int64)
    positives, totals, left_out, num_objects = [], [], [], 0
    for image in chosen.tolist():
        rows = slice(int(starts[image]), int(starts[image + 1]))
        truth = Annotations(found.boxes[rows], found.labels[rows], found.ignore[rows])
        anchors = parts.anchors(map_sizes(sizes[image].tolist(), parts.anchors.strides), "cpu")
        indices = parts.matcher(anchors, truth).indices
        by_level = indices.split([len(level) for level in anchors])
        positives.append([int((level >= 0).sum()) for level in by_level])
        totals.append(len(indices))
        served = torch.zeros(len(truth), dtype=torch.bool)
        served[indices[indices >= 0]] = True
        left_out.append(found.numbers[rows][~served & ~truth.ignore])
        num_objects += int((~truth.ignore).sum())
    return Matching(
        torch.tensor(positives, dtype=torch.int64).reshape(-1, len(parts.anchors.strides)),
        torch.tensor(totals, dtype=torch.int64),
        num_objects,
        torch.cat([torch.zeros(0, dtype=torch.int64), *left_out]),
    )
