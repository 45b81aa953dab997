"""SOLVER, EVALUATION, HOOKS and what stands beside them; schedules against fvcore's, which Detectron2 runs on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fvcore.common.param_scheduler import (
    CosineParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
    StepWithFixedGammaParamScheduler,
)

from dettoolkit.config import load_config
from dettoolkit.config.detectron2 import Conversion
from dettoolkit.errors import ConfigError
from dettoolkit.solver import build_schedule

S = "SOLVER."
SHORT = f"{S}MAX_ITER=100 {S}WARMUP_ITERS=10 {S}WARMUP_FACTOR=0.25 {S}STEPS=(40,70,100,200) {S}GAMMA=0.5"


@pytest.mark.parametrize(
    ("overrides", "after_warmup"),
    [
        ("", MultiStepParamScheduler([1, 0.5, 0.25], num_updates=100, milestones=[40, 70])),  # later steps are never reached
        (f"{S}STEPS=()", MultiStepParamScheduler([1], num_updates=100, milestones=[])),
        (f"{S}LR_SCHEDULER_NAME=WarmupCosineLR {S}BASE_LR=0.02 {S}BASE_LR_END=0.005", CosineParamScheduler(1, 0.25)),
        (
            f"{S}LR_SCHEDULER_NAME=WarmupStepWithFixedGammaLR {S}NUM_DECAYS=6",
            StepWithFixedGammaParamScheduler(base_value=1.0, gamma=0.5, num_decays=6, num_updates=100),
        ),
    ],
)
def test_the_learning_rate_is_detectron2s(
    convert: Callable[..., Conversion], write: Callable[..., str], overrides: str, after_warmup: ParamScheduler
) -> None:
    done = convert(f"{SHORT} {overrides}")
    assert done.lost == []
    cfg = load_config(write(done.to_yaml()))
    assert cfg.SOLVER.LENGTH == "100it"
    schedule = build_schedule(cfg.SOLVER, 100, 7)
    assert [schedule.multiplier(i) for i in range(10, 100)] == pytest.approx([after_warmup(i / 100) for i in range(10, 100)])
    # linear from a quarter of the first value to the value at the warm-up's end
    first, last = 0.25 * after_warmup(0.0), after_warmup(0.1)
    assert [schedule.multiplier(i) for i in range(10)] == pytest.approx([first + (last - first) * i / 10 for i in range(10)])


def test_no_warm_up(convert: Callable[..., Conversion], write: Callable[..., str]) -> None:
    cfg = load_config(write(convert(f"{S}WARMUP_ITERS=0 {S}WARMUP_METHOD=constant {S}RESCALE_INTERVAL=True").to_yaml()))
    assert build_schedule(cfg.SOLVER, 90000, 7330).multiplier(0) == 1.0


def test_the_optimizer(convert: Callable[..., Conversion]) -> None:
    done = convert(
        f"{S}IMS_PER_BATCH=4 {S}BASE_LR=0.0025 {S}MOMENTUM=0.8 {S}NESTEROV=True {S}WEIGHT_DECAY=0.0005 "
        f"{S}WEIGHT_DECAY_NORM=0.0005 {S}WEIGHT_DECAY_BIAS=0.0 {S}AMP.ENABLED=True"
    )
    assert done.lost == []
    solver = done.config["SOLVER"]
    assert (solver["BATCH_SIZE"], solver["REFERENCE_BATCH_SIZE"], solver["BASE_LR"], solver["AMP"]) == (4, None, 0.0025, "fp16")
    assert solver["OPTIMIZER"] == {
        "NAME": "SGD",
        "MOMENTUM": 0.8,
        "NESTEROV": True,
        "WEIGHT_DECAY": 0.0005,
        "WEIGHT_DECAY_NORM": 0.0005,
        "WEIGHT_DECAY_BIAS": 0.0,
    }
    as_weights = convert(f"{S}WEIGHT_DECAY_NORM=None").config["SOLVER"]
    assert "OPTIMIZER" not in as_weights  # as by default


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (f"{S}WARMUP_METHOD=constant", f"{S}WARMUP_METHOD"),
        (f"{S}RESCALE_INTERVAL=True", f"{S}RESCALE_INTERVAL"),
        (f"{S}LR_SCHEDULER_NAME=WarmupPolyLR", f"{S}LR_SCHEDULER_NAME"),
        (f"{S}WARMUP_ITERS=90000", f"{S}WARMUP_ITERS"),
        (f"{S}REFERENCE_WORLD_SIZE=8", f"{S}REFERENCE_WORLD_SIZE"),
        (f"{S}BIAS_LR_FACTOR=2.0", f"{S}BIAS_LR_FACTOR"),
        (f"{S}CLIP_GRADIENTS.ENABLED=True {S}CLIP_GRADIENTS.CLIP_VALUE=0.1", f"{S}CLIP_GRADIENTS.ENABLED"),
        (f"{S}CLIP_GRADIENTS.ENABLED=True {S}CLIP_GRADIENTS.CLIP_TYPE=norm", f"{S}CLIP_GRADIENTS.ENABLED"),
        (f"MODEL.RETINANET.NORM=GN {S}WEIGHT_DECAY_BIAS=0.0001", f"{S}WEIGHT_DECAY_BIAS"),
        ("TEST.AUG.ENABLED=True TEST.AUG.FLIP=False", "TEST.AUG.ENABLED"),
        ("TEST.PRECISE_BN.ENABLED=True TEST.PRECISE_BN.NUM_ITER=9", "TEST.PRECISE_BN.ENABLED"),
        ("FLOAT32_PRECISION=high", "FLOAT32_PRECISION"),
    ],
)
def test_what_has_no_equivalent_is_told_once(convert: Callable[..., Conversion], overrides: str, key: str) -> None:
    done = convert(overrides)
    assert [finding.key for finding in done.lost] == [key]
    assert done.ignored == []


def test_a_learning_rate_of_zero_is_refused(convert: Callable[..., Conversion]) -> None:
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_LR .*expected a positive number, got 0\.0"):
        convert(f"{S}BASE_LR=0.0 {S}LR_SCHEDULER_NAME=WarmupCosineLR")


def test_how_often(convert: Callable[..., Conversion], write: Callable[..., str]) -> None:
    done = convert(f"TEST.EVAL_PERIOD=2500 {S}CHECKPOINT_PERIOD=1234")
    cfg, default = load_config(write(done.to_yaml())), load_config(write(""))
    assert cfg.EVALUATION.PERIOD == "2500it"
    assert [hook["NAME"] for hook in cfg.HOOKS] == [hook["NAME"] for hook in default.HOOKS]
    assert [hook for hook in cfg.HOOKS if hook not in default.HOOKS] == [
        {"NAME": "PeriodicCheckpoint", "PERIOD": "1234it", "KEEP": 2}
    ]


def test_where_and_from_which_seed(convert: Callable[..., Conversion]) -> None:
    by_default = convert("OUTPUT_DIR=./output SEED=-1")
    assert by_default.config.keys() & {"OUTPUT_DIR", "SEED"} == set()
    own = convert("OUTPUT_DIR=runs/mine SEED=42").config
    assert (own["OUTPUT_DIR"], own["SEED"]) == ("runs/mine", 42)
