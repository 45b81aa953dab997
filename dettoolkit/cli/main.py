"""``dettoolkit COMMAND ...``: finds the command's module and turns errors into a message and an exit code."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Sequence

from dettoolkit import __version__

_COMMANDS = {
    "train": "train a detector, or evaluate one (--eval-only)",
    "predict": "detect objects in images, folders or videos",
    "draw-predictions": "draw what a run found on its test pictures",
    "config": "print a config as it resolves, or explain one key of it",
    "convert-config": "turn a RetinaNet config of Detectron2 into one of ours",
    "convert-checkpoint": "turn weights of other toolkits into ours, and back",
    "export-model": "write a detector as ONNX or torch.export, and check that it finds the same",
    "check-dataset": "find what is wrong with data sets, and mend a copy",
    "visualize-data": "draw training samples as the model gets them",
    "check-anchors": "say how many objects the anchors can reach, and what would reach more",
    "doctor": "rehearse a training for minutes: learning rate, one batch by heart, a short run",
    "recipe": "propose batch, learning rate and length for a machine and a data set",
    "compare-runs": "say whether a run is better than another, by how much and how sure",
    "set-thresholds": "choose a score threshold by class for a wish, and write it into a checkpoint",
    "analyze-model": "count parameters, FLOPs and activations",
    "collect-env": "print what a bug report needs",
}
_USAGE = 2  # argparse's own exit code for what cannot be used


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console command; return its exit code: 0, 2 for what cannot be used, or one of the command's own."""
    parser = argparse.ArgumentParser(
        prog="dettoolkit",
        allow_abbrev=False,
        description="Train, understand and ship a dense object detector.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n" + "\n".join(f"  {name:<20}{words}" for name, words in _COMMANDS.items()),
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", type=_command, metavar="COMMAND", help="dettoolkit COMMAND --help says more")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        parser.error(f"a COMMAND is missing, one of {', '.join(_COMMANDS)}")
    chosen = parser.parse_args(given)
    return run_command(chosen.command, chosen.rest, prog=f"dettoolkit {chosen.command}")


def _command(name: str) -> str:
    from dettoolkit.errors import did_you_mean

    if name not in _COMMANDS:
        near = did_you_mean(name, _COMMANDS)
        raise argparse.ArgumentTypeError(f"there is no command {name!r}.{near} Commands: {', '.join(_COMMANDS)}.")
    return name


def run_command(name: str, arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run one command: the console command and the scripts in ``tools/`` are this function.

    Args:
        name: of the command.
        arguments: after the command's name; those of the process when left out.
        prog: how help and messages call it; the script's name when left out.
    """
    from dettoolkit.errors import DettoolkitError

    module = importlib.import_module(f"dettoolkit.cli.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(
        prog=prog,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # an option that a later version adds must not change what a script means
    )
    module.add_arguments(parser)
    given = sys.argv[1:] if arguments is None else arguments
    # argparse takes -1e-4 for an option unless it begins with a space, which YAML does not see
    given = [f" {word}" if re.match(r"-\.?\d|-\.inf", word) else word for word in given]
    # intermixed: an option after KEY VALUE pairs is still an option
    parsed = parser.parse_intermixed_args(given)
    try:
        return module.run(parsed) or 0
    except DettoolkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
