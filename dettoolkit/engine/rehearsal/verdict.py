"""What rehearsals say, in plain words: what looks wrong first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dettoolkit.engine.rehearsal.learning_rate_range import RangeTest
from dettoolkit.engine.rehearsal.overfitting import ENOUGH, Overfit
from dettoolkit.engine.rehearsal.smoke_run import SmokeRun
from dettoolkit.structures import Finding

_MUCH_WAITING = 0.2
_BEYOND = 2  # times: where the loss is lowest is known no better
_FAR_BELOW = 100  # times; warm-up and schedule make up for less
_ORDER = ("error", "warning", "hint")


def wrong(range_test: RangeTest | None = None, overfit: Overfit | None = None, smoke: SmokeRun | None = None) -> list[Finding]:
    """Return what looks wrong, the most serious first; an empty list where nothing does.

    Args:
        range_test: None: it was left out.
        overfit: likewise.
        smoke: likewise.
    """
    found = [
        *(_of_smoke(smoke) if smoke else []),
        *(_of_range(range_test) if range_test else []),
        *(_of_overfit(overfit) if overfit else []),
    ]
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))


def _of_range(test: RangeTest) -> list[Finding]:
    suggestion = "" if test.suggested is None else f" About {test.suggested:.2g} looks right."
    if test.diverged is not None and test.configured >= test.diverged:
        title = f"SOLVER.BASE_LR {test.configured:g} is too high: the loss diverges from about {test.diverged:.2g} on"
        return [Finding("learning-rate-too-high", "error", title, 1, (), f"Lower it.{suggestion}")]
    if test.suggested is None:
        title = "the loss does not fall at any learning rate"
        advice = "Look whether something is trained at all (FREEZE_STAGES), and at the labels: `dettoolkit visualize-data`."
        return [Finding("loss-does-not-fall", "warning", title, 1, (), advice)]
    if test.lowest is not None and test.configured > _BEYOND * test.lowest:
        title = f"SOLVER.BASE_LR {test.configured:g} is high: the loss begins to grow from about {test.lowest:.2g} on"
        return [Finding("learning-rate-high", "warning", title, 1, (), f"Lower it, or lengthen the warm-up.{suggestion}")]
    if test.configured * _FAR_BELOW < test.suggested:
        title = f"SOLVER.BASE_LR {test.configured:g} is very low: the loss falls most steeply at about {test.suggested:.2g}"
        return [Finding("learning-rate-low", "warning", title, 1, (), "Raise it, tenfold at a time.")]
    return []


def _of_overfit(overfit: Overfit) -> list[Finding]:
    if not overfit.num_objects:
        title = "the first batches hold no objects"
        advice = "A detector cannot learn from background alone: look at the data, and at DATASETS.EMPTY_IMAGES: drop."
        return [Finding("batch-without-objects", "warning", title, 1, (), advice)]
    if overfit.is_learned:
        return []
    if math.isinf(overfit.share_left):
        title = "one batch cannot be learned by heart: its loss is not finite"
        advice = "The learning rate is too high for a start without warm-up, or boxes of the batch have no area."
        return [Finding("cannot-overfit", "error", title, 1, (), advice)]
    title = (
        f"one batch of {overfit.num_objects} objects is not learned by heart: after {len(overfit.losses)} steps its loss is "
        f"{overfit.share_left:.0%} of the first one, where at most {ENOUGH:.0%} was to be expected"
    )
    return [Finding("cannot-overfit", "warning", title, 1, (), _causes(overfit))]


def _causes(overfit: Overfit) -> str:
    if overfit.positives is not None and overfit.positives < 1:
        return "No anchor stands for any of the objects: `dettoolkit check-anchors` says why."
    return (
        "Likely causes, in this order: a learning rate that is too low or too high (see its test), parts that are frozen, "
        "norms with fixed statistics of random weights (FrozenBN without WEIGHTS), or too few steps (--overfit-steps)."
    )


def _of_smoke(smoke: SmokeRun) -> list[Finding]:
    found = []
    if smoke.failure:
        title = f"the run broke off after {smoke.steps} steps: {smoke.failure}"
        found.append(Finding("run-breaks-off", "error", title, 1, (), "The whole training would, too."))
    if smoke.checkpoint_is_equal is False:
        title = "the checkpoint that was read back has other weights than the model"
        found.append(Finding("checkpoint-differs", "error", title, 1, (), "A hook changes weights after they are saved."))
    if not smoke.failure and smoke.checkpoint_is_equal is None:
        title = "no checkpoint was written"
        found.append(Finding("no-checkpoint", "warning", title, 1, (), "HOOKS lacks PeriodicCheckpoint."))
    if smoke.share_waiting > _MUCH_WAITING:
        title = f"{smoke.share_waiting:.0%} of the time of a step is spent on waiting for data"
        found.append(
            Finding("waits-for-data", "hint", title, 1, (), "Raise DATALOADER.NUM_WORKERS, or lighten the transforms.")
        )
    return found


def plain_words(
    found: Sequence[Finding],
    range_test: RangeTest | None = None,
    overfit: Overfit | None = None,
    smoke: SmokeRun | None = None,
) -> str:
    """Return all of it in sentences: what looks wrong, then what was measured.

    Args:
        found: of :func:`wrong`.
        range_test: None: it was left out.
        overfit: likewise.
        smoke: likewise.
    """
    lines = [f"{finding.severity}: {finding.title}. {finding.advice}" for finding in found] or ["Nothing looks wrong."]
    lines += _words_of_range(range_test) if range_test else []
    lines += _words_of_overfit(overfit) if overfit else []
    lines += _words_of_smoke(smoke) if smoke else []
    return "\n".join(lines)


def _words_of_range(test: RangeTest) -> list[str]:
    highest = test.rates[-1] if test.rates else 0.0
    end = (
        f"diverges from about {test.diverged:.2g} on" if test.diverged is not None else f"does not diverge up to {highest:.2g}"
    )
    best = "never falls" if test.suggested is None else f"about {test.suggested:.2g} is suggested"
    return [f"learning rate: BASE_LR is {test.configured:g}; in {len(test.rates)} steps of rising rates the loss {end}; {best}"]


def _words_of_overfit(overfit: Overfit) -> list[str]:
    if not overfit.losses:
        return []
    return [
        f"one batch: {overfit.num_images} images with {overfit.num_objects} objects; loss {overfit.losses[0]:.3f} -> "
        f"{overfit.losses[-1]:.3f} in {len(overfit.losses)} steps"
    ]


def _words_of_smoke(smoke: SmokeRun) -> list[str]:
    first, last = smoke.losses
    lines = [f"short run: {smoke.steps} steps, loss {first:.3f} -> {last:.3f}"]
    if smoke.memory and math.isfinite(smoke.memory):
        whose = "of the GPU" if smoke.on_gpu else "of this process, with what all tests together held"
        lines.append(f"memory: {smoke.memory / 2**30:.1f} GiB {whose}; the whole training needs the same")
    if smoke.seconds_a_step is not None:
        lines.append(f"time: {smoke.seconds_a_step:.3f} s a step, {smoke.share_waiting:.0%} of it waiting for data")
    if smoke.seconds_of_all is not None:
        rounds = smoke.evaluations_of_all
        tests = f" and {rounds} evaluation(s) of {smoke.num_test_images:,} images" if rounds else ""
        lines.append(f"the whole training: {smoke.steps_of_all:,} steps{tests}, about {duration(smoke.seconds_of_all)}")
    return lines


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for limit, unit, words in ((90, 1, "s"), (90 * 60, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {words}"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
