"""Whether the losses were finite, without waiting for a GPU after each step."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dettoolkit.distributed import max_over_processes
from dettoolkit.structures import Annotations, Batch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NotedStep:
    """What is to be told of a step if its loss was not finite.

    Args:
        iteration: its number, from 1.
        learning_rate: of the first parameter group.
        losses: name -> scalar on the device; the total is ``loss``.
        file_names: of its images.
        targets: of its images, on the CPU.
    """

    iteration: int
    learning_rate: float
    losses: Mapping[str, Tensor]
    file_names: list[str]
    targets: list[Annotations]

    @classmethod
    def of(cls, iteration: int, learning_rate: float, metrics: Mapping[str, Tensor], batches: Sequence[Batch]) -> NotedStep:
        """Return the step with these numbers and parts; what is large of them is not kept."""
        losses = {name: value for name, value in metrics.items() if name.startswith("loss")}
        file_names = [sample["file_name"] for batch in batches for sample in batch.samples]
        return cls(iteration, learning_rate, losses, file_names, [target for batch in batches for target in batch.targets])


class FiniteLosses:
    """Keeps what is known of each step until somebody asks; a step whose loss is not finite updates nothing.

    ``is_deferred`` is False where the loss is read after each step, as on the CPU, where that costs nothing. Where it is
    True, a ``flag`` on the device has the optimizer leave out the update of a bad step *and of all steps after it* until
    :meth:`read`, so that the weights are still those before it; all processes share the flag. The optimizer must be one that
    takes ``found_inf``, as torch's fused ones do for gradient scaling.

    Args:
        optimizer: whose updates are left out.
        device: of the losses.
        deferred: None: on CUDA, if the optimizer can leave out an update by itself.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device, deferred: bool | None = None) -> None:
        self.is_deferred = device.type == "cuda" and leaves_out_updates(optimizer) if deferred is None else deferred
        self.first_bad: NotedStep | None = None
        self._unread: list[tuple[NotedStep, Tensor]] = []
        self.flag = torch.zeros((), device=device)
        self._name, self._device = type(optimizer).__name__, device
        self._has_started = False

    def start(self) -> None:
        """Get ready for the first step, and say so where each step will wait for an accelerator."""
        self._has_started = False
        if self._device.type != "cpu" and not self.is_deferred:
            message = "each step waits on %s until its loss is known: %s does not leave out updates by itself there"
            logger.info(message + "; SGD and AdamW do on CUDA", self._device, self._name)

    @property
    def can_wait(self) -> bool:
        """Whether the loss of the step just noted need not be read before its update.

        That of the first step is always read: an optimizer makes its state in it, of whatever was in the memory before where
        the update is left out.
        """
        return self.is_deferred and self._has_started

    @property
    def num_unread(self) -> int:
        """How many steps were noted since the last :meth:`read`."""
        return len(self._unread)

    def note(self, step: NotedStep) -> None:
        """Take the loss of a step, before its update; all processes must call it."""
        # one bad process spoils the averaged gradients of all, so all leave the weights as they are
        bad = max_over_processes((~step.losses["loss"].isfinite()).float())
        self._unread.append((step, bad))
        self.flag = torch.maximum(self.flag, bad)

    def read(self) -> bool:
        """Return whether the losses noted since the last call were finite; ``first_bad`` is the first that was not."""
        bad = torch.stack([flag for _, flag in self._unread]).tolist()
        self.first_bad = next((step for (step, _), is_bad in zip(self._unread, bad, strict=True) if is_bad), None)
        self._unread.clear()
        self._has_started |= self.first_bad is None
        self.flag = torch.zeros_like(self.flag)
        return self.first_bad is None

    @contextlib.contextmanager
    def masking(self, optimizer: Optimizer) -> Iterator[None]:
        """Have ``optimizer`` leave out its steps in this context if the flag says so, or the gradient scaler does."""

        def mask(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            del args, kwargs
            of_scaler = getattr(optimizer, "found_inf", None)
            optimizer.found_inf = self.flag if of_scaler is None else torch.maximum(self.flag, of_scaler)  # type: ignore[attr-defined]

        handle = optimizer.register_step_pre_hook(mask)
        try:
            yield
        finally:
            handle.remove()
            if hasattr(optimizer, "found_inf"):  # a scaler has removed it
                del optimizer.found_inf


def leaves_out_updates(optimizer: Optimizer) -> bool:
    """Return whether the optimizer's kernel can leave out an update by itself (the contract of gradient scaling)."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))
