"""Measure how time and memory grow, draw the curves and write their tables into a page.

python -m benchmarks.growth [CURVE ...] [--output docs/benchmarks/growth] [--rounds N] [--again]

Points that are measured are kept: a run that was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.growth.curves import CURVES
from benchmarks.growth.drawing import curve_picture
from benchmarks.growth.measured import Measured
from benchmarks.growth.networks import CONFIG
from benchmarks.growth.page import update_page
from benchmarks.growth.point import PointError, measured_in_a_process
from benchmarks.speed.allocator import description
from dettoolkit.visualization import save_picture


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the curves asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="*", metavar="CURVE", help=f"of {', '.join(CURVES)}; default: all")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("docs/benchmarks/growth"),
        help="folder of numbers and pictures; the page stands beside it",
    )
    parser.add_argument("--rounds", type=int, default=3, help="calls of which the median counts; default 3")
    parser.add_argument("--values", type=int, nargs="+", metavar="N", help="instead of each curve's own")
    parser.add_argument("--config-file", type=Path, default=CONFIG, help="another detector than RetinaNet R50-FPN")
    parser.add_argument("--again", action="store_true", help="measure curves again that are there")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.curves if name not in CURVES]
    if unknown:
        parser.error(f"no curve {', '.join(unknown)}; there are {', '.join(CURVES)}")
    if options.rounds < 1:
        parser.error(f"--rounds expects at least 1, got {options.rounds}")
    if not options.config_file.is_file():
        parser.error(f"--config-file: there is no {options.config_file}")
    measured = Measured(options.output / "growth.json", conditions(options.rounds, options.config_file))
    for name in options.curves or CURVES:
        _measure(name, measured, options)
        if name in measured.curves:
            save_picture(curve_picture(CURVES[name], measured.parts(name)), options.output / f"{name}.png")
            update_page(options.output.with_suffix(".md"), options.output, measured)


def conditions(rounds: int, config: Path) -> dict[str, str]:
    """Return what points must have in common to stand in one curve."""
    return {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
        "config": config.name,
        "rounds": str(rounds),
        "allocator": description().split(":")[0].removeprefix("allocator "),
    }


def _measure(name: str, measured: Measured, options: argparse.Namespace) -> None:
    """Measure the points of a curve that are missing; one that fails, out of memory say, is told and left out."""
    if options.again:
        measured.forget(name)
    missing = [value for value in options.values or CURVES[name].values if not measured.has(name, value)]
    if not missing:
        print(f"{name}: done; --again measures it again")
        return
    if (changed := measured.other_conditions(name)) is not None:
        raise SystemExit(f"{name}: some points are measured already, but {changed}. --again measures all of them again.")
    for value in missing:
        try:
            point = measured_in_a_process(name, value, options.rounds, options.config_file)
        except PointError as error:
            print(f"not measured: {error}", flush=True)
            continue
        measured.add(name, point)
        whole, part = next(iter(point["parts"].items()))
        print(f"{name} at {value:,}: {whole}, {1e3 * min(part['seconds']):.1f} ms at best", flush=True)


if __name__ == "__main__":
    main()
