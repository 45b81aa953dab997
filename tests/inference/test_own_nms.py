"""A detector with another NMS shares all but that with the one it comes from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from dettoolkit.errors import ConfigError
from dettoolkit.inference.own_nms import with_nms
from dettoolkit.modeling.dense.nms import BatchedNMS, ClassAgnosticNMS


class Detector(nn.Module):
    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.decoder = SimpleNamespace(nms=BatchedNMS(), max_detections=7)
        for name, value in more.items():
            setattr(self, name, value)


def test_the_given_detector_stays_as_it_is() -> None:
    detector = Detector()
    changed = with_nms(detector, {"NAME": "ClassAgnosticNMS", "IOU_THRESHOLD": 0.3})
    assert isinstance(changed.decoder.nms, ClassAgnosticNMS)
    assert changed.decoder.nms.iou_threshold == 0.3
    assert changed.decoder.max_detections == 7
    assert isinstance(detector.decoder.nms, BatchedNMS)
    assert changed.layer is detector.layer


def test_an_unknown_nms_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'SoftNMS'"):
        with_nms(Detector(), {"NAME": "SoftNM"})


def test_a_detector_without_decoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="Linear has no decoder whose NMS could be replaced"):
        with_nms(nn.Linear(1, 1), {"NAME": "SoftNMS"})


def test_a_file_that_removes_duplicates_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="Export it again with --nms outside"):
        with_nms(Detector(metadata=SimpleNamespace(nms="inside")), {"NAME": "SoftNMS"})
