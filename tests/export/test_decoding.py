from __future__ import annotations

from typing import Any

import pytest
import torch

from dettoolkit.errors import ConfigError
from dettoolkit.export.decoding import FixedShapeDecoder
from dettoolkit.export.suppression import in_onnx, in_torch
from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.box_coders import DeltaXYWHCoder
from dettoolkit.modeling.dense import DenseDecoder
from dettoolkit.modeling.dense.nms import BatchedNMS, ClassAgnosticNMS
from dettoolkit.structures import DensePredictions, Detections

STRIDES, MAP_SIZES, NUM_CLASSES = (16, 32), [(6, 9), (3, 5)], 4
IMAGE_SIZES = [(90, 130), (61, 144)]


@pytest.fixture(scope="module")
def predictions() -> DensePredictions:
    generator = torch.Generator().manual_seed(0)
    counts = [9 * height * width for height, width in MAP_SIZES]
    logits = [torch.randn(2, count, NUM_CLASSES, generator=generator) - 3 for count in counts]
    deltas = [torch.randn(2, count, 4, generator=generator) for count in counts]
    return DensePredictions(logits, deltas, MAP_SIZES)


def decoder(nms: Any = None, **settings: Any) -> DenseDecoder:
    return DenseDecoder(DeltaXYWHCoder(), nms or BatchedNMS(0.5), **settings)


CASES = {
    "as it is": decoder(),
    "one group": decoder(ClassAgnosticNMS(0.4)),
    "more candidates than there are": decoder(candidates_per_level=3000),
    "few candidates": decoder(candidates_per_level=7, max_detections=5),
    "clipped late": decoder(clip="after_nms"),
    "empty boxes stay": decoder(drop_empty=False, max_detections=300),
    "empty boxes stay, clipped late": decoder(drop_empty=False, clip="after_nms"),
    "nothing above the threshold": decoder(score_threshold=0.9999),
    "all above the threshold": decoder(score_threshold=0.0),
}


@pytest.mark.parametrize("keep_best", [in_torch, in_onnx])
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_what_is_found_is_what_the_dense_decoder_finds(predictions: DensePredictions, settings: Any, keep_best: Any) -> None:
    anchors = GridAnchors(STRIDES)(MAP_SIZES, "cpu")
    expected = settings(predictions, anchors, IMAGE_SIZES)
    decode = FixedShapeDecoder(settings, keep_best(settings, NUM_CLASSES))
    boxes, scores, labels, counts = decode(predictions, anchors, torch.tensor(IMAGE_SIZES))
    assert counts.tolist() == [len(each) for each in expected]
    for image, one in enumerate(expected):
        count = len(one)
        torch.testing.assert_close(scores[image, :count], one.scores, rtol=0, atol=1e-6)  # vectors of other lengths
        torch.testing.assert_close(boxes[image, :count], one.boxes, rtol=0, atol=1e-4)
        assert torch.equal(labels[image, :count], one.labels)


def test_what_is_below_the_threshold_follows(predictions: DensePredictions) -> None:
    anchors = GridAnchors(STRIDES)(MAP_SIZES, "cpu")
    low, high = decoder(score_threshold=0.0), decoder(score_threshold=0.5)
    sizes = torch.tensor(IMAGE_SIZES)
    one, other = (FixedShapeDecoder(each, in_torch(each, NUM_CLASSES))(predictions, anchors, sizes) for each in (low, high))
    assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
    assert other[3].tolist() == (one[1] > 0.5).sum(dim=1).tolist()
    assert (one[1].diff(dim=1) <= 0).all()


def test_places_without_a_box_have_a_score_below_0(predictions: DensePredictions) -> None:
    settings = decoder(candidates_per_level=2, max_detections=100)
    anchors = GridAnchors(STRIDES)(MAP_SIZES, "cpu")
    none = torch.tensor([[0, 0], [96, 144]])  # of an image without pixels nothing is left
    boxes, scores, _, counts = FixedShapeDecoder(settings, in_torch(settings, NUM_CLASSES))(predictions, anchors, none)
    assert boxes.shape == (2, 4, 4)  # two of each level
    assert counts[0] == 0
    assert (scores[0] == -1).all()
    assert counts[1] > 0


def test_without_nms_there_are_the_candidates_of_all_levels(predictions: DensePredictions) -> None:
    settings = decoder(candidates_per_level=50)
    anchors = GridAnchors(STRIDES)(MAP_SIZES, "cpu")
    boxes, scores, labels, counts = FixedShapeDecoder(settings, None)(predictions, anchors, torch.tensor(IMAGE_SIZES))
    assert boxes.shape == (2, 100, 4)
    expected = settings(predictions, anchors, IMAGE_SIZES)
    for image, one in enumerate(expected):
        count = int(counts[image])
        kept = settings.nms(Detections(boxes[image, :count], scores[image, :count], labels[image, :count]))[:100]
        torch.testing.assert_close(kept.boxes, one.boxes, rtol=0, atol=1e-4)


class OtherNMS:
    def __call__(self, candidates: Any, num_views: Any = None) -> Any:
        return candidates


@pytest.mark.parametrize("keep_best", [in_torch, in_onnx])
def test_an_nms_of_one_s_own_is_refused_by_name(keep_best: Any) -> None:
    with pytest.raises(ConfigError, match=r"MODEL\.DECODER\.NMS: OtherNMS cannot be put into.*--nms outside"):
        keep_best(decoder(OtherNMS()), NUM_CLASSES)
