"""``PLUGINS``: files with components of the user's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dettoolkit.config import dump_config, import_plugins, load_config
from dettoolkit.errors import ConfigError
from dettoolkit.registry import LOSSES

pytestmark = pytest.mark.usefixtures("own_registries")

MY_LOSS = """
from dettoolkit.registry import LOSSES

@LOSSES.register()
class MyLoss:
    '''A loss.

    Args:
        sharpness: how sharp.
    '''

    def __init__(self, sharpness: float = 2.0) -> None:
        pass
"""
USE_IT = "PLUGINS: [my_loss.py]\nMODEL: {LOSSES: {CLASSIFICATION: {NAME: MyLoss}}}\n"


def test_a_class_that_a_plugin_registers_is_used_in_the_same_file(write):
    write(MY_LOSS, "my_loss.py")
    cfg = load_config(write(USE_IT))
    assert dict(cfg.MODEL.LOSSES.CLASSIFICATION) == {"NAME": "MyLoss", "SHARPNESS": 2.0}


def test_parameters_of_such_a_class_are_checked(write, rows):
    write(MY_LOSS, "my_loss.py")
    (row,) = rows(USE_IT, "MODEL.LOSSES.CLASSIFICATION.SHARPNES 3")
    assert "MyLoss has no 'SHARPNES'. Did you mean 'SHARPNESS'?" in row


def test_a_plugin_is_found_beside_the_config_and_in_the_folders_above(write, monkeypatch, tmp_path):
    write(MY_LOSS, "project/my_loss.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    config = tmp_path / write(USE_IT, "project/configs/config.yaml")
    monkeypatch.chdir(elsewhere)
    assert [str(tmp_path / "project" / "my_loss.py")] == load_config(config).PLUGINS


def test_a_plugin_in_the_current_folder_goes_before_one_beside_the_config(write, tmp_path):
    write(MY_LOSS, "my_loss.py")
    write("raise RuntimeError('the wrong one')", "project/my_loss.py")
    assert [str(tmp_path / "my_loss.py")] == load_config(write(USE_IT, "project/config.yaml")).PLUGINS


def test_a_plugin_named_in_a_base_is_looked_for_beside_the_base(write, tmp_path):
    write(MY_LOSS, "base/my_loss.py")
    write(USE_IT, "base/base.yaml")
    assert load_config(write("_BASE_: ../base/base.yaml\n", "mine/config.yaml")).MODEL.LOSSES.CLASSIFICATION.NAME == "MyLoss"


@pytest.mark.parametrize("override", [["PLUGINS", "[my_loss.py]"], ["PLUGINS.0", "my_loss.py"]])
def test_a_plugin_may_come_from_an_override(write, override):
    write(MY_LOSS, "my_loss.py")
    cfg = load_config(write(USE_IT.replace("my_loss.py", "absent.py")), override)
    assert cfg.MODEL.LOSSES.CLASSIFICATION.NAME == "MyLoss"


def test_the_resolved_config_names_the_plugin_so_that_it_loads_from_anywhere(write, tmp_path, monkeypatch):
    write(MY_LOSS, "my_loss.py")
    cfg = load_config(write(USE_IT))
    dumped = tmp_path / "runs" / "config.yaml"
    dumped.parent.mkdir()
    dumped.write_text(dump_config(cfg), encoding="utf-8")
    monkeypatch.chdir("/")
    assert load_config(dumped) == cfg


def test_a_file_is_run_once_a_process(write, tmp_path):
    write("with open('log', 'a') as log:\n    log.write('x')\n", "counts.py")
    for _ in range(2):
        load_config(write("PLUGINS: [counts.py, ./counts.py]\n"))
    assert (tmp_path / "log").read_text() == "x"


def test_a_file_that_was_imported_as_a_module_is_not_run_again(write, tmp_path, monkeypatch):
    write(MY_LOSS, "my_loss_module.py")
    monkeypatch.syspath_prepend(tmp_path)
    import my_loss_module

    load_config(write(USE_IT.replace("my_loss.py", "my_loss_module.py")))
    assert LOSSES.get("MyLoss") is my_loss_module.MyLoss


def test_the_module_is_named_after_its_path_so_that_processes_agree(write, tmp_path):
    write(MY_LOSS, "my_loss.py")
    import_plugins([tmp_path / "my_loss.py"])
    name = LOSSES.get("MyLoss").__module__
    assert name.startswith("dettoolkit_plugin_my_loss_")
    assert Path(sys.modules[name].__file__) == tmp_path / "my_loss.py"


def test_a_missing_plugin_is_reported_with_its_line_and_the_places_that_were_tried(rows, tmp_path):
    (row,) = rows("PLUGINS:\n  - absent.py\n")
    places = f"Looked at {tmp_path / 'absent.py'}, {tmp_path.parent / 'absent.py'}, ..."
    assert row == f"PLUGINS.0 (config.yaml:2): there is no Python file 'absent.py'. {places}."


def test_a_plugin_that_is_no_python_file_is_reported(write, rows):
    write("text", "notes.txt")
    (row,) = rows("PLUGINS: [notes.txt]\n")
    assert row.startswith("PLUGINS.0 (config.yaml:1): there is no Python file 'notes.txt'.")


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("\n1 / 0\n", ":2", "ZeroDivisionError: division by zero"),
        ("import no_such_library\n", ":1", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def broken(:\n", "", "SyntaxError: "),
    ],
)
def test_a_broken_plugin_is_reported_with_the_error_inside_it(write, rows, tmp_path, code, line, message):
    write(code, "broken.py")
    (row,) = rows("PLUGINS: [broken.py]\n")
    assert row.startswith(f"PLUGINS.0 (config.yaml:1): the plugin {tmp_path / 'broken.py'}{line} cannot be imported: {message}")


def test_a_broken_plugin_is_run_again_once_it_is_mended(write, tmp_path):
    write("1 / 0\n", "my_loss.py")
    with pytest.raises(ConfigError, match="division by zero"):
        load_config(write(USE_IT))
    write(MY_LOSS, "my_loss.py")
    assert load_config(write(USE_IT)).MODEL.LOSSES.CLASSIFICATION.NAME == "MyLoss"


def test_two_plugins_that_register_one_name_are_reported_with_both_places(write, rows, tmp_path):
    write(MY_LOSS, "first.py")
    write(MY_LOSS, "second.py")
    (row,) = rows("PLUGINS: [first.py, second.py]\n")
    assert "LOSSES: 'MyLoss' is registered twice: first by" in row
    assert f"({tmp_path / 'first.py'}:4), now by" in row
    assert f"({tmp_path / 'second.py'}:4)" in row


def test_a_broken_plugin_is_reported_together_with_other_mistakes(write, rows):
    write("1 / 0\n", "broken.py")
    found = rows("PLUGINS: [broken.py]\nSED: 3\n")
    assert [row.split()[0] for row in found] == ["PLUGINS.0", "SED"]


@pytest.mark.parametrize(
    ("given", "came"), [("my_loss.py", "'my_loss.py' (a string)"), ("[3]", "[3] (a list)"), ("null", "null")]
)
def test_plugins_that_are_no_list_of_files_are_reported(write, rows, given, came):
    write(MY_LOSS, "my_loss.py")
    assert rows(f"PLUGINS: {given}\n") == [f"PLUGINS (config.yaml:1): expected list of strings, got {came}."]


def test_importing_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"the plugin .*absent\.py is no Python file"):
        import_plugins([tmp_path / "absent.py"])


OWN_ARCH = """
from dettoolkit.registry import LOSSES, META_ARCHS, Component, ListOf, Value

@META_ARCHS.register()
class Detector:
    PARTS = {
        "WIDTH": Value(int, 8, "How wide."),
        "BOX_LOSS": Component(LOSSES, {"NAME": "SmoothL1Loss", "BETA": 0.25}, doc="The loss."),
        "MORE": ListOf(Component(LOSSES), ({"NAME": "SmoothL1Loss"},), or_one=True, doc="More losses."),
    }

    @classmethod
    def from_config(cls, cfg):
        return cls()
"""


def test_a_meta_architecture_of_ones_own_says_which_parts_model_has(write, rows):
    write(OWN_ARCH, "arch.py")
    text = "PLUGINS: [arch.py]\nMODEL: {META_ARCH: {NAME: Detector}, WIDTH: 4}\n"
    model = load_config(write(text), ["MODEL.MORE.BETA", "0.5"]).MODEL
    assert (model.WIDTH, model.MORE) == (4, [{"NAME": "SmoothL1Loss", "BETA": 0.5}])
    assert "NECK" not in model
    (row,) = rows(text, "MODEL.NECK.NAME FPN")
    assert row.startswith("MODEL.NECK (override MODEL.NECK.NAME): MODEL has no 'NECK'. Accepted: META_ARCH, ")


def test_a_default_component_may_have_parameters_that_another_name_does_not_take_over(write):
    write(OWN_ARCH, "arch.py")
    path = write("PLUGINS: [arch.py]\nMODEL: {META_ARCH: {NAME: Detector}}\n")
    assert load_config(path).MODEL.BOX_LOSS == {"NAME": "SmoothL1Loss", "BETA": 0.25}
    assert load_config(path, ["MODEL.BOX_LOSS.NAME", "SmoothL1Loss"]).MODEL.BOX_LOSS.BETA == 0.25
    assert load_config(path, ["MODEL.BOX_LOSS.NAME", "L1Loss"]).MODEL.BOX_LOSS == {"NAME": "L1Loss"}
