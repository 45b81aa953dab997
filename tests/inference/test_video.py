from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from dettoolkit.errors import DataError
from dettoolkit.inference import VideoReader, VideoWriter


def write(path: Path, size: tuple[int, int], num_frames: int = 6) -> Path:
    """Frames of one colour each: red grows, blue falls."""
    with VideoWriter(path, 12.5) as video:
        for index in range(num_frames):
            video.write(np.full((*size, 3), (40 * index, 100, 200 - 40 * index), np.uint8))
    return path


def test_frames_come_back_in_order_and_in_rgb(tmp_path: Path) -> None:
    with VideoReader(write(tmp_path / "deep" / "video.mp4", (48, 64))) as video:
        assert video.num_frames == 6
        assert video.frames_per_second == 12.5
        frames = list(video)
    assert len(frames) == 6
    for index, frame in enumerate(frames):
        assert frame.shape == (3, 48, 64)
        assert frame.dtype == torch.uint8
        means = frame.float().mean((1, 2)) - torch.tensor([40.0 * index, 100, 200 - 40 * index]).clamp(0, 255)
        assert means.abs().max() < 12  # compression, and colours held in fewer bits


def test_odd_sides_lose_nothing(tmp_path: Path) -> None:
    with VideoReader(write(tmp_path / "video.mp4", (49, 65))) as video:
        assert next(iter(video)).shape == (3, 50, 66)


def test_no_pictures_make_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "video.mp4", 25):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "video.mp4", 25) as video:
        video.write(np.zeros((48, 64, 3), np.uint8))
        with pytest.raises(DataError, match="a frame is 64 x 48, the first was 48 x 64"):
            video.write(np.zeros((64, 48, 3), np.uint8))


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"text\.mp4: cannot be opened as a video"):
        VideoReader(tmp_path / "text.mp4")
    with pytest.raises(DataError, match=r"gone\.mp4: there is no such file"):
        VideoReader(tmp_path / "gone.mp4")


def test_a_video_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        write(tmp_path / "file" / "video.mp4", (48, 64))


def test_fewer_frames_than_announced_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("dettoolkit.inference.video")
    logger.addHandler(caplog.handler)
    with VideoReader(write(tmp_path / "video.mp4", (48, 64))) as video:
        video.num_frames = 99
        assert len(list(video)) == 6
    logger.removeHandler(caplog.handler)
    assert "6 frames could be decoded, 99 are announced" in caplog.text


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with VideoReader(write(tmp_path / "video.mp4", (48, 64), num_frames=1)) as video:
        assert len(list(video)) == 1
        with pytest.raises(DataError, match="no frame of the video can be decoded"):
            list(video)  # it is at its end now
