from __future__ import annotations

import numpy as np
import pytest
from fvcore.common.config import CfgNode

from dettoolkit.config import load_config
from dettoolkit.data import build_train_dataset
from dettoolkit.diagnosis.anchors import AnchorParts, Suggestion, anchors_in_one_line, examine, suggest
from dettoolkit.diagnosis.anchors.boxes import transformed_boxes
from dettoolkit.diagnosis.anchors.candidates import candidates
from dettoolkit.errors import ConfigError
from dettoolkit.modeling import build_model

GIVEN = ["DATASETS.CATALOG.shapes_train.NUM_IMAGES", "60"]


def suggested(*overrides: str) -> list[Suggestion]:
    def load(more: tuple[str, ...]) -> CfgNode:
        return load_config("quick_start.yaml", [*GIVEN, *overrides, *more])

    cfg = load(())
    dataset = build_train_dataset(cfg)
    names = dataset.info.class_names
    return suggest(cfg, AnchorParts.of_config(cfg, len(names)), dataset.records, names, np.arange(len(dataset)), load)


def test_a_suggestion_brings_what_it_says() -> None:
    now, *better = suggested()
    assert better
    for each in better:
        cfg = load_config("quick_start.yaml", [*GIVEN, *each.overrides])
        dataset = build_train_dataset(cfg)
        names = dataset.info.class_names
        found = examine(transformed_boxes(cfg, dataset.records), AnchorParts.of_config(cfg, len(names)), names)
        assert found.overall.recall == pytest.approx(each.recall)
        assert 1 - found.overall.forced == pytest.approx(each.matchable)
        assert float(found.matching.anchors.double().mean()) == pytest.approx(each.anchors)
        assert each.matchable >= now.matchable + 0.005
    assert [each.matchable for each in better] == sorted((each.matchable for each in better), reverse=True)


def test_small_objects_ask_for_smaller_anchors_or_a_finer_level() -> None:
    keys = {key for each in suggested()[1:] for key in each.overrides[::2]}
    assert keys & {"MODEL.ANCHORS.BASE_SCALE", "MODEL.NECK.LEVELS"}


def test_a_larger_input_is_tried_where_the_config_resizes() -> None:
    resize = "[{NAME: ResizeShortestEdge, SIZES: [60, 80], MAX_SIZE: 101}]"
    cfg = load_config("quick_start.yaml", ["DATASETS.TRAIN_TRANSFORMS", resize, "DATASETS.TEST_TRANSFORMS", resize])
    dataset = build_train_dataset(load_config("quick_start.yaml", GIVEN))
    boxes = transformed_boxes(load_config("quick_start.yaml", GIVEN), dataset.records).boxes
    larger = [change for change in candidates(cfg, boxes) if change.kind == "input"]
    assert larger[0].overrides == (
        *("DATASETS.TRAIN_TRANSFORMS.0.SIZES", "[75, 100]", "DATASETS.TRAIN_TRANSFORMS.0.MAX_SIZE", "126"),
        *("DATASETS.TEST_TRANSFORMS.0.SIZES", "[75, 100]", "DATASETS.TEST_TRANSFORMS.0.MAX_SIZE", "126"),
    )
    assert not [c for c in candidates(load_config("quick_start.yaml"), boxes) if c.kind == "input"]


def test_sizes_given_level_by_level_are_changed_level_by_level() -> None:
    cfg = load_config("tiny.yaml", ["MODEL.ANCHORS.SIZES", "[[8, 12], [16, 24], [32, 48]]"])
    dataset = build_train_dataset(cfg)
    changes = candidates(cfg, transformed_boxes(cfg, dataset.records).boxes)
    scales = [change for change in changes if change.kind == "scales"]
    assert scales[0].overrides == ("MODEL.ANCHORS.SIZES", "[[4.0, 6.0], [8.0, 12.0], [16.0, 24.0]]")
    assert not [change for change in changes if change.kind == "level"]


def test_one_line_says_the_share_and_the_weakest_class() -> None:
    cfg = load_config("quick_start.yaml", [*GIVEN, "MODEL.NUM_CLASSES", "6"])
    dataset = build_train_dataset(cfg)
    found = examine(transformed_boxes(cfg, dataset.records), AnchorParts.of_config(cfg, 6), dataset.info.class_names)
    weakest = max(found.by_class, key=lambda group: group.forced)
    line = anchors_in_one_line(build_model(cfg), dataset, cfg)
    assert line == (
        f"anchors: {1 - found.overall.forced:.1%} of {found.overall.count:,} objects can be matched at IoU 0.5 "
        f"(weakest class {weakest.name}: {1 - weakest.forced:.1%}); `dettoolkit check-anchors` says more"
    )


def test_a_model_without_a_grid_of_anchors_is_refused() -> None:
    model = build_model(load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "6"]))
    model.anchors = object()
    with pytest.raises(ConfigError, match="GridAnchors and classes made of it, got object"):
        AnchorParts.of_model(model)
