"""The doctor's parts: short trainings that are thrown away, and what they say of the real one."""

from dettoolkit.engine.rehearsal.learning_rate_range import RangeTest, learning_rate_range
from dettoolkit.engine.rehearsal.overfitting import Overfit, overfit_one_batch
from dettoolkit.engine.rehearsal.rehearsing import share_of_a_process
from dettoolkit.engine.rehearsal.smoke_run import SmokeRun, smoke_run
from dettoolkit.engine.rehearsal.verdict import plain_words, wrong

__all__ = [
    "Overfit",
    "RangeTest",
    "SmokeRun",
    "learning_rate_range",
    "overfit_one_batch",
    "plain_words",
    "share_of_a_process",
    "smoke_run",
    "wrong",
]
