"""A compiled predictor finds what an uncompiled one finds in the same batches, and compiles few shapes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dettoolkit.errors import ConfigError
from dettoolkit.inference import Predictor
from dettoolkit.modeling.compiling import INFERENCE_MULTIPLE, compiled_for_inference
from dettoolkit.structures import Detections


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile with torch's own tracing only, in which nothing is generated; by ``inductor`` where a test asks for it."""
    name = getattr(request, "param", "eager")
    monkeypatch.setattr("dettoolkit.inference.predictor.compiled_for_inference", partial(compiled_for_inference, backend=name))


@pytest.fixture
def predictor(checkpoint: Path, backend: None) -> Any:
    return Predictor.from_checkpoint(checkpoint, "cpu", compile=True)


def picture(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width].copy()


def like(checkpoint: Path) -> Any:
    """An uncompiled predictor that pads as a compiled one does."""
    plain = Predictor.from_checkpoint(checkpoint, "cpu")
    divisibility = math.lcm(plain._predictions.divisibility, INFERENCE_MULTIPLE)
    plain._predictions = replace(plain._predictions, divisibility=divisibility)
    return plain


def assert_near(found: Detections, expected: Detections) -> None:
    assert len(found) == len(expected) > 0
    assert torch.equal(found.labels, expected.labels)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=1e-2)


@pytest.mark.parametrize("backend", ["eager", "inductor"], indirect=True)
def test_detections_are_those_of_an_uncompiled_one_with_the_same_padding(predictor: Any, checkpoint: Path) -> None:
    images = [picture(0), picture(1), picture(2)]
    expected = like(checkpoint)(images, batch_size=3)
    for found, wanted in zip(predictor(images, batch_size=3), expected, strict=True):
        assert_near(found, wanted)
    assert predictor.model.network.num_shapes == 1


def test_images_of_many_sizes_need_few_shapes(predictor: Any) -> None:
    # the shorter side becomes 72, the longer one 72 to 120 (conftest.py): 128 x 128 all of them
    predictor([picture(seed, 40, 40 + 4 * seed) for seed in range(6)], batch_size=1)
    assert predictor.model.network.num_shapes == 1


def test_a_last_batch_is_filled_up_after_a_full_one(predictor: Any, checkpoint: Path) -> None:
    images = [picture(seed) for seed in range(5)]
    found = predictor(images, batch_size=2)
    assert predictor.model.network.num_shapes == 1
    for one, wanted in zip(found, like(checkpoint)(images, batch_size=1), strict=True):
        assert_near(one, wanted)


def test_a_single_image_is_a_batch_of_one(predictor: Any) -> None:
    predictor([picture(0)], batch_size=8)
    (case,) = predictor.model.network.seconds
    assert case[:4] == (1, 3, 128, 128)


def test_after_warming_up_nothing_is_compiled(predictor: Any) -> None:
    assert predictor.warm_up([(40, 56), picture(0, 56, 40)], batch_size=2) > 0
    assert [case[0] for case in predictor.model.network.seconds] == [2]
    predictor([picture(0), picture(1, 48, 40)], batch_size=2)
    assert predictor.model.network.num_shapes == 1


def test_warming_up_needs_no_compiling(checkpoint: Path) -> None:
    assert Predictor.from_checkpoint(checkpoint, "cpu").warm_up([(40, 56)]) > 0
    with pytest.raises(ConfigError, match="batch_size: expected 1 or more, got 0"):
        Predictor.from_checkpoint(checkpoint, "cpu").warm_up([(40, 56)], batch_size=0)


def test_lower_precision_is_compiled_too(checkpoint: Path, backend: None) -> None:
    images = [picture(0)]
    found = Predictor.from_checkpoint(checkpoint, "cpu", precision="bf16", compile=True)(images)[0]
    expected = like(checkpoint)(images)[0]
    assert not torch.equal(found.scores, expected.scores)
    torch.testing.assert_close(found.scores[:5], expected.scores[:5], rtol=0.05, atol=0)


def test_the_model_that_was_passed_stays_as_it_is(predictor: Any, cfg: Any, backend: None) -> None:
    model = predictor.model
    other = Predictor(model, cfg, predictor.info, "cpu", compile=True)
    assert other.model is not model
    assert other.model.network is not model.network


def test_a_model_that_cannot_be_compiled_is_refused(cfg: Any, predictor: Any) -> None:
    class Other(nn.Module):
        size_divisibility = 32

    with pytest.raises(ConfigError, match=r"compile: Other has no method network\(x\) that could be compiled"):
        Predictor(Other(), cfg, predictor.info, "cpu", compile=True)


def test_a_machine_without_a_compiler_is_told_at_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(graph: Any, inputs: Any) -> Any:
        raise FileNotFoundError("no C++ compiler")

    replaced = partial(compiled_for_inference, backend=failing)  # type: ignore[arg-type]
    monkeypatch.setattr("dettoolkit.inference.predictor.compiled_for_inference", replaced)
    with pytest.raises(ConfigError, match=r"compile: torch\.compile failed: FileNotFoundError: no C\+\+ compiler"):
        Predictor.from_checkpoint(checkpoint, "cpu", compile=True)
