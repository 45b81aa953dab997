"""The losses of a training in bfloat16 beside those of the same training in float32, window by window.

python benchmarks/bfloat16_losses.py [--config-file FILE] [--iterations N] [--window N] [KEY VALUE ...]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from tabulate import tabulate

from dettoolkit.config import load_config
from dettoolkit.engine import train


def losses(config_file: str, overrides: Sequence[str], iterations: int, amp: str) -> list[float]:
    """Return the loss of each step; the seed, and so the weights and pictures, are the config's."""
    with tempfile.TemporaryDirectory() as folder:
        writers = "{NAME: MetricWriters, PERIOD: 1, WRITERS: [{NAME: JSONLinesWriter}]}"
        hooks = f"[{{NAME: LearningRate}}, {{NAME: NonFiniteLoss}}, {writers}]"
        settings = ["SOLVER.LENGTH", f"{iterations}it", "SOLVER.AMP", amp, "DATASETS.TEST", "[]", "HOOKS", hooks]
        train(load_config(config_file, [*overrides, *settings, "OUTPUT_DIR", f"{folder}/run"]))
        lines = Path(folder, "run", "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["loss"] for line in lines]


def rows(exact: Sequence[float], half: Sequence[float], window: int) -> list[list[str]]:
    """Return the mean losses of each window of steps, and the second over the first."""
    found = []
    for start in range(0, len(exact), window):
        first, second = mean(exact[start : start + window]), mean(half[start : start + window])
        steps = f"{start + 1} to {min(start + window, len(exact))}"
        found.append([steps, f"{first:.4f}", f"{second:.4f}", f"{second / first:.4f}"])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Train twice and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="configs/quick_start.yaml")
    parser.add_argument("--iterations", type=int, default=300, help="steps of each training; default 300")
    parser.add_argument("--window", type=int, default=50, help="steps of a line; default 50")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="laid over the config")
    options = parser.parse_intermixed_args(arguments)
    exact, half = (losses(options.config_file, options.overrides, options.iterations, amp) for amp in ("none", "bf16"))
    headers = ["steps", "float32", "bfloat16", "ratio"]
    print(tabulate(rows(exact, half, options.window), headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
