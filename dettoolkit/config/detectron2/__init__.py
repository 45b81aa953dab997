"""RetinaNet configs of Detectron2, turned into ours."""

from dettoolkit.config.detectron2.convert import Conversion, convert_config
from dettoolkit.config.detectron2.settings import Finding

__all__ = ["Conversion", "Finding", "convert_config"]
