"""A copy of data sets without what the check found."""

from dettoolkit.diagnosis.dataset.mending.changes import Change
from dettoolkit.diagnosis.dataset.mending.mended_copy import write_mended_copy

__all__ = ["Change", "write_mended_copy"]
