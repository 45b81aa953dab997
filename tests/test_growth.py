"""The script of the growth curves: power laws, points that are kept, what its settings mean, pictures and page."""

from __future__ import annotations

import importlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

ROOT = Path(__file__).parents[1]
TINY = ROOT / "configs/tiny.yaml"


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def of(name: str) -> Any:
    return importlib.import_module(f"benchmarks.growth.{name}")


def test_a_power_law_is_found_again() -> None:
    x = [2, 8, 32, 128]
    law = of("fitting").fit_power_law(x, [3 * value**1.5 for value in x])
    assert law.exponent == pytest.approx(1.5)
    assert law.factor == pytest.approx(3)
    assert (law.lowest, law.highest) == (8, 128)
    assert law.misfit == pytest.approx(0, abs=1e-9)


def test_only_the_last_three_points_count() -> None:
    law = of("fitting").fit_power_law([1, 2, 4, 8, 16], [500, 70, 4, 8, 16])
    assert (law.exponent, law.factor) == (pytest.approx(1), pytest.approx(1))


def test_the_misfit_is_that_of_the_farthest_point() -> None:
    # logarithms to base 2: x -1, 0, 1; y 0, 1 + d, 2: slope 1, offset 1 + d / 3, residuals -d / 3, 2 d / 3, -d / 3;
    # with 2^d = 1.728 = 1.2^3 the farthest is off by a factor of 1.2^2
    law = of("fitting").fit_power_law([0.5, 1, 2], [1, 2 * 1.728, 4])
    assert law.exponent == pytest.approx(1)
    assert law.misfit == pytest.approx(0.44)


@pytest.mark.parametrize("y", [[1, None, 4], [0, 1, 2], [1, 2]])
def test_without_three_points_there_is_no_law(y: list[Any]) -> None:
    assert of("fitting").fit_power_law([1, 2, 4][: len(y)], y) is None


def point(value: int, milliseconds: float, mib: float | None = None) -> dict[str, Any]:
    seconds = [9.0, milliseconds / 1e3, 0.0]  # median: the middle one
    return {"value": value, "parts": {"whole": {"seconds": seconds, "extra_mib": mib}}}


@pytest.fixture
def measured(tmp_path: Path) -> Any:
    found = of("measured").Measured(tmp_path / "growth/growth.json", {"machine": "a"})
    for value in (4, 1, 2):
        found.add("records", point(value, 10.0 * value, 8.0 * value**2))
    return found


def test_points_are_kept_in_order_with_their_conditions(measured: Any) -> None:
    again = of("measured").Measured(measured.path, {"machine": "b"})
    (part,) = again.parts("records")
    assert part == of("measured").Part("whole", [1, 2, 4], [10, 20, 40], [8, 32, 128])
    assert part.time_law.exponent == pytest.approx(1)
    assert part.memory_law.exponent == pytest.approx(2)
    assert again.has("records", 2)
    assert not again.has("records", 3)
    assert not again.has("training_boxes", 2)
    assert again.other_conditions("records") == "machine was a, is b"
    assert measured.other_conditions("records") is None


def test_memory_that_is_hardly_seen_has_no_exponent() -> None:
    part = of("measured").Part("whole", [1, 2, 4], [1, 2, 4], [0.9, 2, 4])
    assert part.memory_law is None
    assert part.time_law is not None


def test_the_picture_shows_each_part_that_has_numbers(measured: Any) -> None:
    drawing, Part = of("drawing"), of("measured").Part
    parts = [Part("timed", [1, 2, 4], [1, 2, 4], [8, 8, 8]), Part("kept", [1, 2, 4], [None] * 3, [2, 4, 8])]
    picture = drawing.curve_picture(of("curves").CURVES["records"], parts)
    left, right = np.split(picture, 2, axis=1)
    colors = [tuple(bytes.fromhex(color[1:])) for color in drawing.COLORS[:2]]
    shown = [[bool((panel == color).all(axis=2).any()) for color in colors] for panel in (left, right)]
    assert shown == [[True, False], [True, True]]
    assert drawing._line(parts[0], [0.5, None, 0.2], None, "#000000", 1.0, "MiB").name == "timed: below 1 MiB"


def test_the_page_keeps_what_people_wrote(measured: Any, tmp_path: Path) -> None:
    page = tmp_path / "growth.md"
    of("page").update_page(page, tmp_path / "growth", measured)
    first = page.read_text(encoding="utf-8")
    assert "![Data set" in first
    assert "(growth/records.png)" in first
    lines = [line.replace(" ", "") for line in first.splitlines()]
    assert "|4|40.0|128|" in lines
    assert "|whole|1.00|1...4|0%|2.00|1...4|0%|" in lines
    page.write_text(first + "\nBound by the parser.\n", encoding="utf-8")
    measured.add("records", point(8, 77.7))
    of("page").update_page(page, tmp_path / "growth", measured)
    second = page.read_text(encoding="utf-8")
    assert second.endswith("\nBound by the parser.\n")
    assert "77.7" in second
    assert second.count("## Data set") == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Which points are measured, instead of measuring them; value 13 fails."""
    script, calls = of("__main__"), []

    def measure(curve: str, value: int, rounds: int, config: Path) -> dict[str, Any]:
        calls.append((curve, value, rounds, config.name))
        if value == 13:
            raise of("point").PointError("out of memory")
        return point(value, value, 1.0)

    monkeypatch.setattr(script, "measured_in_a_process", measure)
    return calls


def test_points_are_measured_once(asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, output = of("__main__").main, ["records", "--output", str(tmp_path / "growth")]
    run([*output, "--rounds", "2", "--values", "3", "5"])
    assert asked == [("records", value, 2, "retinanet_r50_fpn_1x.yaml") for value in (3, 5)]
    assert (tmp_path / "growth/records.png").exists()
    run([*output, "--rounds", "2", "--values", "3", "5"])
    assert len(asked) == 2
    assert "records: done; --again measures it again" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"rounds was 2, is 3\. --again"):
        run([*output, "--values", "3", "7"])
    run([*output, "--values", "3", "7", "--again"])
    assert [value for _, value, *_ in asked] == [3, 5, 3, 7]


def test_a_point_that_fails_is_told_and_left_out(asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of("__main__").main(["records", "--output", str(tmp_path / "growth"), "--values", "3", "13", "15"])
    assert "not measured: out of memory" in capsys.readouterr().out
    points = json.loads((tmp_path / "growth/growth.json").read_text())["records"]["points"]
    assert [each["value"] for each in points] == [3, 15]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recrods"], "no curve recrods; there are training_image_size"),
        (["--rounds", "0"], "--rounds expects at least 1, got 0"),
        (["--config-file", "none.yaml"], "--config-file: there is no none.yaml"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        of("__main__").main(arguments)
    assert message in capsys.readouterr().err


def test_what_a_process_says_last_is_the_point(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"stdout": 'a log line\npoint: {"value": 7, "parts": {}}\n', "stderr": "", "returncode": 0}
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], **said))
    assert of("point").measured_in_a_process("records", 7, 1, TINY) == {"value": 7, "parts": {}}
    said |= {"stdout": "", "stderr": "Traceback\nMemoryError: much\n", "returncode": -9}
    with pytest.raises(of("point").PointError, match="records at 7: signal 9: MemoryError: much"):
        of("point").measured_in_a_process("records", 7, 1, TINY)


def test_a_point_of_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    of("point").main(["records", "40", "2", str(TINY)])
    found = json.loads(capsys.readouterr().out.removeprefix("point: "))
    assert found["value"] == 40
    parts = found["parts"]
    assert list(parts)[:3] == ["reading the annotations", "the same, and all headers", "kept by the data set"]
    assert [len(part["seconds"]) for part in parts.values()] == [2, 2, 0, 2, 2, 2]
    assert all(second > 0 for part in parts.values() for second in part["seconds"])


def test_the_data_set_is_as_large_as_asked_for(tmp_path: Path) -> None:
    records = of("records")
    records.write_annotations(tmp_path, 5)
    dataset = records.read(tmp_path, check_images=True)
    assert len(dataset) == 5
    assert dataset.records.num_boxes.tolist() == [1] * 5
    assert dataset[4]["boxes"].tolist() == [[8.5, 4.0, 48.75, 34.0]]


@pytest.mark.parametrize(("boxes", "side"), [(1, 64), (300, 256)])
def test_boxes_are_as_many_as_asked_for_and_inside(boxes: int, side: int) -> None:
    networks = of("networks")
    targets = networks.random_targets(networks.Setting(side=side, batch=2, boxes=boxes, classes=3))
    assert [len(target) for target in targets] == [boxes] * 2
    corners = torch.cat([target.boxes for target in targets])
    assert 0 <= corners.min() <= corners.max() <= side
    sides = corners[:, 2:] - corners[:, :2]
    assert 7.99 <= sides.min() <= sides.max() <= side / 2 + 0.01
    assert max(int(target.labels.max()) for target in targets) <= 2


def test_inference_finds_the_boxes_that_were_planted() -> None:
    networks = of("networks")
    setting = networks.Setting(side=128, batch=2, boxes=6, classes=4, config=TINY)
    _, found = networks.inference(setting).contestants["whole"]()
    for target, detections in zip(networks.random_targets(setting), found, strict=True):
        overlap = box_iou(target.boxes, detections.boxes) * (target.labels[:, None] == detections.labels)
        assert (overlap.max(dim=1).values > 0.9).float().mean() >= 0.8  # but for those whose anchors another box has taken
        assert (detections.scores > 0.5).sum() >= 5


def test_a_training_step_changes_the_weights_and_leaves_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    networks, models = of("networks"), []
    build = networks.build_model
    monkeypatch.setattr(networks, "build_model", lambda cfg: models.append(build(cfg)) or models[0])
    row = networks.training(networks.Setting(side=64, boxes=2, classes=3, config=TINY))
    parts = ["whole step", "network, forward", "class convolution, forward", "losses, forward and backward", "matching"]
    assert list(row.contestants) == parts
    (model,) = models
    before = [parameter.clone() for parameter in model.head.parameters()]
    row.contestants["whole step"]()
    assert any(not torch.equal(old, new) for old, new in zip(before, model.head.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())
    (matches,) = row.contestants["matching"]()
    assert (matches.indices >= 0).any()


def test_the_class_convolution_has_nine_numbers_a_class_and_place() -> None:
    networks = of("networks")
    row = networks.inference(networks.Setting(side=64, batch=2, boxes=2, classes=3, config=TINY))
    outputs = row.contestants["class convolution, forward"]()
    # strides 8, 16, 32 of the config's three levels; three sizes of three shapes are nine anchors a place
    assert [tuple(output.shape) for output in outputs] == [(2, 27, 8, 8), (2, 27, 4, 4), (2, 27, 2, 2)]
