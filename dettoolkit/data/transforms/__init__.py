"""From a sample to a sample: ``torchvision.transforms.v2`` by name, what it lacks, and the pipelines that apply them."""

from dettoolkit.data.transforms.albumentations_adapter import Albumentations
from dettoolkit.data.transforms.closed_at_end import ClosedAtEnd
from dettoolkit.data.transforms.composed import Compose, RandomApply, RandomChoice
from dettoolkit.data.transforms.copy_paste import CopyPaste
from dettoolkit.data.transforms.crop import RandomIoUCrop
from dettoolkit.data.transforms.inference_pipeline import InferencePipeline
from dettoolkit.data.transforms.large_scale_jitter import LargeScaleJitter
from dettoolkit.data.transforms.mix_up import MixUp
from dettoolkit.data.transforms.mosaic import Mosaic
from dettoolkit.data.transforms.pipeline import Pipeline, build_transforms
from dettoolkit.data.transforms.random_crop import RandomCrop
from dettoolkit.data.transforms.rescale import Rescale
from dettoolkit.data.transforms.resize import ResizeShortestEdge
from dettoolkit.data.transforms.surroundings import Surroundings, TrainingLength

__all__ = [
    "Albumentations",
    "ClosedAtEnd",
    "Compose",
    "CopyPaste",
    "InferencePipeline",
    "LargeScaleJitter",
    "MixUp",
    "Mosaic",
    "Pipeline",
    "RandomApply",
    "RandomChoice",
    "RandomCrop",
    "RandomIoUCrop",
    "Rescale",
    "ResizeShortestEdge",
    "Surroundings",
    "TrainingLength",
    "build_transforms",
]
