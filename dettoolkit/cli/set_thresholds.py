"""Choose a score threshold for each class that meets a wish, and write it into a checkpoint, which prediction obeys.

python tools/set_thresholds.py --checkpoint runs/my_run/checkpoints/model_final.pth --wish best_f1 --output detector.pth
python tools/set_thresholds.py --checkpoint best.pth --run runs/evaluated --wish "precision>=0.9" --output detector.pth

Wishes: best_f1; precision>=P, and then the highest recall; recall>=R, and then the highest precision; cost=A:M, the least cost
where a false alarm costs A and a miss M. A class whose wish cannot be met gets what comes nearest, and is named.

It is measured on what the run found on its test set, inference/<data set>/predictions.json; no network is run. These must be
the detections of that very checkpoint: of the last evaluation of its run, or of one by --eval-only MODEL.WEIGHTS FILE.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.errors import CheckpointError, ConfigError, listed

if TYPE_CHECKING:
    from dettoolkit.cli.stored_run import StoredRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="of a run, e.g. model_final.pth of its checkpoints/"
    )
    parser.add_argument("--wish", required=True, metavar="W", help="best_f1, precision>=P, recall>=R, or cost=A:M")
    parser.add_argument("--output", required=True, metavar="FILE", help="the checkpoint to write")
    parser.add_argument("--run", metavar="DIR", help="whose detections to measure on (default: the run of the checkpoint)")
    parser.add_argument("--dataset", metavar="NAME", help="of DATASETS.TEST, where there are several")
    parser.add_argument("--config-file", metavar="FILE", help="instead of the config.yaml of the run")
    parser.add_argument("--force", action="store_true", help="overwrite the output if it is there")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. DATASETS.ROOT /data")


def run(arguments: argparse.Namespace) -> None:
    """Choose, write and print."""
    from dettoolkit.checkpoint import fetch, read, write
    from dettoolkit.cli.stored_run import read_run
    from dettoolkit.engine.analysing import threshold_table
    from dettoolkit.evaluation.analysis import Wish, match_detections, score_curves, score_thresholds
    from dettoolkit.inference.stored_detector import SCORE_THRESHOLDS

    wish = Wish.parse(arguments.wish, "--wish")
    output = Path(arguments.output)
    if output.exists() and not (arguments.force and output.is_file()):
        raise ConfigError(f"--output: {output} is there; a file is overwritten with --force only.")
    path = fetch(arguments.checkpoint)
    data = read(path)
    folder = Path(arguments.run) if arguments.run else _run_of(path)
    measured = read_run(folder, arguments.dataset, arguments.config_file, arguments.overrides)
    _check_fits(path, data, measured)
    info = measured.info
    curves = score_curves(match_detections(measured.images, info.num_classes, (0.5,), measured.max_detections))
    thresholds, points = score_thresholds(curves, info.class_names, wish, info.name)
    write(output, {**data, SCORE_THRESHOLDS: thresholds.to_dict()})
    print(threshold_table(info.class_names, points))
    measured_on = f"{info.name}, {len(measured.images)} images, by the detections in {measured.folder}"
    print(f"{output} written: score thresholds for {wish} on {measured_on}")


def _run_of(path: Path) -> Path:
    if path.parent.name != "checkpoints":
        raise ConfigError(f"--run: {path} is not in the checkpoints/ of a run: name the run whose detections to measure on.")
    return path.parent.parent


def _check_fits(path: Path, data: Mapping[str, Any], measured: StoredRun) -> None:
    """Raise where the detections are known to be those of another model."""
    dataset = data.get("dataset")
    names = list(dataset.get("class_names", [])) if isinstance(dataset, Mapping) else None
    if names is None or not isinstance(data.get("config"), str):
        raise CheckpointError(f"{path} is no checkpoint of a run: its keys are {listed(data, 5)}.")
    if names != list(measured.info.class_names):
        raise CheckpointError(
            f"{path} has the classes {listed(names, 10)}; the run in {measured.folder} was evaluated on "
            f"{measured.info.name} with {listed(measured.info.class_names, 10)}."
        )
    evaluated, iteration = _last_evaluation(measured.folder / "metrics.jsonl"), data.get("iteration")
    if evaluated is not None and iteration != evaluated:
        config = measured.folder / "config.yaml"
        raise CheckpointError(
            f"{path} is of iteration {iteration}, the detections in {measured.folder} are of its last evaluation, at iteration "
            f"{evaluated}: other weights have other scores. Evaluate it: tools/train_net.py --config-file {config} --eval-only "
            f"MODEL.WEIGHTS {path} OUTPUT_DIR FOLDER; then --run FOLDER --config-file {config}."
        )


def _last_evaluation(path: Path) -> int | None:
    """Return the iteration of the last evaluation in a run's ``metrics.jsonl``; None where there is none."""
    last = None
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:  # a line that was cut off when a run was ended
            continue
        if isinstance(row, dict) and any(name.rpartition("/")[2].startswith("AP") for name in row):
            last = int(row["iteration"])
    return last
