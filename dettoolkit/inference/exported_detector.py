"""A detector out of an exported file, with the same two steps as a model: predictions, then detections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision import ops

from dettoolkit.checkpoint import fetch
from dettoolkit.config import import_plugins
from dettoolkit.config.plugins import find_plugin
from dettoolkit.distributed import process_device
from dettoolkit.errors import CheckpointError, ConfigError
from dettoolkit.inference.exported_file import device_for, is_torch_export, load_onnx, load_torch_export
from dettoolkit.inference.exported_metadata import ExportedMetadata
from dettoolkit.modeling.dense import DenseDecoder
from dettoolkit.registry.schema import build_node
from dettoolkit.structures import Detections


class ExportedPredictions(NamedTuple):
    """What an exported graph returns, best first.

    Args:
        boxes: ``[N, D, 4]``.
        scores: ``[N, D]``; -1 where there is no box.
        labels: ``[N, D]``.
        counts: ``[N]``: how many are above the score threshold.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    counts: Tensor


class ExportedDetector(nn.Module):
    """The graph of an exported file and what follows it.

    Args:
        run: ``(images, image_sizes) -> boxes, scores, labels, counts``.
        metadata: what the file says of itself.
        device: where it runs.

    Raises:
        ConfigError: NMS is not in the graph, and cannot be built here.
    """

    def __init__(
        self, run: Callable[[Tensor, Tensor], Sequence[Tensor]], metadata: ExportedMetadata, device: torch.device
    ) -> None:
        super().__init__()
        self.metadata = metadata
        self.device = device
        self.size_divisibility = metadata.size_divisibility
        self._run = run
        self.decoder = build_node(DenseDecoder, metadata.cfg.MODEL.DECODER, "DECODER", coder=None)

    @classmethod
    def read(
        cls, path: str | Path, device: str = "auto", plugins: Sequence[str | Path] = (), trusted: bool = False
    ) -> ExportedDetector:
        """Read a file that ``dettoolkit export-model`` wrote.

        Args:
            path: a file or URL.
            device: where it runs; auto: a GPU that torch, or the installed ONNX Runtime, can use, or else the CPU.
            plugins: Python files that register the transforms, or the NMS, of the run's own.
            trusted: whether code in the file may run, which reading a file of ``torch.export`` can lead to.

        Raises:
            CheckpointError: the file is damaged, or something else, or is one of ``torch.export`` and not trusted.
            ConfigError: the device cannot run it, or a plugin cannot be imported.
            DistributedError: there is no such device.
            MissingDependencyError: ONNX Runtime is needed and not installed.
        """
        file = fetch(path)
        where = process_device(device_for(file, device))
        run, text = load_torch_export(file, where, trusted) if is_torch_export(file) else load_onnx(file, where)
        import_plugins([find_plugin(str(plugin), None) for plugin in plugins])
        metadata = ExportedMetadata.from_json(text, str(path))
        try:
            return cls(run, metadata, where)
        except ConfigError as error:
            raise CheckpointError(f"{path}: {error}") from error

    def predictions(self, images: Tensor, image_sizes: Sequence[tuple[int, int]]) -> ExportedPredictions:
        """Run the graph.

        Args:
            images: ``[N, C, H, W]`` uint8 RGB; H and W are multiples of ``size_divisibility``.
            image_sizes: (height, width) of each image before padding.
        """
        sizes = torch.tensor(image_sizes, dtype=torch.int64, device=images.device).reshape(-1, 2)
        return ExportedPredictions(*self._run(images.contiguous(), sizes))

    def detections(
        self, predictions: ExportedPredictions, image_sizes: Sequence[tuple[int, int]], below_threshold: bool = False
    ) -> list[Detections]:
        """Return what predictions say, in the pixels of the batch.

        Args:
            predictions: what the graph returned.
            image_sizes: (height, width) of each image before padding.
            below_threshold: whether to return as many as the decoder can, whatever their scores.
        """
        boxes, scores, labels, counts = predictions
        counts = (scores >= 0).sum(dim=1) if below_threshold else counts
        found = [
            Detections(boxes[index, :count], scores[index, :count], labels[index, :count])
            for index, count in enumerate(counts.tolist())
        ]
        if self.metadata.nms == "inside":
            return found
        return [self._without_duplicates(each, size) for each, size in zip(found, image_sizes, strict=True)]

    def _without_duplicates(self, found: Detections, size: tuple[int, int]) -> Detections:
        decoder = self.decoder
        found = decoder.nms(found)[: decoder.max_detections]
        if decoder.clip == "before_nms":  # the graph has done it
            return found
        found = Detections(ops.clip_boxes_to_image(found.boxes, size), found.scores, found.labels)
        return found[(found.boxes[:, 2:] > found.boxes[:, :2]).all(dim=1)] if decoder.drop_empty else found

    def forward(self, images: Tensor, image_sizes: Sequence[tuple[int, int]]) -> Any:
        """Return the detections of each image, as a model does."""
        return self.detections(self.predictions(images, image_sizes), image_sizes)
