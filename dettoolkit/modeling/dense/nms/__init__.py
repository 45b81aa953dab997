"""NMS: boxes, scores and labels -> which to keep, best first."""

from dettoolkit.modeling.dense.nms.greedy import BatchedNMS, ClassAgnosticNMS

__all__ = ["BatchedNMS", "ClassAgnosticNMS"]
