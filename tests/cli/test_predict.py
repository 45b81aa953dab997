from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dettoolkit.checkpoint import write
from dettoolkit.cli.main import run_command
from dettoolkit.cli.predict import output_names
from dettoolkit.config import dump_config, load_config
from dettoolkit.inference import Predictor, VideoReader, VideoWriter
from dettoolkit.modeling import build_model
from dettoolkit.structures import DatasetInfo


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that finds things at random."""
    cfg = load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "2"])
    torch.manual_seed(0)
    model = build_model(cfg)
    with torch.no_grad():
        model.head.classification.weight.normal_(0, 0.5)
    path = tmp_path_factory.mktemp("run") / "model_final.pth"
    info = DatasetInfo("pets", ("cat", "dog"))
    write(path, {"model": model.state_dict(), "config": dump_config(cfg), "dataset": info.to_dict(), "iteration": 0})
    return path


def picture(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of the same name in two folders."""
    for seed, name in enumerate(("a/photo.png", "b/photo.png")):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        Image.fromarray(picture(seed)).save(tmp_path / "in" / name)
    return tmp_path / "in"


def predict(checkpoint: Path, *inputs: Path, output: Path, more: tuple[str, ...] = ()) -> int:
    arguments = ["--checkpoint", str(checkpoint), "--input", *map(str, inputs), "--output", str(output), "--device", "cpu"]
    return run_command("predict", [*arguments, *more])


def entries(output: Path) -> list[dict[str, Any]]:
    return json.loads((output / "predictions.json").read_text(encoding="utf-8"))


def test_each_image_gets_an_entry_and_a_picture(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    assert predict(checkpoint, folder, output=tmp_path / "out", more=("--score-threshold", "0.4")) == 0
    written = entries(tmp_path / "out")
    assert [(entry["file"], entry["picture"]) for entry in written] == [
        (f"{folder.as_posix()}/a/photo.png", "pictures/a/photo.jpg"),
        (f"{folder.as_posix()}/b/photo.png", "pictures/b/photo.jpg"),
    ]
    found = Predictor.from_checkpoint(checkpoint, "cpu")([folder / "a/photo.png", folder / "b/photo.png"])
    for entry, detections in zip(written, found, strict=True):
        expected = detections.above(0.4)
        assert 0 < len(expected) < len(detections)
        assert (entry["width"], entry["height"]) == (56, 40)
        assert [row["class"] for row in entry["detections"]] == [("cat", "dog")[label] for label in expected.labels.tolist()]
        assert torch.tensor([row["label"] for row in entry["detections"]]).equal(expected.labels)
        for key, values in (("score", expected.scores), ("box", expected.boxes)):
            torch.testing.assert_close(torch.tensor([row[key] for row in entry["detections"]]), values, rtol=0, atol=1e-3)
        drawn = np.asarray(Image.open(tmp_path / "out" / entry["picture"]))
        assert drawn.shape == (40, 56, 3)
        assert np.abs(drawn.astype(int) - np.asarray(Image.open(entry["file"])).astype(int)).max() > 100  # boxes are drawn


def test_a_threshold_of_1_leaves_pictures_as_they_are(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    assert predict(checkpoint, folder / "a/photo.png", output=tmp_path / "out", more=("--score-threshold", "1")) == 0
    (entry,) = entries(tmp_path / "out")
    assert entry["detections"] == []
    drawn = np.asarray(Image.open(tmp_path / "out/pictures/photo.jpg")).astype(int)
    assert np.abs(drawn - picture(0)).mean() < 12  # JPEG


def test_a_broken_image_is_reported_and_the_others_are_predicted(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a/broken.jpg").write_text("no picture")
    assert predict(checkpoint, folder, output=tmp_path / "out", more=("--batch-size", "1")) == 1
    assert [Path(entry["file"]).name for entry in entries(tmp_path / "out")] == ["photo.png", "photo.png"]
    told = capsys.readouterr().err
    assert f"left out: {folder / 'a/broken.jpg'}: expected an image" in told
    assert "1 of 3 inputs could not be read and were left out" in told


def test_options_say_how_each_image_is_looked_at(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    more = ("--flip", "both", "--scales", "1", "1.5", "--tile-size", "32", "--tile-overlap", "0.5", "--merge", "BatchedNMS")
    assert predict(checkpoint, folder / "a/photo.png", output=tmp_path / "out", more=("--score-threshold", "0", *more)) == 0
    (entry,) = entries(tmp_path / "out")
    views = {"FLIP": "both", "SCALES": [1.0, 1.5], "TILE_SIZE": 32, "TILE_OVERLAP": 0.5, "MERGE": {"NAME": "BatchedNMS"}}
    (expected,) = Predictor.from_checkpoint(checkpoint, "cpu", views=views)([folder / "a/photo.png"])
    boxes = torch.tensor([row["box"] for row in entry["detections"]])
    torch.testing.assert_close(boxes, expected.boxes, rtol=0, atol=1e-3)


def test_another_nms_takes_the_place_of_the_detectors_own(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    more = ("--score-threshold", "0", "--nms", "SoftNMS")
    assert predict(checkpoint, folder / "a/photo.png", output=tmp_path / "out", more=more) == 0
    (entry,) = entries(tmp_path / "out")
    own, soft = (
        Predictor.from_checkpoint(checkpoint, "cpu", nms=nms)([folder / "a/photo.png"])[0]
        for nms in (None, {"NAME": "SoftNMS"})
    )
    torch.testing.assert_close(torch.tensor([row["box"] for row in entry["detections"]]), soft.boxes, rtol=0, atol=1e-3)
    assert own.scores[0] == soft.scores[0]  # the best box of all keeps its score, others lose some
    assert soft.scores.min() < own.scores.min()


def test_an_unknown_view_is_told_with_what_there_is(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(checkpoint, folder, output=tmp_path / "out", more=("--merge", "WeightedBoxFusio")) == 2
    assert "Did you mean 'WeightedBoxFusion'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_video_gets_a_video_and_an_entry_for_each_frame(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    with VideoWriter(folder / "clip.mp4", 10) as video:
        for seed in range(5):
            video.write(picture(seed))
    assert predict(checkpoint, folder, output=tmp_path / "out", more=("--batch-size", "2")) == 0
    frames = [entry for entry in entries(tmp_path / "out") if entry["picture"] == "pictures/clip.mp4"]
    assert [(entry["frame"], entry["seconds"]) for entry in frames] == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    assert len(entries(tmp_path / "out")) == 7  # and two images
    with VideoReader(folder / "clip.mp4") as video:
        expected = Predictor.from_checkpoint(checkpoint, "cpu")(video, batch_size=2)
    assert [len(entry["detections"]) for entry in frames] == [len(found.above(0.3)) for found in expected]
    with VideoReader(tmp_path / "out/pictures/clip.mp4") as video:
        assert video.frames_per_second == 10
        assert [frame.shape for frame in video] == [(3, 40, 56)] * 5


def test_a_broken_video_is_left_out(checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clip.avi").write_text("no video")
    assert predict(checkpoint, folder, output=tmp_path / "out") == 1
    assert len(entries(tmp_path / "out")) == 2
    assert "clip.avi: cannot be opened as a video" in capsys.readouterr().err


def test_a_folder_with_something_in_it_is_refused(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    assert predict(checkpoint, folder, output=tmp_path / "out") == 0  # empty
    before = (tmp_path / "out/predictions.json").read_bytes()
    (tmp_path / "out_2").mkdir()
    assert predict(checkpoint, folder, output=tmp_path / "out") == 2
    assert f"not empty; nothing in it is overwritten. Free: --output {tmp_path / 'out_3'}" in capsys.readouterr().err
    assert (tmp_path / "out/predictions.json").read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert predict(checkpoint, folder, output=tmp_path / "file/out") == 2
    assert "--output: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--score-threshold", "1.5"), "--score-threshold: expected 0 to 1, got 1.5"),
        (("--batch-size", "0"), "--batch-size: expected 1 or more, got 0"),
        (("--device", "gpu"), "--device: expected auto, cpu, cuda, cuda:N or mps, got 'gpu'"),
        (("--device", "cuda:99"), "--device cpu needs none"),
        (("--font", "gone.ttf"), "--font: gone.ttf: "),
        (("--input", "gone.jpg"), "gone.jpg: there is no such file or folder"),
        (("--checkpoint", "gone.pth"), "gone.pth: there is no such file"),
        (("--plugins", "gone.py"), "no Python file 'gone.py'"),
    ],
)
def test_what_cannot_be_used_is_told_and_leaves_nothing_behind(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert predict(checkpoint, folder, output=tmp_path / "out", more=more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_output_names_never_collide() -> None:
    files = [
        Path(f"/data/{name}") for name in ("a/x.jpg", "b/x.jpg", "a/x.png", "a/X.jpeg", "a/x_2.gif", "a/x.mp4", "a/v1.0.jpg")
    ]
    names = output_names(files, [".mp4" if file.suffix == ".mp4" else ".jpg" for file in files])
    assert [name.as_posix() for name in names] == [
        "a/x.jpg",
        "b/x.jpg",
        "a/x_2.jpg",  # of x.png
        "a/X_3.jpg",  # the same as x.jpg where case does not count, and x_2 is taken
        "a/x_2_2.jpg",  # of x_2.gif
        "a/x.mp4",
        "a/v1.0.jpg",
    ]


def test_the_folders_of_an_output_name_are_those_below_the_common_one() -> None:
    assert output_names([Path("/data/deep/a.png")], [".jpg"]) == [Path("a.jpg")]
    assert output_names([Path("/data/deep/a.png"), Path("/data/b.png")], [".jpg"] * 2) == [Path("deep/a.jpg"), Path("b.jpg")]


def test_precision_and_compiling_are_those_of_the_predictor(
    checkpoint: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def from_checkpoint(path: str, *options: Any) -> Predictor:
        asked.append(options[2:4])
        return original(path, "cpu", precision=options[2])

    original = Predictor.from_checkpoint
    monkeypatch.setattr(Predictor, "from_checkpoint", from_checkpoint)
    assert predict(checkpoint, folder, output=tmp_path / "one", more=("--precision", "bf16", "--compile")) == 0
    assert predict(checkpoint, folder, output=tmp_path / "two") == 0
    assert asked == [("bf16", True), ("auto", False)]


def test_an_unknown_precision_is_refused(checkpoint: Path, folder: Path, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        predict(checkpoint, folder, output=tmp_path / "out", more=("--precision", "half"))
    assert "'half'" in capsys.readouterr().err
