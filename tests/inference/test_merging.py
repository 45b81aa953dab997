"""Views of an image merged into one list of detections; a detector that sees painted squares says what the truth is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from dettoolkit.data.views import View, Views
from dettoolkit.errors import ConfigError
from dettoolkit.inference.image_input import as_sample
from dettoolkit.inference.merging import ViewMerger, build_views, chosen_views
from dettoolkit.modeling.dense.nms import BatchedNMS, SoftNMS, WeightedBoxFusion
from dettoolkit.structures import Detections

SIZE = (300, 400)
# (x1, y1, x2, y2): alone; across the edges of tiles; in a corner of four tiles; at the border of the image
OBJECTS = [
    (20, 20, 50, 60),
    (90, 30, 130, 50),
    (80, 85, 115, 112),
    (350, 250, 400, 300),
    (180, 140, 200, 160),
    (70, 150, 95, 260),
]


def picture() -> Tensor:
    """Black, with each object filled in a grey of its own."""
    pixels = torch.zeros(3, *SIZE, dtype=torch.uint8)
    for index, (left, top, right, bottom) in enumerate(OBJECTS):
        pixels[:, top:bottom, left:right] = 100 + 20 * index
    return pixels


def see(image: Tensor) -> Detections:
    """Return a box around the pixels of each grey: a detector without errors, of scores that fall with the object's number."""
    boxes, scores = [], []
    for index in range(len(OBJECTS)):
        rows, columns = torch.nonzero((image[0].float() - (100 + 20 * index)).abs() < 5, as_tuple=True)
        if len(rows):
            boxes.append([int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1])
            scores.append(0.95 - 0.1 * index)
    return Detections(
        torch.tensor(boxes).float().reshape(-1, 4), torch.tensor(scores), torch.zeros(len(boxes), dtype=torch.int64)
    )


def looked_at(views: Views, merger: ViewMerger) -> Detections:
    sample = as_sample(picture())
    samples = [views.sample(sample, index) for index in range(len(views.of(SIZE)))]
    found = [each["way_back"].detections(see(each["image"].as_subclass(Tensor)), SIZE) for each in samples]
    (whole,), (merged,) = merger.completed(samples, found)
    assert whole["original_size"] == SIZE
    return merged


@pytest.mark.parametrize("nms", [BatchedNMS(0.5), WeightedBoxFusion(0.5)])
@pytest.mark.parametrize(("overlap", "whole_image"), [(0.4, True), (0.6, True), (0.6, False)])
def test_each_object_is_found_once_in_overlapping_tiles(nms: Any, overlap: float, whole_image: bool) -> None:
    # the longest object is 110 high: 0.6 of a tile of 200 holds it whole, 0.4 does not, and the whole image does
    views = Views([], tile_size=200, tile_overlap=overlap, whole_image=whole_image)
    found = looked_at(views, ViewMerger(nms, 100, views.least_overlap))
    expected = torch.tensor(OBJECTS).float()
    assert sorted(found.boxes.round().int().tolist()) == sorted(expected.int().tolist())
    assert found.scores.tolist() == pytest.approx([0.95 - 0.1 * index for index in range(len(OBJECTS))])


@pytest.mark.parametrize("flip", ["horizontal", "vertical", "both"])
def test_mirrored_views_of_a_perfect_detector_change_nothing(flip: str) -> None:
    views = Views([], flip=flip)
    found = looked_at(views, ViewMerger(WeightedBoxFusion()))
    torch.testing.assert_close(found.boxes, torch.tensor(OBJECTS).float(), rtol=0, atol=1e-3)
    assert found.scores.tolist() == pytest.approx([0.95 - 0.1 * index for index in range(len(OBJECTS))])


def test_a_cut_object_larger_than_the_overlap_stays_if_nothing_shows_it_whole() -> None:
    views = [View((0, 0, 200, 300), 0, False), View((160, 0, 400, 300), 0, False)]
    one = Detections(torch.tensor([[100.0, 50.0, 200.0, 150.0]]), torch.tensor([0.9]), torch.tensor([0]))
    found = ViewMerger(BatchedNMS(), least_overlap=(0, 40))(views, [one, Detections.empty()], SIZE)
    assert found.boxes.tolist() == one.boxes.tolist()


def test_a_cut_object_smaller_than_the_overlap_goes_since_the_neighbour_shows_it_whole() -> None:
    views = [View((0, 0, 200, 300), 0, False), View((160, 0, 400, 300), 0, False)]
    cut = Detections(torch.tensor([[180.0, 50.0, 200.0, 150.0]]), torch.tensor([0.9]), torch.tensor([0]))
    whole = Detections(torch.tensor([[180.0, 50.0, 205.0, 150.0]]), torch.tensor([0.5]), torch.tensor([0]))
    found = ViewMerger(BatchedNMS(), least_overlap=(0, 40))(views, [cut, whole], SIZE)
    assert found.boxes.tolist() == whole.boxes.tolist()


def test_what_one_of_two_views_sees_is_trusted_half_by_fusion() -> None:
    views = [View((0, 0, 400, 300), index, True) for index in range(2)]
    one = Detections(torch.tensor([[10.0, 10.0, 20.0, 20.0]]), torch.tensor([0.8]), torch.tensor([0]))
    found = ViewMerger(WeightedBoxFusion())(views, [one, Detections.empty()], SIZE)
    assert found.scores.tolist() == pytest.approx([0.4])


def test_what_a_tile_shows_is_not_trusted_less_because_the_whole_image_hides_it() -> None:
    views = [View((0, 0, 400, 300), 0, True), View((0, 0, 200, 300), 0, False), View((160, 0, 400, 300), 0, False)]
    one = Detections(torch.tensor([[10.0, 10.0, 20.0, 20.0]]), torch.tensor([0.8]), torch.tensor([0]))
    found = ViewMerger(WeightedBoxFusion())(views, [Detections.empty(), one, Detections.empty()], SIZE)
    assert found.scores.tolist() == pytest.approx([0.8])


def test_views_wait_for_the_others_of_their_image_over_calls() -> None:
    views = Views([], flip="horizontal")
    samples = [views.sample(as_sample(picture()), index) for index in range(2)]
    merger = ViewMerger(BatchedNMS())
    assert merger.completed(samples[:1], [see(samples[0]["image"].as_subclass(Tensor))]) == ([], [])
    whole, merged = merger.completed(samples[1:], [Detections.empty()])
    assert len(whole) == len(merged) == 1
    assert len(merged[0]) == len(OBJECTS)


def test_no_more_than_max_detections() -> None:
    assert len(looked_at(Views([], flip="both"), ViewMerger(BatchedNMS(), max_detections=2))) == 2


DEFAULT = {
    "FLIP": "none",
    "SCALES": [1.0],
    "TILE_SIZE": None,
    "TILE_OVERLAP": 0.2,
    "WHOLE_IMAGE": True,
    "MERGE": {"NAME": "BatchedNMS", "IOU_THRESHOLD": 0.5},
}


def test_one_look_needs_neither_views_nor_merger() -> None:
    assert build_views({"TEST_TRANSFORMS": [], "TEST_VIEWS": DEFAULT}, None) == (None, None)


def test_chosen_keys_replace_stored_ones_and_are_checked() -> None:
    assert chosen_views(DEFAULT, {"FLIP": "both"}) == {**DEFAULT, "FLIP": "both"}
    with pytest.raises(ConfigError, match=r"views of an image:\n  FLIP: expected .*'none'.*got 'diagonal'"):
        chosen_views(DEFAULT, {"FLIP": "diagonal"})
    with pytest.raises(ConfigError, match=r"TILES.*TILE_SIZE"):
        chosen_views(DEFAULT, {"TILES": 3})


def test_fusion_of_what_soft_nms_leaves_is_refused() -> None:
    model = SimpleNamespace(decoder=SimpleNamespace(nms=SoftNMS(), max_detections=100))
    node = {**DEFAULT, "FLIP": "horizontal", "MERGE": {"NAME": "WeightedBoxFusion"}}
    with pytest.raises(ConfigError, match=r"MERGE: WeightedBoxFusion averages .* SoftNMS leaves an object many boxes"):
        build_views({"TEST_TRANSFORMS": [], "TEST_VIEWS": node}, model)
    build_views({"TEST_TRANSFORMS": [], "TEST_VIEWS": {**node, "MERGE": {"NAME": "SoftNMS"}}}, model)
