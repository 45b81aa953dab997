"""Cells of a notebook, in a process of their own: everything twice in a row, nothing left over, and usable after Ctrl-C."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SMALL = Path(__file__).with_name("small.yaml")

CELLS = f"""
import gc, json, logging, multiprocessing, os, sys, threading, traceback

CLASS = '''
from torchvision.transforms import v2
from dettoolkit.registry import TRANSFORMS

@TRANSFORMS.register()
class FromACell(v2.Transform):
    def transform(self, inpt, params):
        return inpt
    '''  # a class in a cell that is run again replaces itself

TRAIN = '''
from dettoolkit.config import load_config
from dettoolkit.engine import evaluate, train

options = ["SOLVER.LENGTH", "2", "EVALUATION.PERIOD", "0", "DATALOADER.NUM_WORKERS", "1"]
options += ["DATASETS.TRAIN_TRANSFORMS", "[{{NAME: FromACell}}]"]
options += ["HOOKS.6", "{{NAME: MetricWriters, WRITERS: [{{NAME: JSONLinesWriter}}, {{NAME: TensorBoardWriter}}]}}"]
cfg = load_config({str(SMALL)!r}, ["OUTPUT_DIR", "runs/cells_{{number}}", *options])
numbers = train(cfg)
'''

INTERRUPTED = '''
from dettoolkit.engine.hooks import Hook
from dettoolkit.registry import HOOKS

@HOOKS.register()
class Interrupt(Hook):
    def after_step(self, trainer):
        raise KeyboardInterrupt

train(load_config({str(SMALL)!r}, ["OUTPUT_DIR", "runs/cells_{{number}}", *options, "HOOKS.2", "{{NAME: Interrupt}}"]))
'''

notebook = {{"__name__": "__main__"}}
seen = []

def run(cell):
    try:
        exec(compile(cell, "<cell>", "exec"), notebook)
        error = ""
    except BaseException as failed:
        sys.last_value = failed  # as a notebook does, with all that its traceback holds
        error = f"{{type(failed).__name__}}: {{failed}}"
    gc.collect()
    seen.append({{
        "error": error,
        "files": sorted(os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd")
                        if os.path.exists(f"/proc/self/fd/{{fd}}")) if os.path.isdir("/proc/self/fd") else [],
        "threads": threading.active_count(),
        "workers": len(multiprocessing.active_children()),
        "handlers": len(logging.getLogger("dettoolkit").handlers),
    }})

sys.modules["__main__"].__dict__.update(notebook)
run(CLASS + "pass")
run(TRAIN)
run(CLASS + "changed = True")
run(TRAIN)
run(TRAIN.replace("runs/cells_{{number}}", "runs/cells_2"))
run(INTERRUPTED)
run(TRAIN)
run("numbers = evaluate(load_config({str(SMALL)!r}, ['OUTPUT_DIR', 'runs/cells_2', *options]))")
print(json.dumps({{"seen": seen, "runs": sorted(os.listdir("runs")), "numbers": len(notebook["numbers"])}}))
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What was seen after each cell, and all that was printed."""
    folder = tmp_path_factory.mktemp("notebook")
    done = subprocess.run([sys.executable, "-c", CELLS], cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return SimpleNamespace(**json.loads(done.stdout.splitlines()[-1]), log=done.stderr, folder=folder)


def test_training_twice_in_a_row_makes_two_runs(cells: SimpleNamespace) -> None:
    errors = [cell["error"] for cell in cells.seen]
    assert [errors[index] for index in (0, 1, 2, 3)] == [""] * 4  # the class of the cell was registered twice
    assert {"cells_1", "cells_2"} <= set(cells.runs)


def test_a_used_folder_is_refused_with_the_next_free_one(cells: SimpleNamespace) -> None:
    assert cells.seen[4]["error"].startswith("CheckpointError: runs/cells_2 holds the checkpoint of an earlier run")
    assert cells.seen[4]["error"].endswith("OUTPUT_DIR runs/cells_3")


def test_after_an_interrupt_all_goes_on(cells: SimpleNamespace) -> None:
    assert cells.seen[5]["error"] == "KeyboardInterrupt: "
    assert cells.seen[6]["error"] == ""
    assert cells.seen[7]["error"] == ""
    assert cells.numbers > 10


@pytest.mark.parametrize("kind", ["threads", "workers", "handlers"])
def test_nothing_is_left_over_of_a_run(cells: SimpleNamespace, kind: str) -> None:
    left = [cell[kind] for cell in cells.seen[1:]]
    assert set(left) == {{"threads": 1, "workers": 0, "handlers": 1}[kind]}


def test_no_file_of_a_run_stays_open(cells: SimpleNamespace) -> None:
    assert not [file for cell in cells.seen for file in cell["files"] if str(cells.folder) in file]


def test_each_line_of_the_log_comes_once(cells: SimpleNamespace) -> None:
    lines = [line for line in cells.log.splitlines() if line.endswith("the run is in runs/cells_2")]
    assert len(lines) == 1
    written = (cells.folder / "runs" / "cells_2" / "log.txt").read_text()
    assert written.count("the run is in runs/cells_2") == 1
