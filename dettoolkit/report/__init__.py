"""One self-contained HTML page about a run: numbers, curves, and predictions beside ground truth."""

from dettoolkit.report.contents import ReportData
from dettoolkit.report.page import write_report

__all__ = ["ReportData", "write_report"]
