"""Train a detector as a config says, or evaluate one.

python tools/train_net.py --config-file configs/quick_start.yaml
python tools/train_net.py --config-file my.yaml --num-gpus 8 SOLVER.BASE_LR 0.02
torchrun --nproc-per-node 8 tools/train_net.py --config-file my.yaml
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dettoolkit.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config, or the name of a shipped one")
    parser.add_argument(
        "--num-gpus", type=int, default=1, metavar="N", help="processes on this machine, one a GPU (default: 1)"
    )
    parser.add_argument("--num-machines", type=int, default=1, metavar="M", help="machines that train together (default: 1)")
    parser.add_argument("--machine-rank", type=int, default=0, metavar="R", help="number of this machine, from 0 (default: 0)")
    parser.add_argument("--dist-url", default="auto", metavar="URL", help="tcp://HOST:PORT of machine 0 (default: auto)")
    parser.add_argument("--max-restarts", type=int, default=0, metavar="K", help="restarts after a process failed (default: 0)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint of OUTPUT_DIR")
    parser.add_argument(
        "--eval-only",
        action="store_true",
        help="evaluate MODEL.WEIGHTS; without, or with --resume, OUTPUT_DIR's newest checkpoint",
    )
    parser.add_argument(
        "--profile", action="store_true", help="write OUTPUT_DIR/profile: where the time of a step goes, and a trace"
    )
    parser.add_argument(
        "--offline", action="store_true", help="never use the network: weights are files, or downloaded already"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. SOLVER.BASE_LR 0.02")


def run(arguments: argparse.Namespace) -> None:
    """Start the processes."""
    from dettoolkit.config import load_config
    from dettoolkit.distributed import launch

    if arguments.profile and arguments.eval_only:
        raise ConfigError("--profile is of training steps: it does not go with --eval-only.")
    cfg = load_config(arguments.config_file, arguments.overrides)  # mistakes are told once, before any process starts
    launch(
        run_process,
        (
            arguments.config_file,
            arguments.overrides,
            arguments.resume,
            arguments.eval_only,
            arguments.offline,
            arguments.profile,
        ),
        arguments.num_gpus,
        arguments.num_machines,
        arguments.machine_rank,
        arguments.dist_url,
        arguments.max_restarts,
        cfg.MODEL.DEVICE,
    )


def run_process(
    config_file: str, overrides: Sequence[str], resume: bool, eval_only: bool, offline: bool, profile: bool
) -> dict[str, float]:
    """Train or evaluate in one process of the group, and return the last evaluation's numbers."""
    from dettoolkit.config import load_config
    from dettoolkit.engine import evaluate, train

    cfg = load_config(config_file, overrides)
    cfg.OUTPUT_DIR = cfg.OUTPUT_DIR or f"runs/{Path(config_file).stem}"
    if eval_only:
        return evaluate(cfg, resume, offline)
    return train(cfg, resume, offline, profile)
