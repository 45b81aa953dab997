"""From files to batches: data sets, transforms, samplers and loaders."""

from dettoolkit.data.catalog import (
    JoinedDataset,
    build_dataset,
    build_train_dataset,
    check_same_classes,
    register_dataset,
)
from dettoolkit.data.image_io import image_size, read_image

__all__ = [
    "JoinedDataset",
    "build_dataset",
    "build_train_dataset",
    "check_same_classes",
    "image_size",
    "read_image",
    "register_dataset",
]
