"""Decoding against torchvision's RetinaNet and by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import RetinaNet as TorchvisionRetinaNet
from torchvision.models.detection._utils import BoxCoder

from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.box_coders import DeltaXYWHCoder
from dettoolkit.modeling.dense import DenseDecoder
from dettoolkit.modeling.dense import decoder as dense_decoder
from dettoolkit.modeling.dense.nms import BatchedNMS, ClassAgnosticNMS
from dettoolkit.structures import DensePredictions, Detections

MAP_SIZES = [(10, 12), (5, 6), (3, 3)]
ANCHORS = GridAnchors([8, 16, 32])(MAP_SIZES, "cpu")
SQUARES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 40.0, 40.0], [60.0, 60.0, 70.0, 90.0]])


def decoder(nms: Any = None, **parameters: Any) -> DenseDecoder:
    return DenseDecoder(DeltaXYWHCoder(), nms or BatchedNMS(0.5), **parameters)


def random_predictions(num_classes: int, seed: int, images: int = 2) -> DensePredictions:
    generator = torch.Generator().manual_seed(seed)
    logits = [torch.randn(images, len(level), num_classes, generator=generator) * 2 - 2 for level in ANCHORS]
    deltas = [torch.randn(images, len(level), 4, generator=generator) * 0.5 for level in ANCHORS]
    return DensePredictions(logits, deltas, MAP_SIZES)


def of_squares(scores: list[list[float]], deltas: Tensor | None = None) -> DensePredictions:
    """Return predictions for the three SQUARES, as they are, with a row of class scores for each."""
    return DensePredictions([torch.tensor([scores]).logit()], [torch.zeros(1, 3, 4) if deltas is None else deltas], [(1, 3)])


def decode(predictions: DensePredictions, size: tuple[int, int] = (100, 100), **parameters: Any) -> Detections:
    return decoder(**parameters)(predictions, [SQUARES], [size])[0]


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"score_threshold": 0.3, "candidates_per_level": 50, "max_detections": 20},
        {"score_threshold": 0.0, "candidates_per_level": 10, "max_detections": 500},
    ],
)
def test_detections_are_torchvisions(num_classes: int, parameters: dict[str, Any]) -> None:
    predictions, sizes = random_predictions(num_classes, seed=num_classes), [(80, 90), (73, 96)]
    ours = decoder(drop_empty=False, **parameters)
    theirs = SimpleNamespace(
        score_thresh=ours.score_threshold,
        topk_candidates=ours.candidates_per_level,
        detections_per_img=ours.max_detections,
        nms_thresh=0.5,
        box_coder=BoxCoder((1.0, 1.0, 1.0, 1.0)),
    )
    outputs = {"cls_logits": predictions.logits, "bbox_regression": predictions.deltas}
    expected = TorchvisionRetinaNet.postprocess_detections(theirs, outputs, [ANCHORS] * 2, sizes)
    for detections, wanted in zip(ours(predictions, ANCHORS, sizes), expected, strict=True):
        assert len(detections) > 5
        torch.testing.assert_close(detections.scores, wanted["scores"])
        torch.testing.assert_close(detections.boxes, wanted["boxes"], rtol=1e-4, atol=1e-3)
        assert detections.labels.equal(wanted["labels"])


def test_the_best_come_first_with_their_class() -> None:
    found = decode(of_squares([[0.2, 0.01], [0.03, 0.9], [0.6, 0.02]]))
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.6, 0.2]))
    assert found.labels.tolist() == [1, 0, 0]
    assert found.boxes.tolist() == SQUARES[[1, 2, 0]].tolist()


def test_one_anchor_may_be_of_several_classes() -> None:
    found = decode(of_squares([[0.7, 0.8], [0.01, 0.01], [0.01, 0.01]]))
    assert found.labels.tolist() == [1, 0]
    assert found.boxes.tolist() == SQUARES[[0, 0]].tolist()


def test_a_score_must_be_above_the_threshold() -> None:
    logits = torch.tensor([[[0.0], [1e-4], [-1e-4]]])  # the sigmoid of 0 is 0.5 exactly
    predictions = DensePredictions([logits], [torch.zeros(1, 3, 4)], [(1, 3)])
    assert decode(predictions, score_threshold=0.5).boxes.tolist() == [SQUARES[1].tolist()]


def test_boxes_are_clipped_to_the_image_and_not_to_the_padding() -> None:
    found = decode(of_squares([[0.9], [0.8], [0.7]]), size=(75, 65))  # height, width
    assert found.boxes.tolist() == [[0, 0, 10, 10], [20, 20, 40, 40], [60, 60, 65, 75]]
    shifted = torch.tensor([[[-0.5, -0.5, 0.0, 0.0]] * 3])
    found = decode(of_squares([[0.9], [0.01], [0.01]], shifted))
    assert found.boxes.tolist() == [[0, 0, 5, 5]]


def test_each_level_gives_at_most_its_candidates() -> None:
    predictions = random_predictions(3, seed=5, images=1)
    found = decoder(candidates_per_level=2, score_threshold=0.0, max_detections=1000, nms=BatchedNMS(1.0))(
        predictions, ANCHORS, [(500, 500)]
    )[0]
    best = torch.cat([logits.flatten().topk(2).values for logits in predictions.logits]).sigmoid()
    torch.testing.assert_close(found.scores, best.sort(descending=True).values)


def test_no_more_than_max_detections() -> None:
    assert decode(of_squares([[0.2], [0.9], [0.6]]), max_detections=2).boxes.tolist() == SQUARES[[1, 2]].tolist()


def test_duplicates_go_by_class_or_altogether() -> None:
    onto_the_first = torch.zeros(1, 3, 4)
    predictions = DensePredictions(
        [torch.tensor([[[0.9, 0.01], [0.01, 0.8], [0.7, 0.01]]]).logit()], [onto_the_first], [(1, 3)]
    )
    anchors = [SQUARES[[0, 0, 0]]]
    by_class = decoder()(predictions, anchors, [(100, 100)])[0]
    altogether = decoder(ClassAgnosticNMS(0.5))(predictions, anchors, [(100, 100)])[0]
    assert by_class.labels.tolist() == [0, 1]
    assert altogether.labels.tolist() == [0]


def test_nothing_above_the_threshold_gives_no_detections() -> None:
    found = decode(of_squares([[0.01], [0.02], [0.03]]))
    assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))
    assert found.labels.dtype == torch.int64


def test_half_precision_predictions_are_decoded_in_float32() -> None:
    predictions = of_squares([[0.2], [0.9], [0.6]])
    predictions.logits = [level.bfloat16() for level in predictions.logits]
    predictions.deltas = [level.bfloat16() for level in predictions.deltas]
    found = decode(predictions)
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.6, 0.2]), rtol=0, atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_threshold_holds_exactly_in_half_precision(dtype: torch.dtype) -> None:
    around = torch.tensor(0.05).logit().to(dtype)  # the dtype's number next to the threshold, and its neighbours
    up, down = (torch.nextafter(around, torch.tensor(side, dtype=dtype)) for side in (9.0, -9.0))
    logits = torch.stack([down, around, up])[None, :, None]
    wanted = int((logits.double() > torch.tensor(0.05).logit().double()).sum())
    found = decode(DensePredictions([logits], [torch.zeros(1, 3, 4)], [(1, 3)]))
    assert 0 < len(found) == wanted < 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_gives_what_its_images_give_alone(dtype: torch.dtype) -> None:
    predictions, sizes = random_predictions(3, seed=1, images=3), [(80, 90), (73, 96), (40, 30)]
    predictions.logits = [level.to(dtype) for level in predictions.logits]
    predictions.logits[0][1] = predictions.logits[1][1] = predictions.logits[2][1] = -20.0  # nothing in the second image
    together = decoder()(predictions, ANCHORS, sizes)
    for index, (found, size) in enumerate(zip(together, sizes, strict=True)):
        part = slice(index, index + 1)
        alone = DensePredictions([x[part] for x in predictions.logits], [x[part] for x in predictions.deltas], MAP_SIZES)
        (wanted,) = decoder()(alone, ANCHORS, [size])
        assert (len(found) == 0) == (index == 1)
        for name in ("boxes", "scores", "labels"):
            assert getattr(found, name).equal(getattr(wanted, name)), name


@pytest.mark.parametrize("limit", [5, 100])
def test_the_best_are_the_same_whether_sorting_or_the_threshold_comes_first(limit: int) -> None:
    logits = torch.randn(3, 60, generator=torch.Generator().manual_seed(0))
    found, positions = dense_decoder._above(logits, 0.5, limit)
    best, order = dense_decoder._top(logits, 0.5, limit)
    kept = best > 0.5
    assert len(found) > 3
    assert found.equal(best[kept])
    assert positions.equal(order[kept])
    assert logits.flatten()[positions].equal(found)


def test_detections_have_no_gradient() -> None:
    predictions = random_predictions(2, seed=0)
    predictions.deltas[0].requires_grad_()
    assert not decoder()(predictions, ANCHORS, [(80, 96)] * 2)[0].boxes.requires_grad


@pytest.mark.parametrize(
    "parameters",
    [{"score_threshold": 1.0}, {"score_threshold": -0.1}, {"candidates_per_level": 0}, {"max_detections": 0}],
)
def test_numbers_out_of_range_are_shown(parameters: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=rf"score_threshold in \[0, 1\) and positive .* got .*{next(iter(parameters.values()))}"
    ):
        decoder(**parameters)


def test_clipping_before_nms_makes_duplicates_of_what_looks_the_same() -> None:
    # 10 and 20 wide: an IoU of 0.5 to the whole, but both end at 10 in a picture of that width
    anchors, scores = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 20.0, 10.0]]), torch.tensor([[0.9], [0.8]])
    predictions = DensePredictions([scores.logit()[None]], [torch.zeros(1, 2, 4)], [(1, 2)])
    (before,) = decoder(BatchedNMS(0.5), clip="before_nms")(predictions, [anchors], [(10, 10)])
    (after,) = decoder(BatchedNMS(0.5), clip="after_nms")(predictions, [anchors], [(10, 10)])
    assert before.boxes.tolist() == [[0, 0, 10, 10]]
    assert after.boxes.tolist() == [[0, 0, 10, 10]] * 2


@pytest.mark.parametrize("clip", ["before_nms", "after_nms"])
def test_boxes_outside_of_the_picture_are_dropped_unless_asked_for(clip: str) -> None:
    predictions = of_squares([[0.9], [0.8], [0.7]])  # the last is beyond 30 px
    inside = [[0, 0, 10, 10], [20, 20, 30, 30]]
    assert decode(predictions, (30, 30), clip=clip).boxes.tolist() == inside
    assert decode(predictions, (30, 30), clip=clip, drop_empty=False).boxes.tolist() == [*inside, [30, 30, 30, 30]]


def test_boxes_outside_of_the_picture_take_no_place_among_the_detections() -> None:
    found = decode(of_squares([[0.7], [0.8], [0.9]]), (30, 30), max_detections=2)
    assert found.boxes.tolist() == [[20, 20, 30, 30], [0, 0, 10, 10]]
