"""Writing the page: templates filled with a report's data."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dettoolkit.errors import DataError
from dettoolkit.report.anchors import anchor_section
from dettoolkit.report.calibration import calibration_section
from dettoolkit.report.charts import evaluated_once, precision_recall_chart, training_charts
from dettoolkit.report.confusion import confusion_section
from dettoolkit.report.contents import ReportData
from dettoolkit.report.errors import error_section
from dettoolkit.report.findings import finding_views, findings_section
from dettoolkit.report.focal_loss import focal_section, write_focal_picture
from dettoolkit.report.gallery import make_gallery
from dettoolkit.report.scores import score_section
from dettoolkit.report.slices import slice_grids
from dettoolkit.report.speed import speed_section
from dettoolkit.report.summary import summarise
from dettoolkit.report.suspects import suspect_section
from dettoolkit.report.tables import make_tables, number
from dettoolkit.report.thumbnails import ReadImage
from dettoolkit.visualization.palette import class_color, hex_color

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_SCRIPTS = ("report.js", "gallery_data.js", "gallery_viewer.js", "gallery.js")
_STYLES = ("report.css", "gallery.css")


def write_report(output_dir: str | Path, data: ReportData, read_image: ReadImage, **gallery: Any) -> Path:
    """Write ``output_dir/report/index.html``, one page that needs nothing else, and return its path.

    Beside it is ``focal_loss.png``, the page's charts of how focal loss is spread, where that was measured.

    Args:
        output_dir: the folder of the run.
        data: what the page shows.
        read_image: image id -> ``[3, H, W]`` uint8 RGB tensor; called from several threads, for images that are shown only.
        gallery: limits of the gallery, see :func:`~dettoolkit.report.gallery.make_gallery`.

    Raises:
        DataError: the page cannot be written.
    """
    path = Path(output_dir) / "report" / "index.html"
    text = _render(data, read_image, gallery)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files can be no text at all
    except OSError as error:
        raise DataError(f"{path}: the report cannot be written: {error}") from None
    if data.focal is not None:
        write_focal_picture(data.focal, path.with_name("focal_loss.png"))
    return path


def _render(data: ReportData, read_image: ReadImage, limits: dict[str, Any]) -> str:
    """Return the page as HTML; Jinja escapes all text, ``tojson`` all data in the script."""
    thresholds = None if data.analysis is None else data.analysis.thresholds
    sections = _sections(data, read_image)
    return (
        _environment()
        .get_template("report.html")
        .render(
            data=data,
            **sections,
            contents=_contents(data, sections),
            gallery=make_gallery(data.images, data.class_names, read_image, thresholds, **limits),
            style=_files(_STYLES),
            script=_files(_SCRIPTS),
        )
    )


def _sections(data: ReportData, read_image: ReadImage) -> dict[str, Any]:
    """Return what each section's template shows, by the name it has there; None or empty where there is nothing."""
    tables = make_tables(data.results, data.intervals, data.class_names)
    return {
        "colors": {name: hex_color(class_color(label)) for label, name in enumerate(data.class_names)},
        "tables": tables,
        "summary": summarise(data, tables),
        "precision_recall": None if data.analysis is not None else precision_recall_chart(data.curves, data.class_names),
        "errors": error_section(data.analysis),
        "slices": slice_grids(data.analysis),
        "confusion": confusion_section(data.analysis),
        "scores": score_section(data.analysis),
        "calibration": calibration_section(data.calibration, data.class_names),
        "suspects": suspect_section(data.analysis, read_image),
        "focal": focal_section(data.focal, data.history),
        "anchors": anchor_section(data.anchors),
        "findings": findings_section(data.findings),
        "charts": training_charts(data.history),
        "evaluated_once": evaluated_once(data.history),
        "speed": speed_section(data.evaluation_time, data.history, data.batch_size),
    }


def _contents(data: ReportData, sections: dict[str, Any]) -> dict[str, str]:
    """Return id -> title of the sections that are there, in the order of the page."""
    named = {
        "accuracy": ("Accuracy", sections["tables"] or sections["precision_recall"]),
        "errors": ("Errors", sections["errors"]),
        "slices": ("Parts", sections["slices"]),
        "confusion": ("Confusion", sections["confusion"]),
        "scores": ("Scores", sections["scores"]),
        "calibration": ("Calibration", sections["calibration"]),
        "images": ("Images", data.images),
        "suspects": ("Labels", sections["suspects"]),
        "loss": ("Loss", sections["focal"]),
        "anchors": ("Anchors", sections["anchors"]),
        "findings": ("Data", sections["findings"]),
        "training": ("Training", sections["charts"]),
        "speed": ("Speed", sections["speed"]),
        "run": ("Run", True),
    }
    return {name: title for name, (title, there) in named.items() if there}


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dettoolkit.report"),
        autoescape=True,  # names of classes, files and data sets are other people's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["finding_views"] = finding_views
    return environment


def _files(names: tuple[str, ...]) -> Markup:
    from markupsafe import Markup

    folder = resources.files("dettoolkit.report") / "templates"
    return Markup("\n".join((folder / name).read_text(encoding="utf-8") for name in names))
