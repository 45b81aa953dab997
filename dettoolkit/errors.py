"""What users see when something is wrong: every message says where, what came and what is accepted.

The commands print these errors without a traceback; any other exception is a bug of ours and keeps its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DettoolkitError(Exception):
    """The base of every error that dettoolkit raises for its users."""


class ConfigError(DettoolkitError, ValueError):
    """A config, an override or a command-line argument cannot be used."""


class DataError(DettoolkitError, ValueError):
    """An image, an annotation file or a data set cannot be used."""


class CheckpointError(DettoolkitError, ValueError):
    """A weight file or checkpoint cannot be read, does not fit, or cannot be written."""


class TrainingError(DettoolkitError, RuntimeError):
    """Training cannot start or cannot go on."""


class EvaluationError(DettoolkitError, ValueError):
    """Detections cannot be compared with the ground truth."""


class DistributedError(DettoolkitError, RuntimeError):
    """Processes cannot be started, or cannot reach each other."""


class MissingDependencyError(DettoolkitError, ImportError):
    """An optional library is needed and not installed; the message names the extra."""


def did_you_mean(name: object, accepted: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the accepted name nearest to ``name``, or an empty string."""
    by_folded = {candidate.casefold(): candidate for candidate in accepted}
    match = difflib.get_close_matches(str(name).casefold(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {by_folded[match[0]]!r}?" if match else ""


def listed(names: Iterable[object], limit: int = 30) -> str:
    """Return the names, comma separated; past ``limit`` only how many more there are."""
    words = [str(name) for name in names]
    shown = ", ".join(words[:limit]) or "(none)"
    return shown if len(words) <= limit else f"{shown} and {len(words) - limit} more"


def shown(value: object, limit: int = 100) -> str:
    """Return what came, in the words of a config file and shortened: ``null``, ``true``, ``'abc' (a string)``, ``3 (int)``."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    words = {"str": "a string", "list": "a list", "dict": "a mapping"}
    kind = words.get(type(value).__name__, type(value).__name__)
    return f"{text if len(text) <= limit else text[: limit - 3] + '...'} ({kind})"
