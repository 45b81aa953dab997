from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dettoolkit.checkpoint import write
from dettoolkit.errors import CheckpointError, ConfigError
from dettoolkit.inference import Predictor
from dettoolkit.inference.stored_detector import StoredDetector
from dettoolkit.structures import DatasetInfo

PLUGIN = """
from dettoolkit.modeling.losses.focal import FocalLoss
from dettoolkit.registry import LOSSES

@LOSSES.register()
class LossOfMyOwn(FocalLoss):
    \"\"\"Nothing new.\"\"\"
"""


def test_the_model_has_the_weights_of_the_file(checkpoint: Path, checkpoint_data: dict[str, Any]) -> None:
    stored = StoredDetector.read(checkpoint)
    for name, value in stored.model.state_dict().items():
        assert torch.equal(value, checkpoint_data["model"][name]), name
    assert stored.info.class_names == ("disc", "ring", "square")
    assert list(stored.cfg) == ["MODEL", "DATASETS", "SOLVER"]


def test_hooks_and_data_sets_that_are_no_more_do_not_matter(
    changed_checkpoint: Callable[..., Path], checkpoint_data: Any
) -> None:
    config = (
        checkpoint_data["config"].replace("NAME: NonFiniteLoss", "NAME: GoneHook").replace("NAME: ShapesDataset", "NAME: Gone")
    )
    assert config.count("Gone") == 4  # the catalog inherits two sets besides its own
    StoredDetector.read(changed_checkpoint(config=config))


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_text("hello")
    with pytest.raises(CheckpointError, match=r"model\.pth is no weight file"):
        StoredDetector.read(tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"there is no such file\. Did you mean 'model\.pth'"):
        StoredDetector.read(tmp_path / "modell.pth")


def test_bare_weights_are_refused_with_what_to_do(tmp_path: Path, checkpoint_data: dict[str, Any]) -> None:
    write(tmp_path / "bare.pth", checkpoint_data["model"])
    with pytest.raises(CheckpointError, match=r"model, config, dataset missing; its keys: .*load_weights"):
        StoredDetector.read(tmp_path / "bare.pth")


def test_what_the_message_on_bare_weights_says_works(cfg: Any, checkpoint: Path, checkpoint_data: dict[str, Any]) -> None:
    from dettoolkit.checkpoint import load_weights
    from dettoolkit.modeling import build_model

    model = build_model(cfg)
    load_weights(model, checkpoint_data["model"])
    image = torch.arange(3 * 40 * 40, dtype=torch.float32).reshape(3, 40, 40).to(torch.uint8)
    one = Predictor(model, cfg, DatasetInfo("tiny", ("a", "b", "c")), "cpu")([image])[0]
    other = Predictor.from_checkpoint(checkpoint, "cpu")([image])[0]
    assert torch.equal(one.boxes, other.boxes)


def test_a_checkpoint_without_classes_is_refused(changed_checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="dataset missing"):
        StoredDetector.read(changed_checkpoint(dataset=None))
    with pytest.raises(CheckpointError, match="its classes cannot be read"):
        StoredDetector.read(changed_checkpoint(dataset={"name": "x"}))


def test_other_classes_than_the_model_has_are_an_error(changed_checkpoint: Callable[..., Path], checkpoint_data: Any) -> None:
    two = DatasetInfo("pets", ("cat", "dog")).to_dict()
    with pytest.raises(CheckpointError, match=r"its config has 3 classes, its data set 2 \(cat, dog\)"):
        StoredDetector.read(changed_checkpoint(dataset=two))
    config = checkpoint_data["config"].replace("NUM_CLASSES: 3", "NUM_CLASSES: 2")
    with pytest.raises(CheckpointError, match=r"of other classes than the model .*3 -> 2 classes"):
        StoredDetector.read(changed_checkpoint(dataset=two, config=config))


def test_missing_weights_are_an_error(changed_checkpoint: Callable[..., Path], checkpoint_data: dict[str, Any]) -> None:
    model = {key: value for key, value in checkpoint_data["model"].items() if key != "head.box.bias"}
    assert len(model) == len(checkpoint_data["model"]) - 1
    with pytest.raises(CheckpointError, match=r"1 missing in the file: head\.box\.bias"):
        StoredDetector.read(changed_checkpoint(model=model))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("NAME: MaxIoUMatcher", "NAME: MaxIoUMatch", r"MODEL\.MATCHER\.NAME.*MaxIoUMatcher"),
        ("NUM_CONVS: 1", "NUM_CONVS: many", r"MODEL\.HEAD\.NUM_CONVS \(its config:\d+\)"),
        ("NUM_CLASSES: 3", "NUM_CLASSES: auto", "NUM_CLASSES is auto"),
        ("AMP: none", "AMP: fp8", r"SOLVER\.AMP"),
    ],
)
def test_a_config_that_cannot_be_used_is_told_with_its_key(
    changed_checkpoint: Callable[..., Path], checkpoint_data: Any, old: str, new: str, message: str
) -> None:
    assert old in checkpoint_data["config"]
    with pytest.raises(CheckpointError, match=re.compile(rf"changed\.pth: .*{message}", re.DOTALL)):
        StoredDetector.read(changed_checkpoint(config=checkpoint_data["config"].replace(old, new)))


@pytest.mark.parametrize("config", ["- a list", "a: [", "", "MODEL: 3", "DATASETS: 3", "!!python/name:os.system x"])
def test_a_config_that_is_none_is_refused(changed_checkpoint: Callable[..., Path], config: str) -> None:
    with pytest.raises(CheckpointError, match=r"changed\.pth: a detector cannot be built from its config"):
        StoredDetector.read(changed_checkpoint(config=config))


class TestPlugins:
    """Code that a checkpoint names is never run by itself."""

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Path:
        path = tmp_path / "plugin_of_a_stored_detector.py"
        path.write_text(f"{PLUGIN}\nimport pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
        return path

    @pytest.fixture
    def trained_with_it(self, changed_checkpoint: Callable[..., Path], checkpoint_data: Any, plugin: Path) -> Path:
        config = checkpoint_data["config"].replace("NAME: FocalLoss", "NAME: LossOfMyOwn")
        return changed_checkpoint(config=config.replace("PLUGINS: []", f"PLUGINS: ['{plugin}']"))

    def test_they_are_named_and_not_imported(self, trained_with_it: Path, plugin: Path) -> None:
        with pytest.raises(CheckpointError, match=rf"components of its own, from {re.escape(str(plugin))}.*--plugins FILE"):
            StoredDetector.read(trained_with_it)
        assert not (plugin.parent / "ran").exists()

    def test_those_that_are_passed_are_imported(self, trained_with_it: Path, plugin: Path) -> None:
        stored = StoredDetector.read(trained_with_it, [plugin])
        assert (plugin.parent / "ran").exists()
        assert type(stored.model.criterion.classification_loss).__name__ == "LossOfMyOwn"  # type: ignore[union-attr]

    def test_a_missing_file_is_told(self, trained_with_it: Path) -> None:
        with pytest.raises(ConfigError, match=r"no Python file 'gone\.py'"):
            StoredDetector.read(trained_with_it, ["gone.py"])
