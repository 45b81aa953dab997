"""The page of the curves: this package writes pictures and tables into it, people write what they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from benchmarks.growth.curves import CURVES
from benchmarks.growth.fitting import PowerLaw
from benchmarks.growth.measured import Measured, Part

_OPENING = """# How time and memory grow

```bash
python -m benchmarks.growth
```

Each point is measured in a process of its own: a call for warming up, then rounds in which the whole and its parts are
called in turn, of which the median counts, then one call of each for the memory: what was held at most beyond what was
held before it. The exponent is the slope of the least-squares line through the logarithms of the last three points;
"misfit" is how far the farthest of them is from that line.

The network curves are RetinaNet R50-FPN in float32 with random weights and made-up images; a training step is forward,
backward and SGD, its memory counted from weights and momentum on. In inference, the scores are changed so that each
anchor that stands for a box finds it. The data sets are files in COCO's format with a box an image, all of them the
same tiny picture.
"""


def update_page(page: Path, pictures: Path, measured: Measured) -> None:
    """Write the blocks of all curves that are measured into the page; what stands around them stays as it is.

    Args:
        page: Markdown; made if it is not there.
        pictures: the folder with ``<curve>.png``.
        measured: the points.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else _OPENING
    for name in [name for name in CURVES if name in measured.curves]:
        begin, end = f"<!-- measured: {name} -->\n", f"<!-- end: {name} -->\n"
        block = begin + _block(name, pictures.relative_to(page.parent).as_posix(), measured) + end
        if begin in text:
            text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _, new=block: new, text, flags=re.DOTALL)
        else:
            text += f"\n## {CURVES[name].title}\n\n{block}"
    page.write_text(text, encoding="utf-8")


def _block(name: str, folder: str, measured: Measured) -> str:
    curve = measured.curves[name]
    conditions = "; ".join(f"{key} {value}" for key, value in curve["conditions"].items())
    parts = measured.parts(name)
    return (
        f"{curve['date']}; {conditions}.\n\n![{CURVES[name].title}]({folder}/{name}.png)\n\n"
        f"{_numbers(CURVES[name].x_label, parts)}\n\n{_exponents(parts)}\n"
    )


def _numbers(x_label: str, parts: Sequence[Part]) -> str:
    """Return milliseconds and MiB of each part at each value."""
    values = sorted({value for part in parts for value in part.values})
    rows = []
    for value in values:
        row = [f"{value:,}"]
        for part in parts:
            index = part.values.index(value) if value in part.values else None
            row += [_number(None if index is None else numbers[index]) for numbers in (part.milliseconds, part.mebibytes)]
        rows.append(row)
    headers = [x_label, *(header for part in parts for header in (f"{part.name}, ms", "MiB"))]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True, colalign=("right",) * len(headers))


def _exponents(parts: Sequence[Part]) -> str:
    rows = [[part.name, *_law(part.time_law), *_law(part.memory_law)] for part in parts]
    headers = ["", "time: exponent", "from ... to", "misfit", "memory: exponent", "from ... to", "misfit"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True, colalign=("left",) + ("right",) * 6)


def _number(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}" if number < 1 else f"{number:.1f}"


def _law(law: PowerLaw | None) -> list[str]:
    if law is None:
        return ["-"] * 3
    return [f"{law.exponent:.2f}", f"{law.lowest:,} ... {law.highest:,}", f"{100 * law.misfit:.0f} %"]
