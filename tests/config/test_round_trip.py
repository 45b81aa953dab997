"""The resolved config is complete and loads again to the equal config."""

from __future__ import annotations

import enum
from pathlib import Path

import pytest

from dettoolkit.config import config_files, dump_config, load_config
from dettoolkit.registry import LOSSES


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@pytest.fixture
def again(write):
    """Writes a resolved config and loads it."""
    return lambda cfg: load_config(write(dump_config(cfg), "resolved.yaml"))


@pytest.mark.parametrize("name", list(config_files()))
def test_every_shipped_config_loads_again_to_the_equal_config(name, again):
    cfg = load_config(name)
    assert again(cfg) == cfg


def test_the_resolved_config_has_every_default_in_it(load):
    text = dump_config(load(""))
    for line in ("BASE_LR: 0.01", "IOU_THRESHOLD: 0.5", "NAME: RetinaNetHead", "OUTPUT_DIR: null"):
        assert line in text


TRICKY = [
    "1e-4",
    "null",
    "~",
    "",
    "off",
    "true",
    "010",
    "0o17",
    ".inf",
    "- a",
    "a: b",
    "# no",
    "梟 🦉",
    "a\nb\n",
    " lead",
    "\x85",
    "x " * 90,
]


@pytest.mark.parametrize("text", TRICKY)
def test_strings_that_look_like_something_else_stay_strings(write, again, text):
    cfg = load_config(write("OUTPUT_DIR: x\n"))
    cfg.OUTPUT_DIR = text
    loaded = again(cfg)
    assert loaded == cfg
    assert text == loaded.OUTPUT_DIR


def test_names_of_data_sets_that_look_like_something_else_stay_names(write, again):
    entry = "{NAME: COCODataset, ANNOTATIONS: '1e-4', IMAGES: 'null'}"
    cfg = load_config(write(f"DATASETS: {{CATALOG: {{'off': {entry}, '12': {entry}, 'null': {entry}, 鳥: {entry}}}}}\n"))
    assert list(cfg.DATASETS.CATALOG) == ["off", "12", "null", "鳥"]
    assert again(cfg) == cfg


@pytest.mark.parametrize("number", ["1e-4", "1e-7", "0.1", "3", "1e22"])
def test_numbers_come_back_exactly(load, again, number):
    cfg = load("", f"SOLVER.BASE_LR {number}")
    assert float(number) == again(cfg).SOLVER.BASE_LR


def test_an_integer_where_a_float_is_wanted_becomes_one(load):
    assert type(load("", "SOLVER.BASE_LR 1").SOLVER.BASE_LR) is float


@pytest.mark.usefixtures("own_registries")
def test_values_that_yaml_cannot_hold_stay_as_they_were_written(load, again):
    @LOSSES.register()
    class ColouredLoss:
        def __init__(self, file: Path, shade: Colour, colour: Colour = Colour.RED) -> None:
            self.file, self.shade, self.colour = file, shade, colour

    cfg = load("MODEL: {LOSSES: {CLASSIFICATION: {NAME: ColouredLoss, FILE: a.txt, SHADE: blue}}}\n")
    node = cfg.MODEL.LOSSES.CLASSIFICATION
    assert dict(node) == {"NAME": "ColouredLoss", "FILE": "a.txt", "SHADE": "blue"}  # the default colour is no value of YAML
    assert again(cfg) == cfg
    built = LOSSES.build(node, "LOSS")
    assert (built.file, built.shade, built.colour) == (Path("a.txt"), Colour.BLUE, Colour.RED)


def test_a_list_for_which_a_tuple_is_wanted_is_a_list_in_the_config(load, again):
    cfg = load("", "DATALOADER.PAD_TO [32,64]")
    assert cfg.DATALOADER.PAD_TO == [32, 64]
    assert again(cfg) == cfg


def test_a_config_with_a_base_is_resolved_without_it(write, again):
    write("SEED: 3\n", "base.yaml")
    cfg = load_config(write("_BASE_: base.yaml\nOUTPUT_DIR: here\n"))
    assert "_BASE_" not in dump_config(cfg)
    assert again(cfg) == cfg


def test_a_resolved_config_builds_the_same_model(again):
    import torch

    from dettoolkit.modeling import build_model

    cfg = load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "3"])
    states = []
    for each in (cfg, again(cfg)):
        torch.manual_seed(0)
        states.append(build_model(each).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
