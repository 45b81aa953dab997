"""A training step as it is on a GPU, with everything refused that would wait for one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dettoolkit.engine.hooks import Hook, LearningRate, MetricWriters, NonFiniteLoss
from dettoolkit.engine.look_ahead import LookAhead
from dettoolkit.engine.trainer import Trainer
from dettoolkit.modeling import build_model
from dettoolkit.registry import OPTIMIZERS
from dettoolkit.structures import Annotations, Batch, LossOutput

# these bring a number to the host, or make a tensor of a size that only the device knows
_WAITING = ("nonzero", "local_scalar_dense", "is_nonzero", "equal", "masked_select", "unique", "bincount", "argwhere")
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")


class Waited(Exception):
    """An operator for which a GPU would have been waited for."""


class NoReading(TorchFunctionMode):
    """Refuses methods that copy a tensor to the host, wherever it is."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.tolist, Tensor.cpu, Tensor.numpy):
            raise Waited(func.__name__)
        return func(*args, **(kwargs or {}))


class NoOperators(TorchDispatchMode):
    """Refuses operators that wait, whatever the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name.lstrip("_").startswith(_WAITING):
            raise Waited(name)
        if name in _INDEXING and any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]):
            raise Waited(f"{name} with a mask")
        if name == "repeat_interleave" and kwargs is not None and kwargs.get("output_size") is None:
            raise Waited(name)
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    with NoReading(), NoOperators():
        yield


@pytest.mark.parametrize(
    "action",
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0]),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.masked_select(x > 0),
        lambda x: torch.nonzero(x),
        lambda x: x.unique(),
        lambda x: x.__setitem__(x > 0, x[:1].expand(2)),
        lambda x: torch.equal(x, x),
        lambda x: torch.repeat_interleave(x.long()),
        lambda x: torch.where(x > 0),
    ],
)
def test_what_waits_is_refused(action: Callable[[Tensor], Any]) -> None:
    x = torch.tensor([1.0, -1.0, 2.0])
    with pytest.raises(Waited), no_waiting():
        action(x)


class Guard(Hook):
    """Refuses waiting in the steps and hooks from the second step up to where the writers are due. Stands first."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.refusal: contextlib.ExitStack | None = None
        self.guarded = 0

    def before_step(self, trainer: Trainer) -> None:
        if trainer.iteration == 1:
            self.refusal = contextlib.ExitStack()
            self.refusal.enter_context(no_waiting())

    def after_step(self, trainer: Trainer) -> None:
        self.guarded += self.refusal is not None

    def is_due(self, trainer: Trainer) -> bool:
        if trainer.iteration == self.last:
            self.leave()
        return False

    def leave(self) -> None:
        if self.refusal is not None:
            self.refusal.close()
            self.refusal = None


class Lines:
    def __init__(self) -> None:
        self.numbers: list[dict[str, float]] = []

    def open(self, trainer: Trainer) -> None: ...

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        self.numbers.append(numbers)

    def close(self) -> None: ...


class Constant:
    def multiplier(self, iteration: int) -> float:
        return 1.0


@pytest.fixture
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("dense.box_examples", "matchers.max_iou", "matchers.largest_overlap"):
        monkeypatch.setattr(f"dettoolkit.modeling.{module}.picks_at_once", lambda device: False)
    monkeypatch.setattr("dettoolkit.engine.trainer.LookAhead", partial(LookAhead, ahead=True))


class OfEveryAnchor(nn.Module):
    """A classification loss that is made on any device as it is on a GPU."""

    needs_quality = False

    def forward(self, logits: Tensor, labels: Tensor, weights: Tensor, *_: Any) -> Tensor:
        return (logits.sigmoid().square().sum(-1) * weights * (labels > -2)).sum()


def _batch() -> Batch:
    boxes, labels = torch.tensor([[4.0, 4.0, 40.0, 30.0], [20.0, 8.0, 60.0, 60.0]]), torch.tensor([1, 0])
    targets = [Annotations(boxes, labels, torch.tensor([False, crowd]), crowd) for crowd in (False, True)]
    targets.append(Annotations(torch.zeros(0, 4), labels[:0], labels[:0] > 0, False))
    samples: list[Any] = [{"image_id": index, "file_name": f"{index}.png"} for index in range(3)]
    return Batch(torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8), [(64, 64), (64, 48), (40, 64)], targets, samples)


def _trainer(cfg: CfgNode, hooks: list[Hook], deferred: bool | None = True) -> Trainer:
    torch.manual_seed(0)
    model: Any = build_model(cfg)
    model.criterion.classification_loss = OfEveryAnchor()
    optimizer = OPTIMIZERS.build(cfg.SOLVER.OPTIMIZER, "OPTIMIZER", model=model, lr=0.01)
    options: dict[str, Any] = {"num_iterations": 6, "iterations_per_epoch": 5, "amp": cfg.SOLVER.AMP, "deferred": deferred}
    options |= {"accumulate": 2, "clip_gradient_norm": 1.0, "device": torch.device("cpu")}
    return Trainer(model, model, optimizer, [_batch()] * 12, hooks, **options)


@pytest.mark.usefixtures("_as_on_a_gpu")
@pytest.mark.parametrize(
    ("amp", "optimizer", "normalizer", "box_loss"),
    [
        ("none", "SGD", "world_average", "SmoothL1Loss"),
        ("bf16", "AdamW", "per_image", "GIoULoss"),
        ("fp16", "SGD", "moving_average", "DIoULoss"),
        ("fp16", "AdamW", "world_average", "CIoULoss"),
    ],
)
def test_no_step_waits_until_the_writers_are_due(
    small_config: Callable[..., CfgNode], amp: str, optimizer: str, normalizer: str, box_loss: str
) -> None:
    settings = ["MODEL.NUM_CLASSES", 2, "SOLVER.AMP", amp, "SOLVER.OPTIMIZER", f"{{NAME: {optimizer}}}"]
    settings += ["MODEL.LOSSES.REGRESSION", f"{{NAME: {box_loss}}}", "MODEL.NORMALIZER", normalizer]
    lines, guard = Lines(), Guard(5)
    hooks = [guard, LearningRate(Constant()), NonFiniteLoss(), MetricWriters([lines], 5)]
    try:
        _trainer(small_config(*settings), hooks).train()
    finally:
        guard.leave()
    assert guard.guarded == 3  # the steps 2, 3 and 4 with their hooks, and 5 without
    assert len(lines.numbers) == 2
    plain = Lines()
    _trainer(small_config(*settings), [LearningRate(Constant()), MetricWriters([plain], 5)], deferred=False).train()
    for name in ("loss", "loss_cls", "loss_box", "num_positives", "gradient_norm"):
        assert lines.numbers[0][name] == pytest.approx(plain.numbers[0][name])


@pytest.mark.usefixtures("_as_on_a_gpu")
def test_a_step_whose_loss_is_read_at_once_does_wait(small_config: Callable[..., CfgNode]) -> None:
    guard = Guard(5)
    try:
        with pytest.raises(Waited):
            _trainer(small_config("MODEL.NUM_CLASSES", 2), [guard], deferred=False).train()
    finally:
        guard.leave()


@pytest.mark.parametrize(
    ("classification", "box_loss"),
    [("FocalLoss", "SmoothL1Loss"), ("QualityFocalLoss", "GIoULoss"), ("CrossEntropyLoss", "CIoULoss")],
)
def test_a_detector_on_a_gpu_is_asked_for_no_number(
    small_config: Callable[..., CfgNode], monkeypatch: pytest.MonkeyPatch, classification: str, box_loss: str
) -> None:
    # tensors of a GPU without values: whoever asks for one gets an error
    settings = [
        "MODEL.NUM_CLASSES",
        2,
        "MODEL.LOSSES",
        f"{{CLASSIFICATION: {{NAME: {classification}}}, REGRESSION: {{NAME: {box_loss}}}}}",
    ]
    model: Any = build_model(small_config(*settings))
    monkeypatch.setenv("DETTOOLKIT_LOSS_IMPLEMENTATION", "eager")  # there is no GPU to ask whether it can run Triton
    batch = _batch()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:  # anchors are made on the host, once for each size
        moved = {
            name: torch.empty_like(mode.from_tensor(x), device="cuda") for name, x in model.state_dict(keep_vars=True).items()
        }
        constants = {name: torch.empty_like(mode.from_tensor(x), device="cuda") for name, x in model.named_buffers()}
        images = torch.empty(3, 3, 64, 64, dtype=torch.uint8, device="cuda")
        targets = [
            Annotations(*(torch.empty(x.shape, dtype=x.dtype, device="cuda") for x in (t.boxes, t.labels, t.ignore)))
            for t in batch.targets
        ]
        call = torch.func.functional_call
        output: LossOutput = call(model, {**constants, **moved}, (images, batch.image_sizes, targets))
        assert output.total.device.type == "cuda"
