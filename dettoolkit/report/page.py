"""Writing the page: templates filled with a report's data."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from dettoolkit.errors import DataError
from dettoolkit.report.charts import evaluated_once, precision_recall_chart, training_charts
from dettoolkit.report.contents import ReportData
from dettoolkit.report.focal_loss import focal_section, write_focal_picture
from dettoolkit.report.gallery import ReadImage, choose_images, gallery_entry
from dettoolkit.report.tables import make_tables, number
from dettoolkit.visualization.palette import class_color, hex_color, text_color


def write_report(
    output_dir: str | Path,
    data: ReportData,
    read_image: ReadImage,
    max_images: int = 80,
    thumbnail_side: int = 480,
    score_threshold: float = 0.5,
) -> Path:
    """Write ``output_dir/report/index.html``, one page that needs nothing else, and return its path.

    Beside it is ``focal_loss.png``, the page's charts of how focal loss is spread, where that was measured.

    Args:
        output_dir: the folder of the run.
        data: what the page shows.
        read_image: image id -> ``[3, H, W]`` uint8 RGB tensor; called for the images of the gallery only.
        max_images: how many images the gallery holds at most; about 30 kB each.
        thumbnail_side: the longer side of the pictures on the page, in pixels.
        score_threshold: where the score slider stands first, and by which the images are chosen.

    Raises:
        DataError: the page cannot be written.
    """
    chosen = choose_images(data.images, max_images, score_threshold)
    entries = [gallery_entry(image, outcome, read_image, thumbnail_side) for image, outcome in chosen]
    path = Path(output_dir) / "report" / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_render(data, entries, score_threshold), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: the report cannot be written: {error}") from None
    if data.focal is not None:
        write_focal_picture(data.focal, path.with_name("focal_loss.png"))
    return path


def _render(data: ReportData, entries: list[dict[str, Any]], score_threshold: float) -> str:
    """Return the page as HTML; Jinja escapes all text, ``tojson`` all data in the script."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("dettoolkit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    files = resources.files("dettoolkit.report") / "templates"
    colors = [class_color(label) for label in range(len(data.class_names))]
    gallery: dict[str, Any] = {
        "classNames": list(data.class_names),
        "colors": [hex_color(color) for color in colors],
        "textColors": [hex_color(text_color(color)) for color in colors],
        "scoreThreshold": score_threshold,
        "images": entries,
    }
    return environment.get_template("report.html").render(
        data=data,
        tables=make_tables(data.results),
        charts=training_charts(data.history),
        evaluated_once=evaluated_once(data.history),
        focal=focal_section(data.focal, data.history),
        precision_recall=precision_recall_chart(data.curves, data.class_names),
        colors=dict(zip(data.class_names, gallery["colors"], strict=True)),
        gallery=gallery,
        style=Markup((files / "report.css").read_text(encoding="utf-8")),
        script=Markup("\n".join((files / name).read_text(encoding="utf-8") for name in ("report.js", "gallery.js"))),
    )
