from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dettoolkit.data.datasets import COCODataset, CSVDataset
from dettoolkit.errors import DataError
from dettoolkit.registry import DATASETS

ROWS = "a.png,1,2,5,7,cat\nb.png,0,0,4,4,dog\na.png,3,3,9,9,dog\nc.png,,,,,\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures a.png, b.png, c.png of 16 x 12."""
    for name in "abc":
        Image.new("RGB", (16, 12)).save(tmp_path / f"{name}.png")
    return tmp_path


def described(folder: Path, text: str | bytes = ROWS, **options: Any) -> CSVDataset:
    content = text.encode() if isinstance(text, str) else text
    (folder / "boxes.csv").write_bytes(content)
    return CSVDataset("boxes.csv", root=str(folder), name="mine", **options)


def contents(data: CSVDataset) -> list[tuple[str, list[list[float]], list[str]]]:
    return [
        (record.file_name, record.boxes.tolist(), [data.info.class_names[label] for label in record.labels])
        for record in data.records
    ]


AS_WRITTEN = [
    ("a.png", [[1, 2, 5, 7], [3, 3, 9, 9]], ["cat", "dog"]),
    ("b.png", [[0, 0, 4, 4]], ["dog"]),
    ("c.png", [], []),
]


def test_rows_are_gathered_by_picture_and_one_without_a_box_is_background(folder: Path) -> None:
    data = described(folder)

    assert contents(data) == AS_WRITTEN
    assert data.info.class_names == ("cat", "dog")
    assert data[1]["original_areas"].tolist() == [16]
    assert data.read_image("b.png").shape == (3, 12, 16)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + ROWS.encode(),
        ROWS.replace("\n", "\r\n").encode(),
        ROWS.replace("\n", "\r").encode(),
        ROWS.rstrip().encode(),
        (ROWS.replace("\n", "\n\n\n") + "\n,,,,,\n").encode(),
        ROWS.replace("cat", '"cat"').replace("a.png", '"a.png"').encode(),
        ROWS.replace(",", ", ").encode(),
        ROWS.replace("a.png", "./a.png", 1).encode(),
        b"path,x1,y1,x2,y2,class\n" + ROWS.encode(),
        b"\xef\xbb\xbfFileName,XMin,YMin,XMax,YMax,Label\n" + ROWS.encode(),
    ],
    ids=["mark", "crlf", "cr", "no last end", "blank rows", "quotes", "blanks", "dot", "header", "other names"],
)
def test_files_as_programs_write_them_are_read_alike(folder: Path, text: bytes) -> None:
    assert contents(described(folder, text)) == AS_WRITTEN


def test_columns_may_stand_anywhere_under_names_of_ones_own(folder: Path) -> None:
    text = "w;kind;l;t;r;b;photo\n16;cat;1;2;5;7;a.png\n"

    data = described(folder, text, delimiter=";", columns=["photo", "l", "t", "r", "b", "kind"])

    assert contents(data) == [("a.png", [[1, 2, 5, 7]], ["cat"])]


def test_a_table_of_tensorflow_is_read_without_saying_so(folder: Path) -> None:
    text = "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,16,12,cat,1,2,5,7\n"

    assert contents(described(folder, text)) == [("a.png", [[1, 2, 5, 7]], ["cat"])]


def test_names_may_hold_commas_quotes_and_any_script(folder: Path) -> None:
    Image.new("RGB", (16, 12)).save(folder / "x, y.png")
    text = '"x, y.png",1,2,5,7,"cat, ""big"""\nb.png,0,0,4,4,猫\n'

    assert contents(described(folder, text)) == [
        ("x, y.png", [[1, 2, 5, 7]], ['cat, "big"']),
        ("b.png", [[0, 0, 4, 4]], ["猫"]),
    ]


def test_shares_become_pixels(folder: Path) -> None:
    # 0.25 * 16 = 4, 0.5 * 12 = 6
    assert contents(described(folder, "a.png,0.25,0.5,1,1,cat", units="shares"))[0][1] == [[4, 6, 16, 12]]


def test_pictures_lie_beside_the_file_or_where_images_says_and_absolute_paths_lead_there(folder: Path) -> None:
    (folder / "tables").mkdir()
    (folder / "tables/boxes.csv").write_text(f"{folder}/a.png,1,2,5,7,cat\nb.png,0,0,4,4,dog\n")

    data = CSVDataset("tables/boxes.csv", images=".", root=str(folder))
    assert [record.file_name for record in data.records] == ["a.png", "b.png"]

    with pytest.raises(DataError, match=r"images outside of the folder of images: 1\n.*boxes\.csv:1: file name '\.\./a\.png'"):
        CSVDataset("tables/boxes.csv", root=str(folder))


def test_rows_that_stand_twice_count_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dettoolkit"):
        data = described(folder, ROWS + "a.png,1.0,2,5,7,cat\nc.png,,,,,\n")

    assert contents(data) == AS_WRITTEN
    assert "mine: left out: rows that say once more what another says: 1" in caplog.text


def test_classes_pick_and_order(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dettoolkit"):
        data = described(folder, classes=["dog", "bird"])

    assert data.info.class_names == ("dog", "bird")
    assert [record.labels.tolist() for record in data.records] == [[0], [0], []]
    assert "boxes of names not in CLASSES (cat): 1" in caplog.text


def test_a_picture_whose_boxes_are_all_of_other_classes_stays_as_background(folder: Path) -> None:
    assert described(folder, classes=["cat"]).records.num_boxes.tolist() == [1, 0, 0]


@pytest.mark.parametrize("text", ["dog\ncat\n", "cat,1\r\ndog,0\r\n", "\ufeffdog\n\ncat"])
def test_a_file_of_classes_gives_their_order(folder: Path, text: str) -> None:
    (folder / "classes.csv").write_text(text, encoding="utf-8", newline="")

    assert described(folder, classes_file="classes.csv").info.class_names == ("dog", "cat")


def test_a_class_that_the_file_of_classes_lacks_is_broken(folder: Path) -> None:
    (folder / "classes.txt").write_text("cats\ndog\n")

    with pytest.raises(DataError, match=r"boxes of an unknown class: 1\n.*boxes\.csv:1: 'cat'\. Did you mean 'cats'\?"):
        described(folder, classes_file="classes.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"classes\.txt: is empty"),
        ("cat,0\ndog\n", r"classes\.txt:2: expected name,label with a label from 0 on, got 'dog'"),
        ("cat,0\ndog,2\n", r"expected each name once, with the labels 0 to 1"),
        ("cat\ncat\n", r"expected each name once, with the labels 0 to 1"),
    ],
)
def test_a_wrong_file_of_classes_says_what_is_wrong(folder: Path, text: str, message: str) -> None:
    (folder / "classes.txt").write_text(text)

    with pytest.raises(DataError, match=message):
        described(folder, classes_file="classes.txt")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,1,2,5,cat", r"rows of another length than the first: 1\n.*boxes\.csv:5: 5 cells instead of 6"),
        ("a.png,1,2,5,7,cat,1", r"boxes\.csv:5: 7 cells instead of 6"),
        ("a.png,1,2,x,7,cat", r"boxes\.csv:5: expected x1, y1, x2, y2, got \['1', '2', 'x', '7'\]"),
        ("a.png,1,2,,7,cat", r"boxes\.csv:5: expected x1, y1, x2, y2, got \['1', '2', '', '7'\]"),
        ("a.png,,,,,cat", r"boxes that are not four numbers: 1\n"),
        ("a.png,1,2,5,7,", r"boxes without a class: 1\n.*boxes\.csv:5"),
        (",1,2,5,7,cat", r"rows without a path: 1\n.*boxes\.csv:5"),
        ("a.png,5,2,1,7,cat", r"boxes of zero or negative size: 1\n.*boxes\.csv:5: corners"),
        ("a.png,nan,2,5,7,cat", r"boxes with a number that is not finite: 1\n.*boxes\.csv:5: corners"),
        ("a.png,1,2,50,7,cat", r"boxes outside the image: 1\n.*boxes\.csv:5: .* in a\.png of 16 x 12"),
        ("d.png,1,2,5,7,cat", r"images that cannot be read: 1\n.*d\.png: no such image file"),
        ("c.png,1,2,5,7,cat", r"images with boxes that a row says to be empty: 1\n.*csv:4: c\.png .* at .*boxes\.csv:5"),
    ],
)
def test_a_broken_row_is_named_by_its_line_or_dropped(folder: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        described(folder, f"{ROWS}{row}\n")

    assert contents(described(folder, f"{ROWS}{row}\n", on_bad="drop"))[:2] == AS_WRITTEN[:2]


def test_lines_are_counted_in_the_file_and_not_in_rows(folder: Path) -> None:
    with pytest.raises(DataError, match=r"boxes\.csv:5: expected x1"):
        described(folder, 'a.png,1,2,5,7,"two\nlines"\n\n\nb.png,1,2,x,7,cat\n')


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (b"", {}, r"boxes\.csv: is empty; expected one row a box: path,x1,y1,x2,y2,class"),
        (b"\xef\xbb\xbf\r\n\r\n", {}, r"boxes\.csv: is empty"),
        (b"path,x1,y1,x2,y2,class\n", {}, r"no row names a class"),
        (b"a.png,,,,,\n", {}, r"no row names a class"),
        # where all rows are broken, that is why
        (
            b"path,x1,y1,x2,y2,class\na.png,1,2,5,7,cat,0.9\n",
            {},
            r"rows of another length .*\n.*boxes\.csv:2: 7 cells instead of 6",
        ),
        (b"a.png,1,2,5,7,\n", {}, r"boxes without a class: 1"),
        (b"a.png,1,2,5,7,\n", {"on_bad": "drop"}, r"no row names a class"),
        (
            b"path,x1,y1,x2,class\n",
            {},
            r"csv:1: No column y2 or ymax or y_max or bottom\..* Its columns: path, x1, y1, x2, class\.",
        ),
        (b"paths,x1,y1,x2,y2,class\n", {}, r"No column path .*\. Did you mean 'paths'\?.* The first row is a header"),
        (
            b"a.png,1,2,5,7\n",
            {},
            r"No column path .* Its columns: a\.png, 1, 2, 5, 7\. The first row is a header, unless it is",
        ),
        (b"path,file,x1,y1,x2,y2,class\n", {}, r"csv:1: several columns hold path: path, file"),
        (b"path;x1;y1;x2;y2;class\n", {}, r"Are cells divided by ';'\? DELIMITER is ','\."),
        (ROWS.encode(), {"columns": ["p", "a", "b", "c", "d", "e"]}, r"csv:1: No column p\."),
        (ROWS.encode("utf-16"), {}, r"boxes\.csv: after line 0: is not UTF-8 .*Save it as CSV in UTF-8"),
        (b'a.png,1,2,5,7,"cat"s\n', {}, r"boxes\.csv:1: is no row of a csv file: "),
        (b'a.png,1,2,5,7,cat\nb.png,1,2,5,7,"cat\n', {}, r"boxes\.csv:2: is no row of a csv file: "),
    ],
)
def test_a_file_that_is_no_such_table_says_what_is_accepted(
    folder: Path, text: bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        described(folder, text, **options)


def test_classes_twice_and_a_long_delimiter_are_refused() -> None:
    with pytest.raises(ValueError, match="expected CLASSES or CLASSES_FILE, got both"):
        CSVDataset("a.csv", classes=["a"], classes_file="b")
    with pytest.raises(ValueError, match="DELIMITER: expected one character, got '::'"):
        CSVDataset("a.csv", delimiter="::")


def test_it_is_built_from_a_config_node(folder: Path) -> None:
    (folder / "boxes.csv").write_text("f\tl\tt\tr\tb\tk\na.png\t1\t2\t5\t7\tcat\n")
    node = {"NAME": "CSVDataset", "ANNOTATIONS": "boxes.csv", "DELIMITER": "\t", "COLUMNS": ["f", "l", "t", "r", "b", "k"]}

    data = DATASETS.build(node, "DATASETS.CATALOG.mine", name="mine", root=str(folder))

    assert contents(data) == [("a.png", [[1, 2, 5, 7]], ["cat"])]


def test_rows_in_any_order_take_little_memory(tmp_path: Path) -> None:
    # 45 bytes a box in columns, and as much again while arrays grow and are sorted; lists of strings would take 1 kB
    import tracemalloc

    from dettoolkit.data.datasets.box_table import BoxTable

    tracemalloc.start()
    table = BoxTable(tmp_path)
    for row in range(50_000):
        table.add(f"{row % 10}.png", (1.0, 2.0, 3.0, float(row)), 0, row)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 50_000 * 60


def test_real_boxes_as_a_table_are_those_of_their_coco_form(real_data: Path, tmp_path: Path) -> None:
    coco = COCODataset("txl_pbc/annotations/txl_pbc_val.json", "txl_pbc/images", root=str(real_data), check_images=False)
    rows = [
        ",".join(map(str, (record.file_name, *map(float, box), coco.info.class_names[label])))
        for record in coco.records
        for box, label in zip(record.boxes, record.labels, strict=True)
    ]
    (tmp_path / "boxes.csv").write_text("\n".join(rows))

    data = CSVDataset(str(tmp_path / "boxes.csv"), "txl_pbc/images", list(coco.info.class_names), root=str(real_data))

    by_name = {record.file_name: record for record in data.records}
    for record in coco.records:
        if len(record.boxes):
            assert by_name[record.file_name].boxes.tolist() == record.boxes.tolist()
            assert by_name[record.file_name].labels.tolist() == record.labels.tolist()
