"""Say whether run B is better than run A, by how much and how sure, from what both found on the same images.

python tools/compare_runs.py runs/a runs/b
python tools/compare_runs.py runs/a runs/b --dataset my_val --json comparison.json DATASETS.ROOT /data

Each folder's inference/<data set>/predictions.json is read, and the ground truth that its config.yaml names; no network is run.
AP and AP50 come with bootstrap intervals of 95 % over the images, their difference with one of both resampled together.
Below stand the numbers of metrics.jsonl and the config keys that differ.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.errors import ConfigError

if TYPE_CHECKING:
    from dettoolkit.cli.stored_run import StoredRun
    from dettoolkit.evaluation.analysis import Comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("first", metavar="A", help="the folder of a run, or of one of its evaluations")
    parser.add_argument("second", metavar="B", help="the folder of another one")
    parser.add_argument("--dataset", metavar="NAME", help="of DATASETS.TEST, where there are several")
    parser.add_argument("--config-file", metavar="FILE", help="instead of the config.yaml of both folders")
    parser.add_argument("--replicates", type=int, default=1000, metavar="N", help="resamples of the images (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the resampling (default: 0)")
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values for both, e.g. DATASETS.ROOT /data")


def run(arguments: argparse.Namespace) -> None:
    """Compare and print."""
    from dettoolkit.cli.run_differences import config_differences, last_numbers
    from dettoolkit.cli.stored_run import check_same_images, read_run

    if arguments.replicates < 1:
        raise ConfigError(f"--replicates: expected 1 or more, got {arguments.replicates}.")
    if arguments.seed < 0:
        raise ConfigError(f"--seed: expected 0 or more, got {arguments.seed}.")
    first, second = (
        read_run(Path(folder), arguments.dataset, arguments.config_file, arguments.overrides)
        for folder in (arguments.first, arguments.second)
    )
    check_same_images(first, second)
    comparison = _compare(first, second, arguments.replicates, arguments.seed)
    keys = config_differences(first.cfg, second.cfg)
    metrics = last_numbers(first.folder, second.folder, first.info.name)
    if arguments.json:
        data = _as_data(comparison, first, second) | {"metrics": metrics, "config": keys}
        _write_json(Path(arguments.json), data | {"replicates": arguments.replicates, "seed": arguments.seed})
    print(_text(comparison, first, second, metrics, keys))


def _compare(first: StoredRun, second: StoredRun, num_replicates: int, seed: int) -> Comparison:
    from dettoolkit.evaluation.analysis import compare_precision, match_detections

    by_id = {image.image_id: image for image in second.images}
    limit = max(first.max_detections, second.max_detections)
    first_matched, second_matched = (
        match_detections(images, first.info.num_classes, max_detections=limit)
        for images in (first.images, [by_id[image.image_id] for image in first.images])
    )
    return compare_precision(first_matched, second_matched, num_replicates, seed)


def _rows(comparison: Comparison, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return the intervals of A, of B and of the difference by the name of the number."""
    parts = (comparison.first, comparison.second, comparison.difference)
    rows = {"AP": [part.ap for part in parts], "AP50": [part.ap50 for part in parts]}
    for label, name in enumerate(names):
        rows[f"AP-{name}"] = [part.ap_by_class[label] for part in parts]
        rows[f"AP50-{name}"] = [part.ap50_by_class[label] for part in parts]
    return rows


def _text(comparison: Comparison, first: StoredRun, second: StoredRun, metrics: dict[str, Any], keys: dict[str, Any]) -> str:
    from dettoolkit.cli.run_differences import class_rows, key_table, metric_table, precision_table

    rows = _rows(comparison, first.info.class_names)
    wide = {name: rows.pop(name) for name in ("AP", "AP50")}
    shown, words = class_rows(rows)
    head = (
        f"A: {first.folder}\nB: {second.folder}\n{first.info.name}: {len(first.images)} images, "
        f"{first.info.num_classes} classes; intervals of {100 * comparison.difference.confidence:g} %"
    )
    tables = [head, precision_table({**wide, **shown}) + words, metric_table(metrics), key_table(keys), comparison.in_words()]
    return "\n\n".join(table for table in tables if table)


def _as_data(comparison: Comparison, first: StoredRun, second: StoredRun) -> dict[str, Any]:
    rows = _rows(comparison, first.info.class_names)
    sides = ("a", "b", "difference")
    return {
        "a": str(first.folder),
        "b": str(second.folder),
        "dataset": first.info.name,
        "num_images": len(first.images),
        "confidence": comparison.difference.confidence,
        "numbers": {
            name: {side: _finite(vars(interval)) for side, interval in zip(sides, row, strict=True)}
            for name, row in rows.items()
        },
        **_finite({"chance_no_better": comparison.chance_no_better, "p_value": comparison.p_value}),
        "in_words": comparison.in_words(),
    }


def _finite(numbers: dict[str, float]) -> dict[str, float | None]:
    return {name: value if value == value else None for name, value in numbers.items()}  # NaN is no JSON


def _write_json(path: Path, data: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json: {path} cannot be written: {error.strerror}.") from None
