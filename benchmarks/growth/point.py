"""One point of a curve, measured in a process of its own, so that no point sees what another left in memory or caches.

python -m benchmarks.growth.point CURVE VALUE ROUNDS CONFIG
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.growth.curves import CURVES

_ROOT = Path(__file__).parents[2]
_BEFORE_RESULT = "point: "


class PointError(RuntimeError):
    """A point could not be measured."""


def measured_in_a_process(curve: str, value: int, rounds: int, config: Path) -> dict[str, Any]:
    """Return ``{"value": ..., "parts": {name: {"seconds": [...], "extra_mib": ...}}}``.

    Raises:
        PointError: the process failed; the message has the end of what it said.
    """
    words = [curve, str(value), str(rounds), str(config.resolve())]
    command = [sys.executable, "-m", "benchmarks.growth.point", *words]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(_BEFORE_RESULT)]
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        reason = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        raise PointError(f"{curve} at {value}: {reason}: {last}")
    return json.loads(lines[-1].removeprefix(_BEFORE_RESULT))


def main(arguments: list[str]) -> None:
    """Measure the point and print it as a line of JSON."""
    curve, value, rounds, config = arguments
    timings = CURVES[curve].measure(int(value), int(rounds), Path(config))
    parts = {name: {"seconds": timing.seconds, "extra_mib": timing.extra_mib} for name, timing in timings.items()}
    print(_BEFORE_RESULT + json.dumps({"value": int(value), "parts": parts}))


if __name__ == "__main__":
    main(sys.argv[1:])
