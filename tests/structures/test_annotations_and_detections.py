"""Annotations and Detections: shapes that agree, and picking."""

from __future__ import annotations

import pytest
import torch

from dettoolkit.structures import Annotations, Detections, LossOutput


def test_annotations_of_an_image_without_objects():
    empty = Annotations.empty()
    assert len(empty) == 0
    assert (empty.boxes.shape, empty.boxes.dtype) == ((0, 4), torch.float32)
    assert (empty.labels.dtype, empty.ignore.dtype) == (torch.int64, torch.bool)


@pytest.mark.parametrize(
    ("boxes", "labels", "ignore"),
    [
        ((2, 4), (1,), (2,)),
        ((2, 4), (2,), (3,)),
        ((2, 5), (2,), (2,)),
        ((2,), (2,), (2,)),
        ((0,), (0,), (0,)),
        ((2, 4), (2, 1), (2,)),
    ],
)
def test_annotations_whose_shapes_do_not_agree_are_refused_with_what_came(boxes, labels, ignore):
    with pytest.raises(ValueError, match=r"expected boxes \[G, 4\], labels \[G\] and ignore \[G\], got") as caught:
        Annotations(torch.zeros(boxes), torch.zeros(labels), torch.zeros(ignore))
    assert str(caught.value).endswith(f"got {list(boxes)}, {list(labels)} and {list(ignore)}")


def test_annotations_keep_their_values_on_another_device():
    annotations = Annotations(torch.ones(1, 4), torch.tensor([3]), torch.tensor([True])).to("meta")
    assert {annotations.boxes.device.type, annotations.labels.device.type, annotations.ignore.device.type} == {"meta"}


@pytest.mark.parametrize("crowds", [[], [False, False], [False, True]])
def test_what_leaves_the_cpu_remembers_whether_it_has_crowds(crowds):
    annotations = Annotations(
        torch.ones(len(crowds), 4), torch.zeros(len(crowds), dtype=torch.int64), torch.tensor(crowds, dtype=torch.bool)
    )
    assert annotations.has_crowds is None
    moved = annotations.to("meta")  # whose values cannot be looked at
    assert moved.has_crowds is any(crowds)
    assert moved.to("meta").has_crowds is any(crowds)


def detections() -> Detections:
    return Detections(torch.arange(12.0).view(3, 4), torch.tensor([0.9, 0.5, 0.1]), torch.tensor([2, 0, 1]))


@pytest.mark.parametrize(
    ("boxes", "scores", "labels"), [((3, 4), (2,), (3,)), ((3, 4), (3,), (2,)), ((3, 5), (3,), (3,)), ((4,), (4,), (4,))]
)
def test_detections_whose_shapes_do_not_agree_are_refused_with_what_came(boxes, scores, labels):
    with pytest.raises(ValueError, match=r"expected boxes \[D, 4\], scores \[D\] and labels \[D\], got") as caught:
        Detections(torch.zeros(boxes), torch.zeros(scores), torch.zeros(labels))
    assert str(caught.value).endswith(f"got {list(boxes)}, {list(scores)} and {list(labels)}")


@pytest.mark.parametrize("index", [slice(1, None), torch.tensor([1, 2]), torch.tensor([False, True, True])])
def test_picking_keeps_boxes_scores_and_labels_in_step(index):
    picked = detections()[index]
    assert picked.boxes[:, 0].tolist() == [4.0, 8.0]
    assert picked.scores.tolist() == pytest.approx([0.5, 0.1])
    assert picked.labels.tolist() == [0, 1]


def test_a_score_equal_to_the_threshold_is_kept():
    assert detections().above(0.5).labels.tolist() == [2, 0]


def test_no_detections():
    empty = Detections.empty()
    assert (len(empty), len(empty.above(0.0))) == (0, 0)
    assert empty.labels.dtype == torch.int64


def test_the_total_loss_is_the_sum_of_the_losses_with_gradient_and_without_the_metrics():
    first, second = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    output = LossOutput({"a": first, "b": second * 2}, {"accuracy": torch.tensor(100.0)})
    assert output.total.item() == 8.0
    output.total.backward()
    assert (first.grad.item(), second.grad.item()) == (1.0, 2.0)
