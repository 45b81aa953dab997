"""Running a detector over a data set: its numbers, its validation loss and some examples."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.loader import InferenceLoader
from dettoolkit.distributed import broadcast_object, gather_objects, is_main_process, sum_over_processes, world_size
from dettoolkit.engine.evaluation_time import DATA, DETECTIONS, LOSSES, NETWORK, clocked, evaluation_time
from dettoolkit.engine.precision import autocast
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.step_clock import StepClock
from dettoolkit.evaluation import Evaluator, Results, flatten, format_results
from dettoolkit.evaluation.analysis import FocalDistribution, FocalDistributionCollector, Wish
from dettoolkit.inference.merging import ViewMerger
from dettoolkit.report import EvaluationTime
from dettoolkit.structures import Annotations, Batch, Detections, EvaluatedImage, Sample

logger = logging.getLogger(__name__)

_MAX_EXAMPLES = 5000  # what the gallery of a report shows


@dataclass
class DatasetEvaluation:
    """One data set with its loader and evaluators.

    Args:
        dataset: what is evaluated on.
        loader: this process's share of it.
        evaluators: what is computed.
        with_loss: whether to compute the validation loss too, and to see how focal loss is spread over the outputs.
        amp: autocast precision.
        merger: makes one of the views of an image, where the loader gives several; the losses are those of the plain view.
        wish: what score thresholds are chosen for, of ``EVALUATION.THRESHOLDS``; None: none are kept.
        examples: up to 5,000 of the images looked at last, where no evaluator keeps them all (``analysing.all_images``).
        results: of the last evaluation.
        focal: how focal loss was spread in the last evaluation; None: there was none.
        time: where this process's time went in the last evaluation; None before the first.
    """

    dataset: DetectionDataset
    loader: InferenceLoader
    evaluators: Sequence[Evaluator]
    with_loss: bool = True
    amp: Literal["none", "bf16", "fp16"] = "none"
    merger: ViewMerger | None = None
    wish: Wish | None = None
    examples: list[EvaluatedImage] = field(default_factory=list)
    results: Results = field(default_factory=dict)
    focal: FocalDistribution | None = None
    time: EvaluationTime | None = None

    @property
    def name(self) -> str:
        """The name of the data set."""
        return self.dataset.info.name

    def close(self) -> None:
        """End the workers, which else wait for the next evaluation."""
        self.loader.close()

    def run(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Evaluate; all processes must call it. The network runs once for loss and detections.

        Returns:
            Flat numbers: ``bbox/AP``, ..., and ``validation/loss``, ... where asked for; the same in all processes.
        """
        started, was_training = time.perf_counter(), model.training
        model.eval()
        for evaluator in self.evaluators:
            evaluator.reset()
        if self.merger is not None:
            self.merger.reset()
        collector = FocalDistributionCollector()
        with _observing(model, collector):
            losses, positives, examples = self._over_images(model, device)
        model.train(was_training)
        distribution = collector.distribution()
        self.focal = distribution if distribution.num_negatives else None
        self.results = {name: numbers for evaluator in self.evaluators for name, numbers in evaluator.compute().items()}
        gathered = gather_objects(examples)
        if is_main_process():
            self.examples = [example for part in gathered or [] for example in part]
            seconds = time.perf_counter() - started
            logger.info("%s: %d images in %.1f s\n%s", self.name, len(self.dataset), seconds, format_results(self.results))
        return flatten(self.results) | (_validation_losses(losses, positives) if self.with_loss else {})

    @torch.no_grad()
    def _over_images(self, model: Any, device: torch.device) -> tuple[dict[str, Tensor], Tensor, list[EvaluatedImage]]:
        sums: dict[str, Tensor] = {}
        positives = torch.zeros((), dtype=torch.float64)
        examples: list[EvaluatedImage] = []
        every = 0 if any(hasattr(one, "collected") for one in self.evaluators) else -(-len(self.dataset) // _MAX_EXAMPLES)
        seen, clock = 0, StepClock(device)
        clock.start()
        for batch in clocked(self.loader, clock, DATA):
            with clock.part(NETWORK), autocast(device, self.amp):
                moved = batch.to(device)
                predictions = model.predictions(moved.images, moved.image_sizes)
            plain = [row for row, sample in enumerate(batch.samples) if _is_plain(sample)]
            if self.with_loss and plain:
                with clock.part(LOSSES):
                    output = model.losses(*_rows(predictions, moved.targets, plain))
                for name, value in output.losses.items():
                    sums[name] = sums.get(name, 0) + value.cpu().double()
                positives += output.metrics["num_positives"].cpu().double()
            with clock.part(DETECTIONS):
                samples, detections = batch.samples, to_original(batch, model.detections(predictions, moved.image_sizes))
                if self.merger is not None:
                    samples, detections = self.merger.completed(samples, detections)
            for evaluator in self.evaluators:
                evaluator.update(samples, detections)
            for sample, found in zip(samples, detections, strict=True):
                if every and seen % every == 0:
                    examples.append(_example(sample, found))
                seen += 1
        self.time = evaluation_time(self.name, device, seen, clock.stop())
        return sums, positives, examples


@contextlib.contextmanager
def _observing(model: nn.Module, observer: Any) -> Iterator[None]:
    """Have the observer among those of the model's criterion, if it has one that can be observed."""
    observers = getattr(getattr(model, "criterion", None), "observers", [])
    observers.append(observer)
    try:
        yield
    finally:
        observers.remove(observer)


def evaluate_all(
    evaluations: Sequence[DatasetEvaluation], model: nn.Module, device: torch.device, folder: RunFolder
) -> dict[str, float]:
    """Evaluate on each data set and write ``inference/<data set>/predictions.json``; all processes must call it.

    Returns:
        The numbers; of several data sets, each with the name of its data set in front.
    """
    _agree_on_buffers(model)
    numbers: dict[str, float] = {}
    for evaluation in evaluations:
        prefix = f"{evaluation.name}/" if len(evaluations) > 1 else ""
        result = evaluation.run(model, device)
        numbers |= {f"{prefix}{name}": value for name, value in result.items()}
        writer = next((e for e in evaluation.evaluators if hasattr(e, "write_coco_results")), None)
        if is_main_process() and writer is not None:
            writer.write_coco_results(folder.inference(evaluation.name) / "predictions.json")
    return numbers


def _agree_on_buffers(model: nn.Module) -> None:
    """Give all processes the buffers of process 0, which are the ones that a checkpoint gets.

    The statistics of batch norm follow each process's own images, and are made equal only by the next step.
    """
    if world_size() > 1:
        buffers = dict(model.named_buffers())
        agreed = broadcast_object({name: buffer.cpu() for name, buffer in buffers.items()})
        for name, buffer in buffers.items():
            buffer.copy_(agreed[name])


def to_original(batch: Batch, detections: Sequence[Detections]) -> list[Detections]:
    """Return detections in the pixels of the original images, on the CPU."""
    pairs = zip(batch.samples, detections, strict=True)
    return [sample["way_back"].detections(found.to("cpu"), sample["original_size"]) for sample, found in pairs]


def _is_plain(sample: Sample) -> bool:
    """Return whether a sample is an image as it is trained on, not a part of it, enlarged or mirrored."""
    view = sample.get("view")
    return view is None or (view.is_whole and view.pipeline == 0)


def _rows(predictions: Any, targets: list[Annotations], rows: list[int]) -> tuple[Any, list[Annotations]]:
    if len(rows) == len(targets):
        return predictions, targets
    return predictions.of_images(rows), [targets[row] for row in rows]


def _example(sample: Any, found: Detections) -> EvaluatedImage:
    return EvaluatedImage(sample["image_id"], sample["file_name"], sample["original_size"], sample["original"], found)


def _validation_losses(sums: dict[str, Tensor], positives: Tensor) -> dict[str, float]:
    """Return the losses over all images of all processes, divided by the positives of all, at least 1."""
    every = broadcast_object(gather_objects(list(sums)))  # a process without images knows no names
    names = sorted({name for names in every for name in names})
    zero = torch.zeros((), dtype=torch.float64)
    total = sum_over_processes(torch.stack([positives, *(sums.get(name, zero) for name in names)]))
    by_name = dict(zip(names, (total[1:] / total[0].clamp(min=1)).tolist(), strict=True))
    return {"validation/loss": sum(by_name.values()), **{f"validation/{name}": value for name, value in by_name.items()}}
