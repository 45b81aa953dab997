"""dettoolkit: train, understand and ship a dense object detector."""

__version__ = "0.1.0"
