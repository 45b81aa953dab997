"""The formulas of losses over sigmoid outputs in Triton, in float32: tiles of logits -> losses and derivatives.

Each has its PyTorch twin beside the loss's class. The names of the parameters that are known when the kernel is compiled
are in capitals.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def sigmoids(x: tl.tensor) -> tl.tensor:
    """Return sigmoid(x), sigmoid(-x), and log(1 + exp(-|x|)), of which both softplus functions are made.

    The last is a polynomial times e = exp(-|x|): interpolation of log(1 + e) / e at Chebyshev's points of 0..1, off by
    2.3e-7 at most, relative to the value. A logarithm of 1 + e would have lost e where that is small.
    """
    e = tl.exp(-tl.abs(x))
    larger = 1.0 / (1.0 + e)
    smaller = e * larger
    series = 0.0051261021 * e - 0.0290740646
    series = series * e + 0.0775160866
    series = series * e - 0.1360224761
    series = series * e + 0.1907688073
    series = series * e - 0.2483539899
    series = series * e + 0.3331812171
    series = series * e - 0.4999944498
    series = series * e + 0.9999999659
    right = x >= 0
    return tl.where(right, larger, smaller), tl.where(right, smaller, larger), e * series


@triton.jit
def focal(x: tl.tensor, GAMMA: tl.constexpr) -> tl.tensor:
    """Return ``p^gamma * -log(1 - p)`` and its derivative."""
    p, q, log1p = sigmoids(x)
    surprise = tl.maximum(x, 0.0) + log1p
    if GAMMA == 0.0:
        return surprise, p
    if GAMMA == 1.0:
        focus = p
    elif GAMMA == 2.0:
        focus = p * p
    else:
        focus = tl.exp(GAMMA * (tl.minimum(x, 0.0) - log1p))  # log(p)
    return focus * surprise, focus * (p + GAMMA * q * surprise)


@triton.jit
def focal_star(x: tl.tensor, GAMMA: tl.constexpr, BETA: tl.constexpr) -> tl.tensor:
    """Return ``log(1 + exp(gamma x - beta)) / gamma`` and its derivative."""
    steep = GAMMA * x - BETA
    p, _, log1p = sigmoids(steep)
    return (tl.maximum(steep, 0.0) + log1p) / GAMMA, p


@triton.jit
def hinge(x: tl.tensor, MARGIN: tl.constexpr) -> tl.tensor:
    """Return ``max(0, p - (1 - margin))`` and its derivative."""
    p, q, _ = sigmoids(x)
    loss = tl.maximum(p - (1.0 - MARGIN), 0.0)
    return loss, tl.where(loss > 0.0, p * q, 0.0)


@triton.jit
def soft_cross_entropy(x: tl.tensor, target: tl.tensor) -> tl.tensor:
    """Return ``-(1 - y) log(1 - p) - y log(p)``, its derivative p - y, and p (1 - p)."""
    p, q, log1p = sigmoids(x)
    loss = (1.0 - target) * tl.maximum(x, 0.0) + target * tl.maximum(-x, 0.0) + log1p
    return loss, (1.0 - target) * p - target * q, p * q


@triton.jit
def quality_focal(x: tl.tensor, target: tl.tensor, BETA: tl.constexpr) -> tl.tensor:
    """Return ``|y - p|^beta`` times cross-entropy, and its derivative."""
    loss, distance, spread = soft_cross_entropy(x, target)
    if BETA == 0.0:
        return loss, distance
    size = tl.abs(distance)
    if BETA == 1.0:
        less = tl.where(size > 0.0, 1.0, 0.0)
    elif BETA == 2.0:
        less = size
    else:
        less = tl.exp((BETA - 1.0) * tl.log(tl.maximum(size, 1e-37)))  # size^(beta - 1), below what float32 holds: 0
    slope = tl.where(distance < 0.0, -less, less) * (size * size + BETA * spread * loss)
    return loss * less * size, slope


@triton.jit
def varifocal(x: tl.tensor, target: tl.tensor, ALPHA: tl.constexpr, GAMMA: tl.constexpr) -> tl.tensor:
    """Return ``q`` times cross-entropy where q > 0, ``alpha p^gamma * -log(1 - p)`` elsewhere, and its derivative."""
    good_loss, good_slope, _ = soft_cross_entropy(x, target)
    loss, slope = focal(x, GAMMA)
    good = target > 0.0
    return tl.where(good, target * good_loss, ALPHA * loss), tl.where(good, target * good_slope, ALPHA * slope)


@triton.jit
def loss_and_slope(
    x: tl.tensor,
    own: tl.tensor,
    quality: tl.tensor,
    KIND: tl.constexpr,
    FIRST: tl.constexpr,
    SECOND: tl.constexpr,
    POSITIVE_WEIGHT: tl.constexpr,
    NEGATIVE_WEIGHT: tl.constexpr,
    HAS_QUALITY: tl.constexpr,
) -> tl.tensor:
    """Return the losses of logits ``x`` and their derivatives by x.

    Args:
        x: a tile of logits.
        own: which of them are of the class of their row's label.
        quality: of their row, where the formula learns one.
        KIND: the formula, see :class:`dettoolkit.modeling.losses.kernels.Formula`.
        FIRST: the first of its numbers.
        SECOND: the last of its numbers.
        POSITIVE_WEIGHT: what the label's class is multiplied with.
        NEGATIVE_WEIGHT: what the other classes are multiplied with.
        HAS_QUALITY: whether the formula learns a quality.
    """
    if HAS_QUALITY:
        target = tl.where(own, quality, 0.0)
        if KIND == "quality":
            loss, slope = quality_focal(x, target, FIRST)
        else:
            loss, slope = varifocal(x, target, FIRST, SECOND)
        return loss, slope
    against = tl.where(own, -x, x)  # p_t of the label's class at x is that of another class at -x
    if KIND == "focal":
        loss, slope = focal(against, FIRST)
    elif KIND == "focal_star":
        loss, slope = focal_star(against, FIRST, SECOND)
    else:
        loss, slope = hinge(against, FIRST)
    return loss * tl.where(own, POSITIVE_WEIGHT, NEGATIVE_WEIGHT), slope * tl.where(own, -POSITIVE_WEIGHT, NEGATIVE_WEIGHT)
