"""Small runs: configs of a tiny network, and parts of a trainer that need no detector."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode
from PIL import Image
from torch import Tensor, nn

from dettoolkit.config import load_config
from dettoolkit.engine.hooks import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.structures import Annotations, Batch, LossOutput

SMALL = Path(__file__).with_name("small.yaml")


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A run sets up the toolkit's logger for itself; the next test gets it as it was."""
    logger = logging.getLogger("dettoolkit")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    for handler in [handler for handler in logger.handlers if handler not in handlers]:
        handler.close()
    logger.handlers, logger.level, logger.propagate = handlers, level, propagate
    logger.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.fixture
def small_config(tmp_path: Path) -> Callable[..., CfgNode]:
    """``small_config("KEY", value, ...)``: the config of small.yaml, which writes to ``tmp_path/run``."""

    def config(*overrides: Any) -> CfgNode:
        texts = [str(value) for value in overrides]
        return load_config(SMALL, ["OUTPUT_DIR", str(tmp_path / "run"), *texts])

    return config


@pytest.fixture
def rows() -> Callable[[Path], list[dict[str, Any]]]:
    """``rows(folder)``: the lines of a run's metrics.jsonl."""
    return lambda folder: [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def losses(rows: Callable[[Path], list[dict[str, Any]]]) -> Callable[[Path], list[float]]:
    """``losses(folder)``: the loss of each step of a run that wrote one line a step."""
    return lambda folder: [row["loss"] for row in rows(folder) if "loss" in row]


@pytest.fixture
def coco_node(tmp_path: Path) -> Callable[[str, list[str]], str]:
    """``coco_node(name, classes)``: the node of a COCO data set with one gray picture and a box of each class."""

    def make(name: str, classes: list[str]) -> str:
        folder = tmp_path / name
        folder.mkdir()
        Image.new("RGB", (64, 64), (90, 90, 90)).save(folder / "a.png")
        box = {"image_id": 1, "bbox": [4, 4, 20, 20], "area": 400, "iscrowd": 0}
        data = {
            "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
            "annotations": [{"id": k, "category_id": k, **box} for k in range(len(classes))],
            "categories": [{"id": k, "name": word} for k, word in enumerate(classes)],
        }
        (folder / "boxes.json").write_text(json.dumps(data))
        return f"{{NAME: COCODataset, ANNOTATIONS: {folder / 'boxes.json'}, IMAGES: {folder}}}"

    return make


class Line(nn.Module):
    """``loss_x`` of a batch is the mean over its images of ``(weight * pixel - 1) ** 2``: its gradient is done by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor, image_sizes: Any, targets: Any) -> LossOutput:
        loss = (self.weight * images.flatten() - 1).square().mean()
        return LossOutput({"loss_x": loss}, {"num_positives": torch.tensor(1.0)})


def batch(*pixels: float) -> Batch:
    """A batch of images of one pixel each."""
    nothing = Annotations(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))
    samples = [{"image_id": index, "file_name": f"{pixel:g}.png"} for index, pixel in enumerate(pixels)]
    return Batch(torch.tensor(pixels).view(-1, 1, 1, 1), [(1, 1)] * len(pixels), [nothing] * len(pixels), samples)  # type: ignore[arg-type]


class Stream(list[Batch]):
    """Batches without end, in turn, with the state that checkpoints want."""

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield from list.__iter__(self)

    def state_dict(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def line_trainer() -> Callable[..., Trainer]:
    """``line_trainer(*batches of pixels, hooks=[...], ...)``: a trainer of :class:`Line` by plain descent at rate 0.1."""

    def build(*batches: Sequence[float], hooks: Sequence[Hook] = (), num_iterations: int = 3, **options: Any) -> Trainer:
        model = options.pop("model", None) or Line()
        return Trainer(
            model,
            model,
            torch.optim.SGD(model.parameters(), lr=0.1),
            Stream(batch(*pixels) for pixels in batches or ([1.0],)),
            hooks,
            device=torch.device("cpu"),
            num_iterations=num_iterations,
            iterations_per_epoch=2,
            **options,
        )

    return build
