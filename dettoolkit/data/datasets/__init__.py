"""The formats of data sets. One file a format; each class is registered in ``DATASETS`` under its own name."""

from dettoolkit.data.datasets.coco import COCODataset
from dettoolkit.data.datasets.csv import CSVDataset
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.lvis import LVISDataset
from dettoolkit.data.datasets.open_images import OpenImagesDataset
from dettoolkit.data.datasets.shapes import ShapesDataset
from dettoolkit.data.datasets.voc import VOCDataset
from dettoolkit.data.datasets.yolo import YOLODataset

__all__ = [
    "COCODataset",
    "CSVDataset",
    "DetectionDataset",
    "LVISDataset",
    "OpenImagesDataset",
    "ShapesDataset",
    "VOCDataset",
    "YOLODataset",
]
