"""What the anchors can do for the objects: recall by size and class, findings, and changes to paste into a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dettoolkit.report.contents import AnchorData
from dettoolkit.report.grid import Cell, Grid, Row, count
from dettoolkit.structures import Finding


@dataclass(frozen=True)
class Change:
    """A change of the config.

    Args:
        words: what it does.
        effect: what it brings and costs, in words.
        yaml: to paste into a config; empty where it changes an item of a list.
        command: the same as ``KEY VALUE`` behind a command.
    """

    words: str
    effect: str
    yaml: str
    command: str


@dataclass(frozen=True)
class AnchorSection:
    """What the template shows.

    Args:
        reading: what was compared, in words.
        recall: by size and class.
        load: of the levels.
        findings: what asks for a change.
        changes: that would reach more objects; None: none were tried.
    """

    reading: str
    recall: Grid
    load: Grid | None
    findings: Sequence[Finding]
    changes: list[Change] | None


def anchor_section(anchors: AnchorData | None) -> AnchorSection | None:
    """Return the section, or None where the anchors were not examined."""
    if anchors is None:
        return None
    found = anchors.examination
    positive_from = found["positive_from"]
    *others, last = found["overall"]["recall"]
    reading = (
        f"The share of the objects of {found['num_images']:,} images of {anchors.dataset}, after {anchors.transforms}, that "
        f"some anchor overlaps by an IoU of {', '.join(others)} and {last}. What no anchor overlaps by {positive_from:g} is "
        "matched by force, or not at all."
    )
    changes = [_change(each) for each in anchors.suggestions[1:]] if anchors.suggestions else None
    return AnchorSection(reading, _recall(found), _load(found["matched"]), anchors.findings, changes)


def _recall(found: Mapping[str, Any]) -> Grid:
    groups = [found["overall"], *found["by_size"], *found["by_class"]]
    thresholds = list(found["overall"]["recall"])
    rows = [
        Row(
            group["name"],
            [
                *(_share(group["recall"].get(threshold)) for threshold in thresholds),
                _share(group["forced"] if group["count"] else None),
                count(group["count"]),
            ],
        )
        for group in groups
    ]
    columns = (*(f"IoU {threshold}" for threshold in thresholds), "by force", "Objects")
    return Grid("Best possible recall", "Objects", columns, rows)


def _load(matched: Mapping[str, Any]) -> Grid | None:
    if not matched["num_images"] or not matched["share_of_positives"]:
        return None
    pairs = zip(matched["strides"], matched["share_of_positives"], strict=True)
    rows = [Row(f"stride {stride}", [_share(share)]) for stride, share in pairs]
    positives, anchors = matched["positives_an_image"], matched["anchors_an_image"]
    title = f"Load of the levels, where {positives:,.1f} of {anchors:,.0f} anchors of an image are positive"
    return Grid(title, "Level", ("of the positives",), rows)


def _share(share: float | None) -> Cell:
    return Cell("n/a", None) if share is None else Cell(f"{100 * share:.1f} %", share, share)


def _change(suggestion: Mapping[str, Any]) -> Change:
    overrides = suggestion["overrides"]
    weakest, share = suggestion["weakest_class"]
    effect = (
        f"{100 * suggestion['matchable']:.1f} % of the objects can be matched (weakest class {weakest}: {100 * share:.1f} %), "
        f"with {suggestion['anchors']:,.0f} anchors an image"
    )
    if suggestion["pixels"] != 1:
        effect += f" and {suggestion['pixels']:.2f} times the pixels"
    return Change(suggestion["words"], effect, _as_yaml(overrides), " ".join(map(_quoted, overrides)))


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _as_yaml(overrides: Sequence[str]) -> str:
    """Return ``(KEY, VALUE, ...)`` as YAML; empty where a key names an item of a list, which cannot be given alone."""
    import yaml

    tree: dict[str, Any] = {}
    for key, value in zip(overrides[::2], overrides[1::2], strict=True):
        *path, last = key.split(".")
        if any(part.isdigit() for part in path):
            return ""
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = yaml.safe_load(value)
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None).strip()
