"""The data of the gallery: what is chosen, packed and said."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
import torch

from dettoolkit.report.box_outcomes import OUTCOMES
from dettoolkit.report.gallery import choose_images, make_gallery
from dettoolkit.structures import Annotations, Detections, EvaluatedImage, ScoreThresholds


def _image(
    scores: list[float], name: str = "a.jpg", num_missed: int = 0, size: tuple[int, int] = (600, 800), image_id: int = 0
) -> EvaluatedImage:
    """An image with an object that the first detection finds, the others being elsewhere, and objects that nothing finds."""
    box = torch.tensor([[1.0, 2.0, 11.0, 22.0]])
    away = box + torch.arange(1, num_missed + 1)[:, None] * 30
    truth = Annotations(torch.cat([box, away]), torch.zeros(1 + num_missed).long(), torch.zeros(1 + num_missed).bool())
    offset = torch.arange(len(scores))[:, None] * torch.tensor([40.0, 0.0, 40.0, 0.0])
    return EvaluatedImage(
        image_id, name, size, truth, Detections(box + offset, torch.tensor(scores), torch.zeros(len(scores)).long())
    )


def _read(image_id: int) -> torch.Tensor:
    return torch.full((3, 60, 80), 100, dtype=torch.uint8)


def _gallery(*images: EvaluatedImage, threshold: float = 0.5, **limits: Any) -> dict[str, Any]:
    data = make_gallery(images, ["a"], _read, ScoreThresholds({"a": threshold}), **limits)
    restored: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
    return restored


def _column(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_boxes_are_kept_to_a_quarter_of_a_pixel_of_large_images() -> None:
    image = _image([0.9], size=(3000, 4000))
    data = _gallery(image)
    for columns in (data["truth"], data["detections"]):
        corners = _column(columns["boxes"], "<i2").reshape(-1, 4) * (4000 / 16384)
        np.testing.assert_allclose(corners, [[1, 2, 11, 22]], atol=0.125)
    assert data["sizes"] == [3000, 4000]


def test_boxes_beyond_the_picture_are_followed_for_two_sides() -> None:
    image = _image([0.9])
    image.ground_truth.boxes[0] = torch.tensor([-100.0, 0.0, 800.0 * 9, 600.0])
    corners = _column(_gallery(image)["truth"]["boxes"], "<i2") * (800 / 16384)
    np.testing.assert_allclose(corners, [-100, 0, 1600, 600], atol=0.1)


def test_columns_belong_to_the_images_by_their_starts() -> None:
    data = _gallery(_image([0.9, 0.8]), _image([]), _image([0.7], num_missed=2))
    assert _column(data["detections"]["starts"], "<u4").tolist() == [0, 2, 2, 3]
    assert _column(data["truth"]["starts"], "<u4").tolist() == [0, 1, 2, 5]
    assert [OUTCOMES[kind] for kind in _column(data["detections"]["kinds"], "<u1")] == ["right", "background", "right"]
    assert _column(data["detections"]["truths"], "<i2").tolist() == [0, -1, 0]
    assert _column(data["detections"]["ious"], "<u1").tolist() == [100, 0, 100]


@pytest.mark.parametrize("threshold", [0.37, 0.3700001, 0.36999, 0.37004])
def test_scores_compare_on_the_page_as_they_do_in_the_analysis(threshold: float) -> None:
    # many scores around hundredths and around the threshold, next to each other as float32 can be
    near = np.float32([0.37, 0.38, threshold])
    scores = np.unique(np.concatenate([np.nextafter(near, np.float32(0)), near, np.nextafter(near, np.float32(1)), [0.37003]]))
    scores = np.sort(scores.astype(np.float32))[::-1]
    data = _gallery(_image(scores.tolist()), threshold=threshold)
    packed = _column(data["detections"]["scores"], "<u2")
    assert np.count_nonzero(packed >= data["thresholds"][0]) == np.count_nonzero(scores >= np.float32(threshold))
    for hundredths in (36, 37, 38):
        assert np.count_nonzero(packed >= 200 * hundredths) == np.count_nonzero(scores >= np.float32(hundredths / 100))


def test_a_class_that_is_never_reported_is_not() -> None:
    data = _gallery(_image([1.0]), threshold=1 + 2**-23)
    assert _column(data["detections"]["scores"], "<u2").max() < data["thresholds"][0]


def test_low_scores_are_left_out_and_the_page_says_below_which() -> None:
    data = _gallery(_image([0.9, 0.06, 0.04]))
    assert len(_column(data["detections"]["scores"], "<u2")) == 2
    assert "Predictions below a score of 0.05 are not on the page." in data["notes"]
    lower = _gallery(_image([0.9, 0.06, 0.04]), threshold=0.03)  # but never those that reach their threshold
    assert len(_column(lower["detections"]["scores"], "<u2")) == 3
    assert "Predictions below a score of 0.03 are not on the page." in lower["notes"]


def test_too_many_boxes_are_cut_at_a_score_which_the_page_says() -> None:
    scores = [0.9 - 0.001 * place for place in range(60)]
    data = _gallery(_image(scores), max_bytes=2000)  # 40 % of it are 37 boxes of 16 bytes as base64
    assert len(_column(data["detections"]["scores"], "<u2")) == 37
    # the lowest that is kept has 0.864, so those from 0.8631 on are there
    assert any("below a score of 0.8631 are left out to keep the page small" in note for note in data["notes"])


def test_all_images_are_shown_up_to_the_limit() -> None:
    data = _gallery(*(_image([0.9], name=f"{number}.jpg") for number in range(3)))
    assert data["names"] == ["0.jpg", "1.jpg", "2.jpg"]
    assert "All 3 images." in data["notes"]


def test_of_more_images_the_worst_and_some_of_the_rest_are_shown_and_read_which_the_page_says() -> None:
    images = [_image([0.9], name=f"missed {number}", num_missed=number, image_id=number) for number in range(20)]
    read: list[int] = []

    def counted(image_id: int) -> torch.Tensor:
        read.append(image_id)
        return _read(image_id)

    data = make_gallery(images, ["a"], counted, max_images=8)
    # 6 places for the worst, 2 for the middles of the two halves of the other 14; all in their own order
    chosen = [3, 10, 14, 15, 16, 17, 18, 19]
    assert data["names"] == [f"missed {number}" for number in chosen]
    assert sorted(read) == chosen
    assert data["notes"][0].startswith("8 of 20 images: three quarters of them those with the most errors")
    assert _column(data["truth"]["starts"], "<u4").tolist() == [0, *np.cumsum([number + 1 for number in chosen])]


@pytest.mark.parametrize(("max_images", "chosen"), [(1, [3]), (2, [2, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])])
def test_few_places_go_to_the_worst_first(max_images: int, chosen: list[int]) -> None:
    assert choose_images(np.array([0, 1, 2, 3]), max_images).tolist() == chosen


def test_pictures_that_cannot_be_read_are_told() -> None:
    def broken(image_id: int) -> torch.Tensor:
        raise OSError("no such disk")

    data = make_gallery([_image([0.9])], ["a"], broken)
    assert data["pictures"] == [""]
    assert data["faults"] == {0: "no such disk"}
    assert any(note.startswith("1 of them could not be read") for note in data["notes"])


def test_pictures_and_boxes_together_keep_to_the_budget() -> None:
    images = [_image([0.9] * 30, image_id=number) for number in range(60)]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 255, (3, 150, 200), generator=generator, dtype=torch.uint8)
    data = make_gallery(images, ["a"], lambda _: noise, max_bytes=700_000)
    size = sum(map(len, data["pictures"])) + sum(len(text) for part in ("truth", "detections") for text in data[part].values())
    assert 200_000 < size <= 700_000


def test_nothing_to_show_is_an_empty_gallery() -> None:
    data = _gallery()
    assert data["names"] == []
    assert data["classNames"] == ["a"]
