"""Trained detectors at work: on images, folders of images and videos."""

from dettoolkit.inference.image_input import ImageInput
from dettoolkit.inference.input_files import find_input_files, is_video
from dettoolkit.inference.prediction_stream import Prediction
from dettoolkit.inference.predictions_file import PredictionsFile
from dettoolkit.inference.predictor import Predictor
from dettoolkit.inference.video import VideoReader, VideoWriter

__all__ = [
    "ImageInput",
    "Prediction",
    "PredictionsFile",
    "Predictor",
    "VideoReader",
    "VideoWriter",
    "find_input_files",
    "is_video",
]
