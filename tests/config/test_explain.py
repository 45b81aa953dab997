"""``--explain KEY``: where a value came from and what it means."""

from __future__ import annotations

import pytest

from dettoolkit.config import explain, resolve_config
from dettoolkit.errors import ConfigError


@pytest.fixture
def told(write):
    """Returns what is said of a key, by the words at the left; the value stands under its key."""

    def told(key: str, text: str = "", overrides: str = "") -> dict[str, str]:
        lines = explain(resolve_config(write(text), overrides.split()), key).splitlines()
        found = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
        return {name: words.strip() for name, words in found.items()}

    return told


def test_a_default_of_a_run_level_key(told):
    assert told("SOLVER.BASE_LR") == {
        "SOLVER.BASE_LR": "0.01",
        "set by": "the default",
        "accepted": "float >= 0",
        "home": "dettoolkit/config/run_keys.py",
        "meaning": "Learning rate at REFERENCE_BATCH_SIZE.",
    }


def test_a_value_from_a_file_has_its_line(told):
    assert told("SOLVER.BASE_LR", "SEED: 1\nSOLVER:\n  BASE_LR: 0.5\n")["set by"] == "config.yaml:3"


def test_a_value_from_a_base_has_the_line_of_the_base(told, write):
    write("SOLVER: {BASE_LR: 0.5}\n", "base.yaml")
    assert told("SOLVER.BASE_LR", "_BASE_: base.yaml\nSOLVER: {BATCH_SIZE: 1}\n")["set by"] == "base.yaml:1"


def test_a_value_from_an_override_says_so(told):
    assert told("SOLVER.BASE_LR", "SOLVER: {BASE_LR: 0.5}\n", "SOLVER.BASE_LR 0.25")["set by"] == "override SOLVER.BASE_LR"


def test_a_default_beside_values_that_were_set_says_where_those_are(told):
    found = told("SOLVER.BASE_LR", "SEED: 1\nSOLVER:\n  BATCH_SIZE: 1\n")
    assert found["set by"] == "the default (what was set near it: config.yaml:2)"


def test_a_parameter_of_a_component_has_the_words_of_its_docstring(told):
    found = told("MODEL.LOSSES.CLASSIFICATION.GAMMA")
    assert found["MODEL.LOSSES.CLASSIFICATION.GAMMA"] == "2.0"
    assert found["accepted"] == "float"
    assert found["home"].startswith("dettoolkit.modeling.losses.focal.FocalLoss (")
    from dettoolkit.registry import LOSSES
    from dettoolkit.registry.signature import documentation

    assert found["meaning"] == documentation(LOSSES.get("FocalLoss"), "gamma") != ""


def test_a_part_of_the_meta_architecture_has_its_home_there(told):
    assert told("MODEL.NORMALIZER")["home"].startswith("dettoolkit.modeling.meta_archs.retinanet.RetinaNet (")


@pytest.mark.parametrize(
    "text", ["REGRESSION: {NAME: SmoothL1Loss, BETA: 0.5}", "REGRESSION: [{NAME: SmoothL1Loss, BETA: 0.5}]"]
)
def test_a_loss_without_the_list_around_it_is_found_under_its_number(told, text):
    found = told("MODEL.LOSSES.REGRESSION.0.BETA", f"MODEL:\n  LOSSES:\n    {text}\n")
    assert found["set by"] == "config.yaml:3"


def test_an_item_of_a_list_is_named_by_its_number(told):
    assert told("HOOKS.0.NAME", "HOOKS: [{NAME: LearningRate}]\n")["HOOKS.0.NAME"] == "LearningRate"


def test_a_parameter_of_a_replaced_component_is_a_default_again(told, write):
    write("SOLVER: {OPTIMIZER: {NAME: SGD, WEIGHT_DECAY: 0.5}}\n", "base.yaml")
    found = told("SOLVER.OPTIMIZER.WEIGHT_DECAY", "_BASE_: base.yaml\nSOLVER: {OPTIMIZER: {NAME: AdamW}}\n")
    assert found["set by"].startswith("the default")


def test_a_whole_node_is_shown_as_yaml(write):
    text = explain(resolve_config(write("")), "MODEL.DECODER")
    assert text.startswith("MODEL.DECODER:\n  SCORE_THRESHOLD: 0.05\n")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("SOLVER.BASE_LRR", "SOLVER has no 'BASE_LRR'. Did you mean 'BASE_LR'? It has: BATCH_SIZE, "),
        ("SOLVR", "the config has no 'SOLVR'. Did you mean 'SOLVER'? It has: MODEL, "),
        ("HOOKS.99", "HOOKS has no '99'. It has: 0, 1, "),
        ("SEED.X", "SEED has no 'X'. It has: (none)."),
        ("", "the config has no ''. It has: MODEL, "),
        (
            "MODEL.LOSSES.REGRESSION.BETA",
            "MODEL.LOSSES.REGRESSION is a list of 1: name an item of it by its number, as in MODEL.LOSSES.REGRESSION.0.BETA.",
        ),
    ],
)
def test_a_key_that_the_config_does_not_have_is_named_with_the_nearest(write, key, message):
    with pytest.raises(ConfigError) as caught:
        explain(resolve_config(write("")), key)
    assert str(caught.value).startswith(message)


def test_everything_in_the_default_config_can_be_explained(write):
    resolved = resolve_config(write(""))
    for key in ("MODEL", "DATASETS", "DATALOADER", "SOLVER", "EVALUATION", "HOOKS"):
        assert explain(resolved, key)
    without_words = [key for key, note in resolved.notes.items() if not note.words()]
    assert without_words == []
