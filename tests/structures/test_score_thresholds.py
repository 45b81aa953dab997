"""Score thresholds by class: as numbers of labels, as plain data, and applied to detections."""

from __future__ import annotations

import pytest
import torch

from dettoolkit.structures import DEFAULT_SCORE_THRESHOLD, Detections, ScoreThresholds


def test_labels_get_the_threshold_of_their_name_or_the_default() -> None:
    thresholds = ScoreThresholds({"dog": 0.75, "cat": None}, "best_f1", "mine")
    assert thresholds.of_labels(("cat", "dog", "bird")).tolist() == pytest.approx(
        [DEFAULT_SCORE_THRESHOLD, 0.75, DEFAULT_SCORE_THRESHOLD]
    )


def test_plain_data_and_back() -> None:
    thresholds = ScoreThresholds({"dog": 0.75, "cat": None}, "recall>=0.5", "mine")
    assert ScoreThresholds.from_dict(thresholds.to_dict()) == thresholds


@pytest.mark.parametrize("value", [-0.1, 1.5, "high", float("nan")])
def test_what_is_no_score_is_told(value: object) -> None:
    with pytest.raises(ValueError, match="of class 'dog': expected 0 to 1"):
        ScoreThresholds({"dog": value})


def test_detections_are_kept_from_the_threshold_of_their_label_on() -> None:
    boxes, labels = torch.zeros(4, 4), torch.tensor([0, 1, 0, 1])
    found = Detections(boxes, torch.tensor([0.9, 0.8, 0.5, 0.4]), labels)
    assert found.above(torch.tensor([0.5, 0.81])).scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.above(0.5).scores.tolist() == pytest.approx([0.9, 0.8, 0.5])
    assert len(Detections.empty().above(torch.tensor([0.5, 0.5]))) == 0
