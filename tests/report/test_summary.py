"""The sentences at the top of the page."""

from __future__ import annotations

from typing import Any

import torch

from dettoolkit.evaluation.analysis import analyse
from dettoolkit.report import AnchorData, FindingsData, ReportData
from dettoolkit.report.scores import wish_in_words
from dettoolkit.report.summary import summarise
from dettoolkit.report.tables import make_tables
from dettoolkit.structures import Annotations, Detections, EvaluatedImage, Finding


def _texts(**fields: Any) -> list[str]:
    return [sentence.text for sentence in summarise(ReportData("run", ["cat", "dog"], **fields), []).sentences]


def _results(**aps: Any) -> dict[str, Any]:
    return {"set": {"bbox": {"per_class": aps}}}


def _anchors(*findings: Finding) -> AnchorData:
    return AnchorData("train", "DATASETS.TRAIN_TRANSFORMS", {}, findings)


def test_the_weakest_class_is_the_one_of_the_lowest_ap() -> None:
    sentence = "The weakest class is dog with an AP of 0.250, where the mean is 0.500."
    assert _texts(results=_results(cat={"AP": 0.75}, dog={"AP": 0.25})) == [sentence]
    assert _texts(results=_results(cat=0.75, dog=0.25, bird=None)) == [sentence]  # evaluators may give a number alone


def test_a_single_class_is_not_the_weakest() -> None:
    assert _texts(results=_results(cat={"AP": 0.75}, dog={"AP": None})) == []


def test_the_worst_finding_of_data_and_anchors_is_told_and_the_others_counted() -> None:
    hint, warning, error = (Finding(kind, kind, f"a {kind}", 3) for kind in ("hint", "warning", "error"))  # type: ignore[arg-type]
    (text,) = _texts(anchors=_anchors(warning, hint), findings=FindingsData(["a"], [warning, error]))
    assert text == "The data ask for a look: a error (3), and 2 other findings."
    assert _texts(anchors=_anchors(warning)) == ["The anchors ask for a look: a warning (3)."]


def test_that_nothing_is_to_be_mended_is_told_of_what_was_looked_at() -> None:
    hint = Finding("kind", "hint", "a hint", 3)
    assert _texts(anchors=_anchors(hint)) == ["Nothing is to be mended about the anchors."]
    both = _texts(anchors=_anchors(), findings=FindingsData(["a"], []))
    assert both == ["Nothing is to be mended about the anchors and the boxes of the data."]
    assert _texts() == []


def test_wishes_are_put_into_words() -> None:
    assert wish_in_words("best_f1") == "the highest F1"
    assert wish_in_words("precision>=0.9") == "a precision of at least 0.9 and then the highest recall"
    assert wish_in_words("recall>=0.8") == "a recall of at least 0.8 and then the highest precision"
    assert wish_in_words("cost=1:5") == "the lowest cost, where a false alarm costs 1 and a missed object 5"


def _analysed(shift: float) -> Any:
    """One object in each of six images, found with a box that is moved by some of its 10 pixels of width."""
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    truth = Annotations(boxes, torch.tensor([0]), torch.tensor([False]))
    found = Detections(boxes + torch.tensor([shift, 0.0, shift, 0.0]), torch.tensor([0.9]), torch.tensor([0]))
    return analyse([EvaluatedImage(index, f"{index}.jpg", (20, 30), truth, found) for index in range(6)], ["cat", "dog"])


def test_that_boxes_are_not_exact_is_told_where_it_costs_most() -> None:
    # moved by 2 of 10 pixels: IoU 8 / 12, right at the thresholds 0.5 to 0.65, four of ten
    results = {"set": {"bbox": {"AP": 0.4, "AP50": 1.0, "AP75": 0.0}}}
    data = ReportData("run", ["cat", "dog"], results=results, analysis=_analysed(2.0))
    first = summarise(data, make_tables(results, {}, ["cat", "dog"])).sentences[0]
    assert first.text == (
        "Most of what the AP lacks is exactness of the boxes: it is 1.000 where an IoU of 0.5 is enough, 0.000 at 0.75, "
        "and 0.400 in the mean of 0.5 to 0.95."
    )


def test_exactness_is_no_matter_where_other_errors_cost_more() -> None:
    # moved by 4 of 10 pixels: IoU 6 / 14, so that nothing is right at 0.5
    results = {"set": {"bbox": {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}}}
    data = ReportData("run", ["cat", "dog"], results=results, analysis=_analysed(4.0))
    assert "localisation" in summarise(data, make_tables(results, {}, ["cat", "dog"])).sentences[0].text
