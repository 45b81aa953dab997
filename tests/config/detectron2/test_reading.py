"""Detectron2's files, with bases, its own reading of strings, and places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dettoolkit.config.detectron2.reading import Given, read_files, read_overrides
from dettoolkit.errors import ConfigError


def values(name: str) -> dict[str, Any]:
    given, _ = read_files(name)
    return {key: one.value for key, one in given.items()}


def test_files_are_laid_over_their_bases_key_by_key_with_their_places(write: Callable[..., str]) -> None:
    write("SEED: 1\nMODEL: {BACKBONE: {NAME: a, FREEZE_AT: 3}}\n", "base/first.yaml")
    write("_BASE_: first.yaml\nSEED: 2\n", "base/second.yaml")
    given, files = read_files(write("_BASE_: base/second.yaml\nMODEL:\n  BACKBONE:\n    NAME: b\n"))
    assert given == {
        "SEED": Given(2, "base/second.yaml:2"),
        "MODEL.BACKBONE.NAME": Given("b", "config.yaml:4"),
        "MODEL.BACKBONE.FREEZE_AT": Given(3, "base/first.yaml:2"),  # another NAME does not discard it, as ours would
    }
    assert [str(file) for file in files] == ["config.yaml", "base/second.yaml", "base/first.yaml"]


def test_later_bases_are_laid_over_earlier_ones(write: Callable[..., str]) -> None:
    write("SEED: 1\nOUTPUT_DIR: a\n", "a.yaml")
    write("SEED: 2\n", "b.yaml")
    assert values(write("_BASE_: [a.yaml, b.yaml]\n")) == {"SEED": 2, "OUTPUT_DIR": "a"}


def test_a_base_may_be_in_the_home_folder(write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write("SEED: 7\n", "home/base.yaml")
    assert values(write("_BASE_: ~/base.yaml\n")) == {"SEED": 7}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(640, 672)", [640, 672]),  # a string in YAML
        ('("coco_2017_train",)', ["coco_2017_train"]),
        ("()", []),
        ("1e-4", 0.0001),
        ("1_000", 1000),
        ('"0.5"', 0.5),
        ('""', ""),
        ("res5", "res5"),
        ("(open('ran', 'w'),)", "(open('ran', 'w'),)"),  # no literal, so only a string
        ("&sizes [1, 2]", [1, 2]),
    ],
)
def test_strings_are_read_as_pythons_literals(write: Callable[..., str], tmp_path: Path, text: str, value: Any) -> None:
    assert values(write(f"KEY: {text}\n")) == {"KEY": value}
    assert not (tmp_path / "ran").exists()


def test_expressions_are_worked_out(write: Callable[..., str]) -> None:
    text = 'SIZES:\n  !!python/object/apply:eval [\n    "[[x, x * 2] for x in [32, 64]]",\n  ]\n'
    assert values(write(text)) == {"SIZES": [[32, 64], [64, 128]]}


@pytest.mark.parametrize(
    ("node", "why"),
    [
        ("!!python/object/apply:eval [\"__import__('os').system('touch ran')\"]", r"__import__.* is not worked out"),
        ("!!python/object/apply:os.system ['touch ran']", r"the tag !!python/object/apply:os\.system is refused"),
        ("!!python/object/new:eval ['1']", r"the tag !!python/object/new:eval is refused"),
        ("!!python/object/apply:eval ['1', '2']", "expected one expression in brackets"),
        ("!!python/object/apply:eval '1'", "expected one expression in brackets"),
        ("!!python/object/apply:eval [[1]]", "expected one expression in brackets"),
    ],
)
def test_nothing_else_of_python_is_read(write: Callable[..., str], tmp_path: Path, node: str, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"^config\.yaml:2: .*{why}"):
        read_files(write(f"MODEL:\n  SIZES: {node}\n"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("base", "why"),
    [
        ("detectron2://Base-RetinaNet.yaml", "Expected a file on this machine"),
        ("https://example.org/Base-RetinaNet.yaml", "Expected a file on this machine"),
        ("../Base-RetinNet.yaml", r"there is no file .*Did you mean '\.\./Base-RetinaNet\.yaml'\?"),
        ("5", r"expected a path, got 5 \(int\)"),
        ("base.py", "lazy configs are Python programs"),
    ],
)
def test_bases_that_cannot_be_read_are_named(write: Callable[..., str], base: str, why: str) -> None:
    write("", "Base-RetinaNet.yaml")
    with pytest.raises(ConfigError, match=why):
        read_files(write(f"_BASE_: {base}\n", "inner/config.yaml"))


def test_a_circle_of_bases_is_shown_whole(write: Callable[..., str]) -> None:
    write("_BASE_: config.yaml\n", "a.yaml")
    with pytest.raises(ConfigError, match=r"_BASE_ goes in a circle: config\.yaml -> a\.yaml -> config\.yaml"):
        read_files(write("_BASE_: a.yaml\n"))


def test_lazy_configs_are_refused(write: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lazy\.py: Detectron2's lazy configs are Python programs.* Expected a YAML config"):
        read_files(write("open('ran', 'w')\n", "lazy.py"))
    assert not (tmp_path / "ran").exists()


def test_a_missing_file_is_named_with_the_nearest(write: Callable[..., str]) -> None:
    write("", "mine.yaml")
    with pytest.raises(ConfigError, match=r"there is no file 'mine\.yml'\. Did you mean 'mine\.yaml'\?"):
        read_files("mine.yml")


def test_overrides_are_read_as_detectron2_reads_them() -> None:
    given = read_overrides(["SOLVER.STEPS", "(30,)", "MODEL.WEIGHTS", "", "SEED", " -1"])
    assert {key: one.value for key, one in given.items()} == {"SOLVER.STEPS": [30], "MODEL.WEIGHTS": "", "SEED": -1}
    assert given["SEED"].place == "override SEED"


def test_an_override_without_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="'SEED' has no value"):
        read_overrides(["SEED"])
