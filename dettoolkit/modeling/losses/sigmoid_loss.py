"""What losses over sigmoid outputs share: labels without one-hot targets, and the gradient worked out with the value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dettoolkit.modeling.losses.kernels import eager, implementation_for, traced
from dettoolkit.modeling.losses.kernels.formula import Formula, Work


def sigmoid_loss(
    logits: Tensor,
    labels: Tensor,
    formula: Formula,
    weights: Tensor | None = None,
    quality: Tensor | None = None,
    by_anchor: bool = False,
    alpha: Tensor | None = None,
) -> Tensor:
    """Sum a loss over the sigmoid outputs of K classes, each of which is a yes or no of its own.

    Logits of any strides are read where they are, if all dimensions between the first and the last can be seen as one.

    Args:
        logits: ``[..., K]`` of any float dtype; computed in float32 (float64 stays).
        labels: ``[...]`` int64: 0..K-1, -1 for background, -2 for ignored (no loss and exactly zero gradient).
        formula: the loss of one output.
        weights: ``[...]`` weight of each anchor, without gradient; None for 1.
        quality: ``[...]`` what the formula gets of each anchor, without gradient; None where it needs none.
        by_anchor: whether to return ``[...]`` losses rather than their sum.
        alpha: ``[K]``, without gradient: what the formula is multiplied with at the output of the label's class, and one minus
            that at each other output; None for 1 everywhere.

    Returns:
        A scalar float32, or ``[...]``. It can be differentiated once, in any number of backward passes; a second derivative
        raises an error.

    Raises:
        ValueError: the shapes do not agree.
        IndexError: a label is no class (in the Triton kernel and under torch.compile the loss is NaN instead).
        RuntimeError: a backward pass with ``create_graph``, which a second derivative needs.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"expected logits [..., K] and labels [...], got {list(logits.shape)} and {list(labels.shape)}")
    for name, given in (("weights", weights), ("quality", quality)):
        if given is not None and given.shape != labels.shape:
            raise ValueError(f"expected {name} [...] as labels, got {list(given.shape)} and {list(labels.shape)}")
    if alpha is not None and alpha.shape != logits.shape[-1:]:
        raise ValueError(f"expected alpha [K] for logits [..., K], got {list(alpha.shape)} and {list(logits.shape)}")
    # a small weight and a small slope make a product that float16 does not hold: they are multiplied in the backward pass
    later = weights if logits.dtype == torch.float16 else None
    now = None if later is not None else weights
    losses = _SigmoidLoss.apply(logits, labels, now, quality, alpha, formula, by_anchor or later is not None)
    if later is None:
        return losses
    return losses * later.detach() if by_anchor else (losses * later.detach()).sum()


class _SigmoidLoss(torch.autograd.Function):
    """Losses, with the gradient worked out in the same pass over the logits; nothing else is kept."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None,
        quality: Tensor | None,
        alpha: Tensor | None,
        formula: Formula,
        by_anchor: bool,
    ) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        images = logits.shape[0] if logits.dim() > 2 else 1
        shape = (images, labels.numel() // max(images, 1))
        ctx.scale = 1024.0 if logits.dtype == torch.float16 else 1.0  # slopes are below 64, and many below what float16 holds
        ctx.shape, ctx.with_triton = logits.shape, False
        work = Work(
            logits=logits.reshape(*shape, logits.shape[-1]),
            labels=labels.reshape(shape),
            weights=None if weights is None else weights.to(dtype).reshape(shape),
            quality=None if quality is None else quality.to(dtype).reshape(shape),
            formula=formula,
            with_gradient=ctx.needs_input_grad[0],
            gradient_scale=ctx.scale,
            by_anchor=by_anchor,
            alpha=None if alpha is None else alpha.to(logits.device, dtype).contiguous(),
        )
        losses, gradient = _computed(ctx, work)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return losses.reshape(logits.shape[:-1]) if by_anchor else losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if torch.is_grad_enabled():  # once_differentiable stays silent where upstream is a constant
            raise RuntimeError("this loss can be differentiated once only: create_graph=True is not supported")
        (gradient,) = ctx.saved_tensors
        factor = upstream if ctx.scale == 1 else upstream * (1 / ctx.scale)
        return _times(gradient, factor, ctx.with_triton).reshape(ctx.shape), None, None, None, None, None, None


def _computed(ctx: Any, work: Work) -> tuple[Tensor, Tensor | None]:
    implementation = implementation_for(work.logits)
    if implementation == "traced":
        return traced.losses_and_gradient(work)
    if implementation == "eager":
        return eager.losses_and_gradient(work)
    from dettoolkit.modeling.losses.kernels import triton_pass  # needs Triton, which not every machine has

    ctx.with_triton = True
    return triton_pass.losses_and_gradient(work)


def _times(gradient: Tensor, factor: Tensor, with_triton: bool) -> Tensor:
    """Return ``gradient [N, R, K]`` times a scalar or ``[N * R]`` factors; in its own memory if no other pass can follow."""
    if torch.compiler.is_compiling() or _graph_is_kept():
        return (gradient * _broadcastable(factor, gradient)).to(gradient.dtype)
    if with_triton and not factor.dim():
        from dettoolkit.modeling.losses.kernels import triton_pass

        return triton_pass.scale_in_place(gradient, factor)
    return eager.multiply_in_place(gradient, _broadcastable(factor, gradient))


def _broadcastable(factor: Tensor, gradient: Tensor) -> Tensor:
    # never a tensor without dimensions, which would be rounded to the gradient's dtype: 65536 is infinite in float16
    return factor.reshape(*gradient.shape[:2], 1) if factor.dim() else factor.reshape(1, 1, 1)


def _graph_is_kept() -> bool:
    """Return whether the running backward pass has ``retain_graph``, so that there may be a second one."""
    ask = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)  # PyTorch asks itself by no other name
    return ask is None or ask()
