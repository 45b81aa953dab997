"""The page at the end of a run: what is measured, found and told in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.config import dump_config, load_config
from dettoolkit.data import build_dataset, build_train_dataset
from dettoolkit.engine import diagnosing, evaluate, train
from dettoolkit.engine.analysing import write_analyses
from dettoolkit.engine.diagnosing import diagnose_anchors, diagnose_data
from dettoolkit.engine.hooks import report as report_hook
from dettoolkit.errors import ConfigError
from dettoolkit.modeling import build_model
from dettoolkit.report import ReportData

SmallConfig = Callable[..., CfgNode]
SMALL = Path(__file__).parents[1] / "small.yaml"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[ReportData]:
    """What was handed to the pages that are written from here on."""
    handed: list[ReportData] = []
    write = report_hook.write_report

    def spy(folder: Path, data: ReportData, read_image: Any) -> Path:
        handed.append(data)
        return write(folder, data, read_image)

    monkeypatch.setattr(report_hook, "write_report", spy)
    return handed


def test_a_training_tells_of_its_training_set_and_an_evaluation_of_the_test_set(
    small_config: SmallConfig, seen: list[ReportData]
) -> None:
    cfg = small_config("MODEL.DECODER.SCORE_THRESHOLD", 0.001, "DATASETS.TRAIN", "[other]")
    train(cfg)
    evaluate(cfg)
    trained, evaluated = seen
    for data in seen:
        assert data.analysis
        assert data.evaluation_time
        assert len(data.images) == data.analysis.num_images == 12
        assert data.evaluation_time.num_images == 12
        assert set(data.intervals) == {"tiny"}
        assert data.intervals["tiny"].ap.value == pytest.approx(data.results["tiny"]["bbox"]["AP"], abs=1e-9)
    assert trained.anchors
    assert evaluated.anchors
    assert trained.findings
    assert evaluated.findings
    assert (trained.anchors.dataset, trained.anchors.transforms) == ("other", "DATASETS.TRAIN_TRANSFORMS")
    assert (evaluated.anchors.dataset, evaluated.anchors.transforms) == ("tiny", "DATASETS.TEST_TRANSFORMS")
    assert trained.anchors.suggestions[0]["words"] == "as configured"
    assert not evaluated.anchors.suggestions
    assert (trained.findings.datasets, evaluated.findings.datasets) == (["other", "tiny"], ["tiny"])
    assert "s for the analysis" in (Path(cfg.OUTPUT_DIR) / "log.txt").read_text(encoding="utf-8")


def test_the_page_has_the_numbers_of_the_analysis_file(small_config: SmallConfig) -> None:
    cfg = small_config("MODEL.DECODER.SCORE_THRESHOLD", 0.001)
    train(cfg)
    folder = Path(cfg.OUTPUT_DIR)
    analysis = json.loads((folder / "inference/tiny/analysis.json").read_text(encoding="utf-8"))
    html = (folder / "report/index.html").read_text(encoding="utf-8")
    for name, told in analysis["error_types"]["types"].items():
        row = re.search(rf"<bdi>{name}</bdi>.*?</tr>", html)
        assert row
        assert re.findall(r">([\d.,]+)</td>", row[0]) == [f"{told['ap_cost']:.4f}", f"{told['count']:,}"]


def test_the_parts_of_an_evaluation_are_all_of_its_time(small_config: SmallConfig, seen: list[ReportData]) -> None:
    train(small_config())
    time = seen[0].evaluation_time
    assert time
    assert list(time.seconds) == ["waiting for data", "network", "losses", "detections", "evaluators"]
    assert all(seconds >= 0 for seconds in time.seconds.values())
    assert time.seconds["network"] > 0
    assert time.device in (f"cpu, {torch.get_num_threads()} threads", "cpu, 1 thread")


def test_anchors_of_another_kind_and_a_set_without_objects_are_not_examined(caplog: pytest.LogCaptureFixture) -> None:
    cfg = load_config("tiny.yaml")
    dataset = build_train_dataset(cfg)
    with caplog.at_level(logging.INFO, "dettoolkit"):
        assert diagnose_anchors(torch.nn.Linear(1, 1), dataset, cfg) is None
    assert "anchors are not compared with objects" in caplog.text
    cfg = load_config("tiny.yaml", ["MODEL.NUM_CLASSES", str(dataset.info.num_classes)])
    model = build_model(cfg)
    found = diagnose_anchors(model, dataset, cfg)
    assert found
    objects = sum(int((~record.ignore).sum()) for record in dataset.records)
    assert found.examination["overall"]["count"] == objects
    assert cfg.DATASETS.TRAIN_TRANSFORMS == load_config("tiny.yaml").DATASETS.TRAIN_TRANSFORMS  # left as it was


def test_a_change_that_does_not_load_is_not_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = load_config(SMALL, ["MODEL.NUM_CLASSES", "6"])
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(cfg))
    dataset, model = build_train_dataset(cfg), build_model(cfg)
    found = diagnose_anchors(model, dataset, cfg, file)
    assert found
    assert len(found.suggestions) > 1  # a quarter of the shapes is out of reach
    for each in found.suggestions:
        load_config(file, list(each["overrides"]))

    def refuse(path: Path, overrides: Any) -> Any:
        raise ConfigError("refused")

    monkeypatch.setattr(diagnosing, "load_config", refuse)
    with caplog.at_level(logging.INFO, "dettoolkit"):
        found = diagnose_anchors(model, dataset, cfg, file)
    assert found
    assert [each["words"] for each in found.suggestions] == ["as configured"]
    assert "left out of the report: refused" in caplog.text


def test_data_are_told_with_their_names() -> None:
    cfg = load_config("tiny.yaml")
    test = build_dataset(cfg, cfg.DATASETS.TEST[0])
    assert diagnose_data(None, [test]).datasets == [test.info.name]
    assert diagnose_data(test, [test]).datasets == [test.info.name] * 2


def test_without_evaluations_nothing_is_analysed(tmp_path: Path) -> None:
    assert write_analyses(tmp_path, []) == {}
