"""The training loop: it is given its parts, and knows of nothing but steps."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from dettoolkit.distributed import any_process
from dettoolkit.structures import Batch

if TYPE_CHECKING:  # hooks are made for the trainer, not the other way round
    from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.finite_losses import FiniteLosses, NotedStep
from dettoolkit.engine.hook_order import check_order
from dettoolkit.engine.look_ahead import LookAhead
from dettoolkit.engine.precision import autocast
from dettoolkit.errors import CheckpointError, ConfigError
from dettoolkit.solver import parameter_names

logger = logging.getLogger(__name__)

_MOST_UNREAD = 100  # steps; what is kept of them takes memory


class Trainer:
    """Runs optimizer steps and calls the hooks around them.

    What hooks may use: ``model`` (never wrapped), ``optimizer``, ``iteration`` (steps done), ``num_iterations``,
    ``iterations_per_epoch``, ``latest_metrics`` (of the last step, on the device), ``latest_batches`` (of the last step),
    ``step_was_finite`` (in all processes; otherwise the weights are those before ``finite_losses.first_bad``), ``is_updating``
    (the weights may be ahead of ``iteration``), ``updated`` (whether the last step changed them, without waiting for a GPU),
    ``recorded`` (numbers of an evaluation in this step), ``latest_evaluation``, ``request_stop`` and ``stop_reason``,
    ``model_for_evaluation`` (whose detections count; a hook may set another before training), ``part`` (marks the parts of a
    step, for profiles).

    On CUDA no step waits for the device, if the optimizer can leave out an update by itself: ``step_was_finite`` is then as
    it was last known, and brought up to date before hooks that are due (:meth:`Hook.is_due`), every 100 steps, and after the
    last step; ``time`` and ``data_time`` of a single step mean little there, over several steps they are right.

    Args:
        model: returns a :class:`~dettoolkit.structures.LossOutput` for images, sizes and targets.
        replica: the model as each process runs it (wrapped by DDP, or the model itself).
        optimizer: made for the parameters of ``model``.
        batches: endless; ``accumulate`` of them make a step.
        hooks: called in this order.
        device: of the model.
        num_iterations: optimizer steps in all.
        iterations_per_epoch: optimizer steps in an epoch.
        accumulate: parts of a step.
        amp: autocast precision.
        clip_gradient_norm: largest L2 norm of all gradients together, or None.
        deferred: whether losses are looked at only where something is due; None: where that is possible.

    Raises:
        ConfigError: two hooks keep state under the same name, or one stands before another that it needs.
    """

    def __init__(
        self,
        model: nn.Module,
        replica: nn.Module,
        optimizer: torch.optim.Optimizer,
        batches: Iterable[Batch],
        hooks: Sequence[Hook],
        *,
        device: torch.device,
        num_iterations: int,
        iterations_per_epoch: int,
        accumulate: int = 1,
        amp: Literal["none", "bf16", "fp16"] = "none",
        clip_gradient_norm: float | None = None,
        deferred: bool | None = None,
    ) -> None:
        self.model, self.replica, self.optimizer = model, replica, optimizer
        self.model_for_evaluation = model
        self.batches, self.hooks, self.device = batches, list(hooks), device
        self.num_iterations, self.iterations_per_epoch = num_iterations, iterations_per_epoch
        self.accumulate, self.amp, self.clip_gradient_norm = accumulate, amp, clip_gradient_norm
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp == "fp16")
        self.iteration = 0
        self.latest_metrics: dict[str, Tensor | float] = {}
        self.latest_batches: list[Batch] = []
        self.finite_losses = FiniteLosses(optimizer, device, deferred)
        self.part: Callable[[str], AbstractContextManager[Any]] = torch.profiler.record_function
        self.step_was_finite = True
        self.is_updating = False
        self.recorded: dict[str, float] = {}
        self.latest_evaluation: dict[str, float] = {}
        self.stop_reason: str | None = None
        check_order(self.hooks)
        names = [hook.name for hook in self.hooks if hook.state_dict()]
        if len(set(names)) != len(names):
            raise ConfigError(f"HOOKS: hooks keep their state under their names, and one stands twice: {', '.join(names)}.")

    @property
    def epoch(self) -> float:
        """How often the training images have been seen."""
        return self.iteration / self.iterations_per_epoch

    @property
    def updated(self) -> Tensor | float:
        """1 where the last step has changed the weights, 0 where its loss was not finite; a tensor while only a GPU knows."""
        return 1 - self.finite_losses.flag if self.finite_losses.num_unread else float(self.step_was_finite)

    def request_stop(self, reason: str) -> None:
        """Ask for the training to end after this step; all processes do, whichever of them asked."""
        self.stop_reason = self.stop_reason or reason

    def train(self) -> None:
        """Run the steps from ``iteration`` to ``num_iterations``; where none are left, say so and call no hook.

        Raises:
            Exception: whatever a step or a hook raises, after the hooks' ``on_exception``.
        """
        if self.iteration >= self.num_iterations:
            logger.warning(
                "all %d iterations are done: nothing is left to train. A longer SOLVER.LENGTH goes on.", self.num_iterations
            )
            return
        stream = iter(self.batches)
        try:
            self._call("before_train")
            self.replica.train()
            self.finite_losses.start()
            num_batches = (self.num_iterations - self.iteration) * self.accumulate
            batches = LookAhead(stream, self.device, num_batches, part=lambda name: self.part(name))
            while self.iteration < self.num_iterations:
                self._call("before_step")
                self._step(batches)
                self._call("after_step")
                if any_process(self.stop_reason is not None):
                    logger.info(
                        "training stops at iteration %d: %s", self.iteration, self.stop_reason or "another process asked"
                    )
                    break
            self.read_losses()
            self._call("after_train")
        except BaseException as error:
            for hook in self.hooks:
                hook.on_exception(self, error)
            raise
        finally:
            if hasattr(stream, "close"):  # a generator: ends workers, also where a notebook keeps the exception with all this
                stream.close()

    def _call(self, stage: str) -> None:
        for hook in self.hooks:
            getattr(hook, stage)(self)

    def read_losses(self) -> None:
        """Bring ``step_was_finite`` up to date; a GPU is waited for. It is this process's business alone."""
        if self.finite_losses.num_unread:
            self.step_was_finite = self.finite_losses.read()

    def _step(self, batches: LookAhead) -> None:
        start, waited = time.perf_counter(), batches.seconds_waited
        self.optimizer.zero_grad(set_to_none=True)
        self.latest_batches, self.recorded = [], {}
        metrics: dict[str, Tensor] = {}
        for part in range(self.accumulate):
            batch, moved = batches.take()
            self.latest_batches.append(batch)
            for name, value in self._backward(moved, last=part == self.accumulate - 1).items():
                metrics[name] = metrics.get(name, 0) + value / self.accumulate
            batches.prepare()
        rate = self.optimizer.param_groups[0]["lr"]
        self.finite_losses.note(NotedStep.of(self.iteration + 1, rate, metrics, self.latest_batches))
        with self.part("optimizer"):
            metrics |= self._update_if_finite()
        self.iteration += 1
        self.is_updating = False
        if self._is_anything_due():
            self.read_losses()
        waited = batches.seconds_waited - waited
        self.latest_metrics = {**metrics, "data_time": waited, "time": time.perf_counter() - start}

    def _update_if_finite(self) -> dict[str, Tensor]:
        if self.finite_losses.can_wait:
            with self.finite_losses.masking(self.optimizer):
                return self._update()
        self.read_losses()
        return self._update() if self.step_was_finite else {}

    def _is_anything_due(self) -> bool:
        must = self.iteration == self.num_iterations or self.finite_losses.num_unread >= _MOST_UNREAD
        return must or any(hook.is_due(self) for hook in self.hooks)

    def _backward(self, batch: Batch, last: bool) -> dict[str, Tensor]:
        wait = contextlib.nullcontext() if last or self.replica is self.model else self.replica.no_sync()  # type: ignore[operator]
        with wait:
            with self.part("rest of the forward pass"), autocast(self.device, self.amp):
                output = self.replica(batch.images, batch.image_sizes, batch.targets)
            total = output.total
            with self.part("backward"):
                self.scaler.scale(total / self.accumulate).backward()
        numbers = {"loss": total, **output.losses, **output.metrics}
        return {name: value.detach() for name, value in numbers.items()}

    def _update(self) -> dict[str, Tensor]:
        metrics = {}
        self.is_updating = True
        if self.clip_gradient_norm is not None:
            self.scaler.unscale_(self.optimizer)
            metrics["gradient_norm"] = nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_gradient_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold, besides the model for evaluation, for training to go on."""
        another = self.model_for_evaluation is not self.model
        return {
            "iteration": self.iteration,
            "optimizer_name": type(self.optimizer).__name__,
            "optimizer": self.optimizer.state_dict(),
            "parameters": parameter_names(self.optimizer, self.model),
            "scaler": self.scaler.state_dict(),
            "hooks": {hook.name: state for hook in self.hooks if (state := hook.state_dict())},
            **({"model": {name: value.detach().cpu() for name, value in self.model.state_dict().items()}} if another else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned; learning rate, decay and the like stay as they are now.

        ``model`` has the weights for evaluation before, and afterwards those to train on with.

        Raises:
            CheckpointError: the state is another optimizer's, or other parameters'.
        """
        self._load_optimizer(state)
        self.iteration = state["iteration"]
        if state["scaler"]:  # empty where the training was not in fp16 so far
            self.scaler.load_state_dict(state["scaler"])
        for hook in self.hooks:
            if hook.name in state["hooks"]:
                hook.load_state_dict(state["hooks"][hook.name])
        if "model" in state:  # after the hooks, which may keep the weights for evaluation
            self.model.load_state_dict(state["model"])

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        before, now = state["optimizer_name"], type(self.optimizer).__name__
        if before != now:
            raise CheckpointError(f"SOLVER.OPTIMIZER: the state is that of {before}, which {now} cannot go on from.")
        names = parameter_names(self.optimizer, self.model)
        if state.get("parameters", names) != names:
            raise CheckpointError(
                "the state of the optimizer is of other parameters, or they were grouped in another way: SOLVER.LAYER_RATES, "
                "MODEL.FREEZE or the network are not those of before."
            )
        settings = [{name: value for name, value in group.items() if name != "params"} for group in self.optimizer.param_groups]
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise CheckpointError(f"the state of the optimizer is of other parameters: {error}") from error
        for group, setting in zip(self.optimizer.param_groups, settings, strict=True):
            group |= setting  # those of the config, which may have been changed
