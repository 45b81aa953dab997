"""One self-contained HTML page about a run: numbers, curves, what is wrong and why, and predictions beside ground truth."""

from dettoolkit.report.contents import AnchorData, EvaluationTime, FindingsData, ReportData
from dettoolkit.report.page import write_report

__all__ = ["AnchorData", "EvaluationTime", "FindingsData", "ReportData", "write_report"]
