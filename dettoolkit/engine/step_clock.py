"""What the time of a step goes to: every moment belongs to exactly one part, so that the parts add up to the step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

REST = "hooks and the rest"


class StepClock:
    """Adds up the seconds of nested parts; those of an inner part are not those of the outer one.

    On CUDA it waits for the device at each border: what would overlap is taken one after the other.

    Args:
        device: that computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stack: list[str] = []
        self._mark = 0.0
        self.seconds: dict[str, float] = {}

    def start(self) -> None:
        """Begin with nothing, in the part ``REST``."""
        self.seconds, self._stack, self._mark = {}, [REST], self._now()

    def enter(self, part: str) -> None:
        """Begin a part inside of the present one."""
        self._settle()
        self._stack.append(part)

    def leave(self) -> None:
        """Go back to the part around the present one."""
        self._settle()
        self._stack.pop()

    def turn_into(self, part: str) -> None:
        """Go on as another part until the present one would end."""
        self._settle()
        self._stack[-1] = part

    def is_inside(self, part: str) -> bool:
        """Return whether the present part is ``part``."""
        return bool(self._stack) and self._stack[-1] == part

    def stop(self) -> dict[str, float]:
        """Return the seconds of each part since :meth:`start`."""
        self._settle()
        return self.seconds

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside to ``name``."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def _settle(self) -> None:
        now = self._now()
        part = self._stack[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._mark
        self._mark = now

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


class ClockedCall:
    """Something that is called, as a part of the step; all else of it stays as it is.

    Args:
        target: what is called.
        clock: that counts.
        part: to which the calls are counted.
    """

    def __init__(self, target: Any, clock: StepClock, part: str) -> None:
        self.target, self._clock, self._part = target, clock, part

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Return what the target returns."""
        with self._clock.part(self._part):
            return self.target(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "target":  # not there yet, as while being copied
            raise AttributeError(name)
        return getattr(self.target, name)


@contextlib.contextmanager
def clocked_parts(model: nn.Module, clock: StepClock) -> Iterator[None]:
    """Have the clock count the parts of a detector: those of them that ``model`` has.

    A network that is compiled is one part, since its inner borders are no more.
    """
    with contextlib.ExitStack() as undo:
        compiled = "network" in vars(model)
        if compiled:
            _replace(undo, model, "network", clock, "network (compiled)")
        for name in ("normalization",) if compiled else ("normalization", "backbone", "neck", "head"):
            _watch(undo, getattr(model, name, None), clock, name)
        criterion = getattr(model, "criterion", None)
        matcher = getattr(criterion, "matcher", None)
        _watch(undo, criterion, clock, "loss")
        if isinstance(matcher, nn.Module):
            _watch(undo, matcher, clock, "assignment")
        elif matcher is not None:
            _replace(undo, criterion, "matcher", clock, "assignment")
        yield


def _watch(undo: contextlib.ExitStack, module: Any, clock: StepClock, part: str) -> None:
    if isinstance(module, nn.Module):
        undo.callback(module.register_forward_pre_hook(lambda *_: clock.enter(part)).remove)
        undo.callback(module.register_forward_hook(lambda *_: clock.leave(), always_call=True).remove)


def _replace(undo: contextlib.ExitStack, owner: Any, name: str, clock: StepClock, part: str) -> None:
    target = getattr(owner, name)
    setattr(owner, name, ClockedCall(target, clock, part))
    undo.callback(setattr, owner, name, target)
