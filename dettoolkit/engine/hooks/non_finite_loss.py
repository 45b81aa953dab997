"""Stopping at a loss that is no number."""

from __future__ import annotations

import math

from dettoolkit.distributed import broadcast_object, gather_objects
from dettoolkit.engine.finite_losses import NotedStep
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import TrainingError
from dettoolkit.registry import HOOKS


@HOOKS.register()
class NonFiniteLoss(Hook):
    """Stops all processes together at a loss that is infinite or no number; the weights are those before that step.

    On the CPU that is after the step. On a GPU it is when something is next written, saved or evaluated, at most 100 steps
    later: the steps in between change no weight, and the GPU is not waited for after each of them.

    Stands before the hooks that write: what they would write is worthless.
    """

    def after_step(self, trainer: Trainer) -> None:
        """Look at the losses of the steps that are known by now.

        Raises:
            TrainingError: one is not finite; the message names the first such step, its images and learning rate, and the
                likely cause.
        """
        bad = trainer.finite_losses.first_bad
        if not trainer.step_was_finite and bad is not None:
            messages = broadcast_object(gather_objects(_message(trainer, bad)))  # whichever process is heard, it says the same
            raise TrainingError(" ".join(message for message in messages if message))

    def after_train(self, trainer: Trainer) -> None:
        """Look at those of the steps before a stop that something asked for.

        Raises:
            TrainingError: as after a step.
        """
        self.after_step(trainer)


def _message(trainer: Trainer, step: NotedStep) -> str:
    """Return what is to be said of this process's loss; nothing if it is finite."""
    losses = {name: float(value) for name, value in step.losses.items()}
    if math.isfinite(losses["loss"]):
        return ""
    return (
        f"iteration {step.iteration}: the loss is not finite "
        f"({', '.join(f'{name} {value:g}' for name, value in losses.items())}) "
        f"at learning rate {step.learning_rate:g}. {_likely_cause(trainer, step)} "
        f"The weights are those before this step. Images: {', '.join(step.file_names)}"
    )


def _likely_cause(trainer: Trainer, step: NotedStep) -> str:
    if any(not bool(parameter.isfinite().all()) for parameter in trainer.model.parameters()):
        return "Some weights are not finite either: an earlier step was too large. Lower SOLVER.BASE_LR."
    sides = [target.boxes[:, 2:] - target.boxes[:, :2] for target in step.targets]
    if any(bool((side <= 0).any()) or not bool(side.isfinite().all()) for side in sides):
        return "A ground-truth box of these images has no area or no finite corner: check the annotations."
    if trainer.amp == "fp16":
        return "In fp16, numbers over 65504 overflow: try SOLVER.AMP bf16 or none."
    if step.iteration <= trainer.iterations_per_epoch:
        return "This early, the learning rate is probably too high: lower SOLVER.BASE_LR or lengthen SOLVER.WARMUP.LENGTH."
    return "The learning rate is probably too high; SOLVER.CLIP_GRADIENT_NORM also helps."
