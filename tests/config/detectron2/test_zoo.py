"""The files of Detectron2's zoo become the configs that stand here for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fvcore.common.config import CfgNode

from dettoolkit.config import load_config
from dettoolkit.config.detectron2 import Conversion, convert_config
from dettoolkit.config.detectron2.defaults import DEFAULTS
from dettoolkit.config.detectron2.reading import read_files
from dettoolkit.config.yaml_reader import dump
from dettoolkit.solver import build_schedule

COMPAT = "compat/detectron2_retinanet_r50_fpn_1x.yaml"


@pytest.fixture
def loaded(convert: Callable[..., Conversion], write: Callable[..., str]) -> Callable[..., CfgNode]:
    """Converts a file of the zoo and loads what was written."""
    return lambda name, overrides="": load_config(write(convert(overrides, name).to_yaml(), "converted.yaml"))


def without_weights(cfg: CfgNode) -> dict[str, Any]:
    return {**cfg.MODEL, "WEIGHTS": "", "BACKBONE": {**cfg.MODEL.BACKBONE, "WEIGHTS": ""}}


def test_the_model_is_that_of_the_comparison_with_detectron2(loaded: Callable[..., CfgNode]) -> None:
    """What python -m benchmarks.parity shows of that config then holds for the converted one."""
    compat = load_config(COMPAT, ["MODEL.NUM_CLASSES", "80"])  # auto there: as many as COCO has
    assert without_weights(loaded("R_50_FPN_1x")) == without_weights(compat)


@pytest.mark.parametrize("section", ["DATASETS", "DATALOADER"])
def test_the_data_are_those_of_the_comparison(loaded: Callable[..., CfgNode], section: str) -> None:
    assert loaded("R_50_FPN_1x")[section] == load_config(COMPAT)[section]


def multipliers(solver: CfgNode, length: int) -> list[float]:
    schedule = build_schedule(solver, length, 7330)
    return [schedule.multiplier(iteration) for iteration in range(0, length, 500)]


def test_the_solver_is_that_of_the_comparison(loaded: Callable[..., CfgNode]) -> None:
    ours, compat = loaded("R_50_FPN_1x").SOLVER, load_config(COMPAT).SOLVER
    for key in ("BATCH_SIZE", "REFERENCE_BATCH_SIZE", "BASE_LR", "LENGTH", "AMP", "OPTIMIZER"):
        assert ours[key] == compat[key]
    assert multipliers(ours, 90000) == multipliers(compat, 90000)  # written in iterations and in shares of the training


@pytest.mark.parametrize(("name", "depth"), [("R_50_FPN_3x", 50), ("R_101_FPN_3x", 101)])
def test_the_longer_schedules(loaded: Callable[..., CfgNode], name: str, depth: int) -> None:
    cfg, short = loaded(name), loaded("R_50_FPN_1x")
    backbone = cfg.MODEL.BACKBONE
    assert backbone.WEIGHTS.startswith("https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA/")
    assert backbone.WEIGHTS.endswith(f"/R-{depth}.pkl")
    assert depth == backbone.DEPTH
    assert cfg.SOLVER.LENGTH == "270000it"
    assert cfg.SOLVER.SCHEDULE.MILESTONES == [210000, 250000]
    assert {**without_weights(cfg)["BACKBONE"], "DEPTH": 50} == without_weights(short)["BACKBONE"]


def test_the_base_alone_trains_from_random_weights(loaded: Callable[..., CfgNode]) -> None:
    base, with_weights = loaded("Base-RetinaNet"), loaded("R_50_FPN_1x")
    assert (base.MODEL.WEIGHTS, base.MODEL.BACKBONE.WEIGHTS) == ("", "")
    assert without_weights(base) == without_weights(with_weights)


def test_weights_of_a_whole_detector_are_those_of_the_model(
    loaded: Callable[..., CfgNode], convert: Callable[..., Conversion]
) -> None:
    cfg = loaded("R_50_FPN_inference_acc_test")
    folder = "https://dl.fbaipublicfiles.com/detectron2/COCO-Detection/retinanet_R_50_FPN_3x/"
    assert cfg.MODEL.WEIGHTS.split(folder) == ["", "190397829/model_final_5bd44e.pkl"]
    assert cfg.MODEL.BACKBONE.WEIGHTS == ""
    assert cfg.DATASETS.TEST == ["coco_2017_val_100"]
    assert cfg.DATASETS.CATALOG.coco_2017_val_100.ANNOTATIONS == "coco/annotations/instances_val2017_100.json"
    assert [finding.key for finding in convert(name="R_50_FPN_inference_acc_test").ignored] == ["TEST.EXPECTED_RESULTS"]


def test_a_warm_up_past_the_end_has_no_equivalent(convert: Callable[..., Conversion]) -> None:
    (finding,) = convert(name="R_50_FPN_instant_test").lost  # 1000 iterations by Detectron2's default, of 40
    assert str(finding).startswith("SOLVER.WARMUP_ITERS: a warm-up of 1000 iterations does not end within the training")


def test_the_complete_config_that_a_run_of_detectron2_leaves_converts_to_the_same(
    convert: Callable[..., Conversion], write: Callable[..., str], zoo: dict[str, str]
) -> None:
    given, _ = read_files(zoo["R_50_FPN_1x"])
    complete: dict[str, Any] = {}
    for key, value in {**DEFAULTS, **{key: one.value for key, one in given.items()}}.items():
        *sections, name = key.split(".")
        node = complete
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    done = convert_config(write(dump(complete)))
    assert (done.lost, done.ignored) == ([], [])
    assert done.config == convert().config


def test_the_file_says_what_it_was_made_of(convert: Callable[..., Conversion]) -> None:
    text = convert("SEED=3 NO.SUCH=1 VIS_PERIOD=2").to_yaml()
    lines = text[: text.index("\nMODEL:")].replace("\n#   ", " ").splitlines()
    made_of = "COCO-Detection/retinanet_R_50_FPN_1x.yaml, Base-RetinaNet.yaml, SEED 3, NO.SUCH 1, VIS_PERIOD 2"
    assert lines[0] == f"# Made of a config of Detectron2 by dettoolkit convert-config: {made_of}"
    assert "Not converted, so results differ: NO.SUCH (override NO.SUCH): Detectron2 has no such key." in lines[2]
    assert lines[3].startswith("# Without influence: VIS_PERIOD (override VIS_PERIOD): pictures")
    assert all(line.startswith("#") for line in text.partition("\nMODEL:")[0].splitlines())


def test_a_comment_stays_one(convert: Callable[..., Conversion], zoo: dict[str, str], write: Callable[..., str]) -> None:
    done = convert_config(zoo["R_50_FPN_1x"], ["OUTPUT_DIR", "a\nSEED: 5"])
    cfg = load_config(write(done.to_yaml()))
    assert (cfg.OUTPUT_DIR, cfg.SEED) == ("a\nSEED: 5", 0)


def test_a_short_readable_file(convert: Callable[..., Conversion]) -> None:
    text = convert().to_yaml()
    assert "  MATCHER: {NAME: MaxIoUMatcher, IGNORE_CROWD_FROM: null}\n" in text
    assert "  TRAIN: [coco_2017_train]\n" in text
    assert "ANCHORS" not in text  # as by default
    assert "HEAD" not in text
    assert [line.partition(":")[0] for line in text.splitlines() if line[0].isupper()] == [
        "MODEL",
        "DATASETS",
        "DATALOADER",
        "SOLVER",
        "EVALUATION",
        "HOOKS",
    ]
