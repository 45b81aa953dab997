"""Rehearse a training for minutes before it takes days: learning-rate range test, one batch by heart, a short run.

python tools/doctor.py --config-file configs/quick_start.yaml
python tools/doctor.py --config-file my.yaml --seconds 30 --only smoke
python tools/doctor.py --config-file my.yaml --num-gpus 8 --output doctor_my

What looks wrong is told first, then what was measured, and how long the whole training will take. Models are thrown away,
and no run folder is written. With --num-gpus N one process is rehearsed, with its share of the batch.

Exit code: 0 where nothing looks wrong (hints may be printed), 1 where something does, 2 where nothing can be run.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.errors import ConfigError

if TYPE_CHECKING:
    from dettoolkit.engine.rehearsal import RangeTest

_LOOKS_WRONG = 1
_PARTS = ("range", "overfit", "smoke")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config, or the name of a shipped one")
    parser.add_argument(
        "--only",
        action="append",
        choices=_PARTS,
        metavar="PART",
        help="range, overfit or smoke; may be repeated (default: all)",
    )
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of the short run (default: 60)")
    parser.add_argument("--range-steps", type=int, default=100, metavar="N", help="of the learning-rate test (default: 100)")
    parser.add_argument("--overfit-steps", type=int, default=100, metavar="N", help="on the one batch (default: 100)")
    parser.add_argument("--num-gpus", type=int, default=1, metavar="N", help="processes of the whole training (default: 1)")
    parser.add_argument(
        "--output", metavar="DIR", help="new or empty folder for doctor.json and the learning-rate test's course"
    )
    parser.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. SOLVER.BASE_LR 0.02")


def run(arguments: argparse.Namespace) -> int:
    """Rehearse, print, and return the exit code."""
    from dettoolkit.cli.output_folder import claim_folder
    from dettoolkit.config import load_config
    from dettoolkit.engine import rehearsal

    for name, least in (("range-steps", 30), ("overfit-steps", 1)):  # fewer steps of rising rates say nothing
        if (given := getattr(arguments, name.replace("-", "_"))) < least:
            raise ConfigError(f"--{name}: expected {least} or more, got {given}.")
    if not arguments.seconds > 0:
        raise ConfigError(f"--seconds: expected more than 0, got {arguments.seconds}.")
    whole = load_config(arguments.config_file, arguments.overrides)
    cfg = rehearsal.share_of_a_process(whole, arguments.num_gpus)
    folder = claim_folder(arguments.output) if arguments.output else None
    offline, parts = arguments.offline, arguments.only or _PARTS
    rehearsals: dict[str, Callable[[], Any]] = {
        "smoke": lambda: rehearsal.smoke_run(cfg, arguments.seconds, arguments.num_gpus, offline),
        "range": lambda: rehearsal.learning_rate_range(cfg, arguments.range_steps, offline),
        "overfit": lambda: rehearsal.overfit_one_batch(cfg, arguments.overfit_steps, offline),
    }
    results, failed = _results({part: each for part, each in rehearsals.items() if part in parts})
    found = rehearsal.wrong(**results)
    print("\n".join([rehearsal.plain_words(found, **results), *failed]))
    if folder is not None:
        told: dict[str, Any] = {name: asdict(result) for name, result in results.items()}
        told["findings"] = [finding.to_dict() for finding in found]
        (folder / "doctor.json").write_text(json.dumps(_finite(told), indent=2, allow_nan=False), encoding="utf-8")
        if "range_test" in results:
            _write_course(results["range_test"], folder)
        print(f"written: {folder}")
    return _LOOKS_WRONG if any(finding.severity != "hint" for finding in found) else 0


def _results(rehearsals: dict[str, Callable[[], Any]]) -> tuple[dict[str, Any], list[str]]:
    """Return what rehearsals found, and a line on each that the cause of a short run's failure keeps from running too."""
    results, failed = dict[str, Any](), []
    for part, rehearse in rehearsals.items():
        try:
            results["range_test" if part == "range" else part] = rehearse()
        except Exception as error:  # noqa: PERF203 (three of them)
            if "smoke" not in results or not results["smoke"].failure:
                raise
            failed.append(f"{part}: left out, {type(error).__name__}: {error}")  # what the short run found is told all the same
    return results, failed


def _finite(value: Any) -> Any:
    """Return plain data with null for numbers that JSON does not have: of a loss that is not finite."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_course(test: RangeTest, folder: Path) -> None:
    """Write the losses by learning rate as a table and a picture."""
    from dettoolkit.visualization import save_picture
    from dettoolkit.visualization.chart_pictures import chart_picture
    from dettoolkit.visualization.plots import Series

    with (folder / "learning_rate_range.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["base_lr", "loss", "smoothed"])
        smoothed: list[Any] = [*test.smoothed, *[""] * (len(test.losses) - len(test.smoothed))]
        writer.writerows(zip(test.rates, test.losses, smoothed, strict=True))
    rates = test.rates[: len(test.smoothed)]
    if len(rates) < 2 or min(test.smoothed) <= 0:
        return
    line = Series("smoothed loss", rates, test.smoothed, "#1f77b4")
    picture = chart_picture(
        [line],
        "Learning-rate range test",
        "SOLVER.BASE_LR",
        "loss",
        (rates[0], rates[-1]),
        (min(test.smoothed) * 0.9, max(test.smoothed) * 1.1),
        logarithmic=True,
    )
    save_picture(picture, folder / "learning_rate_range.png")
