"""The focal-loss paper's comparison of losses, tables 1a, 1b and 1d, in small: on shapes, with the light model, in minutes.

python benchmarks/paper_orderings.py [--iterations N] [--seeds S] [--only NAME]... [--output DIR] [KEY VALUE ...]

All variants have the same model, pictures, iterations and seeds. A run that is finished is not done again, one that was
broken off goes on. The table is printed and written to DIR/paper_orderings.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import torchvision
from tabulate import tabulate

from dettoolkit.config import load_config
from dettoolkit.engine import train
from dettoolkit.errors import ConfigError, TrainingError

_CE, _FL = "{NAME: CrossEntropyLoss}", "{NAME: FocalLoss, ALPHA: 0.25, GAMMA: 2.0}"


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Args:
        name: of its folder and for ``--only``.
        table: of the paper.
        paper: what the paper has: AP and AP50 in percent, or a word.
        loss: the node ``MODEL.LOSSES.CLASSIFICATION``.
        miner: the node ``MODEL.MINER``.
        prior: the prior probability; 0.5 is a bias of 0, which is no prior.
    """

    name: str
    table: str
    paper: tuple[float, float] | str
    loss: str
    miner: str = "{NAME: AllExamples}"
    prior: float = 0.01

    @property
    def overrides(self) -> list[str]:
        """What is laid over the config."""
        nodes = {"MODEL.LOSSES.CLASSIFICATION": self.loss, "MODEL.MINER": self.miner}
        return [*(word for pair in nodes.items() for word in pair), "MODEL.HEAD.PRIOR_PROBABILITY", str(self.prior)]


def _ohem(more: str = "") -> str:
    return f"{{NAME: OHEM, NUM_EXAMPLES: 128, NMS_IOU_THRESHOLD: 0.5{more}}}"


# the paper's cross-entropy has alpha 0.5: half of the loss here
VARIANTS = (
    Variant("ce_no_prior", "text", "diverged", _CE, prior=0.5),
    Variant("ce", "1a", (30.2, 46.7), _CE),
    Variant("alpha_ce_0.75", "1a", (31.1, 49.4), "{NAME: CrossEntropyLoss, ALPHA: 0.75}"),
    Variant("fl_0.5", "1b", (32.9, 51.7), "{NAME: FocalLoss, ALPHA: 0.5, GAMMA: 0.5}"),
    Variant("fl_2", "1b", (34.0, 52.5), _FL),
    Variant("fl_5", "1b", (32.2, 49.6), "{NAME: FocalLoss, ALPHA: 0.25, GAMMA: 5.0}"),
    Variant("fl_2_no_prior", "text", "not given", _FL, prior=0.5),
    Variant("ohem", "1d", (32.8, 50.3), _CE, _ohem()),
    Variant("ohem_1_to_3", "1d", (31.1, 47.2), _CE, _ohem(", NEGATIVES_PER_POSITIVE: 3")),
)


def run(variant: Variant, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate, unless that is done, and return the outcome: AP and AP50, or how it diverged.

    Raises:
        ConfigError: the folder's outcome is that of other settings.
    """
    folder = Path(options.output) / variant.name / f"seed_{seed}"
    settings = [options.config_file, *options.overrides, *variant.overrides, "SEED", str(seed)]
    settings += ["SOLVER.LENGTH", f"{options.iterations}it", "EVALUATION.PERIOD", "0"]
    file = folder / "outcome.json"
    if file.exists():
        outcome = json.loads(file.read_text(encoding="utf-8"))
        if outcome["settings"] != settings:
            raise ConfigError(
                f"{folder} was trained with {shlex.join(outcome['settings'])}, now asked for is {shlex.join(settings)}. "
                "Choose another --output, or the settings of before."
            )
        return outcome
    cfg = load_config(options.config_file, [*settings[1:], "OUTPUT_DIR", str(folder)])
    outcome = {"settings": settings} | _result(cfg, folder)
    file.write_text(json.dumps(outcome, indent=1), encoding="utf-8")
    return outcome


def _result(cfg: Any, folder: Path) -> dict[str, Any]:
    try:
        train(cfg, resume=any((folder / "checkpoints").glob("*.pth")))
    except TrainingError as error:
        if "is not finite" not in str(error):
            raise
        return {"diverged": str(error)}
    lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    last = [line for line in lines if "bbox/AP" in line][-1]  # also there when a finished training is resumed
    return {"AP": last["bbox/AP"], "AP50": last["bbox/AP50"], "iteration": last["iteration"]}


def row(variant: Variant, outcomes: Sequence[dict[str, Any]]) -> list[str]:
    """Return the cells of a variant; numbers in percent, of the runs that did not diverge."""
    paper = [f"{number:.1f}" for number in variant.paper] if isinstance(variant.paper, tuple) else [variant.paper, ""]
    ended = [outcome for outcome in outcomes if "AP" in outcome]
    ours = []
    for name in ("AP", "AP50"):
        values = [100 * outcome[name] for outcome in ended]
        ours.append(f"{mean(values):.1f} ({min(values):.1f} to {max(values):.1f})" if values else "")
    diverged = f"{len(outcomes) - len(ended)} of {len(outcomes)}"
    return [variant.name, variant.table, *paper, *ours, diverged]


def page(rows: Sequence[Sequence[str]], options: argparse.Namespace, command: str) -> str:
    """Return the table as Markdown."""
    headers = ["variant", "paper's table", "paper's AP", "AP50", "AP here", "AP50 here", "diverged"]
    changes = f", {shlex.join(options.overrides)}" if options.overrides else ""
    return "\n".join(
        [
            "# The paper's orderings, in small",
            "",
            f"`{command}`, {dt.date.today().isoformat()}: Python {platform.python_version()}, torch {torch.__version__}, "
            f"torchvision {torchvision.__version__}, {platform.machine()}, threads: {torch.get_num_threads()}.",
            "",
            f"{options.config_file}{changes}; {options.iterations} iterations, seeds: {options.seeds}. Mean (lowest to "
            "highest), in percent, of the runs that did not diverge. A run diverged when its loss was not finite.",
            "",
            tabulate(rows, headers, tablefmt="github", disable_numparse=True),
            "",
            "The paper's numbers are of COCO; 1a and 1b of ResNet-50, 1d of ResNet-101, where focal loss has 36.0 (54.9).",
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all variants and write the table after each."""
    names = [variant.name for variant in VARIANTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="configs/quick_start.yaml")
    parser.add_argument("--iterations", type=int, default=1000, help="of each run; default 1000")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each variant; default 3")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--output", default="runs/paper_orderings")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="laid over the config of all variants")
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_intermixed_args(words)
    command = shlex.join(["python", "benchmarks/paper_orderings.py", *words])
    outcomes: dict[str, list[dict[str, Any]]] = {}
    for seed in range(options.seeds):  # all variants of one seed first: a table of one run each is there early
        for variant in VARIANTS:
            if variant.name in (options.only or names):
                outcomes.setdefault(variant.name, []).append(run(variant, seed, options))
                rows = [row(known, outcomes[known.name]) for known in VARIANTS if known.name in outcomes]
                text = page(rows, options, command)
                Path(options.output, "paper_orderings.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
