from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.data import build_dataset
from dettoolkit.data.loader import build_test_loader
from dettoolkit.engine.analysing import all_images
from dettoolkit.engine.evaluating import DatasetEvaluation, evaluate_all
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.evaluation import CocoEvaluator
from dettoolkit.inference import Predictor
from dettoolkit.inference.merging import build_views, chosen_views
from dettoolkit.modeling import build_model

SmallConfig = Callable[..., CfgNode]
CPU = torch.device("cpu")


@pytest.fixture
def cfg(small_config: SmallConfig) -> CfgNode:
    return small_config("MODEL.NUM_CLASSES", 6)


@pytest.fixture
def model(cfg: CfgNode) -> Any:
    torch.manual_seed(3)
    return build_model(cfg)


def _evaluation(cfg: CfgNode, batch_size: int = 3, **options: Any) -> DatasetEvaluation:
    dataset = build_dataset(cfg, "other")
    loader = build_test_loader(dataset, [], batch_size=batch_size, divisibility=32)
    return DatasetEvaluation(dataset, loader, [CocoEvaluator(dataset.info)], **options)


def test_the_validation_loss_is_the_sum_over_all_images_by_the_sum_of_positives(cfg: CfgNode, model: Any) -> None:
    evaluation = _evaluation(cfg)
    numbers = evaluation.run(model, CPU)
    model.eval()
    losses, positives = {"loss_cls": 0.0, "loss_box": 0.0}, 0.0
    for batch in build_test_loader(evaluation.dataset, [], batch_size=1, divisibility=32):  # an image at a time
        with torch.no_grad():
            output = model(batch.images, batch.image_sizes, batch.targets)
        positives += output.metrics["num_positives"].item()
        losses = {name: value + output.losses[name].item() for name, value in losses.items()}
    assert positives > 0
    assert numbers["validation/loss_cls"] == pytest.approx(losses["loss_cls"] / positives, rel=1e-5)
    assert numbers["validation/loss_box"] == pytest.approx(losses["loss_box"] / positives, rel=1e-5)
    assert numbers["validation/loss"] == pytest.approx(sum(losses.values()) / positives, rel=1e-5)


def test_the_numbers_do_not_depend_on_the_batch_size(cfg: CfgNode, model: Any) -> None:
    one, all_at_once = (_evaluation(cfg, size).run(model, CPU) for size in (1, 5))
    assert one == pytest.approx(all_at_once, rel=1e-5)


def test_without_positives_the_loss_is_divided_by_one(cfg: CfgNode, model: Any) -> None:
    evaluation = _evaluation(cfg)
    model.criterion.matcher.positive_from = 1.1  # no anchor overlaps that much
    model.criterion.matcher.allow_low_quality = False
    numbers = evaluation.run(model, CPU)
    assert numbers["validation/loss_box"] == 0.0
    assert numbers["validation/loss"] == numbers["validation/loss_cls"] > 0


def test_the_loss_can_be_left_out(cfg: CfgNode, model: Any) -> None:
    assert not [name for name in _evaluation(cfg, with_loss=False).run(model, CPU) if name.startswith("validation")]


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_changes_no_state_and_leaves_the_mode(cfg: CfgNode, small_config: SmallConfig, training: bool) -> None:
    with_bn = small_config("MODEL.NUM_CLASSES", 6, "MODEL.BACKBONE.NORM", "BN", "MODEL.NORMALIZER", "moving_average")
    model = build_model(with_bn).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    _evaluation(cfg).run(model, CPU)
    assert model.training is training
    assert model.backbone.training is training  # type: ignore[union-attr]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_evaluation_in_bf16_is_near_that_in_full_precision(cfg: CfgNode, model: Any) -> None:
    full, half = _evaluation(cfg).run(model, CPU), _evaluation(cfg, amp="bf16").run(model, CPU)
    assert half["validation/loss"] != full["validation/loss"]
    assert half["validation/loss"] == pytest.approx(full["validation/loss"], rel=0.02)


def test_one_data_set_has_plain_names_and_several_have_their_own_in_front(cfg: CfgNode, model: Any, tmp_path: Path) -> None:
    alone, other = _evaluation(cfg), _evaluation(cfg)
    renamed = DatasetEvaluation(build_dataset(cfg, "tiny"), other.loader, other.evaluators)
    numbers = evaluate_all([alone], model, CPU, RunFolder(tmp_path))
    both = evaluate_all([alone, renamed], model, CPU, RunFolder(tmp_path))
    assert {"bbox/AP", "bbox/AP50", "validation/loss"} <= numbers.keys()
    assert both == {f"{name}/{key}": value for name in ("other", "tiny") for key, value in numbers.items()}
    assert {path.parent.name for path in tmp_path.glob("inference/*/predictions.json")} == {"other", "tiny"}


def test_images_are_kept_as_examples_only_where_no_evaluator_keeps_them(cfg: CfgNode, model: Any) -> None:
    with_evaluator = _evaluation(cfg)
    alone = DatasetEvaluation(with_evaluator.dataset, with_evaluator.loader, [])
    for evaluation in (with_evaluator, alone):
        evaluation.run(model, CPU)
    kept = all_images(with_evaluator)
    assert kept
    assert with_evaluator.examples == []
    assert all_images(alone) is None
    assert [example.image_id for example in alone.examples] == [record.image_id for record in alone.dataset.records]
    for example, image in zip(alone.examples, kept, strict=True):
        assert (example.file_name, tuple(example.size)) == (image.file_name, image.size)
        torch.testing.assert_close(example.detections.boxes, image.detections.boxes)
        torch.testing.assert_close(example.ground_truth.boxes, image.ground_truth.boxes)


VIEWS = {"FLIP": "horizontal", "SCALES": [1.0, 1.5], "MERGE": {"NAME": "BatchedNMS"}}


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_with_several_views_evaluation_merges_what_the_predictor_merges(cfg: CfgNode, model: Any, batch_size: int) -> None:
    cfg.defrost()
    cfg.DATASETS.TEST_TRANSFORMS = []
    model.decoder.score_threshold, model.decoder.max_detections = 0.001, 20
    cfg.DATASETS.TEST_VIEWS = CfgNode(chosen_views(cfg.DATASETS.TEST_VIEWS, VIEWS))
    dataset = build_dataset(cfg, "other")
    views, merger = build_views(cfg.DATASETS, model)
    loader = build_test_loader(dataset, [], batch_size=batch_size, views=views, divisibility=32)
    evaluation = DatasetEvaluation(dataset, loader, [CocoEvaluator(dataset.info)], merger=merger)
    numbers = evaluation.run(model, CPU)
    predictor = Predictor(model, cfg, dataset.info, "cpu")
    images = all_images(evaluation) or []
    assert [len(image.detections) for image in images] == [20] * len(dataset)
    alike = predictor([dataset.read_image(image.image_id) for image in images], batch_size)
    for example, expected in zip(images, alike, strict=True):
        torch.testing.assert_close(example.detections.boxes, expected.boxes, rtol=0, atol=0.01)
        torch.testing.assert_close(example.detections.scores, expected.scores, rtol=0, atol=1e-4)
    if batch_size > 1:
        return  # the plain view is padded to the size of the larger ones, which have anchors in the padding
    plain = _evaluation(cfg, batch_size).run(model, CPU)  # the losses are those of the plain view
    losses = {name: value for name, value in plain.items() if name.startswith("validation")}
    assert {name: numbers[name] for name in losses} == pytest.approx(losses, rel=1e-5)
