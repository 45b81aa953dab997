from __future__ import annotations

import json
from pathlib import Path

import pytest

from dettoolkit.cli.main import run_command

SMALL = str(Path(__file__).parents[1] / "engine" / "small.yaml")
QUICK = ["--config-file", SMALL, "--seconds", "0.5", "--range-steps", "40", "--overfit-steps", "40"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_config_that_trains_has_nothing_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("doctor", [*QUICK, "--output", "told"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Nothing looks wrong.") or text.startswith("hint: ")
    for words in ("learning rate: BASE_LR is 0.02", "one batch: 8 images", "short run: ", "the whole training: 6 steps"):
        assert words in text
    assert {file.name for file in (tmp_path / "told").iterdir()} == {
        "doctor.json",
        "learning_rate_range.csv",
        "learning_rate_range.png",
    }
    told = json.loads((tmp_path / "told" / "doctor.json").read_text())
    rows = (tmp_path / "told" / "learning_rate_range.csv").read_text().splitlines()
    assert rows[0] == "base_lr,loss,smoothed"
    assert len(rows) == 1 + len(told["range_test"]["rates"])
    assert [path.name for path in tmp_path.iterdir()] == ["told"]  # no run folder


def test_an_absurd_learning_rate_is_told_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("doctor", [*QUICK, "--only", "range", "SOLVER.BASE_LR", "1e3"]) == 1
    assert capsys.readouterr().out.startswith("error: SOLVER.BASE_LR 1000 is too high")


def test_numbers_that_are_not_finite_are_null_in_the_file(tmp_path: Path) -> None:
    arguments = [*QUICK, "--only", "range", "--only", "overfit", "--output", "told", "SOLVER.BASE_LR", "1e6"]
    assert run_command("doctor", arguments) == 1
    text = (tmp_path / "told" / "doctor.json").read_text()

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    told = json.loads(text, parse_constant=refuse)
    assert told["overfit"]["losses"][-1] is None


def test_what_a_short_run_found_is_told_though_nothing_else_can_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_memory(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("dettoolkit.engine.trainer.Trainer._step", without_memory)
    assert run_command("doctor", QUICK) == 1
    text = capsys.readouterr().out
    assert text.startswith("error: the run broke off after 0 steps: RuntimeError: out of memory")
    assert "range: left out, RuntimeError: out of memory\noverfit: left out, RuntimeError: out of memory" in text


def test_an_error_without_a_short_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_memory(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("dettoolkit.engine.trainer.Trainer._step", without_memory)
    with pytest.raises(RuntimeError, match="out of memory"):
        run_command("doctor", [*QUICK, "--only", "range"])


def test_a_config_that_cannot_run_is_told_as_training_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("doctor", [*QUICK, "DATASETS.TRAIN", "[]"]) == 2
    assert "DATASETS.TRAIN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "0"], "--seconds: expected more than 0, got 0.0"),
        (["--range-steps", "29"], "--range-steps: expected 30 or more, got 29"),
        (["--overfit-steps", "0"], "--overfit-steps: expected 1 or more, got 0"),
        (["--num-gpus", "3"], "cannot be divided evenly among 3 processes"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("doctor", [*QUICK, *arguments]) == 2
    assert message in capsys.readouterr().err
