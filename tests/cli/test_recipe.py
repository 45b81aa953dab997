from __future__ import annotations

from pathlib import Path

import pytest

from dettoolkit.cli.main import run_command
from dettoolkit.config import load_config

SMALL = ["--config-file", "quick_start.yaml", "--memory", "8"]
NAMED = [*SMALL, "--images", "117266", "--size", "128", "128"]


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run_command("recipe", arguments) == 0
    return capsys.readouterr().out


def test_what_is_printed_is_a_config_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(printed([*SMALL, "--num-gpus", "2", "DATASETS.CATALOG.shapes_train.NUM_IMAGES", "50"], capsys))
    cfg = load_config(file)
    assert (cfg.SOLVER.BATCH_SIZE, cfg.SOLVER.ACCUMULATE, cfg.SOLVER.REFERENCE_BATCH_SIZE) == (4, 1, 4)
    # 50 images of batches of 4 make 12 steps an epoch; (117266 / 50) ** (1/3) * 12.28 * 3 = 489.4 epochs
    assert cfg.SOLVER.LENGTH == "489ep"
    assert cfg.MODEL.BACKBONE.DEPTH == 18  # of the base
    text = file.read_text()
    assert "# For 50 images on 2 process(es) with 8.0 GiB each." in text
    assert "To be given again: DATASETS.CATALOG.shapes_train.NUM_IMAGES 50" in text


def test_paths_and_overrides_may_hold_what_yaml_and_shells_read_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "mine: 'first' #1.yaml"
    base.write_text("_BASE_: quick_start.yaml\nSOLVER: {BASE_LR: 0.00001}\n")
    arguments = ["--config-file", str(base), *NAMED[2:], "MODEL.NECK.LEVELS", "[3, 6]"]
    file = tmp_path / "recipe.yaml"
    file.write_text(printed(arguments, capsys))
    assert load_config(file).SOLVER.BASE_LR == 1e-5  # YAML 1.1 takes 1e-05 for a string
    assert load_config(file).MODEL.BACKBONE.DEPTH == 18
    assert "MODEL.NECK.LEVELS '[3, 6]'" in file.read_text()


def test_the_final_learning_rate_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed([*NAMED, "--num-gpus", "3"], capsys)
    assert "BATCH_SIZE: 3\n" in text
    assert "training scales it with the batch, to 0.00105" in text  # 0.0014 * 3 / 4


def test_bfloat16_is_proposed_for_gpus_unless_another_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert "AMP: bf16\n" in printed([*NAMED, "--num-gpus", "2"], capsys)
    assert "AMP: none\n" in printed([*NAMED, "SOLVER.AMP", "none"], capsys)


def test_too_little_memory_is_told_with_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config-file", "quick_start.yaml", "--memory", "0.5", "--images", "100", "--size", "800", "1333"]
    assert run_command("recipe", arguments) == 2
    error = capsys.readouterr().err
    assert "a step with one image of 800 x 1344 pixels needs about" in error
    assert "there are 0.5" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num-gpus", "0"], "--num-gpus: expected 1 or more, got 0"),
        (["--images", "0"], "--images: expected 1 or more, got 0"),
        (["--memory", "-1"], "--memory: expected GiB above 0, got -1.0"),
        (["--size", "0", "5"], "--size: expected height and width of 1 or more, got 0 5"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("recipe", ["--config-file", "quick_start.yaml", *arguments]) == 2
    assert message in capsys.readouterr().err
