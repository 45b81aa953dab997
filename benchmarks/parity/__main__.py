"""Compare dettoolkit with the references: one table, and exit code 1 where a difference is too large.

python -m benchmarks.parity [--data DIR] [--write docs/parity.md]
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
import torchvision
from tabulate import tabulate

from benchmarks.parity import coco_numbers, detectron2_image, loss_formulas, torchvision_detectors, torchvision_parts
from benchmarks.parity.comparison import Comparison

HEADERS = ["what", "reference", "largest difference", "tolerance", "", "passed"]


def sections(data: str | None) -> Iterator[tuple[str, Callable[[], Iterable[Comparison]] | None]]:
    """Yield the title of each part of the table and what computes it; None where the reference's numbers are absent."""
    folder = Path(data, "detectron2_reference") if data else None
    found = folder is not None and folder.is_dir()
    of_detectron2 = partial(detectron2_image.compare, Path(data or "")) if found else None
    yield "Detectron2's RetinaNet R50-FPN on one picture", of_detectron2
    for name in torchvision_detectors.MODELS:
        yield f"torchvision's {name}, random weights", partial(torchvision_detectors.compare, name)
    yield "Parts of the dense path", torchvision_parts.compare
    yield "The family of losses", loss_formulas.compare
    yield "Evaluation", coco_numbers.compare


def row(comparison: Comparison) -> list[str]:
    """Return the cells of a comparison."""
    numbers = [f"{comparison.difference:.1e}", f"{comparison.tolerance:.0e}" if comparison.tolerance else "0"]
    return [comparison.what, comparison.reference, *numbers, comparison.unit, "yes" if comparison.passed else "NO"]


def page(tables: dict[str, list[Comparison]], skipped: Sequence[str], command: str) -> str:
    """Return the table as Markdown."""
    rows = [comparison for table in tables.values() for comparison in table]
    lines = [
        "# Equal to the references",
        "",
        "What dettoolkit computes beside what others compute from the same inputs and weights, in float32 on the CPU unless",
        "the reference is a formula in float64. The same comparisons are tests (`tests/test_parity.py`).",
        "",
        f"`{command}`, {dt.date.today().isoformat()}: Python {platform.python_version()}, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}. {sum(item.passed for item in rows)} of {len(rows)} within their tolerance.",
    ]
    for title, table in tables.items():
        lines += ["", f"## {title}", "", tabulate([row(item) for item in table], HEADERS, tablefmt="github")]
    lines += ["", *(f"Not compared, its reference is not here: {title}." for title in skipped)]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, write it if asked to, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    help_of_data = "folder with detectron2_reference and bccd; default: $DETTOOLKIT_DATA"
    parser.add_argument("--data", default=os.environ.get("DETTOOLKIT_DATA"), help=help_of_data)
    parser.add_argument("--write", metavar="FILE", help="write the table as Markdown, too")
    parsed = parser.parse_args(arguments)
    tables, skipped = {}, []
    for title, compute in sections(parsed.data):
        print(f"\n{title}")
        if compute is None:
            skipped.append(title)
            print("  not compared: no detectron2_reference in --data or $DETTOOLKIT_DATA")
            continue
        tables[title] = list(compute())
        print(tabulate([row(item) for item in tables[title]], HEADERS))
    if parsed.write:
        command = "python -m benchmarks.parity --write docs/parity.md"
        Path(parsed.write).write_text(page(tables, skipped, command), encoding="utf-8")
    failed = [item for table in tables.values() for item in table if not item.passed]
    print(f"\n{sum(map(len, tables.values())) - len(failed)} comparisons within their tolerance, {len(failed)} not")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
