"""Triton on CUDA: one pass reads the logits and writes losses and gradient; computed in float32.

Only :mod:`dettoolkit.modeling.losses.sigmoid_loss` imports this, where :func:`implementation_for` says so: Triton is optional.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dettoolkit.modeling.losses.kernels.formula import Work
from dettoolkit.modeling.losses.kernels.triton_math import loss_and_slope

_TILE = 2048  # elements that a program works on at a time
_SCALED_BY_A_PROGRAM = 1 << 16  # elements


@triton.jit(
    do_not_specialize=["num_rows", "rows_of_image", "labels_n", "labels_r", "weights_n", "weights_r", "quality_n", "quality_r"]
)
def _losses_and_gradient_kernel(
    logits: tl.tensor,
    labels: tl.tensor,
    weights: tl.tensor,
    quality: tl.tensor,
    alpha: tl.tensor,  # contiguous, float32
    losses: tl.tensor,
    sums: tl.tensor,
    gradient: tl.tensor,  # contiguous
    num_rows: tl.tensor,  # of all images
    rows_of_image: tl.tensor,
    logits_n: tl.tensor,  # strides, in elements: of images, rows, classes
    logits_r: tl.tensor,
    logits_k: tl.tensor,
    labels_n: tl.tensor,
    labels_r: tl.tensor,
    weights_n: tl.tensor,
    weights_r: tl.tensor,
    quality_n: tl.tensor,
    quality_r: tl.tensor,
    KIND: tl.constexpr,
    FIRST: tl.constexpr,
    SECOND: tl.constexpr,
    POSITIVE_WEIGHT: tl.constexpr,
    NEGATIVE_WEIGHT: tl.constexpr,
    GRADIENT_SCALE: tl.constexpr,
    HAS_WEIGHTS: tl.constexpr,
    HAS_QUALITY: tl.constexpr,
    HAS_ALPHA: tl.constexpr,
    BY_ANCHOR: tl.constexpr,
    WITH_GRADIENT: tl.constexpr,
    NUM_CLASSES: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
) -> None:
    # 64 bits: 16 images of 182,403 anchors and 1,203 classes have more than 2^31 logits
    row = tl.program_id(0).to(tl.int64) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    inside = row < num_rows
    image = row // rows_of_image
    at = row - image * rows_of_image
    label = tl.load(labels + image * labels_n + at * labels_r, mask=inside, other=-2)
    # ignored rows are not even read: their weight 0 meets the losses of logits 0, whatever there is
    counted = label != -2
    weight = tl.full([BLOCK_ROWS], 1.0, tl.float32)
    if HAS_WEIGHTS:
        weight = tl.load(weights + image * weights_n + at * weights_r, mask=counted, other=0.0)
    goodness = weight  # not read where there is none
    if HAS_QUALITY:
        goodness = tl.load(quality + image * quality_n + at * quality_r, mask=counted, other=0.0)
    weight = tl.where(counted, weight, 0.0)
    logits_of_row = logits + image * logits_n + at * logits_r
    total = tl.zeros([BLOCK_ROWS, BLOCK_CLASSES], tl.float32)
    for start in range(0, NUM_CLASSES, BLOCK_CLASSES):
        k = (start + tl.arange(0, BLOCK_CLASSES)).to(tl.int64)
        of_a_class = (k < NUM_CLASSES)[None, :]
        read = counted[:, None] & of_a_class
        x = tl.load(logits_of_row[:, None] + k[None, :] * logits_k, mask=read, other=0.0).to(tl.float32)
        own = k[None, :] == label[:, None]
        loss, slope = loss_and_slope(
            x, own, goodness[:, None], KIND, FIRST, SECOND, POSITIVE_WEIGHT, NEGATIVE_WEIGHT, HAS_QUALITY
        )
        if HAS_ALPHA:
            alpha_k = tl.load(alpha + k, mask=k < NUM_CLASSES, other=0.0)[None, :]
            by_class = tl.where(own, alpha_k, 1.0 - alpha_k)
            loss, slope = loss * by_class, slope * by_class
        if NUM_CLASSES % BLOCK_CLASSES != 0:
            loss = tl.where(of_a_class, loss, 0.0)
        total += loss
        if WITH_GRADIENT:
            slope = slope * (weight * GRADIENT_SCALE)[:, None]
            address = gradient + row[:, None] * NUM_CLASSES + k[None, :]
            tl.store(address, slope.to(gradient.dtype.element_ty), mask=inside[:, None] & of_a_class)
    # a label that is no class makes the loss NaN: a kernel has no other way to say so
    by_row = tl.where(label < NUM_CLASSES, tl.sum(total, axis=1) * weight, float("nan"))
    by_row = tl.where(counted, by_row, 0.0)
    if BY_ANCHOR:
        tl.store(losses + row, by_row, mask=inside)
    else:
        tl.store(sums + tl.program_id(0), tl.sum(by_row, axis=0))


@triton.jit
def _scale_kernel(
    gradient: tl.tensor, factor: tl.tensor, count: tl.tensor, PER_PROGRAM: tl.constexpr, BLOCK: tl.constexpr
) -> None:
    by = tl.load(factor)
    if by != 1.0:  # the rule in training without loss scaling: nothing is read or written then
        first = tl.program_id(0).to(tl.int64) * PER_PROGRAM
        for start in range(0, PER_PROGRAM, BLOCK):
            at = first + start + tl.arange(0, BLOCK)
            value = tl.load(gradient + at, mask=at < count, other=0.0).to(tl.float32) * by
            tl.store(gradient + at, value.to(gradient.dtype.element_ty), mask=at < count)


def losses_and_gradient(work: Work) -> tuple[Tensor, Tensor | None]:
    """Return the losses and, if it is wanted, their gradient ``[N, R, K]`` in the dtype of the logits.

    The sum is the same in each call: every program sums its rows, and these sums are summed. A label that is no class
    makes it NaN.
    """
    num_images, rows_of_image, num_classes = work.logits.shape
    num_rows = num_images * rows_of_image
    block_classes = _block_classes(num_classes)
    block_rows = max(_TILE // block_classes, 1)
    blocks = triton.cdiv(num_rows, block_rows)
    losses = work.logits.new_empty((num_images, rows_of_image) if work.by_anchor else (0,), dtype=torch.float32)
    sums = losses.new_empty(0 if work.by_anchor else blocks)
    gradient = work.logits.new_empty(work.logits.shape) if work.with_gradient else None
    unused = work.logits  # what stands for a tensor that there is not, and is not read
    weights = work.labels if work.weights is None else work.weights
    quality = work.labels if work.quality is None else work.quality
    alpha = unused if work.alpha is None else work.alpha
    slopes = unused if gradient is None else gradient
    if num_rows:
        with torch.cuda.device_of(work.logits):
            _losses_and_gradient_kernel[(blocks,)](
                *(work.logits, work.labels, weights, quality, alpha, losses, sums, slopes, num_rows, rows_of_image),
                *work.logits.stride(),
                *(*work.labels.stride(), *weights.stride(), *quality.stride()),
                KIND=work.formula.kind,
                FIRST=float(work.formula.numbers[0]),
                SECOND=float(work.formula.numbers[-1]),
                POSITIVE_WEIGHT=float(work.formula.positive_weight),
                NEGATIVE_WEIGHT=float(work.formula.negative_weight),
                GRADIENT_SCALE=work.gradient_scale,
                HAS_WEIGHTS=work.weights is not None,
                HAS_QUALITY=work.quality is not None,
                HAS_ALPHA=work.alpha is not None,
                BY_ANCHOR=work.by_anchor,
                WITH_GRADIENT=work.with_gradient,
                NUM_CLASSES=num_classes,
                BLOCK_ROWS=block_rows,
                BLOCK_CLASSES=block_classes,
                enable_fp_fusion=True,
            )
    return losses if work.by_anchor else sums.sum(), gradient


def scale_in_place(gradient: Tensor, factor: Tensor) -> Tensor:
    """Multiply a contiguous gradient with a scalar on its device, and return it; nothing is touched where the scalar is one."""
    if gradient.numel():
        with torch.cuda.device_of(gradient):
            programs = triton.cdiv(gradient.numel(), _SCALED_BY_A_PROGRAM)
            sizes = {"PER_PROGRAM": _SCALED_BY_A_PROGRAM, "BLOCK": _TILE}
            _scale_kernel[(programs,)](gradient, factor, gradient.numel(), **sizes, enable_fp_fusion=True)
    return gradient


def _block_classes(num_classes: int) -> int:
    """Return how many classes a program takes at a time: a power of two with little left over; 16 read a whole sector."""
    if num_classes <= 16:
        return triton.next_power_of_2(max(num_classes, 1))
    return min((128, 64, 32, 16), key=lambda size: -(-num_classes // size) * size)
