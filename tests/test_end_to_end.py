"""One run of configs/tiny.yaml, and everything that a run must leave behind."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.checkpoint import load_weights
from dettoolkit.cli.main import main
from dettoolkit.config import load_config
from dettoolkit.data import build_dataset
from dettoolkit.data.loader import build_test_loader
from dettoolkit.engine import evaluate, train
from dettoolkit.errors import CheckpointError
from dettoolkit.modeling import build_model

TINY = Path(__file__).parents[1] / "configs" / "tiny.yaml"
CLASSES = ["disc", "ring", "square", "triangle", "cross", "star"]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def _log_as_it_was() -> Iterator[None]:
    """A run sets up the toolkit's logger for itself; the next test gets it as it was."""
    logger = logging.getLogger("dettoolkit")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    for handler in [handler for handler in logger.handlers if handler not in handlers]:
        handler.close()
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The folder of the run and the numbers that training returned."""
    folder = tmp_path_factory.mktemp("end_to_end") / "run"
    # checkpoint and evaluation at half time too
    overrides = ["HOOKS.5.PERIOD", "60it", "EVALUATION.PERIOD", "60it", "OUTPUT_DIR", str(folder)]
    return SimpleNamespace(numbers=train(load_config(TINY, overrides)), folder=folder)


@pytest.fixture(scope="module")
def rows(run: SimpleNamespace) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def _checkpoint(run: SimpleNamespace, name: str = "model_final.pth") -> dict[str, Any]:
    return torch.load(run.folder / "checkpoints" / name, weights_only=True)


def _config(run: SimpleNamespace) -> CfgNode:
    return load_config(run.folder / "config.yaml")


def test_the_tiny_config_learns_its_own_pictures(run: SimpleNamespace) -> None:
    assert run.numbers["bbox/AP50"] >= 0.9


def test_the_files_of_a_run(run: SimpleNamespace) -> None:
    files = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    events = {file for file in files if file.startswith("events.out.tfevents.")}
    assert len(events) == 1
    assert files - events - {".started_by"} == {
        "config.yaml",
        "metrics.jsonl",
        "log.txt",
        "checkpoints/model_00000060.pth",
        "checkpoints/model_best.pth",
        "checkpoints/model_final.pth",
        "inference/tiny/predictions.json",
        "inference/tiny/analysis.json",
        "report/index.html",
        "report/focal_loss.png",
    }


def test_the_config_of_a_run_is_complete_and_loads_again_to_itself(run: SimpleNamespace) -> None:
    cfg = _config(run)
    asked = load_config(TINY, ["HOOKS.5.PERIOD", "60it", "EVALUATION.PERIOD", "60it", "OUTPUT_DIR", str(run.folder)])
    asked.MODEL.NUM_CLASSES = 6  # found out from the data
    assert cfg == asked
    assert "_BASE_" not in (run.folder / "config.yaml").read_text()


def test_the_config_of_a_run_builds_the_model_that_its_checkpoint_fits(run: SimpleNamespace) -> None:
    torch.manual_seed(0)
    one = build_model(_config(run))
    asked = load_config(TINY, ["MODEL.NUM_CLASSES", "6"])
    torch.manual_seed(0)
    other = build_model(asked)
    assert one.state_dict().keys() == _checkpoint(run)["model"].keys()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_metrics_are_a_json_object_a_line(run: SimpleNamespace, rows: list[dict[str, Any]]) -> None:
    training, evaluations = ([row for row in rows if name in row] for name in ("loss", "bbox/AP"))
    assert len(training) + len(evaluations) == len(rows)
    assert [row["iteration"] for row in training] == [20, 40, 60, 80, 100, 120]
    assert [row["iteration"] for row in evaluations] == [60, 120]
    for row in training:
        assert row["loss"] == pytest.approx(row["loss_cls"] + row["loss_box"], rel=1e-5)
        assert 0 < row["lr"] <= 0.0014  # quick_start.yaml's SOLVER.BASE_LR, taken as it is
        assert row["epoch"] == row["iteration"]  # ten images in batches of ten
    assert training[-1]["loss"] < 0.1 * training[0]["loss"]
    for row in evaluations:
        assert row["validation/loss"] == pytest.approx(row["validation/loss_cls"] + row["validation/loss_box"], rel=1e-5)
        assert {"bbox/AP50", "bbox/AP75", *(f"bbox/AP-{name}" for name in CLASSES)} <= row.keys()
    assert evaluations[-1].items() >= run.numbers.items()


def test_predictions_are_coco_results_that_pycocotools_scores_the_same(
    run: SimpleNamespace, capfd: pytest.CaptureFixture[str]
) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = json.loads((run.folder / "inference" / "tiny" / "predictions.json").read_text())
    assert all(entry.keys() == {"image_id", "category_id", "bbox", "score"} for entry in results)
    dataset = build_dataset(_config(run), "tiny")
    images, annotations = [], []
    for sample in (dataset[index] for index in range(len(dataset))):
        image_id = sample["image_id"]
        images.append({"id": image_id, "width": 64, "height": 64})
        for (x1, y1, x2, y2), label in zip(sample["boxes"].tolist(), sample["labels"].tolist(), strict=True):
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            category = dataset.info.category_ids[label]
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, "category_id": category, **box})
    truth = COCO()
    categories = [{"id": number, "name": name} for number, name in zip(dataset.info.category_ids, CLASSES, strict=True)]
    truth.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    truth.createIndex()
    reference = COCOeval(truth, truth.loadRes(results), "bbox")
    reference.evaluate()
    reference.accumulate()
    reference.summarize()
    assert reference.stats[0] == pytest.approx(run.numbers["bbox/AP"], abs=1e-6)
    assert reference.stats[1] == pytest.approx(run.numbers["bbox/AP50"], abs=1e-6)


class _Addresses(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        fetching = {"src", "srcset", "poster", "data"} | ({"href"} if tag in ("link", "image", "use") else set())
        self.found += [value or "" for name, value in attributes if name in fetching]


def test_the_report_is_one_page_that_fetches_nothing(run: SimpleNamespace) -> None:
    page = (run.folder / "report" / "index.html").read_text(encoding="utf-8")
    addresses = _Addresses()
    addresses.feed(page)
    assert page.count('"/9j/') == 10  # each picture of the gallery once: JPEG in base64
    assert [address[:40] for address in addresses.found if not address.startswith(("data:", "#"))] == []
    assert not re.search(r"@import|fetch\(|XMLHttpRequest|url\((?!['\"]?(data:|#))", page)
    assert all(name in page for name in CLASSES)
    assert "AP50" in page


def test_a_checkpoint_is_plain_and_says_all_that_a_predictor_needs(run: SimpleNamespace) -> None:
    for name in ("model_final.pth", "model_best.pth", "model_00000060.pth"):
        data = _checkpoint(run, name)
        assert data["dataset"]["class_names"] == CLASSES
        assert len(data["dataset"]["category_ids"]) == 6
        assert data["config"] == (run.folder / "config.yaml").read_text()
        assert ("training" in data) == (name != "model_best.pth")
    assert _checkpoint(run)["iteration"] == 120


def test_the_best_checkpoint_is_that_of_the_better_evaluation(run: SimpleNamespace, rows: list[dict[str, Any]]) -> None:
    by_iteration = {row["iteration"]: row["bbox/AP"] for row in rows if "bbox/AP" in row}
    assert _checkpoint(run, "model_best.pth")["iteration"] == max(by_iteration, key=by_iteration.__getitem__)


def test_evaluation_alone_gives_the_numbers_of_the_last_evaluation(run: SimpleNamespace) -> None:
    again = evaluate(_config(run))
    assert again == pytest.approx(run.numbers, rel=1e-6)


def test_the_command_evaluates_a_run(run: SimpleNamespace, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-file", str(run.folder / "config.yaml"), "--eval-only"]) == 0
    assert f"{run.numbers['bbox/AP50']:.3f}" in capfd.readouterr().err


def test_the_model_of_a_checkpoint_finds_what_is_in_a_picture(run: SimpleNamespace) -> None:
    cfg = _config(run)
    model = build_model(cfg).eval()
    load_weights(model, run.folder / "checkpoints" / "model_final.pth")
    batch = next(iter(build_test_loader(build_dataset(cfg, "tiny"), [], batch_size=10, divisibility=32)))
    with torch.no_grad():
        found = model(batch.images, batch.image_sizes)
    for detections, target in zip(found, batch.targets, strict=True):
        sure = detections.labels[detections.scores > 0.5]
        assert set(sure.tolist()) <= set(target.labels.tolist())


def test_a_second_run_in_the_folder_is_refused_and_changes_nothing(run: SimpleNamespace) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    with pytest.raises(CheckpointError, match=rf"by --resume, or start a new run with OUTPUT_DIR {run.folder}_2$"):
        train(load_config(TINY, ["OUTPUT_DIR", str(run.folder)]))
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_the_log_tells_the_run(run: SimpleNamespace) -> None:
    log = (run.folder / "log.txt").read_text()
    for words in ("10 images, 120 iterations of 10 images", "120/120 (epoch 120.00)", "best bbox/AP so far", "report: "):
        assert words in log
