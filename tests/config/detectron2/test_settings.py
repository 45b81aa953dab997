"""Types, unknown keys, and that no key of Detectron2 goes missing between the two toolkits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dettoolkit.config.detectron2 import Conversion
from dettoolkit.config.detectron2.defaults import DEFAULTS, NO_INFLUENCE, OTHER_MODELS
from dettoolkit.config.detectron2.reading import Given
from dettoolkit.config.detectron2.settings import Settings
from dettoolkit.errors import ConfigError

# between them these read every key that may change results
SWITCHES = (
    "SOLVER.LR_SCHEDULER_NAME=WarmupCosineLR INPUT.CROP.ENABLED=True DATALOADER.SAMPLER_TRAIN=RepeatFactorTrainingSampler",
    "SOLVER.CLIP_GRADIENTS.ENABLED=True TEST.AUG.ENABLED=True TEST.PRECISE_BN.ENABLED=True",
    "SOLVER.LR_SCHEDULER_NAME=WarmupStepWithFixedGammaLR MODEL.RESNETS.DEFORM_ON_PER_STAGE=[False,True,True,True]",
)


def test_every_key_is_converted_reported_or_without_influence(
    convert: Callable[..., Conversion], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Settings] = []
    monkeypatch.setattr(
        Settings, "__post_init__", lambda self, original=Settings.__post_init__: (original(self), made.append(self))
    )
    for overrides in SWITCHES:
        convert(overrides)
    used = set().union(*(settings._used for settings in made))
    assert len(made) == len(SWITCHES)
    assert used == DEFAULTS.keys() - NO_INFLUENCE.keys()
    assert NO_INFLUENCE.keys() <= DEFAULTS.keys()


def test_the_zoo_converts_without_a_finding(convert: Callable[..., Conversion]) -> None:
    for name in ("R_50_FPN_1x", "R_50_FPN_3x", "R_101_FPN_3x", "Base-RetinaNet"):
        done = convert(name=name)
        assert (done.lost, done.ignored) == ([], [])


def test_sections_of_other_models_are_told_once_each(convert: Callable[..., Conversion]) -> None:
    done = convert("MODEL.ROI_HEADS.NUM_CLASSES=3 MODEL.ROI_HEADS.NAME=x MODEL.RPN.ANYTHING=1 GLOBAL.HACK=2")
    assert done.lost == []
    assert [str(finding) for finding in done.ignored] == [
        "MODEL.ROI_HEADS.* (override MODEL.ROI_HEADS.NUM_CLASSES): belongs to two-stage detectors",
        "MODEL.RPN.* (override MODEL.RPN.ANYTHING): belongs to two-stage detectors",
        "GLOBAL.* (override GLOBAL.HACK): is for experiments with Detectron2's own code",
    ]


@pytest.mark.parametrize("key", NO_INFLUENCE)
def test_keys_without_influence_are_told_where_they_are_set(convert: Callable[..., Conversion], key: str) -> None:
    done = convert(f"{key}=7")
    assert done.lost == []
    assert [str(finding) for finding in done.ignored] == [f"{key} (override {key}): {NO_INFLUENCE[key]}"]
    assert convert().config == done.config


@pytest.mark.parametrize(
    "overrides",
    [
        "INPUT.CROP.SIZE=[0.5,0.5]",  # INPUT.CROP.ENABLED is false
        "SOLVER.BASE_LR_END=0.1",  # of the cosine
        "SOLVER.CLIP_GRADIENTS.CLIP_VALUE=35.0",
        "MODEL.RETINANET.SMOOTH_L1_LOSS_BETA=0.5 MODEL.RETINANET.BBOX_REG_LOSS_TYPE=giou",
        "MODEL.RESNETS.STRIDE_IN_1X1=False MODEL.RESNETS.DEPTH=18 MODEL.RESNETS.RES2_OUT_CHANNELS=64",
    ],
)
def test_keys_that_nothing_depends_on_are_told(convert: Callable[..., Conversion], overrides: str) -> None:
    done, key = convert(overrides), overrides.partition("=")[0]
    assert done.lost == []
    assert key in [finding.key for finding in done.ignored]
    assert "nothing that this config asks for depends on it" in str(done.ignored)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("MODEL.RESNETS.DEPHT", " Did you mean 'MODEL.RESNETS.DEPTH'?"),
        ("RETINANET.NUM_CLASSES", " Did you mean 'MODEL.RETINANET.NUM_CLASSES'?"),
        ("QUITE.DIFFERENT", ""),
        ("MODEL.ROI_HEADS_2.NUM_CLASSES", None),  # the beginning of a section's name is not the section
    ],
)
def test_unknown_keys_change_results_and_have_the_nearest_name(
    convert: Callable[..., Conversion], key: str, nearest: str | None
) -> None:
    (finding,) = convert(f"{key}=3").lost
    assert str(finding).startswith(f"{key} (override {key}): Detectron2 has no such key.")
    assert nearest is None or str(finding).endswith(f"no such key.{nearest}")


def test_wrong_types_come_in_one_report() -> None:
    given = {
        "MODEL.RESNETS.DEPTH": Given("fifty", "a.yaml:1"),
        "SOLVER.MAX_ITER": Given(9e4, "a.yaml:2"),
        "SOLVER.STEPS": Given([0.5], "a.yaml:3"),
        "SOLVER.BASE_LR": Given(1, "a.yaml:4"),
        "MODEL.MASK_ON": Given("yes", "a.yaml:5"),
        "MODEL.KEYPOINT_ON": Given("maybe", "a.yaml:6"),
        "TEST.EXPECTED_RESULTS": Given("whatever", "a.yaml:7"),
        "DATASETS.TRAIN": Given("coco", "a.yaml:8"),
    }
    with pytest.raises(ConfigError) as caught:
        Settings(given)
    assert str(caught.value).splitlines() == [
        "values that Detectron2 does not take either:",
        "  MODEL.RESNETS.DEPTH (a.yaml:1): expected int, got 'fifty' (a string).",
        "  SOLVER.MAX_ITER (a.yaml:2): expected int, got 90000.0 (float).",
        "  SOLVER.STEPS (a.yaml:3): expected list of int, got [0.5] (a list).",
        "  MODEL.KEYPOINT_ON (a.yaml:6): expected true or false, got 'maybe' (a string).",
        "  DATASETS.TRAIN (a.yaml:8): expected list of strings, got 'coco' (a string).",
    ]
    read = Settings({key: given[key] for key in ("SOLVER.BASE_LR", "MODEL.MASK_ON")})
    assert (read["SOLVER.BASE_LR"], read["MODEL.MASK_ON"], read["MODEL.RESNETS.DEPTH"]) == (1.0, True, 50)


def test_sections_of_others_and_known_keys_do_not_meet() -> None:
    assert not [key for key in DEFAULTS for section in OTHER_MODELS if key.startswith(section + ".")]
