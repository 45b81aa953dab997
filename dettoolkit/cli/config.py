"""Print a config as it resolves, or explain one key of it.

dettoolkit config configs/quick_start.yaml SOLVER.BASE_LR 0.02
dettoolkit config configs/quick_start.yaml --explain MODEL.HEAD.PRIOR_PROBABILITY
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="the config, or the name of a shipped one")
    parser.add_argument("--explain", metavar="KEY", help="say where the value of KEY came from and what it means")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. SOLVER.BASE_LR 0.02")


def run(arguments: argparse.Namespace) -> None:
    """Print."""
    from dettoolkit.config import dump_config, explain, resolve_config

    resolved = resolve_config(arguments.file, arguments.overrides)
    text = explain(resolved, arguments.explain) if arguments.explain else dump_config(resolved.cfg)
    print(text.rstrip("\n"))
