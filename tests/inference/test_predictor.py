from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dettoolkit.data import read_image
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.loader import build_test_loader
from dettoolkit.data.records import Record
from dettoolkit.engine.evaluating import DatasetEvaluation
from dettoolkit.errors import ConfigError, DataError, DistributedError
from dettoolkit.inference import Predictor
from dettoolkit.structures import Detections

SIZES = [(60, 90), (90, 60), (64, 64), (50, 120), (33, 47)]


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return Predictor.from_checkpoint(checkpoint, device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of noise in blocks, of several sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for index, (height, width) in enumerate(SIZES):
        blocks = generator.integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
        pixels = blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def paths(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def assert_same(one: Detections, other: Detections) -> None:
    assert torch.equal(one.boxes, other.boxes)
    assert torch.equal(one.scores, other.scores)
    assert torch.equal(one.labels, other.labels)


class Recorder:
    """An evaluator that only remembers."""

    def reset(self) -> None:
        self.detections: list[Detections] = []

    def update(self, samples: Any, detections: Any) -> None:
        self.detections += detections

    def compute(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("amp", ["none", "bf16"])
def test_boxes_are_those_of_the_evaluation(cfg: Any, checkpoint: Path, folder: Path, paths: list[Path], amp: str) -> None:
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu", precision="bf16" if amp == "bf16" else "fp32")
    box = np.array([[2, 2, 20, 20]], np.float32)
    records = [
        Record(index, path.name, *SIZES[index], box, np.zeros(1, np.int64), np.zeros(1, np.bool_), np.ones(1, np.float32))
        for index, path in enumerate(paths)
    ]
    dataset = DetectionDataset(predictor.info, records, folder)
    divisibility = predictor.model.size_divisibility
    loader = build_test_loader(dataset, cfg.DATASETS.TEST_TRANSFORMS, batch_size=3, divisibility=divisibility)
    recorder = Recorder()
    DatasetEvaluation(dataset, loader, [recorder], with_loss=False, amp=amp).run(predictor.model, torch.device("cpu"))
    found = predictor(paths, batch_size=3)
    assert sum(len(detections) for detections in found) > 20
    for expected, detections in zip(recorder.detections, found, strict=True):
        assert_same(detections, expected)


def test_paths_arrays_and_tensors_give_the_same(predictor: Predictor, paths: list[Path]) -> None:
    array = np.asarray(Image.open(paths[0]))
    assert not array.flags.writeable  # Pillow's own: torch warns of such an array
    one, two, three = predictor([str(paths[0]), array, torch.from_numpy(array.copy()).permute(2, 0, 1)])
    assert len(one) > 0
    assert_same(one, two)
    assert_same(one, three)


def test_a_reversed_view_of_an_array_is_taken(predictor: Predictor, paths: list[Path]) -> None:
    bgr = np.asarray(Image.open(paths[0]))[:, :, ::-1].copy()
    assert_same(*predictor([bgr[:, :, ::-1], paths[0]]))


def test_boxes_lie_in_the_original_picture(predictor: Predictor, paths: list[Path]) -> None:
    for (height, width), found in zip(SIZES, predictor(paths), strict=True):
        assert found.boxes.min() >= 0
        assert found.boxes[:, 2].max() <= width
        assert found.boxes[:, 3].max() <= height
    # the third is blown up from 64 to 72: in its own pixels boxes would end beyond 64
    assert predictor([paths[2]])[0].boxes.max() > 60


def test_orientation_of_a_file_is_applied(predictor: Predictor, paths: list[Path], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees: what is stored as 60 x 90 is seen as 90 x 60
    Image.open(paths[0]).save(tmp_path / "turned.png", exif=exif)
    prediction = next(predictor.stream([tmp_path / "turned.png"]))
    upright = np.rot90(np.asarray(Image.open(paths[0])), k=-1)
    assert prediction.image.shape == (3, 90, 60)
    assert_same(prediction.detections, predictor([upright.copy()])[0])


def test_batch_size_does_not_matter_for_images_of_one_size(predictor: Predictor, paths: list[Path]) -> None:
    images = [read_image(paths[2]), read_image(paths[2]).flip(2), read_image(paths[2]).flip(1)]
    for one, other in zip(predictor(images, batch_size=1), predictor(images, batch_size=3), strict=True):
        torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-5)


def test_no_images_give_no_detections(predictor: Predictor) -> None:
    assert predictor([]) == []


def test_a_stream_takes_one_batch_at_a_time(predictor: Predictor) -> None:
    taken = 0

    def endless() -> Iterator[Tensor]:
        nonlocal taken
        while True:
            taken += 1
            yield torch.zeros(3, 40, 40, dtype=torch.uint8)

    stream = predictor.stream(endless(), batch_size=2)
    seen = [(next(stream).index, taken) for _ in range(5)]
    assert seen == [(0, 2), (1, 2), (2, 4), (3, 4), (4, 6)]


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_a_stream_may_use_one_buffer_for_all_frames(predictor: Predictor, paths: list[Path], kind: Any) -> None:
    pictures = [np.asarray(Image.open(paths[2])), np.asarray(Image.open(paths[2]))[::-1].copy()]
    pictures = [picture if kind is np.array else picture.transpose(2, 0, 1) for picture in pictures]
    buffer = kind(pictures[0])

    def frames() -> Iterator[Any]:
        for picture in pictures:
            buffer[:] = kind(picture)
            yield buffer

    for prediction, expected in zip(predictor.stream(frames(), 2), predictor([kind(p) for p in pictures], 2), strict=True):
        assert_same(prediction.detections, expected)


def test_a_stream_goes_on_after_a_bad_image_where_asked(predictor: Predictor, paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    bad: dict[int, DataError] = {}
    given = [paths[0], tmp_path / "text.jpg", paths[1], tmp_path / "missing.jpg"]
    seen = [prediction.index for prediction in predictor.stream(given, 2, bad.__setitem__)]
    assert seen == [0, 2]
    assert list(bad) == [1, 3]
    assert "text.jpg" in str(bad[1])


def test_precision_auto_is_what_the_run_trained_in(changed_checkpoint: Any, checkpoint_data: Any, paths: list[Path]) -> None:
    path = changed_checkpoint(config=checkpoint_data["config"].replace("AMP: none", "AMP: bf16"))
    found = {
        precision: Predictor.from_checkpoint(path, "cpu", precision=precision)(paths[:1])[0]  # type: ignore[arg-type]
        for precision in ("auto", "bf16", "fp32")
    }
    assert_same(found["auto"], found["bf16"])
    assert not torch.equal(found["auto"].boxes[:5], found["fp32"].boxes[:5])


def test_precision_auto_is_fp32_where_the_device_cannot(
    checkpoint_data: Any, changed_checkpoint: Any, paths: list[Path]
) -> None:
    path = changed_checkpoint(config=checkpoint_data["config"].replace("AMP: none", "AMP: fp16"))
    auto, fp32 = (Predictor.from_checkpoint(path, "cpu", precision=precision)(paths[:1])[0] for precision in ("auto", "fp32"))  # type: ignore[arg-type]
    assert_same(auto, fp32)


def test_detections_can_be_computed_with(predictor: Predictor, paths: list[Path]) -> None:
    scores = predictor(paths[:1])[0].scores
    assert not scores.requires_grad
    (scores * torch.ones(1, requires_grad=True)).sum().backward()  # an inference tensor would refuse


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("missing.jpg", "missing.jpg: no such image file"),
        (np.zeros((4, 4), np.uint8), r"image 0: expected a path, .*, got an array \[4, 4\] of uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"an array \[4, 4, 4\] of uint8"),
        (np.zeros((3, 4, 4), np.uint8), r"an array \[3, 4, 4\] of uint8"),
        (np.zeros((4, 4, 3), np.float32), r"an array \[4, 4, 3\] of float32"),
        (np.zeros((0, 4, 3), np.uint8), r"an array \[0, 4, 3\] of uint8"),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), r"a tensor \[4, 4, 3\] of uint8"),
        (torch.zeros(3, 4, 4), r"a tensor \[3, 4, 4\] of float32"),
        (7, "got int"),
    ],
)
def test_what_is_no_image_is_refused(predictor: Predictor, image: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        predictor([image])


@pytest.mark.parametrize("image", ["a.jpg", Path("a.jpg"), np.zeros((4, 4, 3), np.uint8), torch.zeros(3, 4, 4)])
def test_a_single_image_is_told_from_a_list(predictor: Predictor, image: Any) -> None:
    with pytest.raises(DataError, match=r"put it into a list, predictor\(\[image\]\)"):
        predictor(image)


def test_arguments_that_cannot_be_are_refused(predictor: Predictor, checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size: expected 1 or more, got 0"):
        predictor([], batch_size=0)
    with pytest.raises(ConfigError, match="precision: expected auto, fp32, bf16 or fp16, got 'half'"):
        Predictor.from_checkpoint(checkpoint, "cpu", precision="half")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="fp16 is not supported on cpu; fp32 always is"):
        Predictor.from_checkpoint(checkpoint, "cpu", precision="fp16")
    with pytest.raises(DistributedError, match="got 'gpu'"):
        Predictor.from_checkpoint(checkpoint, "gpu")


def test_the_classes_are_known(predictor: Predictor) -> None:
    assert predictor.class_names == ("disc", "ring", "square")
    assert predictor.info.name == "tiny"
    assert all(found.labels.max() < 3 for found in predictor([np.full((40, 40, 3), 90, np.uint8)]) if len(found))
