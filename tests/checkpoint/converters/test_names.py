from __future__ import annotations

import pytest

from dettoolkit.checkpoint.converters.names import NameTable, prefixed


@pytest.mark.parametrize(
    ("theirs", "ours", "name", "expected"),
    [
        ("res{s+1}.{b}.conv{n}.*", "layer{s}.{b}.bn{n}.*", "res2.10.conv3.running_mean", "layer1.10.bn3.running_mean"),
        ("{2n}.*", "convs.{n}.*", "6.weight", "convs.3.weight"),
        ("{2n}.*", "convs.{n}.*", "3.weight", None),
        ("{3n+1}.*", "norms.{n}.*", "7.bias", "norms.2.bias"),
        ("{3n+1}.*", "norms.{n}.*", "0.bias", None),
        ("inner.{n-3}.*", "P{n}.*", "inner.0.bias", "P3.bias"),
        ("a.{n}.{n}", "b.{n}", "a.4.4", "b.4"),
        ("a.{n}.{n}", "b.{n}", "a.4.5", None),
        ("a.*", "b.*", "a.weigth", None),
        ("a.*", "b.*", "xa.weight", None),
        ("a.*", "b.*", "a.weight.x", None),
        ("a.{n}", "b.{n}", "a.04", None),  # would come back as another name
        ("a", "b", "a", "b"),
    ],
)
def test_a_row_is_read_in_both_directions(theirs: str, ours: str, name: str, expected: str | None) -> None:
    table = NameTable([(theirs, ours)])
    assert table.ours(name) == expected
    if expected is not None:
        assert table.theirs(expected) == name


def test_there_is_no_name_with_a_negative_number() -> None:
    assert NameTable([("inner.{n-3}", "P{n}")]).theirs("P2") is None


def test_the_first_row_that_fits_counts() -> None:
    table = NameTable([("a.{n}.0.*", "b.{n}.*"), ("a.{n}.*", "b.{n}.*")])
    assert table.ours("a.1.0.bias") == table.ours("a.1.bias") == "b.1.bias"
    assert table.theirs("b.1.bias") == "a.1.0.bias"


def test_a_prefix_stands_before_all_names() -> None:
    assert (
        NameTable(prefixed([("conv1.*", "conv1.*")], "body.", "backbone.")).ours("body.conv1.weight") == "backbone.conv1.weight"
    )
