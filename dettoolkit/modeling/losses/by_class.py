"""A number for each class, where the logits are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class ByClass:
    """A number for each class, copied to a device once.

    Args:
        name: whose numbers they are, for messages.
        numbers: one for each class.
        num_classes: K; None: as many as there are numbers.

    Raises:
        ValueError: another number of them.
    """

    def __init__(self, name: str, numbers: Sequence[float], num_classes: int | None = None) -> None:
        if num_classes not in (None, len(numbers)):
            raise ValueError(f"{name} expects a number for each of the {num_classes} classes, got {len(numbers)}")
        self.name, self.numbers = name, tuple(map(float, numbers))
        self._copies: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    @property
    def mean(self) -> float:
        """The mean of the numbers."""
        return sum(self.numbers) / len(self.numbers)

    def on(self, logits: Tensor) -> Tensor:
        """Return ``[K]`` on the device of the logits ``[..., K]``, in the dtype of their losses.

        Raises:
            ValueError: the logits are of another number of classes.
        """
        if logits.shape[-1] != len(self.numbers):
            raise ValueError(f"{self.name} has {len(self.numbers)} numbers, and the logits are of {logits.shape[-1]} classes")
        return self._copy(logits.device, torch.promote_types(logits.dtype, torch.float32))

    @torch.compiler.assume_constant_result
    def _copy(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        if (device, dtype) not in self._copies:  # once: copying a list to a GPU has the GPU waited for
            self._copies[device, dtype] = torch.tensor(self.numbers, device=device, dtype=dtype)
        return self._copies[device, dtype]

    def __repr__(self) -> str:
        return str(list(self.numbers))


def are_shares(alpha: float | Sequence[float] | None) -> bool:
    """Return whether alpha is None, a number in 0..1, or a list of such numbers."""
    numbers = [] if alpha is None else list(alpha) if isinstance(alpha, Sequence) else [alpha]
    return all(0 <= number <= 1 for number in numbers)


def alpha_by_class(alpha: float | Sequence[float] | None, num_classes: int | None) -> float | ByClass | None:
    """Return alpha as it is kept by a loss: a list as :class:`ByClass`.

    Raises:
        ValueError: as many numbers as there are classes were expected.
    """
    return ByClass("alpha", alpha, num_classes) if isinstance(alpha, Sequence) else alpha


def alpha_on(alpha: float | ByClass | None, logits: Tensor) -> float | Tensor | None:
    """Return alpha for these logits: a number, None, or ``[K]``."""
    return alpha.on(logits) if isinstance(alpha, ByClass) else alpha
