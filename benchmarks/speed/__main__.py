"""Time dettoolkit and torchvision on the same work, in turn, in one run, and print the ratios.

python -m benchmarks.speed [ROW ...] [--rounds N] [--threads N] [--device cpu] [--allocator default|keep] [--json FILE]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from tabulate import tabulate

from benchmarks.speed import (
    allocator,
    data_rows,
    dense_rows,
    evaluation_rows,
    export_rows,
    gpu_model_rows,
    gpu_rows,
    model_rows,
)
from benchmarks.speed.timing import Row, Timing, measure
from dettoolkit.errors import did_you_mean

ROWS: dict[str, Callable[[torch.device], Iterator[Row]]] = {
    "focal_loss": dense_rows.focal_loss,
    "focal_loss_kernel": gpu_rows.focal_loss_kernel,
    "matching": dense_rows.matching,
    "post_processing": dense_rows.post_processing,
    "convolution": model_rows.convolution,
    "inference": model_rows.inference,
    "export_forms": export_rows.export_forms,
    "training_step": model_rows.training_step,
    "loading": data_rows.loading,
    "loading_workers": data_rows.loading_workers,
    "coco_evaluation": evaluation_rows.coco_evaluation,
    "gathering": evaluation_rows.gathering,
    "gpu_training": gpu_model_rows.gpu_training,
    "gpu_inference": gpu_model_rows.gpu_inference,
    "host_syncs": gpu_model_rows.host_syncs,
}
HEADERS = ["", "median ms", "lowest", "highest", "extra MiB", "ratio"]


def cells(timings: dict[str, Timing], images: int | None = None) -> list[list[str]]:
    """Return the lines of a row's table; the ratio is the contestant's median over that of the last, the reference.

    Args:
        timings: of the contestants.
        images: of one call; None: images a second are left out.
    """
    reference = list(timings.values())[-1].median
    lines = []
    for name, timing in timings.items():
        memory = "" if timing.extra_mib is None else f"{timing.extra_mib:.0f}"
        numbers = [f"{1e3 * value:.1f}" for value in (timing.median, min(timing.seconds), max(timing.seconds))]
        speed = [] if images is None else [f"{images / timing.median:.1f}"]
        lines.append([name, *numbers, memory, f"{timing.median / reference:.3f}", *speed])
    return lines


def as_json(row: Row, timings: dict[str, Timing]) -> dict[str, Any]:
    """Return plain data of a row."""
    contestants = {name: {"seconds": timing.seconds, "extra_mib": timing.extra_mib} for name, timing in timings.items()}
    return {"title": row.title, "contestants": contestants}


def _problem(options: argparse.Namespace) -> str | None:
    """Return what speaks against the options, before anything is measured."""
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        hints = "".join(did_you_mean(name, list(ROWS)) for name in unknown)
        return f"no row {', '.join(unknown)};{hints} there are {', '.join(ROWS)}"
    if options.rounds < 1:
        return f"--rounds: expected 1 or more, got {options.rounds}"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", options.device):
        return f"--device: expected cpu, cuda or cuda:N, got {options.device!r}"
    if options.device != "cpu" and (torch.device(options.device).index or 0) >= torch.cuda.device_count():
        return f"--device {options.device}: torch {torch.__version__} finds {torch.cuda.device_count()} CUDA devices"
    if options.json and not Path(options.json).absolute().parent.is_dir():
        return f"--json {options.json}: there is no folder {Path(options.json).absolute().parent}"
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the rows asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="calls of each contestant; default 5")
    parser.add_argument("--threads", type=int, help="threads of torch; default: as torch chooses")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N; default cpu")
    parser.add_argument(
        "--allocator", choices=allocator.CHOICES, help="glibc's as it comes, or told to keep freed memory; left out: as it is"
    )
    parser.add_argument("--json", metavar="FILE", help="write all times")
    options = parser.parse_args(arguments)
    problem = _problem(options)
    if problem:
        parser.error(problem)
    if options.allocator:
        try:
            allocator.run_with(options.allocator)
        except ValueError as error:
            parser.error(str(error))
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, {device}"
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, Python {platform.python_version()}"
    print(f"{dt.date.today().isoformat()}, {machine}, {versions}, {options.rounds} rounds\n{allocator.description()}")
    results = []
    for name in options.rows or ROWS:
        for row in ROWS[name](device):
            timings = measure(row, options.rounds, device)
            headers = HEADERS if row.images is None else [*HEADERS, "images/s"]
            lines = cells(timings, row.images)
            table = tabulate(lines, headers, disable_numparse=True, colalign=("left",) + ("right",) * (len(headers) - 1))
            print(f"\n{row.title}\n{table}", flush=True)
            results.append(as_json(row, timings))
    if options.json:
        Path(options.json).write_text(
            json.dumps(
                {"machine": machine, "versions": versions, "allocator": allocator.description(), "rows": results}, indent=1
            )
        )


if __name__ == "__main__":
    main()
