"""Pictures with boxes and labels."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dettoolkit.errors import DataError
from dettoolkit.structures import Annotations, Detections
from dettoolkit.visualization import (
    DrawingStyle,
    class_color,
    draw_annotations,
    draw_comparison,
    draw_detections,
    save_picture,
)
from dettoolkit.visualization.lettering import Lettering

NO_LABELS = DrawingStyle(show_labels=False, line_width=2)


def _gray(height: int = 100, width: int = 120) -> torch.Tensor:
    return torch.full((3, height, width), 127, dtype=torch.uint8)


def _detections(boxes: list[list[float]], labels: list[int] | None = None, scores: list[float] | None = None) -> Detections:
    count = len(boxes)
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores or [0.9] * count),
        torch.tensor(labels or [0] * count),
    )


def _annotations(boxes: list[list[float]], ignore: list[bool]) -> Annotations:
    return Annotations(torch.tensor(boxes), torch.zeros(len(boxes), dtype=torch.int64), torch.tensor(ignore))


def _changed(picture: np.ndarray) -> np.ndarray:
    return (picture != 127).any(axis=2)


def test_no_detections_give_the_picture_unchanged_and_not_the_same_memory() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    picture = draw_detections(image, Detections.empty(), ["cell"])
    assert (picture == image).all()
    assert not np.shares_memory(picture, image)


def test_the_image_given_is_not_changed() -> None:
    image = _gray()
    draw_detections(image, _detections([[10, 10, 60, 60]]), ["cell"])
    assert (image == 127).all()


def test_a_box_changes_its_own_outline_and_nothing_else() -> None:
    picture = draw_detections(_gray(), _detections([[10, 20, 60, 70]], labels=[1]), ["a", "b"], style=NO_LABELS)
    expected = np.zeros((100, 120), bool)
    expected[20:70, 10:60] = True
    expected[22:68, 12:58] = False
    assert (_changed(picture) == expected).all()
    assert (picture[expected] == class_color(1)).all()


def test_tensor_and_array_give_the_same_picture() -> None:
    image = torch.randint(0, 256, (3, 60, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    detections = _detections([[10, 20, 50, 50]])
    from_array = draw_detections(image.permute(1, 2, 0).numpy(), detections, ["cell"])
    assert (draw_detections(image, detections, ["cell"]) == from_array).all()


def test_detections_below_the_threshold_are_not_drawn() -> None:
    both = _detections([[10, 20, 50, 50], [60, 60, 90, 90]], scores=[0.9, 0.29])
    assert (draw_detections(_gray(), both, ["a"], 0.3) == draw_detections(_gray(), both[:1], ["a"], 0.3)).all()


@pytest.mark.parametrize("box", [[50, 50, 50, 50], [-40, -40, -5, -5], [500, 500, 900, 900], [119.6, 99.6, 120, 100]])
def test_a_box_without_area_or_outside_is_still_a_pixel_of_the_picture(box: list[float]) -> None:
    assert _changed(draw_detections(_gray(), _detections([box]), ["a"], style=NO_LABELS)).any()


@pytest.mark.parametrize("side", [3, 10, 40, 200, 900])
def test_pictures_of_any_size_keep_theirs(side: int) -> None:
    picture = draw_detections(_gray(side, side), _detections([[0, 0, side, side]] * 3), ["a name of some length"])
    assert picture.shape == (side, side, 3)
    assert picture.dtype == np.uint8


def test_a_label_is_a_filled_rectangle_with_text_in_a_contrasting_color() -> None:
    picture = draw_detections(_gray(200, 200), _detections([[50, 100, 150, 180]]), ["cell"])
    style = Lettering(10)  # 8 + 0.011 * 200
    label = picture[100 - style.line_height : 100, 50 : 50 + style.width("cell 0.90")]
    assert (label[0] == class_color(0)).all()
    darkest = label.reshape(-1, 3).sum(axis=1).min()
    assert darkest < 60  # black text on the red of class 0
    assert not _changed(picture[: 100 - style.line_height]).any()


def test_text_stays_inside_its_rectangle() -> None:
    lettering = Lettering(20)
    for text in ["gjpqy|Å", "血小板", "\u0635\u0641\u064a\u062d\u0629", "Ёщ"]:
        canvas = np.zeros((80, 300, 3), np.uint8)
        lettering.write(canvas, text, 20, 20, (255, 255, 255))
        rows, columns = (canvas > 100).any(axis=2).nonzero()
        assert rows.min() >= 20
        assert rows.max() < 20 + lettering.line_height
        assert columns.min() >= 20
        assert columns.max() < 20 + lettering.width(text)


@pytest.mark.parametrize("text", ["血小板", "Эритроцит", "צהוב", "\u0623\u062d\u0645\u0631", "적혈구"])
def test_names_in_these_scripts_are_drawn_without_question_marks(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Lettering(20).write(np.zeros((40, 200, 3), np.uint8), text, 0, 0, (255, 255, 255))
    assert caplog.text == ""


def test_a_name_that_no_font_can_draw_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Lettering(20).write(np.zeros((40, 200, 3), np.uint8), "\u0e2b\u0e19", 0, 0, (255, 255, 255))
    assert "no built-in font has \u0e2b (U+0E2B)" in caplog.text
    assert "--font FILE" in caplog.text


def test_a_name_too_long_for_the_picture_is_shortened_with_an_ellipsis() -> None:
    lettering = Lettering(12)
    short = lettering.fit("a very long class name indeed", 80)
    assert short.endswith("…")
    assert lettering.width(short) <= 80
    assert lettering.width(short[:-1] + "mm…") > 80


def test_of_a_label_too_long_for_the_picture_the_name_is_shortened_and_the_score_stays() -> None:
    lettering = Lettering(12)
    short = lettering.fit("a very long class name indeed", 80, " 0.53")
    assert short.endswith("… 0.53")
    assert short.startswith("a v")
    assert lettering.width(short) <= 80
    assert lettering.fit("cell", lettering.width("0.53"), " 0.53") == "0.53"
    assert lettering.fit("cell", 3, " 0.53") == ""


def test_the_score_stays_in_the_picture_of_a_long_name() -> None:
    style = DrawingStyle(font_size=12)
    box = [[10.0, 30.0, 110.0, 90.0]]
    pictures = [draw_detections(_gray(), _detections(box, scores=[score]), ["x" * 60], 0.1, style) for score in (0.53, 0.88)]
    assert (pictures[0] != pictures[1]).any()  # the same name and box: only the score can differ


def test_a_file_that_is_not_a_font_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_text("no font")
    with pytest.raises(DataError, match=r"font\.ttf: expected a TrueType font"):
        draw_detections(_gray(), _detections([[10, 10, 60, 60]]), ["a"], style=DrawingStyle(font=str(tmp_path / "font.ttf")))


def test_ignore_regions_are_dashed_and_hatched() -> None:
    box = [[10.0, 10.0, 90.0, 90.0]]
    solid, dashed = (_changed(draw_annotations(_gray(), _annotations(box, [flag]), ["a"], NO_LABELS)) for flag in (False, True))
    edge = (slice(10, 12), slice(10, 90))
    assert solid[edge].all()
    assert 0.3 < dashed[edge].mean() < 0.7
    inside = (slice(12, 88), slice(12, 88))
    assert not solid[inside].any()
    assert 0 < dashed[inside].mean() < 0.2


def test_comparison_shows_both_at_full_width() -> None:
    annotations = _annotations([[10.0, 10.0, 50.0, 50.0]], [False])
    picture = draw_comparison(_gray(), annotations, _detections([[12, 10, 50, 50]]), ["a"])
    assert picture.shape[0] > 100
    assert picture.shape[1] > 240
    assert (picture[-100:, -120:] == draw_detections(_gray(), _detections([[12, 10, 50, 50]]), ["a"])).all()
    assert (picture[-100:, :120] == draw_annotations(_gray(), annotations, ["a"])).all()


@pytest.mark.parametrize(
    ("image", "came"),
    [
        (torch.zeros(3, 4, 4), r"Tensor \[3, 4, 4\] torch.float32"),
        (np.zeros((4, 4), np.uint8), r"ndarray \[4, 4\] uint8"),
        (torch.zeros(1, 4, 4, dtype=torch.uint8), r"Tensor \[1, 4, 4\]"),
    ],
)
def test_other_images_are_refused_with_what_came(image: torch.Tensor | np.ndarray, came: str) -> None:
    with pytest.raises(DataError, match=rf"expected a uint8 RGB tensor .* got {came}"):
        draw_detections(image, Detections.empty(), ["a"])


def test_a_label_without_a_name_is_refused() -> None:
    with pytest.raises(DataError, match=r"label 2; expected 0\.\.1"):
        draw_detections(_gray(), _detections([[1, 1, 5, 5]], labels=[2]), ["a", "b"])


def test_a_box_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match=r"expected finite boxes, got .*nan"):
        draw_detections(_gray(), _detections([[1, 1, float("nan"), 5]]), ["a"])


def test_save_picture_makes_the_folder_and_writes_these_pixels(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = save_picture(picture, tmp_path / "new" / "a.png")
    assert (np.array(Image.open(path)) == picture).all()


def test_save_picture_says_which_file_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.nonsense: the picture cannot be written"):
        save_picture(np.zeros((2, 2, 3), np.uint8), tmp_path / "a.nonsense")
