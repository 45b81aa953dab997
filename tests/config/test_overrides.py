"""``KEY VALUE`` overrides."""

from __future__ import annotations

import itertools

import pytest

from dettoolkit.config import load_config
from dettoolkit.errors import ConfigError


def test_a_value_is_read_as_yaml(load):
    cfg = load("", "SOLVER.BASE_LR 1e-4 DATASETS.TRAIN [a,b] MODEL.CHANNELS_LAST false DATASETS.ROOT off")
    assert (cfg.SOLVER.BASE_LR, cfg.DATASETS.TRAIN, cfg.MODEL.CHANNELS_LAST, cfg.DATASETS.ROOT) == (
        1e-4,
        ["a", "b"],
        False,
        "off",
    )


def test_an_override_wins_over_the_file(load):
    assert load("SEED: 1\n", "SEED 2").SEED == 2


def test_of_two_values_for_one_key_the_later_wins(load):
    assert load("", "SEED 1 SEED 2").SEED == 2


def test_an_empty_value_is_the_empty_string(write):
    assert load_config(write("MODEL: {WEIGHTS: a.pth}\n"), ["MODEL.WEIGHTS", ""]).MODEL.WEIGHTS == ""


def test_null_unsets(load):
    assert load("OUTPUT_DIR: here\n", "OUTPUT_DIR null").OUTPUT_DIR is None


def test_a_parameter_that_no_file_mentions_may_be_set(load):
    cfg = load("", "MODEL.HEAD.NUM_CONVS 2 MODEL.DECODER.NMS.IOU_THRESHOLD 0.25")
    assert (cfg.MODEL.HEAD.NUM_CONVS, cfg.MODEL.DECODER.NMS.IOU_THRESHOLD) == (2, 0.25)


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["SOLVER.OPTIMIZER.NAME AdamW", "SOLVER.OPTIMIZER.WEIGHT_DECAY 0.125"]))
)
def test_the_order_of_a_name_and_its_parameters_does_not_matter(load, order):
    optimizer = load("SOLVER: {OPTIMIZER: {NAME: SGD, MOMENTUM: 0.5}}\n", " ".join(order)).SOLVER.OPTIMIZER
    assert (optimizer.NAME, optimizer.WEIGHT_DECAY) == ("AdamW", 0.125)
    assert "MOMENTUM" not in optimizer


@pytest.mark.parametrize(
    "order", list(itertools.permutations([("MODEL.NECK", "{NAME: FPN, OUT_CHANNELS: 8}"), ("MODEL.NECK.OUT_CHANNELS", "16")]))
)
def test_a_node_is_set_before_what_is_inside_it(write, order):
    assert load_config(write(""), [*itertools.chain(*order)]).MODEL.NECK.OUT_CHANNELS == 16


def test_the_same_name_again_keeps_the_parameters(load):
    assert (
        load("SOLVER: {OPTIMIZER: {NAME: SGD, MOMENTUM: 0.5}}\n", "SOLVER.OPTIMIZER.NAME SGD").SOLVER.OPTIMIZER.MOMENTUM == 0.5
    )


def test_list_items_are_named_by_number(load):
    resize, flip = "{NAME: ResizeShortestEdge, SIZES: [100], MAX_SIZE: 300}", "{NAME: RandomHorizontalFlip}"
    text = f"DATASETS: {{TRAIN_TRANSFORMS: [{resize}, {flip}]}}\n"
    transforms = load(
        text, "DATASETS.TRAIN_TRANSFORMS.1.P 0.25 DATASETS.TRAIN_TRANSFORMS.0.SIZES.0 200"
    ).DATASETS.TRAIN_TRANSFORMS
    assert transforms[0]["SIZES"] == [200]
    assert transforms[1]["P"] == 0.25


def test_items_of_a_default_list_are_named_by_number_too(load):
    default = load().HOOKS
    index = [hook["NAME"] for hook in default].index("PeriodicCheckpoint")
    hooks = load("", f"HOOKS.{index}.KEEP 7").HOOKS
    assert hooks[index]["KEEP"] == 7
    assert [hook["NAME"] for hook in hooks] == [hook["NAME"] for hook in default]
    assert default == load().HOOKS  # the default itself has not changed


def test_another_name_for_a_list_item_replaces_it_whole(load):
    text = "EVALUATION: {EVALUATORS: [{NAME: CocoEvaluator}]}\n"
    assert load(text, "EVALUATION.EVALUATORS.0.NAME VocEvaluator").EVALUATION.EVALUATORS[0]["NAME"] == "VocEvaluator"


def test_items_of_a_default_value_are_named_by_number(load):
    mean = load().MODEL.INPUT.PIXEL_MEAN
    assert [mean[0], 5.0, mean[2]] == load("", "MODEL.INPUT.PIXEL_MEAN.1 5").MODEL.INPUT.PIXEL_MEAN


@pytest.mark.parametrize("key", ["MODEL.LOSSES.REGRESSION.BETA", "MODEL.LOSSES.REGRESSION.0.BETA"])
@pytest.mark.parametrize(
    "text", ["", "MODEL: {LOSSES: {REGRESSION: {NAME: SmoothL1Loss}}}", "MODEL: {LOSSES: {REGRESSION: [{NAME: SmoothL1Loss}]}}"]
)
def test_the_only_loss_of_a_list_may_go_without_its_number(load, text, key):
    assert load(text, f"{key} 0.5").MODEL.LOSSES.REGRESSION == [{"NAME": "SmoothL1Loss", "BETA": 0.5}]


def test_a_new_entry_of_the_catalog_may_come_from_overrides(load):
    cfg = load(
        "", "DATASETS.CATALOG.mine.NAME COCODataset DATASETS.CATALOG.mine.ANNOTATIONS a.json DATASETS.CATALOG.mine.IMAGES i"
    )
    assert cfg.DATASETS.CATALOG.mine.ANNOTATIONS == "a.json"


@pytest.mark.parametrize(
    ("overrides", "row"),
    [
        ("SOLVER.BASE_LRR 3", "SOLVER.BASE_LRR (override SOLVER.BASE_LRR): SOLVER has no 'BASE_LRR'. Did you mean 'BASE_LR'?"),
        ("SOLVR.BASE_LR 3", "SOLVR (override SOLVR.BASE_LR): A config has no 'SOLVR'. Did you mean 'SOLVER'?"),
        ("solver.base_lr 3", "solver (override solver.base_lr): A config has no 'solver'. Did you mean 'SOLVER'?"),
        ("HOOKS.99.PERIOD 3", "HOOKS.99 (override HOOKS.99.PERIOD): the list has no item 99; accepted: 0 to "),
        (
            "DATASETS.TRAIN.0 a",
            "DATASETS.TRAIN.0 (override DATASETS.TRAIN.0): the list has no item 0; accepted: none: it is empty.",
        ),
        (
            "HOOKS.x.PERIOD 3",
            "HOOKS (override HOOKS.x.PERIOD): expected a list of components, each a mapping with NAME, got {'x':",
        ),
        ("SEED.X 3", "SEED (override SEED.X): expected int >= 0, got {'X': 3} (a mapping)."),
        ("SEED [1", "SEED: the override '[1' (a string) cannot be read: line:1: not valid YAML: "),
        (
            "SEED !!python/name:os.system",
            "SEED: the override '!!python/name:os.system' (a string) cannot be read: line:1: the tag",
        ),
        ("_BASE_ quick_start.yaml", "_BASE_ (override _BASE_): A config has no '_BASE_'."),
    ],
)
def test_a_wrong_override_is_reported_with_its_key(rows, overrides, row):
    (found,) = rows("", overrides)
    assert found.startswith(row)


def test_wrong_overrides_are_reported_together_with_mistakes_of_the_file(rows):
    found = rows("SED: 1\nSOLVER: {AMP: off}\n", "HOOKS.99.P 3 SEED [1 SOLVER.BASE_LR high")
    assert [row.split(":")[0] for row in found] == [
        "SEED",
        "HOOKS.99 (override HOOKS.99.P)",
        "SED (config.yaml",
        "SOLVER.BASE_LR (override SOLVER.BASE_LR)",
        "SOLVER.AMP (config.yaml",
    ]


def test_a_key_without_a_value_is_refused(write):
    with pytest.raises(ConfigError, match="overrides come as KEY VALUE pairs; 'SEED' has no value"):
        load_config(write(""), ["SEED"])


def test_key_and_value_joined_by_a_sign_are_told_apart(write):
    with pytest.raises(ConfigError, match=r"'SOLVER\.BASE_LR=0\.1' has no value\. Did you mean SOLVER\.BASE_LR 0\.1\?$"):
        load_config(write(""), ["SOLVER.BASE_LR=0.1"])
