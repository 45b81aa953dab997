"""Results as text and as flat names."""

from __future__ import annotations

from dettoolkit.evaluation import flatten, format_results

RESULTS = {
    "bbox": {"AP": 0.41256, "APs": None, "per_class": {"cat": {"AP": 0.5, "AP50": 0.75}, "dog": {"AP": None, "AP50": None}}},
    "voc": {"AP50": 1.0},
}


def test_flat_names_leave_out_what_could_not_be_measured():
    assert flatten(RESULTS) == {"bbox/AP": 0.41256, "bbox/AP-cat": 0.5, "bbox/AP50-cat": 0.75, "voc/AP50": 1.0}


def test_zero_is_a_number_and_stays():
    assert flatten({"bbox": {"AP": 0.0}}) == {"bbox/AP": 0.0}


def test_tables_show_three_digits_and_na():
    assert format_results(RESULTS).split("\n\n") == [
        "|      | AP    | APs   |\n|------|-------|-------|\n| bbox | 0.413 | n/a   |",
        "| class   | AP    | AP50   |\n|---------|-------|--------|\n"
        "| cat     | 0.500 | 0.750  |\n| dog     | n/a   | n/a    |",
        "|     | AP50   |\n|-----|--------|\n| voc | 1.000  |",
    ]


def test_class_names_that_look_like_numbers_stay_as_they_are():
    assert "| 007 " in format_results({"bbox": {"AP": 0.5, "per_class": {"007": {"AP": 0.5}}}})


def test_many_classes_stand_side_by_side_and_none_is_lost():
    per_class = {f"class{n:02d}": {"AP": n / 100} for n in range(22)}  # 3 groups of 8 rows, two places empty
    table = format_results({"bbox": {"AP": 0.5, "per_class": per_class}}).split("\n\n")[1]
    lines = table.splitlines()
    assert len(lines) == 2 + 8
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert cells[0] == ["class00", "0.000", "class08", "0.080", "class16", "0.160"]
    assert cells[7] == ["class07", "0.070", "class15", "0.150", "", ""]
    assert {name for row in cells for name in row[::2] if name} == set(per_class)
