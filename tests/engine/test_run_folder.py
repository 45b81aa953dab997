from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.errors import CheckpointError, ConfigError


def _checkpoint(folder: Path, *names: str, iteration: int = 0) -> None:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    for name in names:
        torch.save({"iteration": iteration}, folder / "checkpoints" / name)


def _snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {str(path.relative_to(folder)): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    folder = RunFolder.for_training(str(tmp_path / "a" / "b"), resume=False)
    assert folder.path == tmp_path / "a" / "b"
    assert folder.checkpoints.is_dir()
    assert not folder.resumes


def test_a_folder_with_a_checkpoint_is_refused_and_nothing_in_it_changes(tmp_path: Path) -> None:
    for taken in ("run", "run_2"):
        _checkpoint(tmp_path / taken, "model_00000007.pth")
    before = _snapshot(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        RunFolder.for_training(str(tmp_path / "run"), resume=False)
    assert str(caught.value) == (
        f"{tmp_path / 'run'} holds the checkpoint of an earlier run (model_00000007.pth). Go on with it by --resume, "
        f"or start a new run with OUTPUT_DIR {tmp_path / 'run_3'}"
    )
    assert _snapshot(tmp_path) == before


def test_the_next_free_folder_counts_on_from_the_number_that_is_there(tmp_path: Path) -> None:
    _checkpoint(tmp_path / "run_9", "model_final.pth")
    with pytest.raises(CheckpointError, match=rf"OUTPUT_DIR {re.escape(str(tmp_path / 'run_10'))}$"):
        RunFolder.for_training(str(tmp_path / "run_9"), resume=False)


def test_a_folder_without_a_checkpoint_may_be_used_again(tmp_path: Path) -> None:
    RunFolder.for_training(str(tmp_path), resume=False)
    assert not RunFolder.for_training(str(tmp_path), resume=False).resumes


def test_resume_enters_the_folder_with_a_checkpoint(tmp_path: Path) -> None:
    _checkpoint(tmp_path, "model_00000007.pth")
    assert RunFolder.for_training(str(tmp_path), resume=True).resumes


def test_resume_without_a_checkpoint_is_refused_and_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        RunFolder.for_training(str(tmp_path / "run"), resume=True)
    assert str(caught.value) == (
        f"--resume: {tmp_path / 'run' / 'checkpoints'} holds no checkpoint to go on from. Leave --resume out to start."
    )
    assert not (tmp_path / "run").exists()


def test_numbers_are_given_in_turn_and_gaps_stay(tmp_path: Path) -> None:
    name = str(tmp_path / "run_{number}")
    assert RunFolder.for_training(name, resume=False).path.name == "run_1"
    (tmp_path / "run_41").mkdir()
    (tmp_path / "run_x").mkdir()
    assert RunFolder.for_training(name, resume=False).path.name == "run_42"


def test_a_number_may_stand_inside_the_path(tmp_path: Path) -> None:
    name = str(tmp_path / "[exp]{number}" / "fold_0")
    paths = [RunFolder.for_training(name, resume=False).path for _ in range(2)]
    assert [path.parent.name for path in paths] == ["[exp]1", "[exp]2"]


def test_resume_takes_the_newest_number(tmp_path: Path) -> None:
    for number in (2, 10):
        _checkpoint(tmp_path / f"run_{number}", "model_final.pth")
    assert RunFolder.for_training(str(tmp_path / "run_{number}"), resume=True).path.name == "run_10"


@pytest.mark.parametrize("enter", [RunFolder.for_training, RunFolder.for_evaluation])
def test_a_run_without_a_checkpoint_is_not_the_newest_that_can_be_gone_on_with(tmp_path: Path, enter: object) -> None:
    for number in (1, 9, 10):
        (tmp_path / f"run_{number}").mkdir()
    _checkpoint(tmp_path / "run_9", "model_final.pth")
    assert enter(str(tmp_path / "run_{number}"), True).path.name == "run_9"  # type: ignore[operator]


def test_a_folder_that_only_has_the_best_weights_is_refused_and_says_what_can_be_done(tmp_path: Path) -> None:
    _checkpoint(tmp_path / "run", "model_best.pth")
    before = _snapshot(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        RunFolder.for_training(str(tmp_path / "run"), resume=False)
    assert str(caught.value) == (
        f"{tmp_path / 'run'} holds the checkpoint of an earlier run (model_best.pth). "
        f"Start a new run with OUTPUT_DIR {tmp_path / 'run_2'}"
    )
    with pytest.raises(CheckpointError) as caught:
        RunFolder.for_training(str(tmp_path / "run"), resume=True)
    assert str(caught.value) == (
        f"--resume: {tmp_path / 'run' / 'checkpoints'} holds no checkpoint to go on from. model_best.pth has weights without "
        f"the state of a training: start a new run with MODEL.WEIGHTS {tmp_path / 'run' / 'checkpoints' / 'model_best.pth'} "
        f"OUTPUT_DIR {tmp_path / 'run_2'}"
    )
    assert _snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl"])
def test_a_file_that_no_run_wrote_is_not_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("kept")
    before = _snapshot(tmp_path)
    with pytest.raises(ConfigError) as caught:
        RunFolder.for_training(str(tmp_path / "mine"), resume=False)
    assert str(caught.value) == (
        f"OUTPUT_DIR: {tmp_path / 'mine'} has a {name} that no run wrote, and a run there would write over it. "
        f"Use OUTPUT_DIR {tmp_path / 'mine_2'}"
    )
    assert _snapshot(tmp_path) == before


def test_a_run_that_never_had_a_checkpoint_may_be_started_anew_in_its_folder(tmp_path: Path) -> None:
    RunFolder.for_training(str(tmp_path), resume=False).write_config("of the run")
    again = RunFolder.for_training(str(tmp_path), resume=False)
    assert again.path == tmp_path
    assert not again.resumes


def test_what_entering_a_new_folder_made_is_taken_back_and_its_number_is_free_again(tmp_path: Path) -> None:
    name = str(tmp_path / "runs" / "run_{number}")
    folder = RunFolder.for_training(name, resume=False)
    (folder.path / "log.txt").write_text("the reason")
    folder.take_back()
    assert not (tmp_path / "runs").exists()
    assert RunFolder.for_training(name, resume=False).path.name == "run_1"


def test_what_was_in_a_folder_before_stays_when_the_rest_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("mine")
    folder = RunFolder.for_training(str(tmp_path), resume=False)
    (tmp_path / "log.txt").write_text("the reason")
    folder.take_back()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "notes.md"]


def test_the_newest_checkpoint_is_that_of_the_most_iterations(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.newest_checkpoint() is None
    _checkpoint(tmp_path, "model_best.pth")
    assert folder.newest_checkpoint() is None  # holds no state of the training
    _checkpoint(tmp_path, "model_00000009.pth", "model_00000010.pth")
    assert folder.newest_checkpoint() == folder.checkpoints / "model_00000010.pth"
    _checkpoint(tmp_path, "model_final.pth", iteration=12)
    assert folder.newest_checkpoint() == folder.checkpoints / "model_final.pth"


def test_a_training_made_longer_goes_on_from_its_own_checkpoint_not_the_final_one_of_the_shorter(tmp_path: Path) -> None:
    _checkpoint(tmp_path, "model_00000010.pth")
    _checkpoint(tmp_path, "model_final.pth", iteration=8)
    assert RunFolder(tmp_path).newest_checkpoint() == tmp_path / "checkpoints" / "model_00000010.pth"


@pytest.mark.parametrize("enter", [RunFolder.for_training, RunFolder.for_evaluation])
def test_a_folder_that_cannot_be_written_is_an_error_with_its_path(tmp_path: Path, enter: object) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "run"
    with pytest.raises(ConfigError, match=rf"^OUTPUT_DIR: {re.escape(str(path))} cannot be written: Not a directory\.$"):
        enter(str(path), False)  # type: ignore[operator]


def test_processes_started_again_go_on_in_their_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(tmp_path / "run_{number}")
    first = RunFolder.for_training(name, resume=False)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    again = RunFolder.for_training(name, resume=False)
    assert (again.path, again.resumes) == (first.path, False)  # it failed before its first checkpoint
    _checkpoint(first.path, "model_00000001.pth")
    again = RunFolder.for_training(name, resume=False)
    assert (again.path, again.resumes) == (first.path, True)


def test_processes_started_again_do_not_go_on_with_a_run_that_they_were_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _checkpoint(tmp_path, "model_00000001.pth")
    (tmp_path / ".started_by").write_text("elsewhere 1")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with pytest.raises(CheckpointError, match="Go on with it by --resume"):
        RunFolder.for_training(str(tmp_path), resume=False)


def test_an_evaluation_of_a_run_enters_its_folder(tmp_path: Path) -> None:
    for number in (1, 2):
        _checkpoint(tmp_path / f"run_{number}", "model_final.pth")
    assert RunFolder.for_evaluation(str(tmp_path / "run_{number}"), of_run=True).path.name == "run_2"
    assert RunFolder.for_evaluation(str(tmp_path / "run_{number}"), of_run=False).path.name == "run_3"


def test_an_evaluation_of_a_run_without_checkpoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        RunFolder.for_evaluation(str(tmp_path / "run"), of_run=True)
    assert str(caught.value) == (
        f"--eval-only: {tmp_path / 'run' / 'checkpoints'} holds no checkpoint. MODEL.WEIGHTS can name a checkpoint anywhere."
    )
    assert not (tmp_path / "run").exists()


def test_the_name_of_a_data_set_becomes_a_folder_inside_the_run(tmp_path: Path) -> None:
    assert RunFolder(tmp_path).inference("../a b").parent == tmp_path / "inference"
