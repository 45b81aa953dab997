"""Predictor: images in, detections out, with the same preparation as in evaluation."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from dettoolkit.checkpoint import fetch
from dettoolkit.data.image_form import image_form
from dettoolkit.data.transforms import InferencePipeline
from dettoolkit.distributed import process_device
from dettoolkit.errors import ConfigError, DataError
from dettoolkit.inference.exported_detector import ExportedDetector
from dettoolkit.inference.exported_file import is_exported
from dettoolkit.inference.image_input import ImageInput
from dettoolkit.inference.merging import build_views, chosen_views
from dettoolkit.inference.norm_folding import with_folded_norms
from dettoolkit.inference.own_nms import with_nms
from dettoolkit.inference.precision import Precision, autocast_dtype
from dettoolkit.inference.prediction_stream import Prediction, PredictionStream
from dettoolkit.inference.stored_detector import StoredDetector
from dettoolkit.modeling.compiling import INFERENCE_MULTIPLE, compiled_for_inference
from dettoolkit.structures import Batch, DatasetInfo, Detections, ScoreThresholds

logger = logging.getLogger(__name__)


class Predictor:
    """Finds objects in images, with the transforms, padding and precision that evaluation has.

    Args:
        model: with its weights.
        cfg: a config of which ``DATASETS.TEST_TRANSFORMS``, ``DATASETS.TEST_VIEWS``, ``SOLVER.AMP`` and
            ``MODEL.CHANNELS_LAST`` are used.
        info: the classes of ``model``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``fp32``, ``bf16``, ``fp16``, or ``auto``: what the run was trained in, if the device can.
        compile: whether to compile the network. Each shape of a batch has then to be waited for once, see :meth:`warm_up`;
            to keep shapes few, sides are padded to multiples of 64, and a last batch that is not full with empty images.
        score_thresholds: from which score on detections of a class are returned, where a call says nothing else; None: all that
            the decoder returns. They are kept under the same name and may be set to others.
        views: how each image is looked at several times: keys of ``DATASETS.TEST_VIEWS`` that differ from those of the config,
            ``{"FLIP": "horizontal", "TILE_SIZE": 640}`` say.
        nms: what removes the duplicates of one look, in place of the detector's own: ``{"NAME": "SoftNMS", "SIGMA": 0.3}`` say.

    Norms with fixed statistics are multiplied into the convolutions before them, in a copy of the model.

    Raises:
        ConfigError: the device cannot do the precision, the transforms are not fit for inference, or nothing can be compiled.
        DistributedError: there is no such device.
    """

    def __init__(
        self,
        model: nn.Module,
        cfg: CfgNode,
        info: DatasetInfo,
        device: str = "auto",
        precision: Precision = "auto",
        compile: bool = False,
        score_thresholds: ScoreThresholds | None = None,
        views: Mapping[str, Any] | None = None,
        nms: Mapping[str, Any] | None = None,
    ) -> None:
        self.info = info
        self.score_thresholds = score_thresholds
        if score_thresholds is not None and (views or nms):
            logger.warning(
                "the score thresholds were measured with the detector's own looks and NMS; with others, scores mean something "
                "else. A threshold of your own overrules them (score_threshold, --score-threshold)."
            )
        self.device = process_device(device)
        memory_format = torch.channels_last if cfg.MODEL.CHANNELS_LAST else torch.contiguous_format
        model = model.to(self.device).to(memory_format=memory_format).eval()
        model = model if nms is None else with_nms(model, nms)
        datasets = {**cfg.DATASETS, "TEST_VIEWS": chosen_views(cfg.DATASETS.TEST_VIEWS, views or {})}
        looks, merger = build_views(datasets, model)
        divisibility = int(getattr(model, "size_divisibility", 1))
        self._dtype = autocast_dtype(precision, cfg.SOLVER.AMP, self.device)
        self.model: Any = with_folded_norms(model)
        if compile:
            self.model = compiled_for_inference(self.model, "compile", self.device)
            divisibility = math.lcm(divisibility, INFERENCE_MULTIPLE)
        pipeline = InferencePipeline(cfg.DATASETS.TEST_TRANSFORMS)
        self._predictions = PredictionStream(pipeline, looks, merger, image_form(cfg), divisibility, compile)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: str = "auto",
        plugins: Sequence[str | Path] = (),
        precision: Precision = "auto",
        compile: bool = False,
        trusted: bool = False,
        views: Mapping[str, Any] | None = None,
        nms: Mapping[str, Any] | None = None,
    ) -> Predictor:
        """Return the predictor of a run's checkpoint, or of an exported file; nothing else is needed.

        Score thresholds that the file holds are obeyed, see :attr:`score_thresholds`.

        Args:
            path: a file of a run's ``checkpoints/``, one that ``dettoolkit export-model`` wrote, or a URL of either.
            device: see the class.
            plugins: Python files with components of the run's own. Files that the checkpoint names are never imported by
                themselves.
            precision: see the class; that of an exported file is fp32.
            compile: see the class; an exported file is not compiled again.
            trusted: whether code in the file may run, which reading a file of ``torch.export`` can lead to, no other.
            views: see the class.
            nms: see the class.

        Raises:
            CheckpointError: the file is no checkpoint of a run, names plugins and none are passed, or does not fit; or it is a
                file of ``torch.export`` and not trusted.
            ConfigError: see the class; or a plugin cannot be imported.
            DistributedError: there is no such device.
            MissingDependencyError: an exported file needs ONNX Runtime, which is not installed.
        """
        if is_exported(fetch(path)):
            if compile or precision not in ("auto", "fp32"):
                raise ConfigError(f"{path} is an exported file: it computes in fp32, and is not compiled again.")
            exported = ExportedDetector.read(path, device, plugins, trusted)
            metadata, where = exported.metadata, str(exported.device)
            more: dict[str, Any] = {"score_thresholds": metadata.score_thresholds, "views": views, "nms": nms}
            return cls(exported, metadata.cfg, metadata.info, where, "fp32", **more)
        stored = StoredDetector.read(path, plugins)
        more = {"score_thresholds": stored.score_thresholds, "views": views, "nms": nms}
        return cls(stored.model, stored.cfg, stored.info, device, precision, compile, **more)

    @property
    def class_names(self) -> tuple[str, ...]:
        """``[K]`` names; label k is ``class_names[k]``."""
        return self.info.class_names

    def __call__(
        self, images: Iterable[ImageInput], batch_size: int = 8, score_threshold: float | None = None
    ) -> list[Detections]:
        """Return what is found in each image, in its original pixels, on the CPU.

        Args:
            images: N paths, uint8 RGB arrays ``[H, W, 3]`` or uint8 RGB tensors ``[3, H, W]``. A detector of other images
                (``DATASETS.PIXEL_RANGE``, more or fewer channels) takes arrays with the values that its files have.
            batch_size: images that go through the network together.
            score_threshold: lowest score, the same for all classes, in place of ``score_thresholds``; 0: all that the decoder
                returns.

        Raises:
            ConfigError: ``batch_size`` is below 1, or the threshold not in 0..1.
            DataError: an image cannot be read, or is none of these.
        """
        return [prediction.detections for prediction in self.stream(images, batch_size, score_threshold=score_threshold)]

    def warm_up(self, images: Iterable[ImageInput | tuple[int, int]], batch_size: int = 1) -> float:
        """Predict once for each image in a full batch of its like, so that the shapes that come later are compiled already.

        Args:
            images: images as in a call, or the (height, width) of such.
            batch_size: that of later calls.

        Returns:
            The seconds that it took.

        Raises:
            ConfigError: ``batch_size`` is below 1, or something cannot be compiled.
            DataError: an image cannot be read, or is none of the accepted kinds.
        """
        started, form = time.perf_counter(), self._predictions.form
        for image in images:
            like: ImageInput = torch.zeros(form.channels, *image, dtype=form.dtype) if isinstance(image, tuple) else image
            self([like] * max(1, batch_size), batch_size)
        return time.perf_counter() - started

    def stream(
        self,
        images: Iterable[ImageInput],
        batch_size: int = 8,
        on_bad: Callable[[int, DataError], object] | None = None,
        score_threshold: float | None = None,
    ) -> Iterator[Prediction]:
        """Yield what is found in each image, in order; no more than ``batch_size`` images are held at a time.

        Args:
            images: as in a call, without end if need be.
            batch_size: images that go through the network together.
            on_bad: called with index and error of an image that cannot be read, which is then left out; None: the error is
                raised.
            score_threshold: as in a call.

        Raises:
            ConfigError: ``batch_size`` is below 1, or the threshold not in 0..1.
            DataError: an image cannot be read, or is none of the accepted kinds.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected 1 or more, got {batch_size}.")
        if isinstance(images, (str, os.PathLike)) or (isinstance(images, (np.ndarray, Tensor)) and images.ndim < 4):
            raise DataError("expected a list of images, got a single one: put it into a list, predictor([image]).")
        threshold = self._threshold(score_threshold)
        found = self._predictions(images, batch_size, on_bad, self._detect)
        if threshold is None:
            return found
        return (replace(each, detections=each.detections.above(threshold)) for each in found)

    def _threshold(self, given: float | None) -> float | Tensor | None:
        if given is None:
            return None if self.score_thresholds is None else self.score_thresholds.of_labels(self.class_names)
        if not 0 <= given <= 1:
            raise ConfigError(f"score_threshold: expected 0 to 1, got {given}.")
        return given

    @torch.no_grad()  # not inference_mode: what comes out may be computed with, and cached anchors trained with
    def _detect(self, batch: Batch, num_empty: int) -> list[Detections]:
        images = batch.images.to(self.device, non_blocking=True)
        if num_empty:
            images = torch.cat([images, images.new_zeros(num_empty, *images.shape[1:])])
        sizes = [*batch.image_sizes, *[(1, 1)] * num_empty]
        with torch.autocast(self.device.type, dtype=self._dtype or torch.bfloat16, enabled=self._dtype is not None):
            predictions = self.model.predictions(images, sizes)
        return self.model.detections(predictions, sizes)[: len(batch)]
