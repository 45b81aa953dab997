from __future__ import annotations

import json

import pytest
import torch
from torchvision.ops import box_iou

from dettoolkit.config import load_config
from dettoolkit.data import build_train_dataset
from dettoolkit.data.records import Record, RecordArray
from dettoolkit.diagnosis.anchors import AnchorParts, describe, examine, findings
from dettoolkit.diagnosis.anchors.boxes import TransformedBoxes, transformed_boxes
from dettoolkit.diagnosis.anchors.examination import group_recall
from dettoolkit.modeling import build_model
from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.matchers import MaxIoUMatcher
from dettoolkit.structures import Annotations, Finding, FindingExample

# one level of stride 32 with 32 px squares around (0, 0), (32, 0), ...
ANCHORS = GridAnchors([32], scales_per_octave=1, aspect_ratios=(1.0,), base_scale=1.0)
PARTS = AnchorParts(ANCHORS, MaxIoUMatcher(), 32)
RECORDS_OF_60 = RecordArray(Record(n, f"{n}.jpg", 64, 64, [[0, 0, 9, 9]], [0], [False], [81.0]) for n in range(60))


def boxes_of(rows: list[list[float]], labels: list[int], areas: list[float], images: list[int], num: int) -> TransformedBoxes:
    count = len(rows)
    return TransformedBoxes(
        torch.tensor(rows).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.zeros(count, dtype=torch.bool),
        torch.tensor(areas),
        torch.tensor(images, dtype=torch.int64),
        torch.tensor([[64, 64]] * num),
        torch.arange(num),
        torch.arange(count),
    )


def test_recalls_are_those_worked_by_hand() -> None:
    # IoU with the anchor around (32, 32): the first is that anchor, 1; the second its upper half, 0.5; the third a quarter
    rows = [[16.0, 16.0, 48.0, 48.0], [16.0, 16.0, 48.0, 32.0], [16.0, 16.0, 32.0, 32.0]]
    found = examine(boxes_of(rows, [0, 1, 1], [100.0, 2000.0, 9216.0], [0, 0, 1], 2), PARTS, ("cat", "dog", "eel"))
    assert found.iou.tolist() == [1.0, 0.5, 0.25]
    assert found.overall.recall == pytest.approx((2 / 3, 2 / 3, 1 / 3))
    assert found.overall.forced == pytest.approx(1 / 3)
    assert [(group.name, group.count, group.forced) for group in found.by_size] == [
        ("small", 1, 0.0),
        ("medium", 1, 0.0),
        ("large", 1, 1.0),  # 9216 = 96 squared is large, as in COCO's evaluation
    ]
    assert [(group.name, group.count, group.forced) for group in found.by_class] == [("cat", 1, 0.0), ("dog", 2, 0.5)]
    # in the first image the anchor is positive for the first box, and no other reaches the second
    assert found.matching.without_anchor.tolist() == [1]
    assert found.matching.num_objects == 3


def test_nothing_is_known_of_no_objects() -> None:
    found = examine(boxes_of([], [], [], [], 2), PARTS, ("cat",))
    assert (found.overall.count, found.overall.recall, found.matching.num_objects) == (0, (), 0)
    assert "positives: 0.0 an image" in describe(found, [], [])
    json.dumps(found.to_dict())
    assert group_recall("all", torch.zeros(0), 0.5).forced == 0.0


def test_counts_are_those_of_the_matrix_of_overlaps_and_of_the_matcher() -> None:
    cfg = load_config("quick_start.yaml", ["DATASETS.CATALOG.shapes_train.NUM_IMAGES", "12", "MODEL.NUM_CLASSES", "6"])
    dataset, model = build_train_dataset(cfg), build_model(cfg)
    parts = AnchorParts.of_model(model)
    found = examine(transformed_boxes(cfg, dataset.records), parts, dataset.info.class_names)

    forced, by_level, without = 0, torch.zeros(5, dtype=torch.int64), 0
    for sample in (dataset[index] for index in range(len(dataset))):
        height, width = (-(-side // 32) * 32 for side in sample["original_size"])
        anchors = model.anchors([(-(-height // s), -(-width // s)) for s in (8, 16, 32, 64, 128)], "cpu")
        truth: Annotations = sample["original"]
        forced += int((box_iou(truth.boxes, torch.cat(anchors)).amax(1) < 0.5).sum())
        indices = MaxIoUMatcher()(anchors, truth).indices
        by_level += torch.stack([(level >= 0).sum() for level in indices.split([len(level) for level in anchors])])
        without += len(truth) - len(indices[indices >= 0].unique())
    assert forced > 0
    assert round(found.overall.forced * found.overall.count) == forced
    assert found.matching.positives.sum(0).tolist() == by_level.tolist()
    assert len(found.matching.without_anchor) == without
    assert found.matching.share_by_level == pytest.approx((by_level / by_level.sum()).tolist())


def test_findings_say_what_is_out_of_reach_and_where() -> None:
    cfg = load_config("quick_start.yaml", ["DATASETS.CATALOG.shapes_train.NUM_IMAGES", "60", "MODEL.NUM_CLASSES", "6"])
    dataset = build_train_dataset(cfg)
    examination = examine(transformed_boxes(cfg, dataset.records), AnchorParts.of_config(cfg, 6), dataset.info.class_names)
    found = findings(examination, dataset.records, "shapes_train")
    kinds = {finding.kind: finding for finding in found}
    reach = kinds["objects-out-of-reach"]
    assert reach.severity == "warning"
    assert reach.count == int((examination.iou < 0.5).sum())
    worst = reach.examples[0]
    record = dataset.records[dataset.index_of(worst.image_id)]
    assert worst.file_name == record.file_name
    assert list(worst.box) in record.boxes.tolist()
    assert kinds["sizes-out-of-reach"].examples[0].text.startswith("small: ")
    assert kinds["idle-levels"].severity == "hint"
    assert found[-1].severity == "hint"
    text = describe(examination, [], found)
    assert "only by force" in text
    assert f"warning: objects that no anchor overlaps by 0.5: {reach.count}" in text


def test_anchors_that_reach_all_objects_leave_nothing_to_mend() -> None:
    found = examine(boxes_of([[16.0, 16.0, 48.0, 48.0]], [0], [100.0], [0], 1), PARTS, ("cat",))
    assert findings(found, RecordArray([]), "one") == []
    assert "Nothing to mend" in describe(found, [], [])


def test_classes_that_are_poorly_reached_are_told_the_poorest_first() -> None:
    # 16 px squares in the middle of the 32 px anchor around (32, 32): a quarter of it; the others are that anchor
    rows = [[16.0, 16.0, 48.0, 48.0]] * 30 + [[24.0, 24.0, 40.0, 40.0]] * 30
    labels = [0] * 30 + [1] * 20 + [2] * 10
    rows[30] = rows[0]  # one of class 1 can be reached
    found = examine(boxes_of(rows, labels, [100.0] * 60, list(range(60)), 60), PARTS, ("cat", "dog", "eel"))
    kinds = {finding.kind: finding for finding in findings(found, RECORDS_OF_60, "one")}
    assert [example.text for example in kinds["classes-out-of-reach"].examples] == [
        "eel: 100.0% of 10 objects",
        "dog: 95.0% of 20 objects",
    ]


def test_only_the_first_examples_are_printed() -> None:
    examples = tuple(FindingExample(f"example {number}") for number in range(7))
    finding = Finding("kind", "warning", "things", 7, examples, "Mend them.")
    text = describe(examine(boxes_of([], [], [], [], 1), PARTS, ("cat",)), [], [finding])
    assert text.endswith("warning: things: 7. Mend them.\n" + "".join(f"  example {n}\n" for n in range(5)) + "  and 2 more")
