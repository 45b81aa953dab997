"""A detector as one function of tensors, which is what can be written down as a graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dettoolkit.errors import ConfigError
from dettoolkit.export.decoding import FixedShapeDecoder
from dettoolkit.modeling.dense import DenseDecoder, InputNormalization

OUTPUTS = ("boxes", "scores", "labels", "counts")


class ExportableDetector(nn.Module):
    """Images and their sizes -> boxes, scores, labels and counts, see :class:`FixedShapeDecoder`.

    Args:
        model: a detector made of the parts that RetinaNet has, in evaluation mode.
        decode: predictions -> detections.

    Raises:
        ConfigError: the detector is made of other parts.
    """

    def __init__(self, model: nn.Module, decode: FixedShapeDecoder) -> None:
        super().__init__()
        check_parts(model)
        self.model: Any = model
        self.decode = decode

    def forward(self, images: Tensor, image_sizes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes ``[N, D, 4]``, scores ``[N, D]``, labels ``[N, D]`` and counts ``[N]``.

        Args:
            images: ``[N, C, H, W]`` uint8 RGB, padded to sides that the detector's size divisibility divides.
            image_sizes: ``[N, 2]`` int64 (height, width) of each image before padding.
        """
        predictions = self.model.head(self.model.neck(self.model.backbone(self._normalized(images, image_sizes))))
        anchors = getattr(self.model.anchors, "generate", self.model.anchors)(predictions.map_sizes, images.device)
        return self.decode(predictions, anchors, image_sizes)

    def _normalized(self, images: Tensor, image_sizes: Tensor) -> Tensor:
        """Return what :class:`InputNormalization` does, with sizes that are data."""
        normalization = self.model.normalization
        x = images.flip(1) if normalization.channel_order == "BGR" else images
        x = (x.float() - normalization.mean) / normalization.std
        rows, columns = (torch.arange(length, device=images.device) for length in images.shape[-2:])
        is_image = (rows[:, None] < image_sizes[:, 0, None, None]) & (columns < image_sizes[:, 1, None, None])  # [N, H, W]
        return torch.where(is_image[:, None], x, 0.0)


def check_parts(model: nn.Module) -> None:
    """Check that a detector is made of the parts whose export is known.

    Raises:
        ConfigError: it is not; the message names the part.
    """
    for name in ("backbone", "neck", "head", "anchors"):
        if not hasattr(model, name):
            raise ConfigError(f"{type(model).__name__} cannot be exported: it has no {name}, as RetinaNet has.")
    for name, kind in (("normalization", InputNormalization), ("decoder", DenseDecoder)):
        part = getattr(model, name, None)
        if type(part) is not kind:
            raise ConfigError(
                f"{type(model).__name__} cannot be exported: its {name} is {type(part).__name__}, not {kind.__name__}."
            )
