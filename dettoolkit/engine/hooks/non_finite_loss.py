"""Stopping at a loss that is no number."""

from __future__ import annotations

import math

from dettoolkit.distributed import broadcast_object, gather_objects
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import TrainingError
from dettoolkit.registry import HOOKS


@HOOKS.register()
class NonFiniteLoss(Hook):
    """Stops all processes together at a loss that is infinite or no number; the weights are those before that step.

    Stands before the hooks that write: what they would write is worthless.
    """

    def after_step(self, trainer: Trainer) -> None:
        """Look at the loss of the step.

        Raises:
            TrainingError: it is not finite; the message names the images, the learning rate and the likely cause.
        """
        if not trainer.step_was_finite:
            messages = broadcast_object(gather_objects(_message(trainer)))  # whichever process is heard, it says the same
            raise TrainingError(" ".join(message for message in messages if message))


def _message(trainer: Trainer) -> str:
    """Return what is to be said of this process's loss; nothing if it is finite."""
    losses = {name: float(value) for name, value in trainer.latest_metrics.items() if name.startswith("loss")}
    if math.isfinite(losses["loss"]):
        return ""
    images = [sample["file_name"] for batch in trainer.latest_batches for sample in batch.samples]
    return (
        f"iteration {trainer.iteration}: the loss is not finite "
        f"({', '.join(f'{name} {value:g}' for name, value in losses.items())}) "
        f"at learning rate {trainer.optimizer.param_groups[0]['lr']:g}. {_likely_cause(trainer)} "
        f"The weights are those before this step. Images: {', '.join(images)}"
    )


def _likely_cause(trainer: Trainer) -> str:
    if any(not bool(parameter.isfinite().all()) for parameter in trainer.model.parameters()):
        return "Some weights are not finite either: an earlier step was too large. Lower SOLVER.BASE_LR."
    sides = [target.boxes[:, 2:] - target.boxes[:, :2] for batch in trainer.latest_batches for target in batch.targets]
    if any(bool((side <= 0).any()) or not bool(side.isfinite().all()) for side in sides):
        return "A ground-truth box of these images has no area or no finite corner: check the annotations."
    if trainer.amp == "fp16":
        return "In fp16, numbers over 65504 overflow: try SOLVER.AMP bf16 or none."
    if trainer.iteration <= trainer.iterations_per_epoch:
        return "This early, the learning rate is probably too high: lower SOLVER.BASE_LR or lengthen SOLVER.WARMUP.LENGTH."
    return "The learning rate is probably too high; SOLVER.CLIP_GRADIENT_NORM also helps."
