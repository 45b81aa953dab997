"""A page of findings: what was found, how often, what to do about it, and pictures of examples."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.errors import DataError
from dettoolkit.report.finding_pictures import ReadPicture, example_view, finding_pictures, picture_key
from dettoolkit.structures import Finding, FindingExample

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_SEVERITIES = ("error", "warning", "hint")


def write_findings_page(
    folder: str | Path,
    title: str,
    findings: Sequence[Finding],
    read_image: ReadPicture,
    max_examples: int = 12,
    thumbnail_side: int = 420,
) -> Path:
    """Write ``folder/index.html``, one page that needs nothing else, and return its path.

    Args:
        folder: is made where it is not there.
        title: of the page.
        findings: errors are shown first, then warnings, then hints, each kind by its count.
        read_image: (data set, image id) -> uint8 RGB ``[3, H, W]``; called once for each picture on the page. Where it raises
            ``DataError``, ``KeyError`` or ``OSError`` the page says so in the picture's place.
        max_examples: how many examples of a finding are shown at most, those of one group counted once; about 30 kB a picture.
        thumbnail_side: the longer side of the pictures on the page, in pixels.

    Raises:
        DataError: the page cannot be written.
    """
    fragment = findings_fragment(findings, read_image, max_examples, thumbnail_side)
    page = _environment().get_template("findings.html").render(title=title, style=_file("report.css"), fragment=fragment)
    path = Path(folder) / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: the page of findings cannot be written: {error}") from None
    return path


def findings_fragment(
    findings: Sequence[Finding], read_image: ReadPicture, max_examples: int = 12, thumbnail_side: int = 420
) -> Markup:
    """Return the findings as a piece of HTML for a page that has ``report.css``, with style and script of its own.

    A page can hold one. Arguments are those of :func:`write_findings_page`.
    """
    order = sorted(findings, key=lambda finding: (_SEVERITIES.index(finding.severity), -finding.count))
    shown = [(finding, _groups(finding.examples)[:max_examples]) for finding in order]
    examples = (example for _, groups in shown for group in groups for example in group)
    pictures = finding_pictures(examples, read_image, thumbnail_side)
    panels: list[dict[str, Any]] = []
    views: list[dict[str, Any]] = []
    for finding, groups in shown:
        panels.append({"finding": finding, "rows": [_row(group, pictures, views) for group in groups]})
    data = {"pictures": [_for_script(picture) for picture in pictures.values()], "views": views}
    module = _environment().get_template("findings_panel.html")
    from markupsafe import Markup

    return Markup(
        module.render(
            panels=panels,
            counts={severity: sum(finding.severity == severity for finding in findings) for severity in _SEVERITIES},
            data=data,
            style=_file("findings.css"),
            script=_file("findings.js"),
        )
    )


def _groups(examples: Sequence[FindingExample]) -> list[list[FindingExample]]:
    """Return the examples, consecutive ones of one group together."""
    groups: list[list[FindingExample]] = []
    for example in examples:
        if groups and example.group is not None and groups[-1][0].group == example.group:
            groups[-1].append(example)
        else:
            groups.append([example])
    return groups


def _row(
    examples: Sequence[FindingExample], pictures: dict[Any, dict[str, Any]], views: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return examples as the template shows them; what the script needs of them is added to ``views``."""
    row = []
    for example in examples:
        key = picture_key(example)
        view = example_view(example, pictures)
        row.append(
            {
                "example": example,
                "view": None if view["picture"] is None else len(views),
                "error": None if key is None else pictures[key].get("error"),
            }
        )
        if view["picture"] is not None:
            views.append(view)
    return row


def _for_script(picture: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in picture.items() if name in ("uri", "width", "height")}


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("dettoolkit.report"),
        autoescape=True,  # names of files, classes and data sets are other people's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _file(name: str) -> Markup:
    from markupsafe import Markup

    return Markup((resources.files("dettoolkit.report") / "templates" / name).read_text(encoding="utf-8"))
