from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dettoolkit.engine.rehearsal.first_batches import FirstBatches


class _Loader(list[Any]):
    """Batches, as of a data set."""

    dataset = None


def test_images_are_counted_not_their_views() -> None:
    def batches() -> list[Any]:
        return [SimpleNamespace(samples=[{"num_views": 10}] * 3) for _ in range(40)]

    first = FirstBatches(_Loader(batches()), 2)  # type: ignore[arg-type]
    assert len(list(first)) == 4  # 12 views: the first image has ten
    assert first.seen == pytest.approx(1.2)
    assert len(list(FirstBatches(_Loader(batches()), 8))) == 8  # type: ignore[arg-type]
