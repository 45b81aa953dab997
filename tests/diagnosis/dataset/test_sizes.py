from __future__ import annotations

from typing import Any

import pytest

Copy = Any  # of conftest.py


@pytest.mark.parametrize("shorter", [60, 128, 256])
def test_objects_that_become_tiny_are_counted_the_smallest_first(drawn: Copy, shorter: int) -> None:
    sides = [min(box["bbox"][2:]) for box in drawn.annotations]  # in images that are 120 high
    drawn.annotation(10, 10, 3, 50)
    drawn.annotation(10, 70, 30, 2, image=1)

    transforms = f"[{{NAME: ResizeShortestEdge, SIZES: [{shorter}], MAX_SIZE: 1000}}]"
    check = drawn.check("DATASETS.TEST_TRANSFORMS", transforms)

    (finding,) = (finding for finding in check.findings if finding.kind == "tiny-objects")
    in_training = [example for example in finding.examples if example.dataset == "train"]
    assert len(in_training) == sum(side * shorter / 120 < 8 for side in [*sides, 3, 2])
    # scaled by the height, which becomes a whole number: 30 x 2 pixels are 2 high
    assert f"has {2 * shorter / 120:.1f} pixels at its shorter side" in in_training[0].text
    assert in_training[0].file_name == "train_1.jpg"
    assert check.is_clean
