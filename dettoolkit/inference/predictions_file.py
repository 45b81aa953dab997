"""The JSON file of predictions: one entry an image, written as they come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from dettoolkit.errors import DataError
from dettoolkit.structures import Detections


class PredictionsFile:
    """A JSON list with an entry for each image and for each frame of a video; ``with`` closes it, so that it can be read
    whatever happened in between.

    ::

        [{"file": "photos/a.jpg", "width": 640, "height": 480, "picture": "pictures/a.jpg",
          "detections": [{"class": "cat", "label": 0, "score": 0.93, "box": [12.0, 30.5, 200.0, 310.25]}]}]

    Boxes are xyxy in the pixels of the image as people see it; the highest score comes first. Entries of a video have
    ``frame`` (from 0) and ``seconds`` besides; ``predict`` adds the ``score_threshold``, one or by class name.

    Args:
        path: the file; it is made anew.
        class_names: ``[K]``.

    Raises:
        DataError: the file cannot be written.
    """

    def __init__(self, path: Path, class_names: Sequence[str]) -> None:
        self.path = path
        self.class_names = tuple(class_names)
        self.num_entries = 0
        try:
            self._file = path.open("x", encoding="utf-8")
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}.") from None

    def add(self, file: Path, size: tuple[int, int], detections: Detections, **more: Any) -> None:
        """Write the entry of one image.

        Args:
            file: the image or video.
            size: (height, width).
            detections: in the pixels of the image, on the CPU.
            more: further keys of the entry.
        """
        rows = zip(detections.labels.tolist(), detections.scores.tolist(), detections.boxes.tolist(), strict=True)
        found = [
            {
                "class": self.class_names[label],
                "label": label,
                "score": round(score, 6),
                "box": [round(side, 3) for side in box],
            }
            for label, score, box in rows
        ]
        entry = {"file": file.as_posix(), "width": size[1], "height": size[0], **more, "detections": found}
        self._file.write(",\n" if self.num_entries else "[\n")
        self._file.write(json.dumps(entry, ensure_ascii=False, allow_nan=False))
        self.num_entries += 1

    def __enter__(self) -> PredictionsFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.write("\n]\n" if self.num_entries else "[]\n")
        self._file.close()
