from __future__ import annotations

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dettoolkit.cli.main import run_command

IMAGES = [{"id": number, "file_name": f"{number}.png", "width": 64, "height": 48} for number in (1, 2)]
SOUND = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20]}]
NO_AREA = {"id": 2, "image_id": 2, "category_id": 1, "bbox": [5, 6, 0, 9]}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(annotations: list[dict[str, Any]]) -> None:
    """Write a set of two pictures and a config that trains on it."""
    for number, colour in ((1, "red"), (2, "blue")):
        picture = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
        picture.paste(colour, (number * 9, 5, number * 20, 30))
        picture.save(f"{number}.png")
    content = {"images": IMAGES, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    Path("set.json").write_text(json.dumps(content))
    Path("my.yaml").write_text(
        "_BASE_: tiny.yaml\nDATASETS:\n  ROOT: .\n  TRAIN: [mine]\n  TEST: []\n"
        "  CATALOG: {mine: {NAME: COCODataset, ANNOTATIONS: set.json}}\n"
    )


def check(*more: str) -> int:
    return run_command("check-dataset", ["--config-file", "my.yaml", "--workers", "0", *more])


def test_a_clean_set_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    write(SOUND)
    assert check() == 0
    out = capsys.readouterr().out
    assert "mine (train): 2 images, 1 box; cat 1\n" in out
    assert "hint empty-images: images without boxes: 1\n" in out  # a hint is no fault


def test_numbers_that_json_does_not_have_are_told_in_words_alone() -> None:
    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    write([*SOUND, {"id": 2, "image_id": 2, "category_id": 1, "bbox": [5, 6, float("nan"), float("inf")]}])
    assert check("--json", "out/check.json", "--output", "page") == 1
    for file in ("out/check.json", "page/findings.json"):
        (finding,) = json.loads(Path(file).read_text(), parse_constant=refused)["findings"]
        assert finding["kind"] == "boxes-not-finite"
        assert finding["examples"][0]["text"].startswith("cat [5, 6, nan, inf] in an image")
        assert (finding["examples"][0]["box"], finding["examples"][0]["image_id"]) == (None, 2)


def test_findings_exit_with_1_and_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    write([*SOUND, NO_AREA])
    assert check("--json", "out/check.json") == 1
    out = capsys.readouterr().out
    assert "error boxes-without-area: boxes of zero or negative size: 1\n" in out
    assert "set.json: annotation 2: cat [5, 6, 5, 15] in an image of 64 x 48 (2.png)\n" in out
    data = json.loads(Path("out/check.json").read_text())
    assert data["clean"] is False
    assert data["datasets"][0]["classes"] == {"cat": 2}
    (finding,) = data["findings"]
    assert (finding["kind"], finding["severity"], finding["count"]) == ("boxes-without-area", "error", 1)
    assert finding["examples"][0]["box"] == [5, 6, 5, 15]
    assert (finding["examples"][0]["dataset"], finding["examples"][0]["image_id"]) == ("mine", 2)


def test_on_bad_and_the_number_of_examples(capsys: pytest.CaptureFixture[str]) -> None:
    write([*SOUND, NO_AREA, NO_AREA | {"id": 3, "bbox": [7, 7, 0, 9]}])
    assert check("--examples", "1", "DATASETS.ON_BAD", "drop") == 1
    out = capsys.readouterr().out
    assert "size: 2\n" in out
    assert "    and 1 more\n" in out
    assert "annotation 3" not in out


def test_quick_reads_headers_only(capsys: pytest.CaptureFixture[str]) -> None:
    write([*SOUND, NO_AREA | {"bbox": [5, 6, 9, 9]}])
    data = Path("2.png").read_bytes()
    Path("2.png").write_bytes(data[:-40])
    assert check("--quick") == 0
    assert check() == 1
    assert "error truncated-image" in capsys.readouterr().out


def test_a_page_shows_the_findings(capsys: pytest.CaptureFixture[str]) -> None:
    write([*SOUND, NO_AREA])
    Path("1.png").write_text("no image")
    assert check("--output", "page") == 1
    assert f"the page with pictures is {Path('page/index.html')}" in capsys.readouterr().out
    page = Path("page/index.html").read_text()
    assert "boxes of zero or negative size" in page
    assert "data:image/jpeg;base64," in page  # of the second picture
    assert "expected an image" in page  # in place of the first
    assert json.loads(Path("page/findings.json").read_text())["clean"] is False


def test_nothing_outside_of_the_folder_of_images_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(SOUND)
    Path("images").mkdir()
    for number in (1, 2):
        Path(f"{number}.png").rename(f"images/{number}.png")
    secret, picture = tmp_path / "secret.txt", tmp_path / "picture.png"
    secret.write_text("TOPSECRET-MARKER")
    Image.linear_gradient("L").convert("RGB").save(picture)
    names = [str(secret), "../secret.txt", "a/../../secret.txt", "..\\secret.txt", str(picture), "../picture.png"]
    content = json.loads(Path("set.json").read_text())
    for number, name in enumerate(names, 10):
        content["images"].append({"id": number, "file_name": name, "width": 256, "height": 256})
        content["annotations"].append({"id": number, "image_id": number, "category_id": 1, "bbox": [1, 2, 90, 80]})
    content["annotations"].append(NO_AREA)
    Path("set.json").write_text(json.dumps(content))

    more = ["DATASETS.CATALOG.mine.IMAGES", "images"]
    assert check("--output", "page", "--fix", "mended", "--json", "check.json", *more) == 1

    page = Path("page/index.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 1  # image 2, with its broken box
    assert page.count(">No picture") >= len(names)
    written = [file for folder in ("page", "mended") for file in Path(folder).rglob("*") if file.is_file()]
    texts = [file.read_bytes() for file in [*written, Path("check.json")]]
    texts.append(capsys.readouterr().out.encode())
    assert not [text for text in texts if b"TOPSECRET" in text or picture.read_bytes() in text]
    assert sorted(file.name for file in written if file.suffix == ".png") == ["1.png", "2.png"]


@pytest.mark.parametrize(
    "more", [["DATASETS.TRAIN", "[]", "--datasets", "mine"], ["--datasets", "mine", "--quick", "DATASETS.TRAIN", "[]"]]
)
def test_a_set_that_no_run_uses_is_said_to_be_so(capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    write(SOUND)
    assert check(*more) == 0
    words = "mine (in neither TRAIN nor TEST: its classes are not compared with the others'): 2 images, 1 box; cat 1\n"
    assert words in capsys.readouterr().out


def test_a_card_says_each_thing_once() -> None:
    write([*SOUND, NO_AREA | {"category_id": 99, "bbox": [5, 6, 9, 9]}, *[{**SOUND[0], "id": 3}]])
    Path("2.png").write_text("no image")
    assert check("--output", "page") == 1
    page = Path("page/index.html").read_text()
    assert page.count("expected an image") == page.count('<p class="broken">No picture')
    assert "cat [1, 2, 31, 22] is at the very same place as cat of annotation 1" in page
    (fault,) = (
        one for one in json.loads(Path("page/findings.json").read_text())["findings"] if one["kind"] == "unknown-category"
    )
    assert unescape(page).count(fault["examples"][0]["text"]) == 1


def test_a_mended_copy_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    write([*SOUND, NO_AREA])
    assert check("--fix", "mended") == 1
    assert "1 change, listed in mended/changes.txt" in capsys.readouterr().out
    assert "removed: of zero or negative size" in Path("mended/changes.txt").read_text()
    assert run_command("check-dataset", ["--config-file", "mended/config.yaml", "--workers", "0"]) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["DATASETS.CATALOG.mine.ANNOTATIONS", "gone.json"], "gone.json: no such annotation file"),
        (["DATASETS.TRAIN", "[]"], "DATASETS.TRAIN and DATASETS.TEST are empty"),
        (["--datasets", "mini"], "no data set 'mini'. Did you mean 'mine'?"),
        (["--datasets", "mine", "DATASETS.ROOT", "."], "no data set 'DATASETS.ROOT'. KEY VALUE pairs come before --datasets"),
        (["--fix", "out", "--quick"], "--fix needs the pixels, and --quick reads none"),
        (["--fix", "1.png"], "--fix: 1.png is there and not empty; nothing in it is overwritten"),
        (["--overlaps", "--quick"], "--overlaps needs the pixels"),
        (["--workers", "-1"], "--workers: expected 0 or more, got -1"),
        (["DATASETS.TEST", "[other]", "DATASETS.CATALOG.other", "{NAME: COCODataset, ANNOTATIONS: my.yaml}"], "it is not"),
    ],
)
def test_what_cannot_be_read_exits_with_2(capsys: pytest.CaptureFixture[str], more: list[str], message: str) -> None:
    write(SOUND)
    assert check(*more) == 2
    assert message in capsys.readouterr().err


def test_all_sets_that_cannot_be_read_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    write(SOUND)
    lost = "{NAME: COCODataset, ANNOTATIONS: lost.json}"
    assert check("DATASETS.TEST", "[lost]", "DATASETS.CATALOG.lost", lost, "DATASETS.CATALOG.mine.IMAGES", "nowhere") == 2
    error = capsys.readouterr().err
    assert "lost.json: no such annotation file" in error
    assert "nowhere: no such folder of images" in error
