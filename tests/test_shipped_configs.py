"""Every config that comes with dettoolkit loads, builds and says how it is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.config import config_files, dump_config, load_config
from dettoolkit.modeling import build_model
from dettoolkit.solver import build_schedule

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))
RUNNABLE = [file for file in FILES if file.parent.name != "base"]
COCO = [file for file in RUNNABLE if file.parent.name in ("retinanet", "compat")]
ONE_CLASS_MORE = 7


def name_of(file: Path) -> str:
    return file.relative_to(CONFIGS).as_posix()


def trainable_and_total(model: nn.Module) -> tuple[int, int]:
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def meta_model(cfg: CfgNode) -> nn.Module:
    with torch.device("meta"):
        return build_model(cfg)


def test_all_shipped_configs_are_looked_at() -> None:
    # quick_start, tiny, 2 of blood cells; 2 bases; 4 to compare with others; 3 networks x 2 inputs x 2 lengths, 1 for the CPU
    assert len(FILES) == 4 + 2 + 4 + 13
    assert list(config_files()) == [name_of(file) for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_it_loads_and_its_dump_loads_to_the_same(file: Path, tmp_path: Path) -> None:
    cfg = load_config(file)
    written = tmp_path / "config.yaml"
    written.write_text(dump_config(cfg), encoding="utf-8")
    assert load_config(written) == cfg


@pytest.mark.parametrize("file", RUNNABLE, ids=name_of)
def test_its_model_is_built_from_the_config_and_from_its_dump(file: Path, tmp_path: Path) -> None:
    cfg = load_config(file, ["MODEL.NUM_CLASSES", str(ONE_CLASS_MORE)])
    model = meta_model(cfg)
    assert model.head.num_classes == ONE_CLASS_MORE
    written = tmp_path / "config.yaml"
    written.write_text(dump_config(cfg), encoding="utf-8")
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    assert {name: value.shape for name, value in meta_model(load_config(written)).state_dict().items()} == shapes


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_it_opens_with_what_it_is_for_and_how_to_run_it(file: Path) -> None:
    comment = re.match(r"(#.*\n)+", file.read_text(encoding="utf-8"))
    assert comment is not None
    if file in RUNNABLE:
        assert f"# Train:   python tools/train_net.py --config-file configs/{name_of(file)}" in comment[0]
        assert "# Expect:  " in comment[0]
    else:
        assert "Not to be trained by itself" in comment[0]


@pytest.mark.parametrize("file", RUNNABLE, ids=name_of)
def test_its_runs_are_kept_apart_from_each_other(file: Path) -> None:
    folder = load_config(file).OUTPUT_DIR
    assert folder == f"runs/{file.stem}_{{number}}"


@pytest.mark.parametrize("file", [file for file in COCO if file.stem.endswith(("1x", "3x"))], ids=name_of)
def test_the_learning_rate_falls_where_detectron2_lets_it_fall(file: Path) -> None:
    # Detectron2's configs: SOLVER.STEPS (60000, 80000) of 90000 and (210000, 250000) of 270000, warm-up 1000 from 1/1000
    length, first, second = {"1x": (90000, 60000, 80000), "3x": (270000, 210000, 250000)}[file.stem[-2:]]
    solver = load_config(file).SOLVER
    assert solver["LENGTH"] == f"{length}it"
    schedule = build_schedule(solver, length, iterations_per_epoch=7330)
    assert schedule.multiplier(0) == pytest.approx(0.001)
    points = [schedule.multiplier(i) for i in (1000, first - 1, first, second - 1, second, length - 1)]
    assert points == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("kind", ["fpn", "caffe_fpn"])
def test_retinanet_r50_has_the_parameters_counted_by_hand(kind: str) -> None:
    # torchvision's resnet50 has 25,557,032 parameters: less the last layer's 2,049,000 and batch norm's 2 x 26,560
    model = meta_model(load_config(CONFIGS / f"retinanet/retinanet_r50_{kind}_1x.yaml", ["MODEL.NUM_CLASSES", "80"]))
    backbone = 25_557_032 - 2_049_000 - 2 * 26_560
    lateral = (512 + 1024 + 2048) * 256 + 3 * 256
    output = 3 * (9 * 256 * 256 + 256)
    extra = 9 * 2048 * 256 + 9 * 256 * 256 + 2 * 256
    towers = 2 * 4 * (9 * 256 * 256 + 256)
    predictions = (9 * 256 + 1) * (9 * 80 + 9 * 4)
    assert trainable_and_total(model)[1] == backbone + lateral + output + extra + towers + predictions
    # the stem and C2 are frozen: 7 x 7 x 3 x 64, and three bottlenecks of width 64
    frozen = 49 * 3 * 64 + (64 * 64 + 9 * 64 * 64 + 64 * 256 + 64 * 256) + 2 * (256 * 64 + 9 * 64 * 64 + 64 * 256)
    assert trainable_and_total(model)[0] == trainable_and_total(model)[1] - frozen


# as in the configs of its model zoo
CAFFE_WEIGHTS = {"r50": "MSRA/R-50.pkl", "r101": "MSRA/R-101.pkl", "x101_32x8d": "FAIR/X-101-32x8d.pkl"}


@pytest.mark.parametrize("file", [file for file in RUNNABLE if "caffe" in file.stem], ids=name_of)
def test_caffe_kind_has_bgr_and_the_weights_that_detectron2_starts_from(file: Path) -> None:
    model = load_config(file).MODEL
    assert model.INPUT.CHANNEL_ORDER == "BGR"
    assert model.INPUT.PIXEL_MEAN == [103.53, 116.28, 123.675]
    name = next(name for key, name in CAFFE_WEIGHTS.items() if f"_{key}_" in file.stem)
    assert f"https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/{name}" == model.BACKBONE.WEIGHTS
    assert model.BACKBONE.STRIDE_IN_1X1 is ("x101" not in file.stem)


def test_detectron2_config_takes_the_learning_rate_as_it_stands() -> None:
    cfg = load_config(CONFIGS / "compat/detectron2_retinanet_r50_fpn_1x.yaml")
    assert cfg.SOLVER.REFERENCE_BATCH_SIZE is None
    assert cfg.MODEL.NORMALIZER == "moving_average"
    assert cfg.MODEL.LOSSES.REGRESSION == [{"NAME": "L1Loss"}]


def test_blood_cells_are_found_in_both_forms(real_data: Path) -> None:
    from dettoolkit.data import build_dataset

    cfg = load_config(CONFIGS / "blood_cells.yaml", ["DATASETS.ROOT", str(real_data)])
    coco, yolo = build_dataset(cfg, "txl_pbc_val"), build_dataset(cfg, "txl_pbc_yolo_val")
    assert len(coco) == len(yolo) == 288  # the split's README
    assert coco.info.class_names == yolo.info.class_names == ("WBC", "RBC", "Platelets")
    bccd = load_config(CONFIGS / "blood_cells_bccd_voc.yaml", ["DATASETS.ROOT", str(real_data)])
    assert [len(build_dataset(bccd, name)) for name in ("bccd_train", "bccd_val", "bccd_test")] == [205, 87, 72]
