"""Rows of whole models on a GPU: training and inference at 800 x 1216 beside torchvision's, and how often a step waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed.host_syncs import SyncsOfAStep, count_syncs, train_for
from benchmarks.speed.model_rows import CONFIG, NUM_CLASSES, _torchvisions
from benchmarks.speed.timing import Row
from dettoolkit.config import load_config
from dettoolkit.inference import Predictor
from dettoolkit.modeling import build_model
from dettoolkit.modeling.compiling import compile_for_training
from dettoolkit.solver.optimizers import SGD
from dettoolkit.structures import Annotations, Batch, DatasetInfo, Sample

SIZE = (800, 1216)
BATCH = 16
INFERENCE_BATCHES = (1, 16)
BOXES = 12
STEPS = 10
COMPILED = (False, True)


def gpu_training(device: torch.device) -> Iterator[Row]:
    """Yield a step of 16 images in bf16, the optimizer's included; torchvision's in fp32 (with TF32, as torch comes) and bf16.

    Memory is counted from weights and momentum on.
    """
    if not _has_cuda("gpu_training", device):
        return
    yield training_row(device)


def gpu_inference(device: torch.device) -> Iterator[Row]:
    """Yield batches of 1 and 16, from uint8 images on the CPU to detections on the CPU."""
    if not _has_cuda("gpu_inference", device):
        return
    for batch in INFERENCE_BATCHES:
        yield inference_row(device, batch)


def host_syncs(device: torch.device) -> Iterator[Row]:
    """Yield nothing, and print how often the host waits for the device in a step of the trainer in bf16, outside logging."""
    if not _has_cuda("host_syncs", device):
        return
    yield from ()
    model, batches = _ours(device).train(), [batch.pin_memory() for batch in _batches(2)]
    syncs: SyncsOfAStep = count_syncs(lambda steps: train_for(model, batches, steps, device), STEPS)
    print(f"\nHost syncs a step, training R50-FPN, bf16, batch {BATCH} at {SIZE[0]} x {SIZE[1]}\n{syncs.table()}")


def training_row(device: torch.device) -> Row:
    """Return the contestants of :func:`gpu_training` on any device."""
    (batch,) = (each.to(device) for each in _batches(1))
    their_targets = [{"boxes": target.boxes, "labels": target.labels} for target in batch.targets]

    def ours(compiled: bool) -> Callable[[], None]:
        model = _ours(device).train()
        if compiled:
            compile_for_training(model, "compiled", True, device)

        def loss() -> Tensor:
            with torch.autocast(device.type, dtype=torch.bfloat16):
                return model(batch.images, batch.image_sizes, batch.targets).total

        return _step(loss, SGD(model, lr=1e-6))

    def theirs(dtype: torch.dtype) -> Callable[[], None]:
        model = _torchvisions(device, SIZE).train()
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

        def loss() -> Tensor:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                return sum(model(list(batch.images / 255), their_targets).values())  # type: ignore[return-value]

        return _step(loss, torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, weight_decay=1e-4))

    contestants = {f"dettoolkit, bf16{' compiled' if compiled else ''}": ours(compiled) for compiled in COMPILED}
    contestants |= {"torchvision, fp32": theirs(torch.float32), "torchvision, bf16": theirs(torch.bfloat16)}
    return Row(f"training step, batch {BATCH} at {SIZE[0]} x {SIZE[1]}, {BOXES} boxes an image", contestants, images=BATCH)


def _step(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def inference_row(device: torch.device, batch: int) -> Row:
    """Return the contestants of :func:`gpu_inference` on any device."""
    images = list(_images(batch))

    def theirs(model: nn.Module, dtype: torch.dtype) -> Callable[[], Any]:
        @torch.no_grad()
        def call() -> Any:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                found = model([image.to(device) / 255 for image in images])
            return [{name: value.cpu() for name, value in each.items()} for each in found]

        return call

    model = _torchvisions(device, SIZE).eval()
    info = DatasetInfo("random", tuple(f"class {label}" for label in range(NUM_CLASSES)))
    cfg = _config("DATASETS.TEST_TRANSFORMS", "[]")
    contestants: dict[str, Callable[[], Any]] = {}
    for compiled in COMPILED:
        predictor = Predictor(_ours(device), cfg, info, str(device), "bf16", compiled)
        contestants[f"dettoolkit, bf16{' compiled' if compiled else ''}"] = lambda p=predictor: p(images, batch)
    contestants |= {f"torchvision, {name}": theirs(model, dtype) for name, dtype in _DTYPES.items()}
    return Row(f"inference, batch {batch} at {SIZE[0]} x {SIZE[1]}", contestants, images=batch)


_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def _has_cuda(row: str, device: torch.device) -> bool:
    """Whether a row can be measured; what it needs is said."""
    if not torch.cuda.is_available():
        print(f"\n{row}: this row needs a CUDA device, this machine has none")
        return False
    if device.type != "cuda":
        print(f"\n{row}: this row needs --device cuda, got {device}")
    return device.type == "cuda"


def _batches(count: int) -> list[Batch]:
    """Return batches on the CPU, as a loader makes them."""
    generator = torch.Generator().manual_seed(0)
    return [Batch(_images(BATCH), [SIZE] * BATCH, [_target(generator) for _ in range(BATCH)], _samples()) for _ in range(count)]


def _samples() -> list[Sample]:
    return [Sample(image_id=index, file_name=f"{index}.jpg", original_size=SIZE) for index in range(BATCH)]


def _images(count: int) -> Tensor:
    return torch.randint(256, (count, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def _target(generator: torch.Generator) -> Annotations:
    """Return boxes of a tenth to half of the image's sides, anywhere in it."""
    sides = torch.tensor([SIZE[1], SIZE[0]])
    extent = (0.1 + 0.4 * torch.rand(BOXES, 2, generator=generator)) * sides
    low = torch.rand(BOXES, 2, generator=generator) * (sides - extent)
    labels = torch.randint(NUM_CLASSES, (BOXES,), generator=generator)
    return Annotations(torch.cat([low, low + extent], dim=1), labels, torch.zeros(BOXES, dtype=torch.bool))


def _config(*overrides: str) -> Any:
    return load_config(CONFIG, ["MODEL.NUM_CLASSES", str(NUM_CLASSES), "MODEL.BACKBONE.WEIGHTS", "", *overrides])


def _ours(device: torch.device) -> Any:
    torch.manual_seed(0)
    return build_model(_config()).to(device).to(memory_format=torch.channels_last)
