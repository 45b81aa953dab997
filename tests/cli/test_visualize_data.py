from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dettoolkit.cli.contact_sheet import contact_sheet
from dettoolkit.cli.main import run_command
from dettoolkit.data.datasets.shapes import ShapesDataset
from dettoolkit.structures import Annotations
from dettoolkit.visualization import draw_annotations, save_picture

UNSHUFFLED = "{NAME: TrainingSampler, SHUFFLE: false}"


def visualize(output: Path, *more: str) -> dict[str, np.ndarray]:
    assert run_command("visualize-data", ["--config-file", "tiny.yaml", "--output", str(output), *more]) == 0
    return {path.name: np.asarray(Image.open(path)) for path in sorted(output.iterdir())}


def drawn(image: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor, folder: Path) -> np.ndarray:
    names = ("disc", "ring", "square", "triangle", "cross", "star")
    annotations = Annotations(boxes, labels, torch.zeros(len(boxes), dtype=torch.bool))
    return np.asarray(Image.open(save_picture(draw_annotations(image, annotations, names), folder / "expected.jpg")))


def test_one_picture_a_sample_and_a_contact_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = visualize(tmp_path / "out", "--num-images", "13")  # more than the set has: an epoch is ten
    assert len(pictures) == 14
    assert [name[:5] for name in pictures][:13] == [f"{number:04d}_" for number in range(1, 14)]
    # 13 pictures of 64 pixels in 4 columns and 4 rows, with gaps of 6
    assert pictures["contact_sheet.jpg"].shape == (4 * 70 + 6, 4 * 70 + 6, 3)
    assert f"13 samples and contact_sheet.jpg are in {tmp_path / 'out'}" in capsys.readouterr().out


def test_annotations_are_drawn_as_they_are_after_the_transforms(tmp_path: Path) -> None:
    flip = ["DATASETS.TRAIN_TRANSFORMS", "[{NAME: RandomHorizontalFlip, P: 1.0}]", "DATALOADER.SAMPLER", UNSHUFFLED]
    pictures = visualize(tmp_path / "out", "--num-images", "3", *flip)
    for index, sample in enumerate(ShapesDataset("train", 10, 64)[i] for i in range(3)):
        left, top, right, bottom = sample["boxes"].as_subclass(torch.Tensor).unbind(1)
        flipped = torch.stack([64 - right, top, 64 - left, bottom], dim=1)
        expected = drawn(sample["image"].as_subclass(torch.Tensor).flip(2), flipped, sample["labels"], tmp_path)
        assert np.array_equal(pictures[f"{index + 1:04d}_shapes_train_{index:06d}.jpg"], expected)


def test_the_split_test_has_the_test_transforms_and_each_image_once(tmp_path: Path) -> None:
    resize = ["DATASETS.TEST_TRANSFORMS", "[{NAME: ResizeShortestEdge, SIZES: [96], MAX_SIZE: 96}]"]
    pictures = visualize(tmp_path / "out", "--split", "test", "--num-images", "99", *resize)
    assert [name for name in pictures if name[0] == "0"] == [f"{i + 1:04d}_shapes_train_{i:06d}.jpg" for i in range(10)]
    assert {picture.shape for name, picture in pictures.items() if name[0] == "0"} == {(96, 96, 3)}


def test_padding_is_not_shown(tmp_path: Path) -> None:
    pictures = visualize(
        tmp_path / "out", "--num-images", "1", "DATALOADER.PAD_TO", "[128, 128]", "DATALOADER.SAMPLER", UNSHUFFLED
    )
    assert pictures["0001_shapes_train_000000.jpg"].shape == (64, 64, 3)


def test_the_same_seed_gives_the_same_pictures(tmp_path: Path) -> None:
    crop = ["DATASETS.TRAIN_TRANSFORMS", "[{NAME: RandomIoUCrop}, {NAME: RandomHorizontalFlip}]", "--num-images", "6"]
    one, same = (visualize(tmp_path / name, *crop) for name in ("one", "same"))
    other = visualize(tmp_path / "other", *crop, "SEED", "1")
    assert one.keys() == same.keys()
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["contact_sheet.jpg"], other["contact_sheet.jpg"])


def test_mixed_samples_are_shown_until_the_epoch_in_which_they_close(tmp_path: Path) -> None:
    mosaic = "[{NAME: ClosedAtEnd, LAST: 1ep, TRANSFORMS: [{NAME: Mosaic, SIZE: [40, 48]}]}]"
    settings = ["--num-images", "2", "SOLVER.LENGTH", "3ep", "DATASETS.TRAIN_TRANSFORMS", mosaic]
    for epoch, shape in (("0", (40, 48, 3)), ("1", (40, 48, 3)), ("2", (64, 64, 3))):
        pictures = visualize(tmp_path / epoch, "--epoch", epoch, *settings)
        assert {picture.shape for name, picture in pictures.items() if name[0] == "0"} == {shape}


def test_an_epoch_begins_where_training_begins_it(tmp_path: Path) -> None:
    # ten images in batches of four: three batches an epoch, so that the second begins with the third sample of a new round
    settings = ["DATALOADER.SAMPLER", UNSHUFFLED, "SOLVER.BATCH_SIZE", "4", "--num-images", "1"]
    assert "0001_shapes_train_000002.jpg" in visualize(tmp_path / "out", "--epoch", "1", *settings)


def test_the_folder_is_the_next_free_one_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run_command("visualize-data", ["--config-file", "tiny.yaml", "--num-images", "1"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samples_tiny", "samples_tiny_2"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--num-images", "0"], "--num-images: expected 1 or more, got 0"),
        (["--epoch", "-1"], "--epoch: expected 0 or more, got -1"),
        (["--epoch", "1", "--split", "test"], "--epoch: test samples are the same in every epoch"),
        (["--split", "test", "DATASETS.TEST", "[]"], "DATASETS.TEST: expected the names of the data sets"),
        (["DATASETS.TRAIN", "[tiny_]"], "no data set 'tiny_'. Did you mean 'tiny'?"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str) -> None:
    arguments = ["--config-file", "tiny.yaml", "--output", str(tmp_path / "out"), *more]
    assert run_command("visualize-data", arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_contact_sheet_has_rows_of_columns() -> None:
    pictures = [np.full((10, 20, 3), shade, np.uint8) for shade in (10, 20, 30)]
    sheet = contact_sheet(pictures, columns=2)
    assert sheet.shape == (2 * 16 + 6, 2 * 26 + 6, 3)
    # cells of 26 x 16, gaps of 6: the centres lie at x = 16, 42 and y = 11, 27
    assert [int(sheet[y, x, 0]) for y, x in ((11, 16), (11, 42), (27, 16), (27, 42))] == [10, 20, 30, 255]


def test_a_small_picture_fills_its_cell_and_stands_in_the_middle() -> None:
    sheet = contact_sheet([np.zeros((10, 20, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)], columns=9)
    assert sheet.shape == (22, 58, 3)
    rows, columns = np.nonzero(sheet[:, 32:, 0] == 0)  # the second cell begins at 6 + 26
    # 4 x 4 becomes 10 x 10 in a cell of 10 x 20 below a gap of 6: 5 columns are free on each side
    assert (rows.min(), rows.max()) == (6, 15)
    assert (columns.min(), columns.max()) == (5, 14)
