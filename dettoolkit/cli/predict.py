"""Detect objects in images, folders, globs and videos; write pictures and predictions.json.

python tools/predict.py --checkpoint runs/my_run/checkpoints/model_final.pth --input photos --output predictions

The output folder gets pictures/, named after the inputs and laid out in the same folders, and predictions.json:
a list with one entry for each image, {"file", "width", "height", "picture", "score_threshold", "detections"}, each detection
with "class", "label", "score" and "box" as [x1, y1, x2, y2] in pixels of the image. Videos become videos, and each frame an
entry with "frame" and "seconds" besides. "score_threshold" is a number, or one by class name where the checkpoint has them.
What cannot be read is reported and left out; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.cli.font_option import add_font_option, style_with_font
from dettoolkit.cli.view_options import add_view_options, chosen_by_options
from dettoolkit.errors import ConfigError, DataError, listed

if TYPE_CHECKING:
    from dettoolkit.inference import Prediction, PredictionsFile, Predictor
    from dettoolkit.visualization import DrawingStyle

_SOMETHING_LEFT_OUT = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="FILE",
        help="of a run, e.g. runs/my_run/checkpoints/model_final.pth, or an exported file",
    )
    parser.add_argument(
        "--input", required=True, nargs="+", metavar="INPUT", help="image, folder, glob or video; several at will"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="new or empty folder for pictures and predictions.json")
    parser.add_argument(
        "--score-threshold",
        type=float,
        metavar="S",
        help="lowest score drawn and written, of all classes (default: what the checkpoint holds for each class, or else 0.3)",
    )
    parser.add_argument("--batch-size", type=int, default=8, metavar="B", help="images at a time (default: 8)")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="of the network; auto: what the run was trained in, if the device can (default: auto)",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the network: waits once for each size of pictures, pays for many (docs/how-to/speed_up.md)",
    )
    parser.add_argument(
        "--trust", action="store_true", help="run a file of torch.export, which can hold code that somebody put into it"
    )
    add_view_options(parser)
    add_font_option(parser)
    parser.add_argument(
        "--plugins", nargs="+", default=[], metavar="FILE", help="Python files with components of the run's own"
    )


def run(arguments: argparse.Namespace) -> int:
    """Predict; return 0, or 1 where an input could not be read."""
    from dettoolkit.cli.output_folder import claim_folder
    from dettoolkit.distributed import process_device
    from dettoolkit.inference import PredictionsFile, Predictor, find_input_files

    if arguments.score_threshold is not None and not 0 <= arguments.score_threshold <= 1:
        raise ConfigError(f"--score-threshold: expected 0 to 1, got {arguments.score_threshold}.")
    if arguments.batch_size < 1:
        raise ConfigError(f"--batch-size: expected 1 or more, got {arguments.batch_size}.")
    process_device(arguments.device, "--device")
    style = style_with_font(arguments.font)
    files = find_input_files(arguments.input)
    predictor = Predictor.from_checkpoint(
        arguments.checkpoint,
        arguments.device,
        arguments.plugins,
        arguments.precision,
        arguments.compile,
        arguments.trust,
        chosen_by_options(arguments),
        None if arguments.nms is None else {"NAME": arguments.nms},
    )
    folder = claim_folder(arguments.output)
    threshold = _threshold(predictor, arguments.score_threshold)
    with PredictionsFile(folder / "predictions.json", predictor.class_names) as predictions:
        session = _Session(predictor, predictions, folder, threshold, arguments.batch_size, style)
        session.predict(files)
    print(f"{predictions.num_entries} images or frames, {session.num_detections} detections: {predictions.path}")
    if session.left_out:
        print(f"{len(session.left_out)} of {len(files)} inputs could not be read and were left out", file=sys.stderr)
    return _SOMETHING_LEFT_OUT if session.left_out else 0


def _threshold(predictor: Predictor, given: float | None) -> float | None:
    """Return the score threshold of all classes; None where those that the checkpoint holds are obeyed, which is said."""
    from dettoolkit.structures import DEFAULT_SCORE_THRESHOLD

    stored = predictor.score_thresholds
    if given is not None or stored is None:
        return DEFAULT_SCORE_THRESHOLD if given is None else given
    values = stored.of_labels(predictor.class_names).tolist()
    rows = [f"{name} {value:.3f}" for name, value in zip(predictor.class_names, values, strict=True)]
    print(f"score thresholds of the checkpoint ({stored.wish} on {stored.dataset}): {listed(rows, 10)}")
    return None


def output_names(files: Sequence[Path], endings: Sequence[str]) -> list[Path]:
    """Return a relative path for what is made of each file; no two are equal, also where upper and lower case are the same.

    Args:
        files: in whatever folders; the folders below their common one are kept.
        endings: what each name ends in instead of its own ending.
    """
    absolute = [Path(os.path.abspath(file)) for file in files]
    common = os.path.commonpath([file.parent for file in absolute])
    taken: set[str] = set()
    names = []
    for file, ending in zip(absolute, endings, strict=True):
        stem = file.relative_to(common).with_suffix("")
        name, number = f"{stem}{ending}", 2
        while name.casefold() in taken:
            name, number = f"{stem}_{number}{ending}", number + 1
        taken.add(name.casefold())
        names.append(Path(name))
    return names


@dataclass
class _Session:
    """One call of the command.

    Args:
        predictor: finds objects.
        predictions: takes an entry for each image.
        folder: gets ``pictures/``.
        score_threshold: lowest score that is drawn and written; None: that of each class in the checkpoint.
        batch_size: images at a time.
        style: how the pictures look.
    """

    predictor: Predictor
    predictions: PredictionsFile
    folder: Path
    score_threshold: float | None
    batch_size: int
    style: DrawingStyle
    num_detections: int = 0
    left_out: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        names, stored = self.predictor.class_names, self.predictor.score_thresholds
        self._thresholds: Any = self.score_threshold  # as predictions.json has it
        if self.score_threshold is None and stored is not None:
            values = stored.of_labels(names).tolist()
            self._thresholds = {name: round(value, 6) for name, value in zip(names, values, strict=True)}

    def predict(self, files: Sequence[Path]) -> None:
        """Predict images together, then videos one by one."""
        from dettoolkit.inference import is_video

        names = output_names(files, [".mp4" if is_video(file) else ".jpg" for file in files])
        pairs = [(file, Path("pictures") / name) for file, name in zip(files, names, strict=True)]
        self._images([pair for pair in pairs if not is_video(pair[0])])
        for file, name in pairs:
            if is_video(file):
                try:
                    self._video(file, name)
                except DataError as error:
                    self._leave_out(file, error)

    def _images(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        from tqdm import tqdm

        from dettoolkit.visualization import save_picture

        with tqdm(total=len(pairs), unit="image", disable=not pairs) as bar:

            def leave_out(index: int, error: DataError) -> None:
                self._leave_out(pairs[index][0], error)
                bar.update()

            inputs = [file for file, _ in pairs]
            for prediction in self.predictor.stream(inputs, self.batch_size, leave_out, self.score_threshold):
                file, name = pairs[prediction.index]
                save_picture(self._picture(file, prediction, picture=name.as_posix()), self.folder / name)
                bar.update()

    def _video(self, file: Path, name: Path) -> None:
        from tqdm import tqdm

        from dettoolkit.inference import VideoReader, VideoWriter

        with VideoReader(file) as video, VideoWriter(self.folder / name, video.frames_per_second) as writer:
            stream = self.predictor.stream(video, self.batch_size, score_threshold=self.score_threshold)
            for prediction in tqdm(stream, total=video.num_frames, unit="frame", desc=file.name):
                frame, seconds = prediction.index, round(prediction.index / video.frames_per_second, 3)
                writer.write(self._picture(file, prediction, picture=name.as_posix(), frame=frame, seconds=seconds))

    def _picture(self, file: Path, prediction: Prediction, **more: Any) -> Any:
        """Write the entry of an image and return its picture."""
        from dettoolkit.visualization import draw_detections

        image, found = prediction.image, prediction.detections
        self.num_detections += len(found)
        self.predictions.add(file, (int(image.shape[1]), int(image.shape[2])), found, **more, score_threshold=self._thresholds)
        return draw_detections(image, found, self.predictor.class_names, 0.0, self.style)

    def _leave_out(self, file: Path, error: DataError) -> None:
        from tqdm import tqdm

        self.left_out.append(file)
        tqdm.write(f"left out: {error}", file=sys.stderr)
