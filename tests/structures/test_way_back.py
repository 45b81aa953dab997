"""WayBack: from the pixels of a transformed image to those of the original one. All numbers are worked by hand."""

from __future__ import annotations

import torch

from dettoolkit.structures import Detections, WayBack

ORIGINAL = (100, 200)  # height, width


def back(way: WayBack, *box: float) -> list[float]:
    return way.boxes(torch.tensor([box]), ORIGINAL)[0].tolist()


def test_nothing_was_done():
    assert back(WayBack(), 10, 20, 30, 40) == [10, 20, 30, 40]


def test_an_image_shown_at_half_size_is_scaled_by_two():
    assert back(WayBack(scale=(2.0, 2.0)), 10, 20, 30, 40) == [20, 40, 60, 80]


def test_height_and_width_may_be_resized_by_different_factors():
    # 100 x 200 shown as 50 x 50: x counts 4 original pixels, y counts 2
    assert back(WayBack(scale=(4.0, 2.0)), 10, 20, 30, 40) == [40, 40, 120, 80]


def test_padding_at_the_left_and_top_is_taken_off():
    # 5 pixels at the left, 7 at the top
    assert back(WayBack(offset=(-5.0, -7.0)), 15, 27, 35, 47) == [10, 20, 30, 40]


def test_a_horizontal_flip_mirrors_x_and_keeps_the_corners_in_order():
    # original x = 200 - x: 10..30 stood at 170..190
    assert back(WayBack(scale=(-1.0, 1.0), offset=(200.0, 0.0)), 10, 20, 30, 40) == [170, 20, 190, 40]


def test_a_vertical_flip_mirrors_y():
    assert back(WayBack(scale=(1.0, -1.0), offset=(0.0, 100.0)), 10, 20, 30, 40) == [10, 60, 30, 80]


def test_a_resized_and_flipped_image():
    # shown at half size (100 wide), then flipped: original x = 2 * (100 - x) = 200 - 2 x
    assert back(WayBack(scale=(-2.0, 2.0), offset=(200.0, 0.0)), 10, 20, 30, 40) == [140, 40, 180, 80]


def test_boxes_are_clipped_to_the_original_image():
    assert back(WayBack(scale=(2.0, 2.0)), -10, -10, 150, 150) == [0, 0, 200, 100]


def test_no_boxes_stay_no_boxes():
    assert WayBack(scale=(2.0, 2.0)).boxes(torch.zeros(0, 4), ORIGINAL).shape == (0, 4)


def test_boxes_of_several_images_keep_their_shape():
    boxes = torch.tensor([[[10.0, 20, 30, 40]], [[1, 2, 3, 4]]])
    assert WayBack(scale=(2.0, 2.0)).boxes(boxes, ORIGINAL).tolist() == [[[20, 40, 60, 80]], [[2, 4, 6, 8]]]


def test_the_boxes_that_came_are_left_as_they_are():
    boxes = torch.tensor([[10.0, 20, 30, 40]])
    WayBack(scale=(-1.0, 1.0), offset=(200.0, 0.0)).boxes(boxes, ORIGINAL)
    assert boxes.tolist() == [[10, 20, 30, 40]]


def test_detections_keep_scores_and_labels():
    found = Detections(torch.tensor([[10.0, 20, 30, 40]]), torch.tensor([0.5]), torch.tensor([3]))
    original = WayBack(scale=(2.0, 2.0)).detections(found, ORIGINAL)
    assert (original.boxes.tolist(), original.scores.tolist(), original.labels.tolist()) == ([[20, 40, 60, 80]], [0.5], [3])
