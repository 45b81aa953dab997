from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dettoolkit import __version__
from dettoolkit.cli import collect_env, train
from dettoolkit.cli.main import main, run_command
from dettoolkit.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from dettoolkit.cli.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "heavy = {'torch', 'torchvision', 'cv2', 'numpy', 'pycocotools', 'fvcore'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for command in ("train", "predict", "config", "visualize-data", "analyze-model", "collect-env"):
        assert f"  {command} " in ended.stdout


@pytest.mark.parametrize("command", ["train", "config", "collect-env"])
def test_help_of_a_command_names_it_as_it_is_called(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: dettoolkit {command} ")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_an_unknown_command_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["trian"])
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert "there is no command 'trian'. Did you mean 'train'? Commands: " in message
    assert "predict" in message


def test_no_command_is_refused_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("usage: dettoolkit")
    assert "a COMMAND is missing, one of train, predict, " in message
    assert "rest" not in message


@pytest.mark.parametrize("option", ["--num-gpu", "--res", "--config"])
def test_a_shortened_option_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "--config-file", "a.yaml", option, "2"])
    assert end.value.code == 2
    assert f"unrecognized arguments: {option}" in capsys.readouterr().err


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the command ``train`` was asked, in place of training."""
    taken = SimpleNamespace()
    monkeypatch.setattr(train, "run", lambda arguments: taken.__dict__.update(vars(arguments)))
    return taken


def test_options_count_wherever_they_stand_among_the_overrides(asked: SimpleNamespace) -> None:
    assert main(["train", "SEED", "3", "--config-file", "a.yaml", "SOLVER.BASE_LR", "0.1", "--resume", "OUTPUT_DIR", "x"]) == 0
    assert asked.overrides == ["SEED", "3", "SOLVER.BASE_LR", "0.1", "OUTPUT_DIR", "x"]
    assert asked.resume
    assert not asked.eval_only
    assert asked.config_file == "a.yaml"


@pytest.mark.parametrize("value", ["-1", "-0.5", "-1e-4", "-.5e3", "-.inf", "[-1, 2]", ""])
def test_values_of_overrides_may_be_negative_or_empty(asked: SimpleNamespace, value: str) -> None:
    assert run_command("train", ["--config-file", "a.yaml", "KEY", value, "--eval-only"]) == 0
    assert [word.strip() for word in asked.overrides] == ["KEY", value]
    assert asked.eval_only


def test_a_misspelt_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_command("train", ["--config-file", "a.yaml", "--resum3"])
    assert end.value.code == 2
    assert "--resum3" in capsys.readouterr().err


def test_an_error_of_ours_is_one_message_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: object) -> None:
        raise ConfigError("SEED: expected a number")

    monkeypatch.setattr(collect_env, "run", fail)
    assert main(["collect-env"]) == 2
    assert capsys.readouterr() == ("", "error: SEED: expected a number\n")


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(collect_env, "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["collect-env"])


def test_an_interrupt_is_said_and_has_the_shells_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(collect_env, "run", interrupt)
    assert main(["collect-env"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_collect_env_prints_versions_and_hardware(capsys: pytest.CaptureFixture[str]) -> None:
    import torch
    import torchvision

    assert main(["collect-env"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if not line.startswith("GPU"))
    assert lines["torch"] == torch.__version__.partition("+")[0]
    assert lines["torchvision"] == torchvision.__version__.partition("+")[0]
    assert {"platform", "python", "numpy", "Pillow", "processors", "CUDA"} <= lines.keys()
