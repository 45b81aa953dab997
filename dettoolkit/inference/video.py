"""Videos, frame by frame, by OpenCV."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from dettoolkit.errors import DataError

logger = logging.getLogger(__name__)

_USUAL_RATE = 25.0


class VideoReader:
    """The frames of a video file; iterate once.

    ``num_frames`` is what the file announces (None where it does not): it may be an estimate.

    Args:
        path: a video that OpenCV's FFmpeg can decode.

    Raises:
        DataError: there is no such file, or it cannot be decoded.
    """

    def __init__(self, path: str | Path) -> None:
        import cv2

        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"{path}: there is no such file.")
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise DataError(f"{path}: cannot be opened as a video: damaged, or of a kind that OpenCV does not decode.")
        announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.num_frames = announced if announced > 0 else None
        self.frames_per_second = float(self._capture.get(cv2.CAP_PROP_FPS))
        if not (math.isfinite(self.frames_per_second) and self.frames_per_second > 0):
            logger.warning("%s does not say how fast it runs; %g frames a second are assumed", path, _USUAL_RATE)
            self.frames_per_second = _USUAL_RATE

    def __iter__(self) -> Iterator[Tensor]:
        """Yield ``[3, H, W]`` uint8 RGB tensors.

        Raises:
            DataError: not a single frame can be decoded.
        """
        import cv2

        count = 0
        while True:
            ok, frame = self._capture.read()
            if not ok:
                break
            count += 1
            yield torch.from_numpy(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)
        if count == 0:
            raise DataError(f"{self.path}: no frame of the video can be decoded.")
        if self.num_frames and count < self.num_frames:
            logger.warning("%s: %d frames could be decoded, %d are announced", self.path, count, self.num_frames)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._capture.release()


class VideoWriter:
    """Writes pictures of one size to an MP4 file (MPEG-4 part 2, which every build of OpenCV can encode).

    Odd sides get a row or column more: the encoder halves them for colours.

    Args:
        path: the file; it must end in ``.mp4``, and its folder is made where it is missing.
        frames_per_second: how fast it runs.
    """

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self.path = path
        self.frames_per_second = frames_per_second
        self._size: tuple[int, int] | None = None

    def write(self, picture: np.ndarray) -> None:
        """Append an ``[H, W, 3]`` uint8 RGB picture.

        Raises:
            DataError: the file cannot be written, or the picture is of another size than the first.
        """
        import cv2

        height, width = picture.shape[:2]
        if self._size is None:
            self._open(height + height % 2, width + width % 2)
            self._size = (height, width)
        if self._size != (height, width):  # OpenCV would leave it out without a word
            raise DataError(f"{self.path}: a frame is {height} x {width}, the first was {self._size[0]} x {self._size[1]}.")
        frame = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def _open(self, height: int, width: int) -> None:
        import cv2

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.path}: the video cannot be written: {error.strerror}.") from None
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self.path), code, self.frames_per_second, (width, height))
        if not self._writer.isOpened():
            raise DataError(f"{self.path}: the video cannot be written.")

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._size is not None:
            self._writer.release()
