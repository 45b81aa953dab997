"""From a sample to a sample: ``torchvision.transforms.v2`` by name, what it lacks, and the pipelines that apply them."""

from dettoolkit.data.transforms.composed import Compose, RandomApply, RandomChoice
from dettoolkit.data.transforms.crop import RandomIoUCrop
from dettoolkit.data.transforms.inference_pipeline import InferencePipeline
from dettoolkit.data.transforms.pipeline import Pipeline, build_transforms
from dettoolkit.data.transforms.rescale import Rescale
from dettoolkit.data.transforms.resize import ResizeShortestEdge

__all__ = [
    "Compose",
    "InferencePipeline",
    "Pipeline",
    "RandomApply",
    "RandomChoice",
    "RandomIoUCrop",
    "Rescale",
    "ResizeShortestEdge",
    "build_transforms",
]
