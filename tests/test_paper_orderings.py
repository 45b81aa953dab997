"""The script that compares losses as the paper's tables do: what it trains, what it makes of the outcomes, one short run."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from dettoolkit.config import load_config
from dettoolkit.errors import ConfigError, TrainingError

ROOT = Path(__file__).parents[1]
TINY = str(ROOT / "configs/tiny.yaml")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.paper_orderings")


def options(**others: Any) -> argparse.Namespace:
    usual = {"config_file": TINY, "iterations": 1, "seeds": 2, "overrides": []}
    return argparse.Namespace(**usual | others)


def test_the_variants_are_what_their_names_say(script: Any) -> None:
    models = {variant.name: load_config(TINY, variant.overrides).MODEL for variant in script.VARIANTS}
    unweighted = {"CLASS_WEIGHTS": "none", "EFFECTIVE_NUMBER_BETA": 0.999}
    given = {name: dict(model.LOSSES.CLASSIFICATION) for name, model in models.items()}
    assert all(unweighted.items() <= loss.items() for loss in given.values())
    losses = {name: {key: loss[key] for key in loss if key not in unweighted} for name, loss in given.items()}
    assert losses["ce"] == losses["ce_no_prior"] == losses["ohem"] == {"NAME": "CrossEntropyLoss", "ALPHA": None}
    assert losses["alpha_ce_0.75"] == {"NAME": "CrossEntropyLoss", "ALPHA": 0.75}
    for gamma, alpha in ((0.5, 0.5), (2.0, 0.25), (5.0, 0.25)):
        assert losses[f"fl_{gamma:g}"] == {"NAME": "FocalLoss", "ALPHA": alpha, "GAMMA": gamma}
    assert {name for name, model in models.items() if model.HEAD.PRIOR_PROBABILITY == 0.5} == {"ce_no_prior", "fl_2_no_prior"}
    ratios = {name: model.MINER.NEGATIVES_PER_POSITIVE for name, model in models.items() if model.MINER.NAME == "OHEM"}
    assert ratios == {"ohem": None, "ohem_1_to_3": 3}
    assert len(models) == len(script.VARIANTS) == 9


def test_a_row_has_mean_and_spread_of_the_runs_that_ended(script: Any) -> None:
    variant = next(variant for variant in script.VARIANTS if variant.name == "fl_2")
    ended = [{"AP": 0.4, "AP50": 0.6}, {"AP": 0.43, "AP50": 0.63}]
    paper = ["fl_2", "1b", "34.0", "52.5"]
    assert script.row(variant, ended) == [*paper, "41.5 (40.0 to 43.0)", "61.5 (60.0 to 63.0)", "0 of 2"]
    assert script.row(variant, [*ended, {"diverged": "iteration 3"}])[4:] == [
        "41.5 (40.0 to 43.0)",
        "61.5 (60.0 to 63.0)",
        "1 of 3",
    ]
    assert script.row(variant, [{"diverged": "iteration 3"}])[4:] == ["", "", "1 of 1"]


def test_a_run_that_diverges_is_an_outcome_and_other_errors_are_errors(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(cfg: Any, resume: bool) -> None:
        Path(cfg.OUTPUT_DIR).mkdir(parents=True, exist_ok=True)
        raise TrainingError(message)

    monkeypatch.setattr(script, "train", fail)
    message = "the data is gone"
    with pytest.raises(TrainingError, match="the data is gone"):
        script.run(script.VARIANTS[0], 0, options(output=str(tmp_path)))
    message = "iteration 7: the loss is not finite (loss nan)"
    assert script.run(script.VARIANTS[0], 0, options(output=str(tmp_path)))["diverged"] == message


def test_it_trains_writes_the_table_and_does_nothing_twice(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config-file", TINY, "--iterations", "1", "--seeds", "1", "--only", "ohem", "--output", str(tmp_path)]
    script.main([*words, "MODEL.BACKBONE.NORM", "GN"])
    outcome = json.loads((tmp_path / "ohem/seed_0/outcome.json").read_text("utf-8"))
    assert outcome["iteration"] == 1
    assert 0 <= outcome["AP"] <= outcome["AP50"] <= 1
    table = (tmp_path / "paper_orderings.md").read_text("utf-8")
    assert "MODEL.BACKBONE.NORM GN" in table
    assert sum(line.startswith("| ohem ") for line in table.splitlines()) == 1
    assert table in capsys.readouterr().out

    monkeypatch.setattr(script, "train", None)
    script.main([*words, "MODEL.BACKBONE.NORM", "GN"])
    with pytest.raises(ConfigError, match=r"was trained with .*--output"):
        script.main(words)
