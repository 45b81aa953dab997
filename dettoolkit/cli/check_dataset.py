"""Check the data sets of a config before hours are lost to them: boxes, classes, image files, pictures that are there twice.

python tools/check_dataset.py --config-file my.yaml
python tools/check_dataset.py --config-file my.yaml --output check --json check.json
python tools/check_dataset.py --config-file my.yaml --fix mended

All sets of DATASETS.TRAIN and DATASETS.TEST are checked to the end, whatever DATASETS.ON_BAD is. Exit code: 0 clean (hints
are no faults), 1 errors or warnings were found, 2 the config or a whole data set cannot be read.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from dettoolkit.errors import ConfigError

_FOUND = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config, or the name of a shipped one")
    parser.add_argument(
        "--datasets", nargs="+", metavar="NAME", help="names in DATASETS.CATALOG (default: those of TRAIN and TEST)"
    )
    parser.add_argument("--quick", action="store_true", help="read the headers of images only: no truncated, no equal pictures")
    parser.add_argument(
        "--overlaps", action="store_true", help="look for shifted pictures of the same scene too (minutes for 1,000 images)"
    )
    parser.add_argument(
        "--examples", type=int, default=5, metavar="N", help="examples of each finding in the text (default: 5)"
    )
    parser.add_argument(
        "--fix", metavar="OUT", help="write a mended copy into a new or empty folder: COCO's format, with a list of changes"
    )
    parser.add_argument("--output", metavar="DIR", help="write a page with pictures of the findings, and findings.json, there")
    parser.add_argument("--json", metavar="FILE", help="write the findings as JSON")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that decode images (default: one for each processor)"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config values, e.g. DATASETS.ROOT my_data")


def run(arguments: argparse.Namespace) -> int:
    """Check."""
    from dettoolkit.cli.output_folder import claim_folder
    from dettoolkit.config import load_config
    from dettoolkit.diagnosis.dataset import as_data, as_text, check_datasets
    from dettoolkit.diagnosis.dataset.mending import left_as_they_are, write_mended_copy
    from dettoolkit.report.findings_page import write_findings_page

    cfg = load_config(arguments.config_file, arguments.overrides)
    if arguments.quick and (arguments.overlaps or arguments.fix):
        option = "--overlaps" if arguments.overlaps else "--fix"
        raise ConfigError(f"{option} needs the pixels, and --quick reads none: give one of the two.")
    output = claim_folder(arguments.output) if arguments.output else None
    mended = claim_folder(arguments.fix, "--fix") if arguments.fix else None
    check = check_datasets(
        cfg,
        _names(arguments, cfg),
        decode=not arguments.quick,
        overlaps=arguments.overlaps,
        workers=_workers(arguments.workers),
    )
    print(as_text(check, max(0, arguments.examples)))
    if arguments.json:
        _write_json(Path(arguments.json), as_data(check))
    if output is not None:
        page = write_findings_page(output, f"Check of {Path(arguments.config_file).name}", check.findings, check.read_image)
        _write_json(output / "findings.json", as_data(check))
        print(f"the page with pictures is {page}")
    if mended is not None:
        changes = write_mended_copy(check, cfg, mended)
        number = f"{len(changes)} change{'s' * (len(changes) != 1)}"
        print(f"{number}, listed in {mended / 'changes.txt'}; the mended copy's config is {mended / 'config.yaml'}")
        print("".join(f"{line}\n" for line in left_as_they_are(check)), end="")
    return 0 if check.is_clean else _FOUND


def _names(arguments: argparse.Namespace, cfg: Any) -> list[str]:
    names = arguments.datasets or [*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST]
    if not names:
        raise ConfigError("DATASETS.TRAIN and DATASETS.TEST are empty: there is nothing to check; --datasets NAME names sets.")
    for name in names:
        if "." in name and name not in cfg.DATASETS.CATALOG:  # a config value that --datasets took for another name
            raise ConfigError(
                f"--datasets: no data set {name!r}. KEY VALUE pairs come before --datasets, or after another option."
            )
    return list(dict.fromkeys(names))


def _workers(given: int | None) -> int:
    if given is not None and given < 0:
        raise ConfigError(f"--workers: expected 0 or more, got {given}.")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return usable if given is None else given


def _write_json(path: Path, data: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
