"""COCO evaluation against pycocotools, called directly on files, and against numbers worked by hand."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation import CocoEvaluator, Collector, flatten
from dettoolkit.evaluation.coco_backend import accumulate
from dettoolkit.registry import EVALUATORS
from dettoolkit.structures import DatasetInfo, Detections

TWELVE = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
BACKENDS = ("faster_coco_eval", "pycocotools")
INFO = DatasetInfo("two", ("cat", "dog"))


def by_pycocotools(coco_file: Path, results_file: Path) -> dict[str, float | None]:
    """The twelve numbers as pycocotools computes them from two files; its -1 is our None."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(coco_file))
        evaluation = COCOeval(truth, truth.loadRes(str(results_file)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: None if value == -1 else value for name, value in zip(TWELVE, evaluation.stats.tolist(), strict=True)}


def evaluate(samples, detections, info=INFO, **parameters):
    evaluator = CocoEvaluator(info, **parameters)
    for start in range(0, len(samples), 3):  # in batches, as the loader gives them
        evaluator.update(samples[start : start + 3], detections[start : start + 3])
    return evaluator, evaluator.compute()["bbox"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(4))
def test_all_twelve_numbers_equal_pycocotools_on_the_same_files(random_set, backend, seed, tmp_path):
    given = random_set(seed)
    evaluator, numbers = evaluate(given.samples, given.detections, given.info, backend=backend)
    (tmp_path / "truth.json").write_text(json.dumps(given.coco))
    evaluator.write_coco_results(tmp_path / "inference" / "predictions.json")
    expected = by_pycocotools(tmp_path / "truth.json", tmp_path / "inference" / "predictions.json")
    assert {name: numbers[name] for name in TWELVE} == pytest.approx(expected, abs=1e-12)
    assert 0.02 < numbers["AP"] < 0.9  # neither hopeless nor perfect: the comparison says something


@pytest.mark.parametrize("seed", range(4))
def test_both_backends_give_the_same_numbers_classes_and_curves(random_set, seed):
    given = random_set(seed)
    (first, numbers), (second, others) = (
        evaluate(given.samples, given.detections, given.info, backend=backend) for backend in BACKENDS
    )
    assert flatten({"bbox": numbers}) == pytest.approx(flatten({"bbox": others}), abs=1e-12)
    assert first.curves().keys() == second.curves().keys() == {"a", "b", "c", "d"}  # "never" has no ground truth
    for name, curve in first.curves().items():
        other = second.curves()[name]
        np.testing.assert_allclose(curve.precision, other.precision, atol=1e-12)
        np.testing.assert_array_equal(curve.score, other.score)


def test_real_ground_truth_with_disturbed_boxes_equals_pycocotools(real_data, sample_of, tmp_path):
    truth_file = real_data / "txl_pbc" / "annotations" / "txl_pbc_val.json"
    coco = json.loads(truth_file.read_text())
    categories = {category["id"]: label for label, category in enumerate(coco["categories"])}
    info = DatasetInfo("txl_pbc_val", tuple(category["name"] for category in coco["categories"]), tuple(categories))
    annotations = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    generator, samples, detections = torch.Generator().manual_seed(0), [], []
    for image in coco["images"]:
        rows = annotations[image["id"]]
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (row["bbox"] for row in rows)]
        labels = [categories[row["category_id"]] for row in rows]
        size = (image["height"], image["width"])
        sample = sample_of(image["id"], boxes, labels, [bool(row["iscrowd"]) for row in rows], size)
        sample["original_areas"] = torch.tensor([row["area"] for row in rows])
        samples.append(sample)
        moved = sample["original"].boxes + 5 * torch.randn(len(rows), 4, generator=generator)
        scores = torch.rand(len(rows), generator=generator)
        detections.append(Detections(moved, scores, sample["original"].labels))
    evaluator, numbers = evaluate(samples, detections, info)
    evaluator.write_coco_results(tmp_path / "predictions.json")
    expected = by_pycocotools(truth_file, tmp_path / "predictions.json")
    assert {name: numbers[name] for name in TWELVE} == pytest.approx(expected, abs=1e-12)
    assert 0.1 < numbers["AP"] < 0.9


def test_a_hit_a_miss_and_a_false_alarm_give_the_ap_worked_by_hand(sample_of, detections_of):
    # cat: two objects; detections by score: hit, false alarm. Precision 1 up to recall 0.5, then 0: recalls 0, 0.01, ..., 0.50
    # are 51 of the 101, so AP = 51/101 at every IoU threshold (the hit is exact). dog: one object, hit at once: AP = 1.
    sample = sample_of(1, [[0, 0, 50, 50], [100, 100, 150, 150], [200, 0, 240, 40]], [0, 0, 1])
    found = detections_of([[0, 0, 50, 50], [250, 250, 290, 290], [200, 0, 240, 40]], [0.9, 0.8, 0.7], [0, 0, 1])
    evaluator, numbers = evaluate([sample], [found])
    assert numbers["per_class"]["cat"] == pytest.approx({"AP": 51 / 101, "AP50": 51 / 101})
    assert numbers["per_class"]["dog"] == pytest.approx({"AP": 1.0, "AP50": 1.0})
    assert numbers["AP"] == pytest.approx((51 / 101 + 1) / 2)
    assert numbers["AR100"] == pytest.approx((0.5 + 1) / 2)
    assert (numbers["APs"], numbers["APl"]) == (None, None)  # 50 x 50 and 40 x 40 are of medium size
    curve = evaluator.curves()["cat"]
    assert curve.recall.tolist() == pytest.approx([step / 100 for step in range(101)])
    assert curve.precision.tolist() == pytest.approx([1.0] * 51 + [0.0] * 50)
    assert curve.score.tolist() == pytest.approx([0.9] * 51 + [0.0] * 50)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_detections_at_all_give_zero(sample_of, backend):
    _, numbers = evaluate([sample_of(1, [[0, 0, 50, 50]], [0])], [Detections.empty()], backend=backend)
    assert (numbers["AP"], numbers["AP50"], numbers["AR100"]) == (0.0, 0.0, 0.0)
    assert numbers["per_class"] == {"cat": {"AP": 0.0, "AP50": 0.0}, "dog": {"AP": None, "AP50": None}}


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_ground_truth_at_all_gives_none_and_a_warning(sample_of, detections_of, caplog, backend):
    found = detections_of([[0, 0, 50, 50]], [0.9], [0])
    _, numbers = evaluate([sample_of(1, [], [])], [found], backend=backend)
    assert [numbers[name] for name in TWELVE] == [None] * 12
    assert "two has no box that counts" in caplog.text


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_detection_in_a_crowd_is_no_error(sample_of, detections_of, backend):
    # The crowd covers the second detection wholly (intersection over its own area is 1), so it counts neither way.
    sample = sample_of(1, [[0, 0, 50, 50], [100, 100, 300, 300]], [0, 0], [False, True])
    found = detections_of([[120, 120, 150, 150], [0, 0, 50, 50]], [0.9, 0.5], [0, 0])
    assert evaluate([sample], [found], backend=backend)[1]["AP"] == pytest.approx(1.0)
    sample["original"].ignore[1] = False  # as an ordinary object it makes that detection wrong: precision 1/2 up to recall 1/2
    assert evaluate([sample], [found], backend=backend)[1]["AP50"] == pytest.approx(0.5 * 51 / 101)


def test_the_limits_of_detections_name_the_recalls_and_the_last_one_bounds_ap(sample_of, detections_of):
    sample = sample_of(1, [[0, 0, 50, 50], [100, 100, 150, 150]], [0, 0])
    found = detections_of([[0, 0, 50, 50], [100, 100, 150, 150]], [0.9, 0.8], [0, 0])
    _, one = evaluate([sample], [found], max_detections=(1,))
    assert one["AR1"] == pytest.approx(0.5)  # one of two objects
    assert one["AP"] == pytest.approx(51 / 101)
    _, two = evaluate([sample], [found], max_detections=(1, 2))
    assert (two["AR1"], two["AR2"], two["AP"]) == pytest.approx((0.5, 1.0, 1.0))


def test_image_ids_may_be_text(random_set):
    given = random_set(0)
    _, expected = evaluate(given.samples, given.detections, given.info)
    for sample in given.samples:
        sample["image_id"] = f"{sample['image_id']:04d}"  # sorts as the numbers do: equal scores keep their order
    evaluator, numbers = evaluate(given.samples, given.detections, given.info)
    assert numbers == expected
    assert {row["image_id"] for row in evaluator.to_coco_results()} <= {sample["image_id"] for sample in given.samples}


def test_coco_results_have_the_ids_of_the_data_set_and_width_and_height(sample_of, detections_of):
    info = DatasetInfo("odd", ("cat", "dog"), (18, 5))
    evaluator, _ = evaluate([sample_of("x", [], [])], [detections_of([[10, 20, 40, 30]], [0.5], [1])], info)
    assert evaluator.to_coco_results() == [{"image_id": "x", "category_id": 5, "bbox": [10.0, 20.0, 30.0, 10.0], "score": 0.5}]


def test_reset_forgets_images_and_curves(sample_of, detections_of):
    evaluator, _ = evaluate([sample_of(1, [[0, 0, 9, 9]], [0])], [detections_of([[0, 0, 9, 9]], [0.5], [0])])
    evaluator.reset()
    with pytest.raises(EvaluationError, match="no image came since the last reset"):
        evaluator.compute()
    with pytest.raises(EvaluationError, match=r"call compute\(\) first"):
        evaluator.curves()
    with pytest.raises(EvaluationError, match=r"call compute\(\) first"):
        evaluator.to_coco_results()


def test_a_low_ap_is_explained_in_the_log(sample_of, detections_of, caplog):
    samples = [sample_of(n, [[10, 10, 60, 60]], [0]) for n in range(5)]
    wrong = detections_of([[10, 10, 60, 60]], [0.9], [1])
    evaluate(samples, [wrong] * 5)
    assert "two: AP is 0.0000" in caplog.text
    assert "'cat' is found as 'dog'" in caplog.text


def test_a_fair_ap_is_not_explained(sample_of, detections_of, caplog):
    with caplog.at_level(logging.INFO):
        evaluate([sample_of(1, [[10, 10, 60, 60]], [0])], [detections_of([[10, 10, 60, 60]], [0.9], [0])])
    assert "Why that probably is" not in caplog.text
    assert "two: 1 images, 1 boxes (0 of them ignored), 1 detections" in caplog.text


@pytest.mark.parametrize("enabled", [True, False])
def test_evaluating_hardly_searches_for_cycles_and_leaves_the_search_as_it_was(random_set, enabled):
    given = random_set(0, num_images=200)
    collector, searches = Collector(given.info.class_names), []
    collector.add(given.samples, given.detections)
    collected = collector.reduce(lambda collected: collected)
    assert len(collected.found) > 3000  # a dictionary and a list each: several searches where they are not held back
    note = lambda phase, info: searches.append(phase)  # noqa: E731
    (gc.enable if enabled else gc.disable)()
    gc.callbacks.append(note)
    try:
        accumulate(collected, 5, (1, 10, 100), "faster_coco_eval")
        assert gc.isenabled() is enabled
    finally:
        gc.callbacks.remove(note)
        gc.enable()
    assert searches.count("start") <= 1  # what was held back comes once


def test_it_is_built_from_a_config_node():
    node = {"NAME": "CocoEvaluator", "BACKEND": "pycocotools", "MAX_DETECTIONS": [1, 300]}
    evaluator = EVALUATORS.build(node, "EVALUATION.EVALUATORS.0", info=INFO)
    assert (evaluator.backend, evaluator.max_detections, evaluator.info) == ("pycocotools", (1, 300), INFO)


@pytest.mark.parametrize("limits", [(), (0, 10), (10, 1), (1, 1)])
def test_limits_that_are_not_ascending_are_refused(limits):
    with pytest.raises(ValueError, match=r"max_detections: expected positive whole numbers, ascending, got \["):
        CocoEvaluator(INFO, max_detections=limits)
