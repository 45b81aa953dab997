from __future__ import annotations

import logging
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from dettoolkit.config import dump_config, load_config
from dettoolkit.data import build_train_dataset
from dettoolkit.data.loader import build_train_loader
from dettoolkit.data.mixing import fraction_of
from dettoolkit.errors import CheckpointError, ConfigError
from dettoolkit.registry import SAMPLERS

NAMES = ("a", "b")


def config(tmp_path: Path, mix: str = "{}", *overrides: str) -> Any:
    """Two sets of 20 and 10 drawn pictures."""
    (tmp_path / "my.yaml").write_text(f"""
DATASETS:
  CATALOG:
    a: {{NAME: ShapesDataset, SPLIT: train, NUM_IMAGES: 20, IMAGE_SIZE: 64}}
    b: {{NAME: ShapesDataset, SPLIT: val, NUM_IMAGES: 10, IMAGE_SIZE: 64}}
  TRAIN: [a, b]
  MIX: {mix}
""")
    return load_config(tmp_path / "my.yaml", overrides)


def names(data: Any) -> list[str]:
    return [record.file_name for record in data.records]


@pytest.mark.parametrize("mix", ["{}", "{b: {}}", "{a: {WEIGHT: 1, FRACTION: 1.0}}"])
def test_sets_come_whole_and_once_where_nothing_else_is_said(tmp_path: Path, mix: str) -> None:
    data = build_train_dataset(config(tmp_path, mix))

    assert len(data) == 30
    assert data.image_weights is None


def test_a_weight_is_how_often_each_image_of_a_set_comes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dettoolkit"):
        data = build_train_dataset(config(tmp_path, "{b: {WEIGHT: 3.0}}"))

    assert data.image_weights is not None
    assert data.image_weights.tolist() == [1.0] * 20 + [3.0] * 10
    assert "a: 20 images, WEIGHT 1; b: 10 images, WEIGHT 3; an epoch has 50 images" in caplog.text
    loader = build_train_loader(data, [], global_batch_size=10, seed=0)
    assert loader.batches_per_epoch == 5
    epoch = Counter(item.index for batch in islice(loader.sampler.batches(), 5) for item in batch)
    assert epoch == Counter([*range(20), *list(range(20, 30)) * 3])  # whole weights: nothing is drawn but the order


def test_a_fraction_is_part_of_a_larger_one_and_of_its_own_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dettoolkit"):
        tenth = build_train_dataset(config(tmp_path, "{a: {FRACTION: 0.1}}"))
    half = build_train_dataset(config(tmp_path, "{a: {FRACTION: 0.5}}"))
    other = build_train_dataset(config(tmp_path, "{a: {FRACTION: 0.5, FRACTION_SEED: 1}}"))

    assert [len(data) for data in (tenth, half, other)] == [2 + 10, 10 + 10, 10 + 10]
    assert "a: 2 of 20 (FRACTION 0.1, FRACTION_SEED 0) images, WEIGHT 1; b: 10 images, WEIGHT 1; an epoch has 12" in caplog.text
    assert set(names(tenth)) < set(names(half))
    assert set(names(half)) != set(names(other))
    assert names(half) == sorted(names(half), key=lambda name: ("val" in name, name))  # in the order of the whole set
    assert tenth.image_weights is None
    sample = tenth[0]
    assert sample["file_name"] == names(tenth)[0]
    # a picture goes on showing its own objects
    whole = {record.file_name: record.boxes.tolist() for record in build_train_dataset(config(tmp_path)).records}
    assert sample["boxes"].tolist() == whole[sample["file_name"]]
    assert tenth.read_image(sample["image_id"]).equal(sample["image"])


def test_the_run_s_seed_and_the_order_in_the_file_change_no_fraction(tmp_path: Path) -> None:
    first, second = (build_train_dataset(config(tmp_path, "{a: {FRACTION: 0.3}}", "SEED", seed)) for seed in "01")
    assert names(first) == names(second)

    ids = list(range(100))
    chosen = {ids[index] for index in fraction_of(ids, 0.3, 5)}
    assert {ids[::-1][index] for index in fraction_of(ids[::-1], 0.3, 5)} == chosen
    assert len(chosen) == 30


def test_shares_are_spread_over_the_set() -> None:
    # of 1000 images half: the number among the first 500 is hypergeometric, mean 250, deviation 7.9
    indices = fraction_of([f"{number:04d}.jpg" for number in range(1000)], 0.5, 0)
    assert abs(sum(index < 500 for index in indices) - 250) < 5 * 7.9


def test_a_tiny_fraction_leaves_one_image() -> None:
    assert len(fraction_of(list(range(10)), 1e-6, 0)) == 1


def test_weights_and_fractions_go_together(tmp_path: Path) -> None:
    data = build_train_dataset(config(tmp_path, "{a: {FRACTION: 0.25, WEIGHT: 0.5}, b: {WEIGHT: 2}}"))

    assert data.image_weights is not None
    assert data.image_weights.tolist() == [0.5] * 5 + [2.0] * 10
    # 2.5 + 20 = 22.5, and Python rounds halves to even
    assert build_train_loader(data, [], global_batch_size=1, seed=0).batches_per_epoch == 22


def test_overrides_and_the_written_config_keep_the_mix(tmp_path: Path) -> None:
    cfg = config(tmp_path, "{a: {FRACTION: 0.25}}", "DATASETS.MIX.b.WEIGHT", "2", "DATASETS.MIX.a.FRACTION", "0.5")
    assert cfg.DATASETS.MIX.a == {"WEIGHT": 1.0, "FRACTION": 0.5, "FRACTION_SEED": 0}
    assert cfg.DATASETS.MIX.b.WEIGHT == 2.0

    (tmp_path / "again.yaml").write_text(dump_config(cfg))
    assert load_config(tmp_path / "again.yaml") == cfg


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ("{a: {WEIGTH: 2}}", r"DATASETS\.MIX\.a\.WEIGTH \(.*my\.yaml:7\): .* has no 'WEIGTH'\. Did you mean 'WEIGHT'\?"),
        ("{a: {WEIGHT: 0}}", r"DATASETS\.MIX\.a\.WEIGHT \(.*my\.yaml:7\): expected float > 0, got 0"),
        ("{a: {FRACTION: 1.5}}", r"DATASETS\.MIX\.a\.FRACTION .*: expected float > 0 and <= 1, got 1\.5"),
        ("{a: {FRACTION: 10%}}", r"DATASETS\.MIX\.a\.FRACTION .*: expected float > 0 and <= 1, got '10%' \(a string\)"),
        ("{a: 2}", r"DATASETS\.MIX\.a .*: expected a mapping, got 2 \(int\)"),
        ("[a]", r"DATASETS\.MIX .*: expected a mapping, got"),
    ],
)
def test_a_wrong_mix_is_reported_with_its_line(tmp_path: Path, mix: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, mix)


def test_a_set_that_is_not_trained_on_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"DATASETS\.MIX\.aa: DATASETS\.TRAIN has no 'aa'\. .*It has: a, b\."):
        build_train_dataset(config(tmp_path, "{aa: {WEIGHT: 2}}"))


def test_a_sampler_that_takes_no_weights_is_refused_where_there_are_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain:
        def __init__(self, sizes: Any, batch_size: int, seed: int) -> None: ...

    monkeypatch.setitem(SAMPLERS._obj_map, "Plain", Plain)
    data = build_train_dataset(config(tmp_path, "{a: {WEIGHT: 2}}"))

    with pytest.raises(ConfigError, match=r"DATALOADER\.SAMPLER: Plain takes no image_weights, and DATASETS\.MIX gives"):
        build_train_loader(data, [], global_batch_size=2, seed=0, sampler_node={"NAME": "Plain"})


@pytest.mark.parametrize("sampler", ["TrainingSampler", "RepeatFactorSampler", "ClassAwareSampler"])
def test_a_mixed_stream_is_continued_in_any_number_of_processes_and_refused_under_another_mix(
    tmp_path: Path, sampler: str
) -> None:
    def loader(mix: str = "{b: {WEIGHT: 2.5}}", rank: int = 0, world_size: int = 1) -> Any:
        node = {"NAME": sampler}
        data = build_train_dataset(config(tmp_path, mix))
        return build_train_loader(data, [], global_batch_size=4, seed=0, sampler_node=node, rank=rank, world_size=world_size)

    def files(batches: Any, count: int) -> list[list[str]]:
        return [[sample["file_name"] for sample in batch.samples] for batch in islice(batches, count)]

    whole = loader()
    first = files(iter(whole), 8)
    state = whole.state_dict()
    rest = files(iter(whole), 6)
    shares = []
    for rank in range(2):
        resumed = loader(rank=rank, world_size=2)
        resumed.load_state_dict(state)
        shares.append(files(iter(resumed), 6))
    assert [[one[0], two[0], one[1], two[1]] for one, two in zip(*shares, strict=True)] == rest
    assert first != rest
    with pytest.raises(CheckpointError, match="checksum of how often each image comes was"):
        loader("{b: {WEIGHT: 2.0}}").load_state_dict(state)
