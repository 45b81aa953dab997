"""Two processes on the CPU: the same training as one, and nobody is left waiting."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from dettoolkit.config import load_config
from dettoolkit.data import build_dataset
from dettoolkit.data.loader import build_test_loader
from dettoolkit.distributed import broadcast_object, gather_objects, launch, mean_over_processes, rank, world_size, wrap_ddp
from dettoolkit.engine import train
from dettoolkit.engine.evaluating import DatasetEvaluation, evaluate_all
from dettoolkit.engine.hooks import Hook, MetricWriters, NonFiniteLoss, ParametersWithoutGradient
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import CheckpointError, TrainingError
from dettoolkit.evaluation import CocoEvaluator
from dettoolkit.modeling import build_model
from dettoolkit.structures import Batch, LossOutput

REPOSITORY = Path(__file__).parents[2]
SMALL = Path(__file__).with_name("small.yaml")
CPU = torch.device("cpu")
TWENTY_STEPS = ["SOLVER.LENGTH", "20", "SOLVER.WARMUP.LENGTH", "0", "EVALUATION.PERIOD", "20it", "DATASETS.TEST", "[other]"]

pytestmark = pytest.mark.slow


def _run(command: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "--config-file", str(SMALL), *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The same config in one process, and in two that the command starts."""
    folder = tmp_path_factory.mktemp("pair")
    numbers = train(load_config(SMALL, [*TWENTY_STEPS, "OUTPUT_DIR", str(folder / "one")]))
    script = [sys.executable, "tools/train_net.py"]
    ended = _run(script, "--num-gpus", "2", *TWENTY_STEPS, "OUTPUT_DIR", str(folder / "two"))
    return SimpleNamespace(one=folder / "one", two=folder / "two", numbers=numbers, ended=ended)


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_have_the_losses_of_one(pair: SimpleNamespace) -> None:
    assert pair.ended.returncode == 0, pair.ended.stderr
    one, two = ([row for row in _rows(folder) if "loss" in row] for folder in (pair.one, pair.two))
    assert len(one) == len(two) == 20
    assert len({row["loss"] for row in one}) > 15  # augmentation and shuffling are on: no two steps are alike
    for name in ("loss", "loss_cls", "loss_box", "lr"):
        assert [row[name] for row in two] == pytest.approx([row[name] for row in one], rel=1e-4)


def test_two_processes_have_the_evaluation_of_one(pair: SimpleNamespace) -> None:
    last = {name: value for name, value in _rows(pair.two)[-1].items() if name not in ("iteration", "epoch")}
    assert last == pytest.approx(pair.numbers, rel=1e-3)
    predictions = [json.loads((folder / "inference/other/predictions.json").read_text()) for folder in (pair.one, pair.two)]
    assert len(predictions[0]) == len(predictions[1])


def test_two_processes_leave_one_set_of_files(pair: SimpleNamespace) -> None:
    one, two = (sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (pair.one, pair.two))
    assert one == two
    assert pair.ended.stderr.count("12 images, 20 iterations of 8 images") == 1


def test_torchrun_is_the_same_program_and_can_resume(pair: SimpleNamespace) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "tools/train_net.py"]
    longer = [word if word != "20" else "22" for word in TWENTY_STEPS]
    ended = _run(torchrun, "--resume", *longer, "OUTPUT_DIR", str(pair.two))
    assert ended.returncode == 0, ended.stderr
    steps = [row["iteration"] for row in _rows(pair.two) if "loss" in row]
    assert steps == list(range(1, 23))


class Net(nn.Module):
    """A weight with batch norm, and a loss that one process can be told to spoil."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.unused: nn.Module | None = None
        self.bad = False

    def forward(self, images: torch.Tensor, *_: Any) -> LossOutput:
        loss = (self.norm(images.flatten(1)) - 1).square().mean()
        return LossOutput({"loss_x": loss * (math.nan if self.bad else 1)})


class Lines:
    def __init__(self) -> None:
        self.losses: list[float] = []

    def open(self, trainer: Trainer) -> None: ...

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        self.losses.append(numbers["loss"])

    def close(self) -> None: ...


class OnRank(Hook):
    """Does something after a step, in one process only."""

    def __init__(self, wanted: int, iteration: int, action: Callable[[Trainer], None]) -> None:
        self.wanted, self.iteration, self.action = wanted, iteration, action

    def after_step(self, trainer: Trainer) -> None:
        if rank() == self.wanted and trainer.iteration == self.iteration:
            self.action(trainer)


def _trainer(hooks: list[Hook], model: Net | None = None, deferred: bool | None = None) -> Trainer:
    model = model or Net()
    pixels = torch.arange(4.0) + 10 * rank()
    samples: list[Any] = [{"image_id": index, "file_name": f"{rank()}_{index}.png"} for index in range(4)]
    batch = Batch(pixels.view(4, 1, 1, 1), [(1, 1)] * 4, [], samples)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    options: dict[str, Any] = {"device": CPU, "num_iterations": 5, "iterations_per_epoch": 5, "deferred": deferred}
    return Trainer(model, wrap_ddp(model, CPU), optimizer, [batch] * 9, hooks, **options)


def _spoil(trainer: Trainer) -> None:
    trainer.model.bad = True  # type: ignore[assignment]


def _bad_loss(deferred: bool) -> dict[str, Any]:
    trainer = _trainer([OnRank(1, 2, _spoil), NonFiniteLoss()], deferred=deferred)
    before = {}
    trainer.hooks.append(OnRank(rank(), 2, lambda trainer: before.update(weight=trainer.model.norm.weight.item())))  # type: ignore[union-attr, operator]
    try:
        trainer.train()
    except TrainingError as error:
        return {
            "message": str(error),
            "unchanged": trainer.model.norm.weight.item() == before["weight"],
            "after": trainer.iteration,
        }  # type: ignore[union-attr, operator]
    return {}


def _stop() -> int:
    trainer = _trainer([OnRank(1, 3, lambda trainer: trainer.request_stop("seen enough"))])
    trainer.train()
    return trainer.iteration


def _mean_loss() -> tuple[float, list[float]]:
    lines = Lines()
    own: list[float] = []
    note = OnRank(rank(), 1, lambda trainer: own.append(float(trainer.latest_metrics["loss"])))
    _trainer([note, MetricWriters([lines], 1)]).train()
    return own[0], lines.losses


def _no_gradient() -> str:
    model = Net()
    model.unused = nn.Linear(1, 1)
    try:
        _trainer([ParametersWithoutGradient()], model).train()
    except TrainingError as error:
        return str(error)
    return ""


def _refused(folder: str) -> str:
    try:
        RunFolder.for_training(folder, resume=True)
    except CheckpointError as error:
        return str(error)
    return ""


def _evaluate(folder: str) -> dict[str, float]:
    """Evaluate a network whose batch norm has other statistics in each process, as after a step of training."""
    cfg = load_config(SMALL, ["MODEL.NUM_CLASSES", "6", "MODEL.BACKBONE.NORM", "BN"])
    torch.manual_seed(0)
    model: Any = build_model(cfg)
    for buffer in model.backbone.buffers():
        buffer.add_(rank())
    dataset = build_dataset(cfg, "other")
    loader = build_test_loader(dataset, [], batch_size=2, divisibility=32, rank=rank(), world_size=world_size())
    return evaluate_all(
        [DatasetEvaluation(dataset, loader, [CocoEvaluator(dataset.info)])], model, CPU, RunFolder(Path(folder))
    )


def _all_checks(folder: str) -> dict[str, list[Any]]:
    """Do one after the other what one launch can do, and return what each process saw."""
    seen = {
        "bad loss": _bad_loss(deferred=False),
        "bad loss told later": _bad_loss(deferred=True),
        "stop": _stop(),
        "mean loss": _mean_loss(),
        "no folder": _refused(f"{folder}/absent"),
        "evaluation": _evaluate(folder),
        "no gradient": _no_gradient(),
    }
    assert mean_over_processes(torch.tensor(float(rank()))) == 0.5  # everyone is still in step
    return {name: broadcast_object(gather_objects(value)) for name, value in seen.items()}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What two processes saw in each check."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY)  # new processes import the functions above by the name of this module
        folder = str(tmp_path_factory.mktemp("seen"))
        return launch(_all_checks, (folder,), num_gpus=2, device="cpu", timeout=timedelta(seconds=120))


def test_a_bad_loss_of_one_process_stops_both_with_its_message(seen: dict[str, list[Any]]) -> None:
    first, second = seen["bad loss"]
    assert first == second
    assert first["message"].startswith("iteration 3: the loss is not finite (loss nan, loss_x nan) at learning rate 0.1.")
    assert first["message"].endswith("Images: 1_0.png, 1_1.png, 1_2.png, 1_3.png")
    assert first["unchanged"]


def test_a_bad_loss_told_at_the_end_stops_both_with_the_same_message(seen: dict[str, list[Any]]) -> None:
    assert [found["after"] for found in seen["bad loss"]] == [3, 3]
    assert seen["bad loss told later"] == [{**found, "after": 5} for found in seen["bad loss"]]


def test_one_process_can_stop_both(seen: dict[str, list[Any]]) -> None:
    assert seen["stop"] == [3, 3]


def test_what_is_written_is_the_mean_over_the_processes(seen: dict[str, list[Any]]) -> None:
    (first, written), (second, nothing) = seen["mean loss"]
    assert len(written) == 5
    assert written[0] == pytest.approx((first + second) / 2)
    assert nothing == []  # the main process alone writes


def test_both_processes_are_refused_a_folder(seen: dict[str, list[Any]]) -> None:
    first, second = seen["no folder"]
    assert first == second
    assert "holds no checkpoint to go on from" in first


def test_evaluation_takes_the_batch_norm_of_the_process_that_saves(seen: dict[str, list[Any]], tmp_path: Path) -> None:
    first, second = seen["evaluation"]
    assert first == second
    assert first == pytest.approx(_evaluate(str(tmp_path)), rel=1e-5)


def test_parameters_without_a_gradient_stop_several_processes_with_their_names(seen: dict[str, list[Any]]) -> None:
    message = "2 parameters got no gradient in the first step: unused.weight, unused.bias. To train in several processes"
    assert [text.startswith(message) for text in seen["no gradient"]] == [True, True]
