"""NMS: candidates -> detections without duplicates, best first.

Each is called with the candidates of one image and, where they come from several views of it, how many views could have
shown each of them.
"""

from dettoolkit.modeling.dense.nms.fusion import WeightedBoxFusion
from dettoolkit.modeling.dense.nms.greedy import BatchedNMS, ClassAgnosticNMS
from dettoolkit.modeling.dense.nms.soft import SoftNMS

__all__ = ["BatchedNMS", "ClassAgnosticNMS", "SoftNMS", "WeightedBoxFusion"]
