from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from dettoolkit.config import load_config
from dettoolkit.diagnosis.recipe import GIB, StepMemory, step_memory
from dettoolkit.diagnosis.recipe.memory import kept_for_backward
from dettoolkit.modeling import build_model


class TwoConvolutions(nn.Module):
    """Images of three channels -> eight -> one; what autograd keeps of it can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 1, 1)

    def predictions(self, images: Tensor, image_sizes: object) -> SimpleNamespace:
        return SimpleNamespace(logits=[self.second(self.first(images.float()))], deltas=[], quality=None)


def test_what_is_kept_is_what_was_worked_by_hand() -> None:
    # float32: the input of each convolution, 3 and 8 maps of 64 x 32, and twice the single output map
    assert kept_for_backward(TwoConvolutions(), (64, 32)) == (3 + 8 + 2) * 64 * 32 * 4


def test_memory_is_scaled_by_the_area_and_weights_are_counted_once() -> None:
    model = TwoConvolutions()
    memory = step_memory(model, (512, 1024), "none", optimizer_states=1, on_gpu=False)
    parameters = 3 * 8 * 9 + 8 + 8 + 1
    assert memory.fixed == parameters * 4 * 3  # weights, gradients, momentum
    assert memory.per_image == pytest.approx(1.25 * (3 + 8 + 2) * 512 * 1024 * 4)


def test_a_gpu_s_own_memory_counts() -> None:
    on_gpu, not_on_gpu = (step_memory(TwoConvolutions(), (256, 256), "none", 2, flag).fixed for flag in (True, False))
    assert on_gpu - not_on_gpu == pytest.approx(0.6 * GIB)


def test_images_that_fit() -> None:
    memory = StepMemory(fixed=10.0, per_image=4.0)
    assert [memory.images_within(bytes_) for bytes_ in (5.0, 13.9, 14.0, 30.0)] == [0, 0, 1, 5]
    assert memory.of(5) == 30.0


def test_half_the_precision_keeps_about_half() -> None:
    model = build_model(load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "6"]))
    full, half = (step_memory(model, (512, 512), amp, 2, False).per_image for amp in ("none", "bf16"))
    assert 0.45 < half / full < 0.75


@pytest.mark.slow
def test_resnet50_takes_about_what_detectron2_measured() -> None:
    # its model zoo: RetinaNet R50 1x, two images a GPU: 4.1 GB at most allocated, which leaves out CUDA's own memory
    model = build_model(load_config("retinanet/retinanet_r50_fpn_1x.yaml", ["MODEL.NUM_CLASSES", "80"]))
    with torch.random.fork_rng():
        memory = step_memory(model, (800, 1344), "none", 1, False)
    assert memory.of(2) / 1e9 == pytest.approx(4.1, rel=0.2)
