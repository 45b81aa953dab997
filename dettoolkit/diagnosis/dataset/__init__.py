"""What is wrong with data sets: their files, boxes, classes and images."""

from dettoolkit.diagnosis.dataset.check import DatasetCheck, check_datasets
from dettoolkit.diagnosis.dataset.quick import in_one_line, quick_check
from dettoolkit.diagnosis.dataset.text import as_data, as_text

__all__ = ["DatasetCheck", "as_data", "as_text", "check_datasets", "in_one_line", "quick_check"]
