from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dettoolkit.cli.main import main

REPOSITORY = Path(__file__).parents[2]
SMALL = REPOSITORY / "tests" / "engine" / "small.yaml"


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A run sets up the toolkit's logger for itself; the next test gets it as it was."""
    logger = logging.getLogger("dettoolkit")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    for handler in [handler for handler in logger.handlers if handler not in handlers]:
        handler.close()
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


def _train(*arguments: str) -> int:
    return main(["train", "--config-file", str(SMALL), *arguments])


def test_train_then_refuse_then_resume_then_evaluate(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "run")
    assert _train("OUTPUT_DIR", folder, "SOLVER.LENGTH", "2") == 0
    capfd.readouterr()
    assert _train("OUTPUT_DIR", folder) == 2
    refusal = capfd.readouterr().err
    assert refusal.startswith(
        f"error: {folder} holds the checkpoint of an earlier run (model_final.pth). Go on with it by --resume"
    )
    assert f"OUTPUT_DIR {folder}_2" in refusal
    assert _train("OUTPUT_DIR", folder, "--resume", "SOLVER.LENGTH", "4") == 0
    assert "resuming at iteration 2 of 4" in capfd.readouterr().err
    assert _train("OUTPUT_DIR", folder, "--eval-only") == 0
    assert "AP50" in capfd.readouterr().err


def test_without_an_output_folder_a_run_is_named_after_its_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _train("OUTPUT_DIR", "null", "SOLVER.LENGTH", "1", "DATASETS.TEST", "[]") == 0
    assert (tmp_path / "runs" / "small" / "checkpoints" / "model_final.pth").is_file()


def test_numbered_folders_are_never_used_twice(tmp_path: Path) -> None:
    for _ in range(2):
        assert _train("OUTPUT_DIR", f"{tmp_path}/run_{{number}}", "SOLVER.LENGTH", "1", "DATASETS.TEST", "[]") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run_1", "run_2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "--resume: {out}/checkpoints holds no checkpoint to go on from. Leave --resume out to start."),
        (["--eval-only"], "--eval-only: {out}/checkpoints holds no checkpoint."),
        (["SOLVER.BASE_RL", "1"], "Did you mean 'BASE_LR'?"),
        (["SOLVER.BASE_LR", "fast"], "SOLVER.BASE_LR (override SOLVER.BASE_LR): "),
        (["MODEL.WEIGHTS", "absent.pth"], "absent.pth: there is no such file."),
        (["--eval-only", "MODEL.WEIGHTS", "absent.pth"], "absent.pth: there is no such file."),
        (["SOLVER.LENGTH", "soon"], "SOLVER.LENGTH"),
        (["--num-gpus", "0"], "--num-gpus: expected at least 1, got 0"),
        (["--num-machines", "2"], "--dist-url auto serves one machine"),
    ],
)
def test_bad_input_is_a_message_and_a_code(
    tmp_path: Path, arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert _train("OUTPUT_DIR", str(out), *arguments) == 2
    told = capfd.readouterr().err
    assert message.format(out=out) in told
    assert "Traceback" not in told
    assert not list(out.glob("checkpoints/*"))


def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert _train("OUTPUT_DIR", str(tmp_path / "run"), "--num-gpus", "4", "MODEL.DEVICE", "auto") == 2
    assert "--num-gpus 4: torch sees 1 GPU on this machine" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_output_folder_that_cannot_be_written(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    assert _train("OUTPUT_DIR", str(tmp_path / "file" / "run")) == 2
    assert f"OUTPUT_DIR: {tmp_path / 'file' / 'run'} cannot be written" in capfd.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_a_loss_that_is_no_number_ends_with_a_message_and_a_code(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _train("OUTPUT_DIR", str(tmp_path), "SOLVER.BASE_LR", "1e30", "SOLVER.WARMUP.LENGTH", "0") == 2
    told = capfd.readouterr().err
    assert "the loss is not finite" in told
    assert "Images: " in told
    assert "Traceback" not in told


def test_the_script_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "tools/train_net.py", "--config-file", str(SMALL), "SEDE", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert "Did you mean 'SEED'?" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("mode", [[], ["--eval-only"]])
def test_offline_asks_nobody_for_weights(
    mode: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    weights = ["MODEL.WEIGHTS", "https://example.invalid/detector.pth"]
    assert _train(*mode, "--offline", "OUTPUT_DIR", str(tmp_path / "run"), *weights) == 2
    refusal = capfd.readouterr().err
    assert "https://example.invalid/detector.pth: not downloaded yet, and the network may not be used" in refusal
    assert str(tmp_path / "cache") in refusal  # where the file may be put
