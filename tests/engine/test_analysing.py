"""What a run leaves besides its numbers: an analysis of each data set, and score thresholds in its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.checkpoint import read
from dettoolkit.config import load_config
from dettoolkit.data import build_dataset
from dettoolkit.data.loader import build_test_loader
from dettoolkit.engine import evaluate, train
from dettoolkit.engine.analysing import all_images, measure_thresholds, write_analyses
from dettoolkit.engine.checkpointing import Checkpointer
from dettoolkit.engine.evaluating import DatasetEvaluation
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.errors import ConfigError
from dettoolkit.evaluation import CocoEvaluator, VocEvaluator
from dettoolkit.evaluation.analysis import Wish
from dettoolkit.structures import DatasetInfo, Detections, ScoreThresholds

SmallConfig = Callable[..., CfgNode]
BuildTrainer = Callable[..., Any]


class Oracle(nn.Module):
    """Finds each object where it is, with a score of 0.8, and once more elsewhere with 0.3."""

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self.truth = [dataset[index]["original"] for index in range(len(dataset))]
        self.given = 0

    def predictions(self, images: torch.Tensor, image_sizes: Any) -> Any:
        return None

    def detections(self, predictions: Any, image_sizes: list[tuple[int, int]]) -> list[Detections]:
        found = []
        for _ in image_sizes:
            truth, self.given = self.truth[self.given], self.given + 1
            boxes = torch.cat([truth.boxes, torch.tensor([[0.0, 0.0, 3.0, 3.0]])])
            scores = torch.cat([torch.full((len(truth),), 0.8), torch.tensor([0.3])])
            found.append(Detections(boxes, scores, torch.cat([truth.labels, torch.tensor([0])])))
        return found


def evaluated(evaluator: Callable[..., Any], wish: str | None) -> DatasetEvaluation:
    """Return an evaluation of an oracle."""
    cfg = load_config("tiny.yaml", ["DATASETS.TEST_TRANSFORMS", "[]"])
    dataset = build_dataset(cfg, cfg.DATASETS.TEST[0])
    loader = build_test_loader(dataset, [], batch_size=4, divisibility=1)
    evaluation = DatasetEvaluation(dataset, loader, [evaluator(dataset.info)], with_loss=False)
    evaluation.wish = None if wish is None else Wish.parse(wish)
    evaluation.run(Oracle(dataset), torch.device("cpu"))
    return evaluation


@pytest.mark.parametrize("evaluator", [CocoEvaluator, VocEvaluator])
def test_thresholds_are_measured_on_all_images(evaluator: type) -> None:
    evaluation = evaluated(evaluator, "precision>=0.99")
    images = all_images(evaluation)
    assert images is not None
    assert len(images) == len(evaluation.dataset)
    names = {record.image_id: record.file_name for record in evaluation.dataset.records}
    assert {image.image_id: image.file_name for image in images} == names
    thresholds = measure_thresholds([evaluation])
    assert thresholds is not None
    names = evaluation.dataset.info.class_names
    # halfway between the right ones of 0.8 and the wrong ones of 0.3; where nothing is wrong, all are kept
    assert thresholds.by_class[names[0]] == pytest.approx(0.55)
    assert [thresholds.by_class[name] for name in names[1:]] == [0.0] * (len(names) - 1)


def test_without_a_wish_nothing_is_measured() -> None:
    assert measure_thresholds([evaluated(CocoEvaluator, None)]) is None
    assert measure_thresholds([]) is None


def test_an_evaluator_that_keeps_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Counting:
        def __init__(self, info: DatasetInfo) -> None: ...

        def reset(self) -> None: ...

        def update(self, samples: Any, detections: Any) -> None: ...

        def compute(self) -> dict[str, Any]:
            return {"counts": {"images": 1}}

    assert measure_thresholds([evaluated(Counting, "best_f1")]) is None
    assert "EVALUATION.THRESHOLDS: no evaluator keeps the detections" in caplog.text


class _TrainerAt:
    def __init__(self, iteration: int) -> None:
        self.iteration, self.model_for_evaluation = iteration, nn.Linear(1, 1)


def test_only_checkpoints_of_the_measured_weights_get_thresholds(tmp_path: Path) -> None:
    checkpointer = Checkpointer(RunFolder(tmp_path), "", DatasetInfo("tiny", ("a",)))
    thresholds = ScoreThresholds({"a": 0.5}, "best_f1", "tiny")
    checkpointer.keep_thresholds(4, thresholds)
    for iteration in (4, 5):
        checkpointer.save_model(_TrainerAt(iteration), f"{iteration}.pth")  # type: ignore[arg-type]
    assert read(tmp_path / "checkpoints/4.pth")["score_thresholds"] == thresholds.to_dict()
    assert "score_thresholds" not in read(tmp_path / "checkpoints/5.pth")


def test_a_run_with_a_wish_keeps_thresholds_and_writes_an_analysis(small_config: SmallConfig) -> None:
    changes = ("EVALUATION.THRESHOLDS", "cost=1:100", "MODEL.DECODER.SCORE_THRESHOLD", 0.001)
    cfg = small_config(*changes)
    train(cfg)
    folder = Path(cfg.OUTPUT_DIR)
    for name in ("model_final.pth", "model_best.pth"):
        kept = ScoreThresholds.from_dict(read(folder / "checkpoints" / name)["score_thresholds"])
        assert (kept.wish, kept.dataset) == ("cost=1:100", "tiny")
        assert len(kept.by_class) == 6
        assert any(value is not None for value in kept.by_class.values())
    analysis = json.loads((folder / "inference/tiny/analysis.json").read_text(encoding="utf-8"))
    assert analysis["num_images"] == 12
    assert analysis["wish"] == "cost=1:100"
    points = {name: point["threshold"] for name, point in analysis["operating_points"].items()}
    assert points == kept.by_class
    assert "score thresholds for cost=1:100 on tiny" in (folder / "log.txt").read_text(encoding="utf-8")
    train(small_config(*changes), resume=True)  # no step is left
    assert read(folder / "checkpoints/model_final.pth")["score_thresholds"] == kept.to_dict()


def test_a_run_without_a_wish_keeps_none_and_writes_an_analysis(small_config: SmallConfig) -> None:
    cfg = small_config()
    train(cfg)
    assert "score_thresholds" not in read(Path(cfg.OUTPUT_DIR) / "checkpoints/model_final.pth")
    evaluate(cfg)
    for folder in (Path(cfg.OUTPUT_DIR), Path(cfg.OUTPUT_DIR) / "evaluation"):
        analysis = json.loads((folder / "inference/tiny/analysis.json").read_text(encoding="utf-8"))
        assert analysis["wish"] == "best_f1"


def test_a_wish_that_is_none_is_told_with_its_key(small_config: SmallConfig) -> None:
    with pytest.raises(ConfigError, match=r"EVALUATION\.THRESHOLDS.*\n?.*best_f1, precision>=P"):
        small_config("EVALUATION.THRESHOLDS", "best")
    with pytest.raises(ConfigError, match=r"EVALUATION\.THRESHOLDS: expected a precision above 0 and at most 1"):
        train(small_config("EVALUATION.THRESHOLDS", "precision>=2"))


@pytest.mark.parametrize("limit", [1, 100])
def test_the_analysis_counts_as_many_detections_as_ap_does(limit: int, tmp_path: Path) -> None:
    evaluation = evaluated(partial(CocoEvaluator, max_detections=(limit,)), "recall>=0.01")
    (insight,) = write_analyses(tmp_path, [evaluation]).values()
    truth = [evaluation.dataset[index]["original"].labels.tolist() for index in range(len(evaluation.dataset))]
    # the oracle's best detection of a class is right, and is all that a limit of one leaves
    found = sum(min(limit, labels.count(label)) for labels in truth for label in set(labels))
    assert sum(point.true_positives for point in insight.analysis.operating_points) == found
    assert limit == 100 or found < sum(map(len, truth))
