"""Turn a RetinaNet config of Detectron2 into one of ours that means the same.

python tools/convert_config.py detectron2/configs/COCO-Detection/retinanet_R_50_FPN_1x.yaml --output mine.yaml
python tools/convert_config.py theirs.yaml --allow-partial SOLVER.IMS_PER_BATCH 8 MODEL.RETINANET.NUM_CLASSES 3

_BASE_ files are read too; expressions under !!python/object/apply:eval are worked out, never run. Keys of Detectron2 that
have no equivalent are told. Where one of them changes results, nothing is written and the exit code is 1, unless
--allow-partial. The new config is loaded and its model built before it is written.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from dettoolkit.errors import ConfigError

_RESULTS_DIFFER = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("source", metavar="DETECTRON2.yaml", help="a RetinaNet config of Detectron2")
    parser.add_argument("--output", metavar="FILE", help="the config to write (default: print it)")
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it is there")
    parser.add_argument("--allow-partial", action="store_true", help="write it even if results will differ")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY VALUE", help="values of Detectron2's keys, e.g. MODEL.RETINANET.NUM_CLASSES 3"
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert, check and write; return the exit code."""
    from dettoolkit.config.detectron2 import convert_config

    output = Path(arguments.output) if arguments.output else None
    if output is not None and output.exists() and not (arguments.force and output.is_file()):
        raise ConfigError(f"--output: {output} is there; a file is overwritten with --force only.")
    conversion = convert_config(arguments.source, arguments.overrides)
    for finding in conversion.ignored:
        print(f"without influence: {finding}", file=sys.stderr)
    for finding in conversion.lost:
        print(f"results differ: {finding}", file=sys.stderr)
    if conversion.lost and not arguments.allow_partial:
        print("nothing written: pass --allow-partial to do without these keys", file=sys.stderr)
        return _RESULTS_DIFFER
    text = conversion.to_yaml()
    _check(text, arguments.source)
    if output is None:
        print(text, end="")
    else:
        _write(text, output)
    return 0


def _check(text: str, source: str) -> None:
    """Load the config, and build its model and its schedule.

    Raises:
        ConfigError: one of them cannot be had.
    """
    from dettoolkit.config import load_config
    from dettoolkit.modeling import build_model
    from dettoolkit.solver import build_schedule
    from dettoolkit.structures import Duration

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "converted.yaml")
        file.write_text(text, encoding="utf-8")
        try:
            cfg = load_config(file)
            build_model(cfg)
            build_schedule(cfg.SOLVER, Duration.parse(cfg.SOLVER.LENGTH).iterations(1), 1)
        except ConfigError as error:
            words = str(error).replace(f"{file}", "converted.yaml")
            raise ConfigError(f"{source}: what it says cannot be used here. {words}") from None


def _write(text: str, output: Path) -> None:
    part = output.with_name(f"{output.name}.part")  # a file that breaks off in the middle would be a config too
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        os.replace(part, output)
    except OSError as error:
        raise ConfigError(f"--output: {output} cannot be written: {error.strerror}.") from None
    print(f"written: {output}", file=sys.stderr)
