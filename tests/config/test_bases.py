"""``_BASE_``: files that a config is based on, and how one is laid over another."""

from __future__ import annotations

import pytest

from dettoolkit.config import config_files, load_config
from dettoolkit.config.files import find_config
from dettoolkit.errors import ConfigError


def test_a_child_changes_some_values_of_its_base_and_keeps_the_others(write):
    write("SOLVER: {BASE_LR: 0.5, BATCH_SIZE: 4}\nSEED: 3\n", "base.yaml")
    cfg = load_config(write("_BASE_: base.yaml\nSOLVER: {BASE_LR: 0.25}\n"))
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.BATCH_SIZE, cfg.SEED) == (0.25, 4, 3)


def test_base_itself_is_no_key_of_the_config(write):
    write("SEED: 3\n", "base.yaml")
    assert "_BASE_" not in load_config(write("_BASE_: base.yaml\n"))


def test_of_several_bases_the_later_one_wins_and_the_child_wins_over_all(write):
    write("SEED: 1\nOUTPUT_DIR: one\nSOLVER: {BATCH_SIZE: 1}\n", "one.yaml")
    write("SEED: 2\nOUTPUT_DIR: two\n", "two.yaml")
    cfg = load_config(write("_BASE_: [one.yaml, two.yaml]\nSEED: 3\n"))
    assert (cfg.SEED, cfg.OUTPUT_DIR, cfg.SOLVER.BATCH_SIZE) == (3, "two", 1)


def test_a_path_is_relative_to_the_file_that_names_it(write):
    write("SEED: 1\n", "base/deep/ground.yaml")
    write("_BASE_: deep/ground.yaml\n", "base/middle.yaml")
    assert load_config(write("_BASE_: ../base/middle.yaml\n", "mine/config.yaml")).SEED == 1


def test_a_file_may_be_the_base_of_two_bases(write):
    write("SEED: 1\n", "ground.yaml")
    write("_BASE_: ground.yaml\nOUTPUT_DIR: a\n", "a.yaml")
    write("_BASE_: ground.yaml\n", "b.yaml")
    assert load_config(write("_BASE_: [a.yaml, b.yaml]\n")).OUTPUT_DIR == "a"


def test_a_shipped_config_may_be_a_base(write):
    assert load_config(write("_BASE_: quick_start.yaml\nSEED: 3\n")).MODEL == load_config("quick_start.yaml").MODEL


def test_a_missing_base_is_named_with_the_line_and_the_nearest_file(write):
    write("SEED: 1\n", "base.yaml")
    with pytest.raises(ConfigError) as caught:
        load_config(write("SEED: 3\n_BASE_: bse.yaml\n"))
    assert (
        str(caught.value) == "config.yaml:2: _BASE_ names 'bse.yaml', but there is no file bse.yaml. Did you mean 'base.yaml'?"
    )


@pytest.mark.parametrize(
    ("given", "came"),
    [("5", r"5 \(int\)"), ("null", "null"), ("{A: 1}", r"\{'A': 1\} \(a mapping\)"), ("[base.yaml, 5]", r"5 \(int\)")],
)
def test_a_base_that_is_no_path_is_refused(write, given, came):
    write("", "base.yaml")
    with pytest.raises(ConfigError, match=rf"config\.yaml:1: _BASE_: expected a path or a list of paths, got {came}\."):
        load_config(write(f"_BASE_: {given}\n"))


def test_a_file_that_is_its_own_base_is_refused(write):
    with pytest.raises(ConfigError, match=r"config\.yaml: _BASE_ goes in a circle: config\.yaml -> config\.yaml"):
        load_config(write("_BASE_: config.yaml\n"))


def test_a_circle_of_bases_is_shown_whole(write):
    write("_BASE_: b.yaml\n", "a.yaml")
    write("_BASE_: a.yaml\n", "b.yaml")
    with pytest.raises(ConfigError, match=r"_BASE_ goes in a circle: config\.yaml -> a\.yaml -> b\.yaml -> a\.yaml"):
        load_config(write("_BASE_: a.yaml\n"))


def test_a_mistake_in_a_base_has_the_file_and_line_of_the_base(write):
    write("SEED: 1\nSOLVER:\n  BASE_LR: high\n", "base.yaml")
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_LR \(base\.yaml:3\): expected float >= 0, got 'high'"):
        load_config(write("_BASE_: base.yaml\nSOLVER: {BATCH_SIZE: 2}\n"))


def test_a_component_with_the_same_name_is_merged(write):
    write("MODEL: {HEAD: {NAME: RetinaNetHead, NUM_CONVS: 2}}\n", "base.yaml")
    head = load_config(write("_BASE_: base.yaml\nMODEL: {HEAD: {PRIOR_PROBABILITY: 0.1}}\n")).MODEL.HEAD
    assert (head.NUM_CONVS, head.PRIOR_PROBABILITY) == (2, 0.1)


def test_a_component_with_another_name_is_replaced_whole(write):
    # AdamW has WEIGHT_DECAY too: that of the SGD before it must not linger
    write("SOLVER: {OPTIMIZER: {NAME: SGD, MOMENTUM: 0.5, WEIGHT_DECAY: 0.125}}\n", "base.yaml")
    replaced = load_config(write("_BASE_: base.yaml\nSOLVER: {OPTIMIZER: {NAME: AdamW}}\n")).SOLVER.OPTIMIZER
    assert replaced == load_config(write("SOLVER: {OPTIMIZER: {NAME: AdamW}}\n")).SOLVER.OPTIMIZER
    assert replaced.WEIGHT_DECAY != 0.125


def test_a_component_without_name_in_the_base_has_the_default_one(write):
    write("SOLVER: {OPTIMIZER: {MOMENTUM: 0.5, WEIGHT_DECAY: 0.125}}\n", "base.yaml")  # of SGD, the default
    same = load_config(write("_BASE_: base.yaml\nSOLVER: {OPTIMIZER: {NAME: SGD}}\n")).SOLVER.OPTIMIZER
    assert (same.MOMENTUM, same.WEIGHT_DECAY) == (0.5, 0.125)
    other = load_config(write("_BASE_: base.yaml\nSOLVER: {OPTIMIZER: {NAME: AdamW}}\n")).SOLVER.OPTIMIZER
    assert "MOMENTUM" not in other
    assert other.WEIGHT_DECAY != 0.125


def test_a_nested_component_is_replaced_with_the_one_around_it_or_alone(write):
    write("MODEL: {DECODER: {MAX_DETECTIONS: 7, NMS: {NAME: BatchedNMS, IOU_THRESHOLD: 0.25}}}\n", "base.yaml")
    decoder = load_config(write("_BASE_: base.yaml\nMODEL: {DECODER: {NMS: {NAME: ClassAgnosticNMS}}}\n")).MODEL.DECODER
    assert decoder.MAX_DETECTIONS == 7
    assert decoder.NMS.IOU_THRESHOLD != 0.25


def test_a_list_is_replaced_whole(write):
    write("DATASETS: {TRAIN: [a, b]}\n", "base.yaml")
    assert load_config(write("_BASE_: base.yaml\nDATASETS: {TRAIN: [c]}\n")).DATASETS.TRAIN == ["c"]


def test_numbers_change_items_of_a_list(write):
    write("MODEL: {INPUT: {PIXEL_MEAN: [1, 2, 3]}}\n", "base.yaml")
    assert load_config(write("_BASE_: base.yaml\nMODEL: {INPUT: {PIXEL_MEAN: {1: 5}}}\n")).MODEL.INPUT.PIXEL_MEAN == [1, 5, 3]


def test_entries_of_the_catalog_are_added(write):
    write("DATASETS: {CATALOG: {a: {NAME: COCODataset, ANNOTATIONS: a.json, IMAGES: i}}}\n", "base.yaml")
    text = "_BASE_: base.yaml\nDATASETS: {CATALOG: {b: {NAME: COCODataset, ANNOTATIONS: b.json, IMAGES: i}}}\n"
    assert list(load_config(write(text)).DATASETS.CATALOG) == ["a", "b"]


def test_a_loss_may_stand_without_the_list_around_it(write):
    one = load_config(write("MODEL: {LOSSES: {REGRESSION: {NAME: SmoothL1Loss, BETA: 0.5}}}\n")).MODEL.LOSSES.REGRESSION
    assert (
        one == load_config(write("MODEL: {LOSSES: {REGRESSION: [{NAME: SmoothL1Loss, BETA: 0.5}]}}\n")).MODEL.LOSSES.REGRESSION
    )


@pytest.mark.parametrize("base", ["{NAME: SmoothL1Loss, BETA: 0.5}", "[{NAME: SmoothL1Loss, BETA: 0.5}]"])
@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("{BETA: 0.25}", [{"NAME": "SmoothL1Loss", "BETA": 0.25}]),
        ("{NAME: L1Loss}", [{"NAME": "L1Loss"}]),
        ("[{NAME: L1Loss}, {NAME: SmoothL1Loss, BETA: 0.0}]", [{"NAME": "L1Loss"}, {"NAME": "SmoothL1Loss", "BETA": 0.0}]),
    ],
)
def test_one_loss_or_a_list_of_losses_is_laid_over_either(write, base, child, expected):
    write(f"MODEL: {{LOSSES: {{REGRESSION: {base}}}}}\n", "base.yaml")
    cfg = load_config(write(f"_BASE_: base.yaml\nMODEL: {{LOSSES: {{REGRESSION: {child}}}}}\n"))
    assert expected == cfg.MODEL.LOSSES.REGRESSION


def test_one_loss_replaces_a_list_of_several(write):
    write("MODEL: {LOSSES: {REGRESSION: [{NAME: L1Loss}, {NAME: GIoULoss}]}}\n", "base.yaml")
    cfg = load_config(write("_BASE_: base.yaml\nMODEL: {LOSSES: {REGRESSION: {NAME: GIoULoss}}}\n"))
    assert cfg.MODEL.LOSSES.REGRESSION == [{"NAME": "GIoULoss"}]


def test_shipped_configs_are_found_by_name_and_by_their_path_in_the_checkout():
    assert config_files()
    for name, path in config_files().items():
        assert path.is_file()
        assert find_config(name) == path
        assert find_config(f"configs/{name}").samefile(path)


def test_a_file_in_the_current_folder_goes_before_a_shipped_one(write):
    assert load_config(write("SEED: 77\n", "quick_start.yaml")).SEED == 77


def test_a_missing_config_is_named_with_the_nearest_shipped_one(write):
    write("")
    with pytest.raises(
        ConfigError,
        match=r"there is no config file 'quickstart\.yaml', neither in .* nor among .*\. Did you mean 'quick_start\.yaml'\?",
    ):
        load_config("quickstart.yaml")


def test_a_missing_config_is_looked_for_among_the_files_beside_it_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"there is no config file 'mine\.yml', neither in .*\. Did you mean 'mine\.yaml'\?$"):
        load_config("mine.yml")
