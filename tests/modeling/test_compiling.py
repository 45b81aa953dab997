"""Compiling in place: the same numbers and names, few compilations, and words where it does not work."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from dettoolkit.config import load_config
from dettoolkit.errors import ConfigError
from dettoolkit.modeling import build_model
from dettoolkit.modeling.compiling import CompiledLoss, CompiledNetwork, check_compiler, compilation, compile_for_training
from dettoolkit.structures import Annotations

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Convolution(nn.Module):
    """The smallest model that has a network."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)

    def network(self, x: Tensor) -> Tensor:
        return self.convolution(x).relu()


def compiled(**options: Any) -> Any:
    model: Any = Convolution()
    model.network = CompiledNetwork(model, "MODEL.COMPILE", **{"backend": "eager", **options})
    return model


def images(height: int, width: int = 8, count: int = 2) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(height))


def test_the_numbers_are_those_of_the_method() -> None:
    model = compiled(backend="aot_eager")
    expected = Convolution.network(model, images(8))
    torch.testing.assert_close(model.network(images(8)), expected, rtol=0, atol=1e-6)
    expected.sum().backward()
    gradient = model.convolution.weight.grad.clone()
    model.zero_grad()
    model.network(images(8)).sum().backward()
    torch.testing.assert_close(model.convolution.weight.grad, gradient, rtol=1e-5, atol=1e-5)


def test_names_of_weights_and_modules_stay() -> None:
    model, plain = compiled(), Convolution()
    model.network(images(8))
    assert list(model.state_dict()) == list(plain.state_dict()) == ["convolution.weight", "convolution.bias"]
    assert [name for name, _ in model.named_modules()] == [name for name, _ in plain.named_modules()]


def test_new_weights_are_seen_without_compiling_again() -> None:
    counter = CompileCounter()
    model = compiled(backend=counter)
    model.network(images(8))
    model.load_state_dict({name: torch.ones_like(value) for name, value in model.state_dict().items()})
    assert torch.equal(model.network(images(8)), Convolution.network(model, images(8)))
    assert counter.frame_count == 1


def test_a_copy_computes_with_its_own_weights() -> None:
    model = compiled()
    model.network(images(8))
    other = copy.deepcopy(model)
    nn.init.zeros_(other.convolution.weight)
    nn.init.constant_(other.convolution.bias, 3.0)
    assert torch.equal(other.network(images(8)), torch.full((2, 4, 8, 8), 3.0))
    assert not torch.equal(model.network(images(8)), other.network(images(8)))


def test_each_shape_is_compiled_once_and_told(caplog: pytest.LogCaptureFixture) -> None:
    counter = CompileCounter()
    model = compiled(backend=counter)
    with caplog.at_level(logging.INFO, "dettoolkit"):
        for _ in range(3):
            for height in (8, 16, 24):
                model.network(images(height))
    assert counter.frame_count == model.network.num_shapes == 3
    assert [record.message.split(" took ")[0] for record in caplog.records] == [
        f"compiling for 2 x {height} x 8" for height in (8, 16, 24)
    ]
    assert caplog.records[-1].message.endswith(" s (shape 3 of at most 32)")


def test_more_shapes_than_torch_compiles_by_itself_are_compiled() -> None:
    counter = CompileCounter()
    model = compiled(backend=counter)
    for height in range(2, 12):  # 10, where torch's own limit is 8
        model.network(images(height))
    assert counter.frame_count == 10


def test_past_the_limit_shapes_run_as_they_are_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    counter = CompileCounter()
    model = compiled(backend=counter, max_shapes=2)
    for height in (8, 16, 24, 32, 24):
        assert torch.equal(model.network(images(height)), Convolution.network(model, images(height)))
    assert counter.frame_count == 2
    (warning,) = (record.message for record in caplog.records if record.levelno == logging.WARNING)
    assert warning.startswith("MODEL.COMPILE: 2 shapes of batches are compiled, and further ones run uncompiled.")
    assert "DATALOADER.PAD_TO" in warning


def test_evaluation_can_be_left_as_it_is() -> None:
    counter = CompileCounter()
    model = compiled(backend=counter, only_in_training=True)
    model.eval().network(images(8))
    assert (counter.frame_count, model.network.num_shapes) == (0, 0)
    model.train().network(images(8))
    assert (counter.frame_count, model.network.num_shapes) == (1, 1)


def test_a_network_with_parts_that_cannot_be_traced_runs_in_pieces() -> None:
    class Printing(Convolution):
        def network(self, x: Tensor) -> Tensor:
            x = self.convolution(x)
            return x.relu() if float(x.detach().sum()) > -1e9 else x

    counter, model = CompileCounter(), Printing()
    model.network = CompiledNetwork(model, "MODEL.COMPILE", backend=counter)  # type: ignore[method-assign, assignment]
    with torch.no_grad():
        assert torch.equal(model.network(images(8)), Convolution.network(model, images(8)))
    assert counter.frame_count == 2


def test_a_model_without_a_network_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"MODEL\.COMPILE: Linear has no method network\(x\) that could be compiled"):
        CompiledNetwork(nn.Linear(1, 1), "MODEL.COMPILE")


def failing(graph: Any, inputs: Any) -> Any:
    raise FileNotFoundError("no C++ compiler: g++ is not installed.")


def test_a_compiler_that_fails_is_told_with_the_key_and_the_cause() -> None:
    expected = r"MODEL\.COMPILE: torch\.compile failed: FileNotFoundError: no C\+\+ compiler: g\+\+ is not installed\. Without"
    with pytest.raises(ConfigError, match=expected):
        check_compiler(CPU, "MODEL.COMPILE", failing)
    with pytest.raises(ConfigError, match=expected):
        compiled(backend=failing).network(images(8))


def test_compiling_again_and_again_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dettoolkit.modeling.compiling._MAX_COMPILATIONS", 3)
    twice = torch.compile(lambda x, n: x * n, dynamic=False, backend="eager")
    for number in range(3):
        with compilation("compile"):
            twice(torch.ones(2), number + 0.5)
    with pytest.raises(ConfigError, match=r"compile: a part.* compiled 3 times.*TORCH_LOGS=recompiles"), compilation("compile"):
        twice(torch.ones(2), 3.5)


class Squares:
    """A loss with something to say of itself."""

    operates_on = "deltas"

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        losses = self.factor * (prediction - target).square().sum(-1)
        return (losses if weights is None else losses * weights).sum()


def test_a_loss_is_compiled_for_all_lengths_at_once_and_passes_on_what_it_says() -> None:
    counter = CompileCounter()
    loss = CompiledLoss(Squares(2.0), "MODEL.COMPILE", counter)
    assert loss.operates_on == "deltas"
    assert not hasattr(loss, "needs_quality")
    for length in (3, 5, 7, 4):
        prediction = torch.ones(length, 4, requires_grad=True)
        assert loss(prediction, torch.zeros(length, 4)).item() == 8.0 * length
    assert counter.frame_count == 1
    with torch.no_grad():
        assert loss(torch.ones(2, 4), torch.zeros(2, 4)).item() == 16.0
    assert counter.frame_count == 1
    assert copy.deepcopy(loss).factor == 2.0


@pytest.fixture
def detector() -> Any:
    torch.manual_seed(0)
    overrides = ["MODEL.NUM_CLASSES", "3", "MODEL.BACKBONE", "{NAME: ResNet, DEPTH: 18, NORM: FrozenBN, FREEZE_STAGES: 0}"]
    return build_model(load_config("tiny.yaml", overrides))


def losses(model: Any) -> list[float]:
    """Return the total of three steps, each over batches of another size."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    totals = []
    for step, (height, width) in enumerate([(64, 64), (64, 96), (64, 64)]):
        generator = torch.Generator().manual_seed(step)
        pixels = torch.randint(256, (2, 3, height, width), generator=generator, dtype=torch.uint8)
        boxes = torch.tensor([[4.0, 4.0, 40.0, 44.0], [20.0, 10.0, 60.0, 60.0]])[: step + 1]
        targets = [Annotations(boxes, torch.arange(len(boxes)), torch.zeros(len(boxes), dtype=torch.bool))] * 2
        optimizer.zero_grad()
        total = model(pixels, [(height, width)] * 2, targets).total
        total.backward()
        optimizer.step()
        totals.append(total.item())
    return totals


@pytest.mark.parametrize("with_loss", [False, True])
def test_steps_of_a_compiled_detector_are_those_of_an_uncompiled_one(detector: Any, with_loss: bool) -> None:
    other = copy.deepcopy(detector)
    compile_for_training(detector, "MODEL.COMPILE", with_loss, CPU, "eager")
    assert isinstance(detector.criterion.classification_loss, CompiledLoss) == with_loss
    assert losses(detector.train()) == pytest.approx(losses(other.train()), rel=1e-4)
    assert detector.network.num_shapes == 2
    assert detector.state_dict().keys() == other.state_dict().keys()


def test_a_loss_with_weights_of_its_own_stays_as_it_is(detector: Any) -> None:
    class Learned(nn.Module):
        needs_quality = False

    detector.criterion.classification_loss = Learned()
    compile_for_training(detector, "MODEL.COMPILE", True, CPU, "eager")
    assert isinstance(detector.criterion.classification_loss, Learned)


def test_losses_of_a_model_without_a_criterion_cannot_be_compiled() -> None:
    with pytest.raises(ConfigError, match=r"MODEL\.COMPILE: step compiles .* classification_loss, and Convolution has none"):
        compile_for_training(Convolution(), "MODEL.COMPILE", True, CPU, "eager")


def test_the_real_compiler_gives_the_same_numbers() -> None:
    model = compiled(backend="inductor", freeze=True)
    with torch.no_grad():
        torch.testing.assert_close(model.network(images(8)), Convolution.network(model, images(8)), rtol=0, atol=1e-4)
