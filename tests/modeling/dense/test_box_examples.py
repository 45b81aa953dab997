"""Box examples picked (CPU) and masked (accelerators): the same losses, and on an accelerator nobody waits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.box_coders import DeltaXYWHCoder
from dettoolkit.modeling.dense import DenseCriterion
from dettoolkit.modeling.dense.box_examples import BoxExamples, box_examples
from dettoolkit.modeling.dense.normalizer import MovingAverage, Normalizer, PerImage, WorldAverage
from dettoolkit.modeling.losses import FocalLoss, QualityFocalLoss, SmoothL1Loss, VarifocalLoss
from dettoolkit.modeling.matchers import MaxIoUMatcher
from dettoolkit.modeling.miners import AllExamples
from dettoolkit.registry import LOSSES
from dettoolkit.structures import Annotations, DensePredictions

MAP_SIZES = [(8, 10), (4, 5)]
ANCHORS = GridAnchors([8, 16])(MAP_SIZES, "cpu")
BOX_LOSSES = [name for name, loss in LOSSES if getattr(loss, "operates_on", None) in ("deltas", "boxes")]
COUNTS = {"some boxes": [3, 0, 5], "no boxes": [0, 0, 0], "one image": [4]}


class Undecided:
    """A classification loss that any device can compute."""

    needs_quality = False

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor, *_: Any) -> Tensor:
        return (logits.square().sum(-1) * weights).sum()


def criterion(box_loss: Any, classification: Any = None, normalizer: Normalizer | None = None) -> DenseCriterion:
    parts = MaxIoUMatcher(), AllExamples(), DeltaXYWHCoder(), classification or FocalLoss()
    return DenseCriterion(*parts, {"loss_box": box_loss}, {}, normalizer or PerImage())


def targets(counts: list[int], crowds: bool = False) -> list[Annotations]:
    made = []
    for count in counts:
        center, half = torch.rand(count, 2) * 40 + 15, torch.rand(count, 2) * 20 + 8
        boxes = torch.cat([center - half, center + half], dim=1)
        ignore = torch.ones(count, dtype=torch.bool) if crowds else torch.arange(count) == 1
        made.append(Annotations(boxes, torch.randint(0, 3, (count,)), ignore))
    return made


def predictions(images: int) -> DensePredictions:
    logits = [torch.randn(images, len(level), 3, requires_grad=True) for level in ANCHORS]
    deltas = [(torch.randn(images, len(level), 4) * 0.3).requires_grad_() for level in ANCHORS]
    return DensePredictions(logits, deltas, MAP_SIZES)


def losses_and_gradients(made: DenseCriterion, predicted: DensePredictions, truth: list[Annotations]) -> dict[str, Tensor]:
    output = made(predicted, ANCHORS, truth)
    slopes = torch.autograd.grad(output.total, [*predicted.logits, *predicted.deltas])
    return {**output.losses, **{f"gradient {index}": slope for index, slope in enumerate(slopes)}}


@pytest.fixture
def _masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are picked on no device, as if all were accelerators."""
    for module in ("modeling.dense.box_examples", "modeling.matchers.max_iou"):
        monkeypatch.setattr(f"dettoolkit.{module}.picks_at_once", lambda device: False)


def assert_both_ways_agree(
    request: pytest.FixtureRequest, made: DenseCriterion, predicted: DensePredictions, truth: list[Annotations]
) -> None:
    picked = losses_and_gradients(made, predicted, truth)
    request.getfixturevalue("_masked")
    masked = losses_and_gradients(made, predicted, truth)
    for name, value in picked.items():
        torch.testing.assert_close(masked[name], value, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS.keys())
@pytest.mark.parametrize("name", BOX_LOSSES)
def test_every_box_loss_is_the_same_both_ways(request: pytest.FixtureRequest, name: str, counts: list[int]) -> None:
    made = criterion(LOSSES.get(name)())
    assert_both_ways_agree(request, made, predictions(len(counts)), targets(counts))


@pytest.mark.parametrize("normalizer", [WorldAverage, PerImage])
@pytest.mark.parametrize("classification", [QualityFocalLoss, VarifocalLoss])
def test_a_loss_that_learns_a_quality_is_the_same_both_ways(
    request: pytest.FixtureRequest, classification: Any, normalizer: Any
) -> None:
    made = criterion(SmoothL1Loss(), classification(), normalizer())
    assert_both_ways_agree(request, made, predictions(3), targets([3, 0, 5]))


@pytest.mark.parametrize("classification", [FocalLoss, QualityFocalLoss])
def test_images_of_nothing_but_crowds_are_the_same_both_ways(request: pytest.FixtureRequest, classification: Any) -> None:
    made = criterion(SmoothL1Loss(), classification())
    assert_both_ways_agree(request, made, predictions(2), targets([3, 1], crowds=True))


@pytest.mark.usefixtures("_masked")
@pytest.mark.parametrize("name", BOX_LOSSES)
def test_what_is_predicted_where_no_box_is_has_no_influence_even_if_infinite(name: str) -> None:
    predicted, truth = predictions(1), targets([3])
    made = criterion(LOSSES.get(name)(), Undecided())
    clean = losses_and_gradients(made, predicted, truth)
    negative = made.matcher(ANCHORS, truth[0]).indices < 0
    assert 0 < negative.sum() < len(negative)
    for level, rows in zip(predicted.deltas, negative.split([len(level) for level in ANCHORS]), strict=True):
        level.data[:, rows] = torch.tensor([float("inf"), float("nan"), 1e30, -float("inf")])
    spoilt = losses_and_gradients(made, predicted, truth)
    for found, wanted in zip(spoilt.values(), clean.values(), strict=True):
        assert torch.equal(found, wanted)
    deltas = torch.cat([spoilt["gradient 2"], spoilt["gradient 3"]], dim=1)
    assert (deltas[0, negative] == 0).all()
    assert (deltas[0, ~negative] != 0).any()


def _examples(masked: bool, request: pytest.FixtureRequest) -> BoxExamples:
    if masked:
        request.getfixturevalue("_masked")
    anchors = [torch.tensor([[0.0, 0.0, 2.0, 2.0], [4.0, 4.0, 8.0, 8.0]]), torch.tensor([[0.0, 0.0, 9.0, 9.0]])]
    deltas = [torch.ones(2, 2, 4), torch.full((2, 1, 4), 2.0)]
    first, none = torch.tensor([[1.0, 1.0, 3.0, 3.0], [5.0, 5.0, 6.0, 6.0]]), torch.tensor([False, False])
    truth = [Annotations.empty(), Annotations(first, torch.zeros(2, dtype=torch.int64), none)]
    indices = torch.tensor([[-1, -2, -1], [-1, 1, 0]])
    return box_examples(DensePredictions([], deltas, []), anchors, indices, truth)


def test_positive_anchors_alone(request: pytest.FixtureRequest) -> None:
    examples = _examples(False, request)
    assert not examples.are_all_anchors
    assert examples.anchors.tolist() == [[4, 4, 8, 8], [0, 0, 9, 9]]
    assert examples.boxes.tolist() == [[5, 5, 6, 6], [1, 1, 3, 3]]
    assert examples.deltas.tolist() == [[1] * 4, [2] * 4]
    assert examples.weights(torch.tensor([0.5, 0.25])).tolist() == [0.25, 0.25]
    assert examples.spread(torch.tensor([3.0, 4.0])).tolist() == [[0, 0, 0], [0, 3, 4]]


def test_all_anchors_of_which_others_stand_for_themselves(request: pytest.FixtureRequest) -> None:
    examples = _examples(True, request)
    assert examples.are_all_anchors
    anchors = [[0, 0, 2, 2], [4, 4, 8, 8], [0, 0, 9, 9]]
    assert examples.anchors.tolist() == anchors * 2
    assert examples.boxes.tolist() == [*anchors, [0, 0, 2, 2], [5, 5, 6, 6], [1, 1, 3, 3]]
    assert examples.deltas.tolist() == [[0] * 4] * 4 + [[1] * 4, [2] * 4]
    assert examples.weights(torch.tensor([0.5, 0.25])).tolist() == [0, 0, 0, 0, 0.25, 0.25]
    assert examples.spread(torch.arange(6.0)).tolist() == [[0, 0, 0], [0, 4, 5]]


@pytest.mark.parametrize("normalizer", [WorldAverage(), PerImage(), MovingAverage()])
@pytest.mark.parametrize("has_crowds", [None, False, True])
def test_on_a_gpu_no_number_is_asked_for(has_crowds: bool | None, normalizer: Normalizer) -> None:
    # tensors without values: whoever asks for one, or for how many rows a mask picks, gets an error
    with FakeTensorMode(allow_non_fake_inputs=True):
        made = criterion(SmoothL1Loss(), Undecided(), normalizer).to("meta").to("cuda")
        anchors = [torch.empty(len(level), 4, device="cuda") for level in ANCHORS]
        logits = [torch.empty(2, len(level), 3, device="cuda") for level in ANCHORS]
        deltas = [torch.empty(2, len(level), 4, device="cuda") for level in ANCHORS]
        rows = torch.empty(3, dtype=torch.int64, device="cuda")
        truth = [Annotations(torch.empty(3, 4, device="cuda"), rows, rows > 0, has_crowds), Annotations.empty("cuda")]
        output = made(DensePredictions(logits, deltas, MAP_SIZES), anchors, truth)
    assert {value.device.type for value in [*output.losses.values(), *output.metrics.values()]} == {"cuda"}
