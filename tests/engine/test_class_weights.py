"""Class weights of a training: counted once, written down, and found again by whoever has no training set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fvcore.common.config import CfgNode

from dettoolkit.config import load_config
from dettoolkit.data import build_train_dataset
from dettoolkit.engine import evaluate, train
from dettoolkit.engine.class_weights import box_counts, with_class_weights, with_class_weights_of
from dettoolkit.errors import ConfigError
from dettoolkit.inference import Predictor
from dettoolkit.modeling import build_model
from dettoolkit.structures import DatasetInfo

SmallConfig = Callable[..., CfgNode]

KEY = "MODEL.LOSSES.CLASSIFICATION.CLASS_WEIGHTS"
SHORT = ("SOLVER.LENGTH", 2, "EVALUATION.PERIOD", 0)


def _weights(cfg: CfgNode) -> Any:
    return cfg.MODEL.LOSSES.CLASSIFICATION.CLASS_WEIGHTS


def _counts(cfg: CfgNode) -> list[int]:
    """The boxes of each class, one sample after the other."""
    dataset = build_train_dataset(cfg)
    labels = [label for index in range(len(dataset)) for label in dataset[index]["labels"].tolist()]
    return [labels.count(k) for k in range(dataset.info.num_classes)]


def test_a_training_writes_the_numbers_and_logs_them(small_config: SmallConfig) -> None:
    cfg = small_config(*SHORT, KEY, "inverse")
    train(cfg)
    folder = Path(cfg.OUTPUT_DIR)
    counts = _counts(cfg)
    # 1 / n with a mean over the boxes of 1: N / (K n)
    expected = [sum(counts) / (len(counts) * count) for count in counts]
    assert _weights(load_config(folder / "config.yaml")) == pytest.approx(expected, rel=1e-5)
    log = (folder / "log.txt").read_text()
    assert "class weights (inverse):" in log
    assert all(f"| {count:>7} |" in log for count in counts)


def test_an_evaluation_and_a_predictor_need_no_training_set(small_config: SmallConfig) -> None:
    cfg = small_config(*SHORT, KEY, "sqrt")
    numbers = train(cfg)
    again = evaluate(small_config(*SHORT, KEY, "sqrt", "DATASETS.TRAIN", "[]"))
    assert again == pytest.approx(numbers)
    checkpoint = Path(cfg.OUTPUT_DIR) / "checkpoints" / "model_final.pth"
    plugins = [Path(__file__).with_name("small_backbone.py")]
    assert len(Predictor.from_checkpoint(checkpoint, "cpu", plugins).class_names) == 6


def test_resuming_counts_again_and_goes_on(small_config: SmallConfig) -> None:
    train(small_config(*SHORT, KEY, "effective_number"))
    longer = small_config("SOLVER.LENGTH", 3, KEY, "effective_number")
    before = (Path(longer.OUTPUT_DIR) / "config.yaml").read_text()
    train(longer, resume=True)
    after = (Path(longer.OUTPUT_DIR) / "config.yaml").read_text()
    assert before.split("CLASS_WEIGHTS")[1].split("REGRESSION")[0] == after.split("CLASS_WEIGHTS")[1].split("REGRESSION")[0]


def test_a_model_is_built_without_data(small_config: SmallConfig) -> None:
    assert build_model(small_config("MODEL.NUM_CLASSES", 6, KEY, "inverse")).criterion.classification_loss is not None  # type: ignore[union-attr]


def test_a_list_and_none_are_left_as_they_are(small_config: SmallConfig) -> None:
    for given in ("none", "[1.0, 2.0, 1.0, 1.0, 1.0, 0.5]"):
        cfg = small_config(KEY, given)
        assert with_class_weights(cfg, None) is cfg  # type: ignore[arg-type]
        assert with_class_weights_of(cfg, "no file") is cfg


def test_weights_that_do_not_say_are_refused_only_where_a_loss_is_wanted(small_config: SmallConfig, tmp_path: Path) -> None:
    train(small_config(*SHORT))  # without class weights: its checkpoint says none
    weights = ("MODEL.WEIGHTS", tmp_path / "run" / "checkpoints" / "model_final.pth", "OUTPUT_DIR", tmp_path / "next")
    with pytest.raises(
        ConfigError, match=r"CLASS_WEIGHTS is 'inverse', and .*model_final\.pth does not say .* EVALUATION\.LOSS"
    ):
        evaluate(small_config(*SHORT, KEY, "inverse", *weights))
    assert "bbox/AP" in evaluate(small_config(*SHORT, KEY, "inverse", *weights, "EVALUATION.LOSS", False))


def _dataset(*records: tuple[list[int], list[bool]]) -> Any:
    made = [SimpleNamespace(labels=np.array(labels, np.int64), ignore=np.array(ignore, bool)) for labels, ignore in records]
    return SimpleNamespace(info=DatasetInfo("few", ("cat", "dog", "cow")), records=made)


def test_ignored_boxes_do_not_count_and_classes_without_boxes_are_warned_of(
    small_config: SmallConfig, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = _dataset(([0, 0, 1], [False, False, True]), ([], []), ([1], [False]))
    assert box_counts(dataset).tolist() == [2, 1, 0]
    # 1/2 and 1 for the two, times 3 boxes over 2 * 1/2 + 1 * 1 = 2; the third as the rarest
    assert _weights(with_class_weights(small_config(KEY, "inverse"), dataset)) == [0.75, 1.5, 1.5]
    assert "few: 1 classes have no box to train on" in caplog.text


def test_a_training_set_without_boxes_is_refused(small_config: SmallConfig) -> None:
    with pytest.raises(ConfigError, match=r"CLASS_WEIGHTS inverse: few: class weights need boxes"):
        with_class_weights(small_config(KEY, "inverse"), _dataset(([], [])))
