"""The order of the images.

A training sampler forms *global* batches, the images of one optimizer step over all processes, identically in each of them:

* ``batches(start)`` yields lists of :class:`StreamItem` without end, from batch number ``start`` on;
* ``batches_per_epoch`` is how many of them make an epoch;
* ``settings`` holds, as plain data, what the stream depends on.

Its constructor gets ``sizes``, ``batch_size`` and ``seed``, and, where it asks for them, ``records`` (the annotations) and
``image_weights`` (of ``DATASETS.MIX``; a sampler that does not take them is refused where sets have weights).

The loader gives each process its share, so that the stream never depends on the number of processes or workers.
"""

from dettoolkit.data.samplers.class_aware import ClassAwareSampler
from dettoolkit.data.samplers.inference import InferenceSampler
from dettoolkit.data.samplers.repeat_factor import RepeatFactorSampler
from dettoolkit.data.samplers.stream import StreamItem
from dettoolkit.data.samplers.training import TrainingSampler

__all__ = ["ClassAwareSampler", "InferenceSampler", "RepeatFactorSampler", "StreamItem", "TrainingSampler"]
