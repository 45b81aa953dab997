"""Where the time of an evaluation goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch

from dettoolkit.engine.step_clock import REST, StepClock
from dettoolkit.report import EvaluationTime
from dettoolkit.structures import Batch

DATA, NETWORK, LOSSES, DETECTIONS, EVALUATORS = "waiting for data", "network", "losses", "detections", "evaluators"


def clocked(batches: Iterable[Batch], clock: StepClock, part: str) -> Iterator[Batch]:
    """Yield the batches; the time until each is there counts to the part."""
    with clock.part(part):
        iterator = iter(batches)  # starts the workers
    while True:
        with clock.part(part):
            batch = next(iterator, None)
        if batch is None:
            return
        yield batch


def evaluation_time(dataset: str, device: torch.device, num_images: int, seconds: Mapping[str, float]) -> EvaluationTime:
    """Return the times as a report shows them; what belongs to no part goes to the evaluators.

    Args:
        dataset: that was evaluated on.
        device: that computed.
        num_images: in this process.
        seconds: part -> seconds, of a :class:`StepClock`.
    """
    known = {**seconds, EVALUATORS: seconds.get(REST, 0.0)}
    order = (DATA, NETWORK, LOSSES, DETECTIONS, EVALUATORS)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(device)
    return EvaluationTime(dataset, name, num_images, {part: known[part] for part in order if part in known})


def _processor(device: torch.device) -> str:
    count = torch.get_num_threads()
    return f"{device.type}, {count} thread{'s' if count > 1 else ''}"
