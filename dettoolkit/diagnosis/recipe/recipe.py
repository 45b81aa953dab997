"""From a config and a machine to a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.diagnosis.recipe.memory import GIB, StepMemory
from dettoolkit.diagnosis.recipe.rules import Advice, batch_norm_advice, epochs_for, plan_batch, warm_up, workers
from dettoolkit.errors import ConfigError


@dataclass(frozen=True)
class Machine:
    """What a training runs on.

    Args:
        processes: that train together, one a GPU.
        memory: bytes that each of them has.
        cores: of the machine.
        is_gpu: whether they train on GPUs.
    """

    processes: int
    memory: float
    cores: int
    is_gpu: bool


@dataclass(frozen=True)
class Recipe:
    """What to set, and what to know.

    Args:
        advice: values of the config.
        notes: sentences without a key.
    """

    advice: tuple[Advice, ...]
    notes: tuple[str, ...]


def propose(
    cfg: CfgNode, machine: Machine, images: int, size: tuple[int, int], memory: StepMemory, trains_batch_norm: bool
) -> Recipe:
    """Return the recipe for a training.

    Args:
        cfg: of the training; its AMP is that of ``memory``.
        machine: that it runs on.
        images: of the training set.
        size: (height, width) of the largest batch, for the words.
        memory: of a step.
        trains_batch_norm: whether the model has batch norm that is trained, not synchronised.

    Raises:
        ConfigError: not even one image fits into the memory.
    """
    fits = memory.images_within(machine.memory)
    if fits < 1:
        raise ConfigError(
            f"--memory: a step with one image of {size[0]} x {size[1]} pixels needs about {memory.of(1) / GIB:.1f} GiB, and "
            f"there are {machine.memory / GIB:.1f}. SOLVER.AMP bf16, smaller images or a smaller network need less."
        )
    reference = cfg.SOLVER.REFERENCE_BATCH_SIZE or cfg.SOLVER.BATCH_SIZE
    plan = plan_batch(images, machine.processes, fits, reference)
    pretrained = bool(cfg.MODEL.WEIGHTS or cfg.MODEL.get("BACKBONE", {}).get("WEIGHTS"))
    epochs, why_epochs = epochs_for(images, plan.size, pretrained)
    warm, why_warm = warm_up(epochs * max(1, images // plan.size), plan.size, reference)
    number, why_workers = workers(machine.cores, machine.processes, cfg.DATALOADER.NUM_WORKERS)
    needed = f"{plan.at_once} at a time take about {memory.of(plan.at_once) / GIB:.1f} of {machine.memory / GIB:.1f} GiB"
    rate = cfg.SOLVER.BASE_LR * plan.size / reference
    advice = (
        Advice("SOLVER.BATCH_SIZE", plan.size, plan.why),
        Advice(
            "SOLVER.ACCUMULATE", plan.accumulate, f"{needed}; up to {fits} images of {size[0]} x {size[1]} pixels would fit"
        ),
        Advice("SOLVER.REFERENCE_BATCH_SIZE", reference, "the batch that BASE_LR is meant for"),
        Advice("SOLVER.BASE_LR", cfg.SOLVER.BASE_LR, f"as configured; training scales it with the batch, to {rate:g}"),
        Advice("SOLVER.LENGTH", f"{epochs}ep", f"{why_epochs}; the config itself has {cfg.SOLVER.LENGTH}"),
        Advice("SOLVER.WARMUP.LENGTH", warm, why_warm),
        Advice("SOLVER.AMP", cfg.SOLVER.AMP, _why_precision(cfg.SOLVER.AMP, machine.is_gpu)),
        Advice("DATALOADER.NUM_WORKERS", number, why_workers),
    )
    return Recipe(advice, _notes(cfg, plan.at_once, trains_batch_norm))


def _why_precision(amp: str, is_gpu: bool) -> str:
    if amp == "none":
        return "float32, as configured" + ("" if is_gpu else "; on a CPU without bfloat16 instructions others are slower")
    if amp == "fp16":
        return "as configured; gradients are scaled so that small ones are not lost"
    if is_gpu:
        return "half the memory of the maps, and faster, on GPUs from Ampere on; older ones have fp16, and none is float32"
    return "as configured; faster on CPUs with bfloat16 instructions only"


def _notes(cfg: CfgNode, at_once: int, trains_batch_norm: bool) -> tuple[str, ...]:
    found = [batch_norm_advice(at_once, trains_batch_norm)]
    optimizer = cfg.SOLVER.OPTIMIZER.NAME
    if optimizer != "SGD":
        found.append(
            f"the learning rate follows the batch in proportion, which is SGD's rule; for {optimizer} the square root is "
            "usual where the batch is changed much"
        )
    found.append(
        "the length is a rule of thumb for photographs, and an easy data set is learned in far less; the hook EarlyStopping "
        "ends a training that gets no better, and `dettoolkit doctor` says how long this one will take"
    )
    return tuple(note for note in found if note)


def has_batch_norm(modules: Sequence[nn.Module]) -> bool:
    """Return whether some are batch norm that is trained and sees the images of one process only."""
    return any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, nn.SyncBatchNorm) for module in modules
    )
