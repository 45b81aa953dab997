"""Workers do not copy the records that they read: their memory stays, where that of Python objects grows."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dettoolkit.data.workers import Workers

RECORDS, AT_ONCE = 20_000, 100


class Reading:
    """Stands for a source of batches: reads records and keeps nothing."""

    def __init__(self, records: Any) -> None:
        self.records = records

    def __getitem__(self, items: Sequence[int]) -> float:
        return sum(float(self.records[item].boxes[0, 0]) for item in items)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("this system does not say what memory processes share")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    return importlib.import_module("benchmarks.loader_memory")


def growth(memory: Any, as_list: bool) -> float:
    """MiB by which a worker grew at least, from its first records to all that it read."""
    dataset = memory.TinyPictures(RECORDS, as_list)
    batches = [list(range(start, start + AT_ONCE)) for start in range(0, RECORDS, AT_ONCE)]
    loader = Workers(2, start_method="fork").loader(Reading(dataset.records), batches)  # type: ignore[arg-type]
    first, last = memory.worker_sizes(loader, [10, len(batches)])
    assert len(first) == len(last) == 2
    return max(after - before for before, after in zip(first, last, strict=True))


def test_records_in_one_tensor_are_read_without_copies(memory: Any) -> None:
    # 20,000 records are 5 MB of the tensor; copies of them would show, and each worker reads half
    assert growth(memory, as_list=False) < 1.0


def test_the_same_test_fails_for_records_that_are_python_objects(memory: Any) -> None:
    # each worker reads 10,000 records of five objects with a reference count each, 56 bytes or more: 2.8 MB at the least
    assert growth(memory, as_list=True) > 2.0


def test_the_table_has_a_line_for_each_moment(memory: Any, capsys: pytest.CaptureFixture[str]) -> None:
    memory.main(["--records", "300", "--workers", "1", "--batches", "8"])
    table = [line for line in capsys.readouterr().out.splitlines()[5:] if line]
    assert [line.split()[:3] for line in table] == [["300", str(n), f"{100 * n}"] for n in (1, 2, 4, 8)]
    assert all(float(line.split()[4]) > 1 for line in table)
