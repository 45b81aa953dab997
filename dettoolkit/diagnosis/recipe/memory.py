"""The memory of a training step, measured on small images and scaled to those of the training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

GIB = 2**30
_SIDE = 256  # pixels of the images that are measured: batch norm needs more than one place at the coarsest level
_TEMPORARY = 1.25  # what a step takes over what it must keep: temporary buffers, and pieces that the allocator cannot use
_CONTEXT = 0.6 * GIB  # of CUDA and its libraries, for a process


@dataclass(frozen=True)
class StepMemory:
    """What a training step needs, in bytes.

    Args:
        fixed: of each process, whatever the batch: weights, gradients, the optimizer's state, and CUDA itself.
        per_image: what the network keeps of an image until the backward pass, and of its losses.
    """

    fixed: float
    per_image: float

    def of(self, images: int) -> float:
        """Return the bytes of a step with that many images at a time."""
        return self.fixed + self.per_image * images

    def images_within(self, memory: float) -> int:
        """Return how many images at a time fit into so many bytes; 0 where not even one does."""
        return max(0, int((memory - self.fixed) / self.per_image))


def step_memory(
    model: nn.Module, size: tuple[int, int], amp: Literal["none", "bf16", "fp16"], optimizer_states: int, on_gpu: bool
) -> StepMemory:
    """Measure on the CPU what autograd keeps of two small images, and scale what grows with the area.

    What does not grow are the copies of the weights in another precision.

    Args:
        model: a detector with ``predictions(images, image_sizes)``; its batch statistics are changed.
        size: (height, width) of the padded images of the training.
        amp: autocast precision of the training; fp16 is counted as bf16, which is as large.
        optimizer_states: tensors that the optimizer keeps for each parameter: 1 for SGD with momentum, 2 for AdamW.
        on_gpu: whether CUDA's own memory counts.
    """
    weights = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    trained = sum(value.numel() * value.element_size() for value in model.parameters() if value.requires_grad)
    one, two = (kept_for_backward(model, (_SIDE, width), amp) for width in (_SIDE, 2 * _SIDE))
    grown = (two - one) * (size[0] * size[1]) / _SIDE**2
    fixed = weights + trained * (1 + optimizer_states) + max(0, 2 * one - two) + (_CONTEXT if on_gpu else 0)
    return StepMemory(fixed, grown * _TEMPORARY)


def kept_for_backward(model: nn.Module, size: tuple[int, int], amp: Literal["none", "bf16", "fp16"] = "none") -> int:
    """Return the bytes that stay between forward and backward for one image of (height, width) ``size``.

    Counted are the tensors that autograd keeps, each storage once and parameters not at all, and twice the network's outputs:
    the classification loss keeps a gradient as large as they are, and the backward pass begins with another one.
    """
    own = {value.untyped_storage().data_ptr() for value in [*model.parameters(), *model.buffers()]}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no other tensor gets its place
        return tensor

    channels: int = getattr(getattr(model, "normalization", None), "num_channels", 3)
    images = torch.zeros(1, channels, *size, dtype=torch.uint8)
    model.train()
    network: Any = model
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=amp != "none"),
    ):
        predictions = network.predictions(images, [size])
    outputs = [*predictions.logits, *predictions.deltas, *(predictions.quality or ())]
    saved = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)
    return saved + 2 * sum(output.numel() * output.element_size() for output in outputs)
