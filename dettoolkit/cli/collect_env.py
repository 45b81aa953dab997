"""Print what a bug report needs: versions and hardware."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Print."""
    from dettoolkit.engine.environment import describe_environment

    print(describe_environment())
