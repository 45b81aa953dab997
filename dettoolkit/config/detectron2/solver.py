"""SOLVER, EVALUATION, HOOKS and what stands beside them: how long, how fast, how often."""

from __future__ import annotations

from typing import Any

from dettoolkit.config.detectron2.settings import Settings
from dettoolkit.config.run_keys import RUN_SCHEMA
from dettoolkit.registry import ListOf


def solver_node(settings: Settings) -> dict[str, Any]:
    """Return ``SOLVER``.

    Raises:
        ConfigError: a learning rate that is not positive.
    """
    if settings["SOLVER.BASE_LR"] <= 0:
        raise settings.refuse("SOLVER.BASE_LR", f"expected a positive number, got {settings['SOLVER.BASE_LR']}")
    _lose_without_equivalent(settings)
    return {
        "BATCH_SIZE": settings["SOLVER.IMS_PER_BATCH"],
        "REFERENCE_BATCH_SIZE": None,
        "BASE_LR": settings["SOLVER.BASE_LR"],
        "LENGTH": f"{settings['SOLVER.MAX_ITER']}it",
        "AMP": "fp16" if settings["SOLVER.AMP.ENABLED"] else "none",
        "WARMUP": _warmup(settings),
        "OPTIMIZER": _optimizer(settings),
        "SCHEDULE": _schedule(settings),
    }


def evaluation_node(settings: Settings) -> dict[str, Any]:
    """Return ``EVALUATION``; in both toolkits 0 means at the end only."""
    period = settings["TEST.EVAL_PERIOD"]
    if settings["TEST.AUG.ENABLED"]:
        further = ("TEST.AUG.MIN_SIZES", "TEST.AUG.MAX_SIZE", "TEST.AUG.FLIP")
        settings.lose("TEST.AUG.ENABLED", "each image is looked at once here, in one size", further)
    return {"PERIOD": f"{period}it" if period else 0}


def hooks_node(settings: Settings) -> list[dict[str, Any]]:
    """Return ``HOOKS``: ours, with Detectron2's period between checkpoints."""
    hooks = RUN_SCHEMA.keys["HOOKS"]
    assert isinstance(hooks, ListOf)
    period = {"PERIOD": f"{settings['SOLVER.CHECKPOINT_PERIOD']}it"}
    return [{**hook, **(period if hook["NAME"] == "PeriodicCheckpoint" else {})} for hook in hooks.default]


def _optimizer(settings: Settings) -> dict[str, Any]:
    of_norms, of_biases = settings["SOLVER.WEIGHT_DECAY_NORM"], settings["SOLVER.WEIGHT_DECAY_BIAS"]
    norms = {settings[f"MODEL.{section}.NORM"] for section in ("RESNETS", "FPN", "RETINANET")} - {"", "FrozenBN"}
    if of_biases is not None and of_biases != of_norms and norms:
        settings.lose("SOLVER.WEIGHT_DECAY_BIAS", "the biases of norms are decayed as their scales here, not as other biases")
    return {
        "NAME": "SGD",
        "MOMENTUM": settings["SOLVER.MOMENTUM"],
        "NESTEROV": settings["SOLVER.NESTEROV"],
        "WEIGHT_DECAY": settings["SOLVER.WEIGHT_DECAY"],
        "WEIGHT_DECAY_NORM": of_norms,
        "WEIGHT_DECAY_BIAS": of_biases,
    }


def _warmup(settings: Settings) -> dict[str, Any]:
    length, factor = settings["SOLVER.WARMUP_ITERS"], settings["SOLVER.WARMUP_FACTOR"]
    if length and settings["SOLVER.WARMUP_METHOD"] != "linear":
        settings.lose("SOLVER.WARMUP_METHOD", "the learning rate rises along a line here")
    if length >= settings["SOLVER.MAX_ITER"]:
        why = f"a warm-up of {length} iterations does not end within the training, as one must here"
        settings.lose("SOLVER.WARMUP_ITERS", why)
        return {"LENGTH": "auto", "FACTOR": factor}
    return {"LENGTH": f"{length}it", "FACTOR": factor}


def _schedule(settings: Settings) -> dict[str, Any]:
    name, length = settings["SOLVER.LR_SCHEDULER_NAME"], settings["SOLVER.MAX_ITER"]
    if settings["SOLVER.RESCALE_INTERVAL"] and settings["SOLVER.WARMUP_ITERS"]:
        settings.lose(
            "SOLVER.RESCALE_INTERVAL", "the schedule counts from the first iteration here, not from the warm-up's end"
        )
    if name == "WarmupCosineLR":
        return {"NAME": "Cosine", "END_FACTOR": settings["SOLVER.BASE_LR_END"] / settings["SOLVER.BASE_LR"]}
    milestones: list[Any] = [step for step in settings["SOLVER.STEPS"] if step < length]  # Detectron2 ignores later ones
    if name == "WarmupStepWithFixedGammaLR":
        count = settings["SOLVER.NUM_DECAYS"] + 1  # parts of equal length
        milestones = [number / count for number in range(1, count)]
    elif name != "WarmupMultiStepLR":
        settings.lose("SOLVER.LR_SCHEDULER_NAME", f"{name} is not converted")
    return {"NAME": "MultiStep", "MILESTONES": milestones, "GAMMA": settings["SOLVER.GAMMA"]}


def _lose_without_equivalent(settings: Settings) -> None:
    workers = settings["SOLVER.REFERENCE_WORLD_SIZE"]
    if workers:
        why = f"batch and schedule do not follow the number of GPUs here: they are those of {workers}"
        settings.lose("SOLVER.REFERENCE_WORLD_SIZE", why)
    if settings["SOLVER.BIAS_LR_FACTOR"] != 1:
        settings.lose("SOLVER.BIAS_LR_FACTOR", "all parameters have the same learning rate here")
    if settings["SOLVER.CLIP_GRADIENTS.ENABLED"]:
        kind = settings["SOLVER.CLIP_GRADIENTS.CLIP_TYPE"]
        what = "the values of" if kind == "value" else "the norm of each parameter's part of"
        why = f"it clips {what} the gradient; SOLVER.CLIP_GRADIENT_NORM clips the norm of all together"
        further = ("SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "SOLVER.CLIP_GRADIENTS.NORM_TYPE")
        settings.lose("SOLVER.CLIP_GRADIENTS.ENABLED", why, further)
    if settings["TEST.PRECISE_BN.ENABLED"]:
        why = "statistics of batch norms are those of training here, not taken anew"
        settings.lose("TEST.PRECISE_BN.ENABLED", why, ["TEST.PRECISE_BN.NUM_ITER"])
    if settings["FLOAT32_PRECISION"]:
        settings.lose("FLOAT32_PRECISION", "torch's own choice of TF32 is left as it is here")
