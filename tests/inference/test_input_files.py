from __future__ import annotations

from pathlib import Path

import pytest

from dettoolkit.errors import DataError
from dettoolkit.inference import find_input_files, is_video


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.JPG",
        "a.png",
        "deep/c.mp4",
        "deep/er/a.png",
        "notes.txt",
        ".hidden.png",
        ".cache/d.png",
        "texts/notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(inputs: list[str]) -> list[str]:
    return [path.as_posix() for path in find_input_files(inputs)]


def test_a_folder_gives_the_images_and_videos_in_it_and_below(folder: Path) -> None:
    assert names(["."]) == ["a.png", "b.JPG", "deep/c.mp4", "deep/er/a.png"]
    assert names([str(folder / "deep")]) == [(folder / "deep" / name).as_posix() for name in ("c.mp4", "er/a.png")]


def test_a_glob_gives_what_it_matches(folder: Path) -> None:
    assert names(["*.png"]) == ["a.png"]
    assert names(["**/*.png"]) == ["a.png", "deep/er/a.png"]
    assert names(["*"]) == ["a.png", "b.JPG"]


def test_a_file_is_taken_whatever_its_name(folder: Path) -> None:
    assert names(["notes.txt"]) == ["notes.txt"]


def test_a_name_with_brackets_is_a_file_where_there_is_one(folder: Path) -> None:
    (folder / "photo [1].png").touch()
    assert names(["photo [1].png"]) == ["photo [1].png"]


def test_a_file_named_twice_comes_once(folder: Path) -> None:
    assert names(["b.JPG", ".", str(folder / "a.png")]) == ["b.JPG", "a.png", "deep/c.mp4", "deep/er/a.png"]


def test_what_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(DataError, match=r"a\.pgn: there is no such file or folder\. Did you mean 'a\.png'\?"):
        find_input_files(["a.png", "a.pgn"])
    with pytest.raises(DataError, match=r"\*\.tiff: no file is named like that"):
        find_input_files(["*.tiff"])
    with pytest.raises(DataError, match=r"texts: expected images or videos, found 1 other files\. Names must end in \.avif"):
        find_input_files(["texts"])


def test_videos_are_told_by_their_ending() -> None:
    assert is_video(Path("a.MP4"))
    assert not is_video(Path("mp4.jpg"))
