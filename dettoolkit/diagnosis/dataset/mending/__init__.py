"""A copy of data sets without what the check found."""

from dettoolkit.diagnosis.dataset.mending.changes import Change
from dettoolkit.diagnosis.dataset.mending.mended_copy import left_as_they_are, write_mended_copy

__all__ = ["Change", "left_as_they_are", "write_mended_copy"]
