"""Pictures that are there more than once: the same picture, and the same scene with the camera moved."""

from dettoolkit.diagnosis.pictures.fingerprint import Fingerprint, fingerprint
from dettoolkit.diagnosis.pictures.gray import PictureName
from dettoolkit.diagnosis.pictures.overlaps import Overlap, SmallGray, overlapping_pictures, small_gray
from dettoolkit.diagnosis.pictures.same_pictures import SamePictures, same_pictures

__all__ = [
    "Fingerprint",
    "Overlap",
    "PictureName",
    "SamePictures",
    "SmallGray",
    "fingerprint",
    "overlapping_pictures",
    "same_pictures",
    "small_gray",
]
