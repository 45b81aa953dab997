"""Write a detector as a file that runs without dettoolkit: ONNX, or torch.export.

python tools/export_model.py --checkpoint runs/my_run/checkpoints/model_final.pth --format onnx --output detector.onnx

The file takes any number of images and any size that its divisibility divides, and says itself what belongs to it: classes,
transforms, thresholds. Before it is there it is run at two batch sizes and two picture sizes: unless its boxes are within
0.001 pixels of the model's, and its scores within 0.00001, no file is left and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dettoolkit.errors import ConfigError

if TYPE_CHECKING:
    from dettoolkit.export import Check

_DIFFERENT = 1
_HEADERS = ["batch", "size", "detections", "by rounding", "boxes differ, px", "scores differ", "model ms", "file ms"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="of a run, e.g. runs/my_run/checkpoints/model_final.pth"
    )
    parser.add_argument("--format", required=True, choices=("onnx", "torch_export"), help="who runs the file")
    parser.add_argument("--output", required=True, metavar="FILE", help="the file to write: .onnx, or .pt2 for torch_export")
    parser.add_argument(
        "--nms", choices=("inside", "outside"), default="inside", help="who removes duplicates: the file, or who runs it"
    )
    parser.add_argument(
        "--images", nargs="+", default=[], metavar="FILE", help="two pictures to compare on (default: generated ones)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the output if it is there")
    parser.add_argument(
        "--plugins", nargs="+", default=[], metavar="FILE", help="Python files with components of the run's own"
    )


def run(arguments: argparse.Namespace) -> int:
    """Export; return 0, or 1 where the file finds something else than the model."""
    from tabulate import tabulate

    from dettoolkit.export import FORMATS, export_detector
    from dettoolkit.inference.stored_detector import StoredDetector

    output, ending = Path(arguments.output), FORMATS[arguments.format][0]
    if output.suffix != ending:
        raise ConfigError(f"--output: {output}: a file of {arguments.format} ends in {ending}.")
    if output.exists() and not (arguments.force and output.is_file()):
        raise ConfigError(f"--output: {output} is there; a file is overwritten with --force only.")
    stored = StoredDetector.read(arguments.checkpoint, arguments.plugins)
    checks = export_detector(stored, output, arguments.format, arguments.nms, arguments.images)
    print(tabulate([_row(check) for check in checks], _HEADERS, disable_numparse=True, colalign=("right",) * len(_HEADERS)))
    problems = [check for check in checks if check.differences.problem is not None]
    for check in problems:
        where = f"batch of {check.batch_size} at {_size(check)}"
        print(f"error: {output} is not written: {where}: {check.differences.problem}", file=sys.stderr)
    if problems:
        return _DIFFERENT
    print(f"{output} written: {output.stat().st_size / 2**20:.1f} MiB, NMS {arguments.nms}")
    return 0


def _row(check: Check) -> list[str]:
    found = check.differences
    numbers = [str(check.batch_size), _size(check), str(found.num_detections), str(found.num_rounded)]
    milliseconds = [f"{1e3 * seconds:.1f}" for seconds in (check.eager_seconds, check.exported_seconds)]
    return [*numbers, f"{found.box:.2g}", f"{found.score:.2g}", *milliseconds]


def _size(check: Check) -> str:
    return f"{check.size[0]} x {check.size[1]}"
