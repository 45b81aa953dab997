"""CopyPaste: objects of another image pasted at random places, by their boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dettoolkit.data.transforms.canvas import scaled
from dettoolkit.data.transforms.cut import annotated, cut, size_of
from dettoolkit.data.transforms.drawing import check_range, check_share, random_window, uniform
from dettoolkit.data.transforms.mix_up import blended
from dettoolkit.data.transforms.occlusion import Occlusion
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import Sample


@TRANSFORMS.register()
class CopyPaste:
    """Pastes box-shaped pieces of another image, each around one object, at random places.

    After Dwibedi et al. 2017 (arXiv:1708.01642) and Ghiasi et al. 2021 (arXiv:2012.07177), who paste segments; boxes bring
    some background along. Whatever else a piece shows comes with it: parts of other objects as objects, ignore regions as
    ignore regions. Objects that pieces cover are shortened to what is visible of them, or go; ignore regions stay.

    Args:
        max_objects: most pieces; how many is drawn from 1 on. Ignore regions are never pasted for their own sake.
        scale_range: [smallest, largest] factor by which a piece is scaled; one that does not fit then is left out.
        min_visible: 0..1, share of an object's area that must remain visible for the object to stay.
        feather: pixels over which the edge of a piece fades into the image; 0: a hard edge.

    Raises:
        ValueError: fewer than one piece, a range that nothing has, a share outside 0..1, or fewer than 0 pixels.
    """

    num_extra_samples = 1
    for_training_only = True

    def __init__(
        self,
        max_objects: int = 5,
        scale_range: tuple[float, float] = (0.8, 1.25),
        min_visible: float = 0.3,
        feather: int = 0,
    ) -> None:
        check_range("scale_range", scale_range)
        check_share("min_visible", min_visible)
        if max_objects < 1 or feather < 0:
            raise ValueError(f"expected max_objects >= 1 and feather >= 0, got {max_objects} and {feather}")
        self.max_objects, self.scale_range = max_objects, scale_range
        self.min_visible, self.feather = min_visible, feather

    def __call__(self, sample: Sample, extras: Sequence[Sample]) -> Sample:
        """Return the sample with pieces of the other one."""
        (other,) = extras
        objects = torch.nonzero(~other["ignore"]).flatten()
        if not len(objects):
            return sample
        count = 1 + int(torch.randint(min(self.max_objects, len(objects)), ()))
        chosen = objects[torch.randperm(len(objects))[:count]]
        pieces = [piece for index in chosen.tolist() if (piece := self._piece(other, index, size_of(sample))) is not None]
        if not pieces:
            return sample
        pixels = sample["image"].as_subclass(Tensor).clone(memory_format=torch.contiguous_format)
        occlusion = Occlusion(sample)
        for piece in pieces:
            left, top, right, bottom = random_window(size_of(sample), size_of(piece))
            field = pixels[:, top:bottom, left:right]
            own = piece["image"].as_subclass(Tensor)
            field.copy_(blended(own, field, _fading(size_of(piece), self.feather)) if self.feather else own)
            occlusion.cover(piece, left, top)
        return annotated(sample, pixels, *occlusion.visible(self.min_visible))

    def _piece(self, sample: Sample, index: int, size: tuple[int, int]) -> Sample | None:
        """Return the part of a sample around an object, scaled; None where it is empty or larger than ``size``."""
        height, width = size_of(sample)
        box = sample["boxes"].as_subclass(Tensor)[index]
        low, high = box[:2].floor().long().clamp(min=0).tolist(), box[2:].ceil().long().tolist()
        window = low[0], low[1], min(high[0], width), min(high[1], height)
        shape = window[3] - window[1], window[2] - window[0]
        factor = uniform(*self.scale_range)
        if min(shape) < 1:
            return None
        wanted = max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))
        if wanted[0] > size[0] or wanted[1] > size[1]:
            return None
        return scaled(cut(sample, window, self.min_visible, keep=index), wanted)


def _fading(size: tuple[int, int], feather: int) -> Tensor:
    """Return the weight of each pixel of a piece, ``[H, W]`` float32: rising to 1 over ``feather`` pixels from each edge."""
    rising = []
    for side in size:
        place = torch.arange(side)
        rising.append(((torch.minimum(place, side - 1 - place) + 1) / (feather + 1)).clamp(max=1))
    return torch.outer(*rising)
