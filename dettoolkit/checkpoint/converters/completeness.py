"""Which tensors of a detector or backbone are missing, as far as its own names tell.

The rule: a ResNet has the stages of depth 18, 34, 50, 101 or 152, the smallest that has room for the blocks there are, and
each convolution has a norm like the others'. A pyramid has all levels from its first to P5 and to the last extra one. Both
towers have all convolutions up to the highest number, each with a norm where one has. RetinaNets of other toolkits have the
levels to P7. What nothing in the names points to (a longer tower, say) only the config of the model can tell.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_STAGES = ((2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3))  # depth 18; 34 and 50; 101; 152
_AFFINE = ("weight", "bias")
_STATISTICS = ("running_mean", "running_var")
_LAST_STAGE = 5


def missing_names(names: Collection[str], other_toolkit: bool) -> list[str]:
    """Return the names that should be there and are not.

    Args:
        names: of a detector's tensors, or of a backbone's alone, in our names.
        other_toolkit: whether they are another toolkit's: a RetinaNet with a ResNet and P3 to P7, or a ResNet. Of our own
            models only the parts are checked that these names belong to.
    """
    detector = other_toolkit and not all(name.startswith("backbone.") for name in names)
    expected = list(_resnet(names)) if other_toolkit or "backbone.layer1.0.conv1.weight" in names else []
    if detector or any(name.startswith("neck.lateral.P") for name in names):
        expected += _neck(names, last=7 if detector else 5)
    if detector or any(name.startswith("head.classification") for name in names):
        expected += _head(names)
    return [name for name in expected if name not in names]


def _resnet(names: Collection[str]) -> Iterator[str]:
    blocks = [_count(names, rf"backbone\.layer{stage}\.(\d+)\.") for stage in range(1, 5)]
    stages = next((depth for depth in _STAGES if all(has <= room for has, room in zip(blocks, depth, strict=True))), blocks)
    norm = _parameters(names, r"backbone\.(.*\.)?(bn\d|downsample\.1)\.")
    convolutions = 3 if any(re.fullmatch(r"backbone\.layer\d\.\d+\.conv3\.weight", name) for name in names) else 2
    yield "backbone.conv1.weight"
    yield from (f"backbone.bn1.{parameter}" for parameter in norm)
    for stage, count in enumerate(stages, start=1):
        for block in range(count):
            place = f"backbone.layer{stage}.{block}"
            parts = [(f"{place}.conv{n}", f"{place}.bn{n}") for n in range(1, convolutions + 1)]
            if block == 0 and (stage > 1 or convolutions == 3):  # the map changes its size or its channels
                parts.append((f"{place}.downsample.0", f"{place}.downsample.1"))
            for convolution, its_norm in parts:
                yield f"{convolution}.weight"
                yield from (f"{its_norm}.{parameter}" for parameter in norm)


def _neck(names: Collection[str], last: int) -> Iterator[str]:
    found = [re.fullmatch(r"neck\.(\w+)\.P(\d)\..*", name) for name in names]
    levels = {(match[1], int(match[2])) for match in found if match}
    merged = [level for part, level in levels if part != "extra"]
    norm = _parameters(names, r"neck\.\w+\.P\d\.1\.")
    convolution = ("weight",) if norm else _AFFINE
    first, last = min(merged, default=3), max([last, *(level for _, level in levels)])
    places = [f"neck.{part}.P{level}" for level in range(first, _LAST_STAGE + 1) for part in ("lateral", "output")]
    for place in places + [f"neck.extra.P{level}" for level in range(_LAST_STAGE + 1, last + 1)]:
        yield from (f"{place}.0.{parameter}" for parameter in convolution)
        yield from (f"{place}.1.{parameter}" for parameter in norm)


def _head(names: Collection[str]) -> Iterator[str]:
    convolutions = _count(names, r"head\.\w+_tower\.convs\.(\d+)\.")
    levels = _count(names, r"head\.\w+_tower\.norms\.\d+\.levels\.(\d+)\.")
    norm = _parameters(names, r"head\.\w+_tower\.norms\.")
    for tower in ("classification", "box"):
        for index in range(convolutions):
            yield from (f"head.{tower}_tower.convs.{index}.{parameter}" for parameter in _AFFINE)
            for level in range(levels):
                yield from (f"head.{tower}_tower.norms.{index}.levels.{level}.{parameter}" for parameter in norm)
        yield from (f"head.{tower}.{parameter}" for parameter in _AFFINE)


def _count(names: Collection[str], pattern: str) -> int:
    """Return the highest number that the pattern finds, plus one."""
    return max((int(found[1]) + 1 for name in names if (found := re.match(pattern, name))), default=0)


def _parameters(names: Collection[str], pattern: str) -> tuple[str, ...]:
    """Return what the norms that begin with ``pattern`` have: nothing, scale and shift, or statistics as well."""
    found = [name for name in names if re.match(pattern, name)]
    if not found:
        return ()
    return _AFFINE + _STATISTICS if any(name.endswith(_STATISTICS) for name in found) else _AFFINE
