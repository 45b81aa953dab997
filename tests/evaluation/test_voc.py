"""VOC evaluation against numbers worked by hand and against a plain loop over all detections."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation import VocEvaluator
from dettoolkit.registry import EVALUATORS
from dettoolkit.structures import DatasetInfo, Detections

INFO = DatasetInfo("two", ("cat", "dog"))
RULES = ("07", "all_points")


def evaluate(samples, detections, info=INFO, **parameters):
    evaluator = VocEvaluator(info, **parameters)
    evaluator.update(samples, detections)
    return evaluator, evaluator.compute()["voc"]


def iou(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (area - width * height)


def by_plain_loop(samples, detections, label, threshold, rule):
    """VOC's definition, one detection after the other, precision at each recall searched afresh."""
    pool = sorted(
        (
            (-score, sample["image_id"], position, box)
            for sample, found in zip(samples, detections, strict=True)
            for position, (box, score, of) in enumerate(
                zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
            )
            if of == label
        ),
    )
    truth = {
        sample["image_id"]: [
            {"box": box, "difficult": difficult, "seen": False}
            for box, of, difficult in zip(
                sample["original"].boxes.tolist(),
                sample["original"].labels.tolist(),
                sample["original"].ignore.tolist(),
                strict=True,
            )
            if of == label
        ]
        for sample in samples
    }
    positives = sum(not entry["difficult"] for entries in truth.values() for entry in entries)
    if positives == 0:
        return None
    right, wrong, points = 0, 0, []
    for _, image_id, _, box in pool:
        best = max(truth[image_id], key=lambda entry, box=box: iou(box, entry["box"]), default=None)
        if best is None or iou(box, best["box"]) < threshold:
            wrong += 1
        elif best["difficult"]:
            continue
        elif best["seen"]:
            wrong += 1
        else:
            best["seen"] = True
            right += 1
        points.append((right / positives, right / (right + wrong)))
    best_from = lambda recall: max((p for r, p in points if r >= recall), default=0.0)  # noqa: E731
    if rule == "07":
        return sum(best_from(step / 10) for step in range(11)) / 11
    recalls = sorted({0.0, *(recall for recall, _ in points)})
    return sum((high - low) * best_from(high) for low, high in pairwise(recalls))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("threshold", [0.5, 0.75])
@pytest.mark.parametrize("seed", range(3))
def test_every_class_equals_a_plain_loop(random_set, rule, threshold, seed):
    given = random_set(seed)
    _, numbers = evaluate(given.samples, given.detections, given.info, metric=rule, iou_threshold=threshold)
    key = f"AP{round(100 * threshold)}"
    expected = [by_plain_loop(given.samples, given.detections, label, threshold, rule) for label in range(5)]
    assert [numbers["per_class"][name][key] for name in given.info.class_names] == pytest.approx(expected)
    present = [value for value in expected if value is not None]
    assert len(present) == 4  # the class "never" has no ground truth: no number, and left out of the mean
    assert numbers[key] == pytest.approx(sum(present) / 4)
    assert 0.02 < numbers[key] < 0.9


@pytest.mark.parametrize(("rule", "expected"), [("all_points", 1 / 3 + 1 / 3 * 2 / 3), ("07", (4 * 1 + 3 * 2 / 3) / 11)])
def test_right_wrong_right_and_one_missed_as_worked_by_hand(sample_of, detections_of, rule, expected):
    # Three objects; verdicts by score: right, wrong, right. (recall, precision): (1/3, 1), (1/3, 1/2), (2/3, 2/3).
    # all_points: 1/3 at precision 1, another 1/3 at 2/3. 07: recalls 0, .1, .2, .3 at 1; .4, .5, .6 at 2/3; four at 0.
    sample = sample_of(1, [[0, 0, 50, 50], [100, 0, 150, 50], [200, 0, 250, 50]], [0, 0, 0])
    found = detections_of([[0, 0, 50, 50], [0, 200, 50, 250], [100, 0, 150, 50]], [0.9, 0.8, 0.7], [0, 0, 0])
    _, numbers = evaluate([sample], [found], metric=rule)
    assert numbers["per_class"]["cat"]["AP50"] == pytest.approx(expected)


@pytest.mark.parametrize("rule", RULES)
def test_eleven_recalls_are_reached_exactly_by_ten_objects(sample_of, detections_of, rule):
    # Three of ten objects found without an error: recall 0.3 itself must count, so 07 gives 4/11 and all_points 3/10.
    boxes = [[30.0 * n, 0, 30.0 * n + 20, 20] for n in range(10)]
    found = detections_of(boxes[:3], [0.9, 0.8, 0.7], [0] * 3)
    _, numbers = evaluate([sample_of(1, boxes, [0] * 10)], [found], metric=rule)
    assert numbers["AP50"] == pytest.approx({"07": 4 / 11, "all_points": 3 / 10}[rule])


@pytest.mark.parametrize("rule", RULES)
def test_a_difficult_object_is_neither_right_nor_wrong(sample_of, detections_of, rule):
    sample = sample_of(1, [[0, 0, 50, 50], [100, 0, 150, 50]], [0, 0], [True, False])
    found = detections_of([[0, 0, 50, 50], [0, 0, 50, 49], [100, 0, 150, 50]], [0.9, 0.8, 0.7], [0] * 3)
    assert evaluate([sample], [found], metric=rule)[1]["AP50"] == 1.0  # found twice, and still no error
    assert evaluate([sample], [found[2:]], metric=rule)[1]["AP50"] == 1.0  # not found, and nothing missed


def test_the_second_detection_of_an_object_is_wrong_even_if_another_object_is_near(sample_of, detections_of):
    # Both detections overlap the first object most, so the second is wrong: precision 1 up to recall 1/2, nothing after.
    sample = sample_of(1, [[0, 0, 100, 100], [0, 20, 100, 120]], [0, 0])
    found = detections_of([[0, 0, 100, 100], [0, 2, 100, 102]], [0.9, 0.8], [0, 0])
    assert evaluate([sample], [found])[1]["AP50"] == 0.5


def test_an_iou_of_exactly_the_threshold_is_right(sample_of, detections_of):
    found = detections_of([[0, 0, 50, 100]], [0.9], [0])  # half of the object: IoU = 0.5
    assert evaluate([sample_of(1, [[0, 0, 100, 100]], [0])], [found])[1]["AP50"] == 1.0


def test_no_detections_give_zero_and_no_ground_truth_none(sample_of):
    _, numbers = evaluate([sample_of(1, [[0, 0, 50, 50]], [0])], [Detections.empty()])
    assert numbers == {"AP50": 0.0, "per_class": {"cat": {"AP50": 0.0}, "dog": {"AP50": None}}}
    assert evaluate([sample_of(1, [], [])], [Detections.empty()])[1]["AP50"] is None


def test_a_single_difficult_object_leaves_nothing_to_measure(sample_of, detections_of):
    found = detections_of([[0, 0, 50, 50]], [0.9], [0])
    assert evaluate([sample_of(1, [[0, 0, 50, 50]], [0], [True])], [found])[1]["AP50"] is None


def test_it_writes_coco_results_after_compute(sample_of, detections_of, tmp_path):
    evaluator, _ = evaluate([sample_of(3, [], [])], [detections_of([[0, 0, 5, 8]], [0.25], [1])])
    evaluator.write_coco_results(tmp_path / "predictions.json")
    expected = '[{"image_id": 3, "category_id": 1, "bbox": [0.0, 0.0, 5.0, 8.0], "score": 0.25}]'
    assert (tmp_path / "predictions.json").read_text() == expected
    evaluator.reset()
    with pytest.raises(EvaluationError, match=r"call compute\(\) first"):
        evaluator.to_coco_results()


def test_it_is_built_from_a_config_node_and_names_its_number_after_the_threshold(sample_of):
    node = {"NAME": "VocEvaluator", "METRIC": "07", "IOU_THRESHOLD": 0.3}
    evaluator = EVALUATORS.build(node, "EVALUATION.EVALUATORS.0", info=INFO)
    evaluator.update([sample_of(1, [[0, 0, 9, 9]], [0])], [Detections.empty()])
    assert evaluator.compute()["voc"]["AP30"] == 0.0


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_a_threshold_outside_of_its_range_is_refused(threshold):
    with pytest.raises(ValueError, match=f"iou_threshold: expected more than 0 and at most 1, got {threshold}"):
        VocEvaluator(INFO, iou_threshold=threshold)
