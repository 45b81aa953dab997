"""Box losses against numbers worked by hand and torchvision.ops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torchvision import ops

from dettoolkit.modeling.losses import CIoULoss, DIoULoss, GIoULoss, L1Loss, SmoothL1Loss

OVERLAP_LOSSES = [GIoULoss, DIoULoss, CIoULoss]
ALL_LOSSES = [L1Loss, SmoothL1Loss, *OVERLAP_LOSSES]


def boxes(count: int, seed: int) -> Tensor:
    corner, side = torch.rand(2, count, 2, generator=torch.Generator().manual_seed(seed)) * 50
    return torch.cat([corner, corner + side + 1], dim=1)


def loss_of(loss: Any, prediction: list[float], target: list[float]) -> float:
    return float(loss(torch.tensor([prediction]), torch.tensor([target])))


def test_l1_is_the_sum_of_differences() -> None:
    assert loss_of(L1Loss(), [1.0, -2.0, 0.0, 0.5], [0.0, 0.0, 0.0, 1.0]) == 3.5


def test_smooth_l1_bends_at_beta() -> None:
    # beta 0.1: 0.05 is inside, 0.05^2 / 0.2 = 0.0125; 1 is outside, 1 - 0.05 = 0.95; at 0.1 both say 0.05
    assert loss_of(SmoothL1Loss(0.1), [0.05, -1.0, 0.1, 0.0], [0.0] * 4) == pytest.approx(0.0125 + 0.95 + 0.05)


def test_smooth_l1_with_beta_zero_is_l1() -> None:
    prediction, target = boxes(5, 0), boxes(5, 1)
    torch.testing.assert_close(SmoothL1Loss(0.0)(prediction, target), L1Loss()(prediction, target))


def test_smooth_l1_refuses_a_negative_beta() -> None:
    with pytest.raises(ValueError, match=r"beta expects a number >= 0, got -0\.1"):
        SmoothL1Loss(-0.1)


def test_giou_of_two_squares() -> None:
    # intersection 1, union 7, hull 9: GIoU = 1/7 - 2/9
    assert loss_of(GIoULoss(), [0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0]) == pytest.approx(1 - (1 / 7 - 2 / 9), rel=1e-5)


def test_giou_tells_how_far_boxes_are_apart() -> None:
    # no intersection; union 2, hull 3 and 10 wide: GIoU = -1/3 and -8/10
    assert loss_of(GIoULoss(), [0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 3.0, 1.0]) == pytest.approx(1 + 1 / 3, rel=1e-5)
    assert loss_of(GIoULoss(), [0.0, 0.0, 1.0, 1.0], [9.0, 0.0, 10.0, 1.0]) == pytest.approx(1.8, rel=1e-5)


def test_diou_of_two_squares() -> None:
    # centres (1, 1) and (2, 2): distance^2 2; diagonal of the hull^2 18
    assert loss_of(DIoULoss(), [0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0]) == pytest.approx(1 - 1 / 7 + 2 / 18, rel=1e-5)


def test_ciou_adds_the_difference_of_shapes() -> None:
    # 2 x 1 and 1 x 2: IoU 1/3; centres (1, 0.5), (0.5, 1): 0.5 of a diagonal^2 of 8; v = 4 / pi^2 (atan 2 - atan 1/2)^2
    v = 4 / math.pi**2 * (math.atan(2) - math.atan(0.5)) ** 2
    expected = 1 - 1 / 3 + 0.5 / 8 + v * v / (1 - 1 / 3 + v)
    assert loss_of(CIoULoss(), [0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 2.0]) == pytest.approx(expected, rel=1e-5)


def test_ciou_of_boxes_of_one_shape_is_diou() -> None:
    pair = [0.0, 0.0, 4.0, 2.0], [1.0, 1.0, 3.0, 2.0]
    assert loss_of(CIoULoss(), *pair) == pytest.approx(loss_of(DIoULoss(), *pair), rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "function"),
    [
        (GIoULoss, ops.generalized_box_iou),
        (DIoULoss, ops.distance_box_iou),
        (CIoULoss, ops.complete_box_iou),
    ],
)
def test_overlap_losses_are_one_minus_torchvisions_pairwise_measure(loss: Any, function: Any) -> None:
    prediction, target = boxes(40, 0), boxes(40, 1)
    torch.testing.assert_close(loss()(prediction, target), (1 - function(prediction, target).diagonal()).sum())


@pytest.mark.parametrize(
    ("loss", "function"),
    [
        (GIoULoss, ops.generalized_box_iou_loss),
        (DIoULoss, ops.distance_box_iou_loss),
        (CIoULoss, ops.complete_box_iou_loss),
    ],
)
def test_overlap_losses_and_their_gradients_are_torchvisions(loss: Any, function: Any) -> None:
    targets = torch.cat([boxes(200, 1), boxes(50, 2), boxes(20, 3)])
    apart = boxes(20, 3) + 500
    results = []
    for calculate in (loss(), lambda x, y: function(x, y).sum()):
        predictions = torch.cat([boxes(200, 0), boxes(50, 2), apart]).requires_grad_()  # others, the same, far away
        value = calculate(predictions, targets)
        results.append((value.detach(), *torch.autograd.grad(value, predictions)))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", OVERLAP_LOSSES)
def test_overlap_losses_ask_a_gpu_for_nothing(loss: Any) -> None:
    with FakeTensorMode():  # has no values that could be asked for
        prediction = torch.rand(9, 4, device="cuda").requires_grad_()
        assert loss()(prediction, torch.rand(9, 4, device="cuda"), torch.rand(9, device="cuda")).shape == ()


@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_a_perfect_prediction_costs_nothing(loss: Any) -> None:
    assert loss()(boxes(9, 0), boxes(9, 0)).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_weights_multiply_the_loss_of_their_box(loss: Any) -> None:
    prediction, target, weights = boxes(4, 0), boxes(4, 1), torch.tensor([1.0, 0.0, 0.5, 2.0])
    expected = sum(loss()(prediction[i : i + 1], target[i : i + 1]) * weights[i] for i in range(4))
    torch.testing.assert_close(loss()(prediction, target, weights), expected)


@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_no_boxes_give_zero_with_a_gradient(loss: Any) -> None:
    prediction = torch.zeros(0, 4, requires_grad=True)
    value = loss()(prediction, torch.zeros(0, 4), torch.zeros(0))
    assert value.item() == 0
    assert value.dtype == torch.float32
    assert torch.autograd.grad(value, prediction)[0].shape == (0, 4)


@pytest.mark.parametrize("loss", OVERLAP_LOSSES)
def test_boxes_that_do_not_meet_still_have_a_gradient(loss: Any) -> None:
    prediction = torch.tensor([[0.0, 0.0, 1.0, 1.0]], requires_grad=True)
    slope = torch.autograd.grad(loss()(prediction, torch.tensor([[900.0, 900.0, 1200.0, 910.0]])), prediction)[0]
    assert slope.isfinite().all()
    assert slope.abs().sum() > 0


@pytest.mark.parametrize("loss", OVERLAP_LOSSES)
@pytest.mark.parametrize("sides", [(0.0, 0.0), (600.0, 0.0), (0.0, 600.0)])
def test_boxes_without_an_area_still_have_a_finite_gradient(loss: Any, sides: tuple[float, float]) -> None:
    prediction = torch.tensor([[5.0, 5.0, 5.0 + sides[0], 5.0 + sides[1]]], requires_grad=True)
    value = loss()(prediction, torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
    assert value.isfinite()
    assert torch.autograd.grad(value, prediction)[0].isfinite().all()


def test_losses_say_what_they_operate_on() -> None:
    assert [loss.operates_on for loss in ALL_LOSSES] == ["deltas", "deltas", "boxes", "boxes", "boxes"]
