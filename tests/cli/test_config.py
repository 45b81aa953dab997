from __future__ import annotations

from pathlib import Path

import pytest

from dettoolkit.cli.main import main
from dettoolkit.config import load_config

TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"


def test_a_config_is_printed_as_it_resolves_and_loads_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", str(TINY), "SOLVER.BASE_LR", "1e-4"]) == 0
    printed = capsys.readouterr()
    (tmp_path / "again.yaml").write_text(printed.out)
    assert load_config(tmp_path / "again.yaml") == load_config(TINY, ["SOLVER.BASE_LR", "1e-4"])
    assert not printed.out.endswith("\n\n")
    assert printed.err == ""


def test_a_key_is_explained_with_its_value_and_the_place_it_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", str(TINY), "--explain", "MODEL.HEAD.NUM_CONVS"]) == 0
    told = capsys.readouterr().out
    assert "tiny.yaml" in told
    assert "convolutions in each tower" in told
    assert told.endswith("\n")


def test_an_override_is_named_as_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", str(TINY), "SOLVER.BASE_LR", "0.5", "--explain", "SOLVER.BASE_LR"]) == 0
    told = capsys.readouterr().out
    assert "0.5" in told
    assert "override" in told


def test_all_mistakes_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", str(TINY), "SOLVER.BASE_RL", "0.5", "SEED", "-1", "MODEL.BACKBONE.NAME", "RestNet"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "3 mistakes in the config" in printed.err
    assert "Did you mean 'BASE_LR'?" in printed.err
    assert "Did you mean 'ResNet'?" in printed.err
    assert "SEED" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.yaml"], "absent.yaml"),
        ([str(TINY), "SEED"], "overrides come as KEY VALUE pairs; 'SEED' has no value"),
        ([str(TINY), "--explain", "SOLVER.BASE_RL"], "Did you mean"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", *arguments]) == 2
    assert message in capsys.readouterr().err
