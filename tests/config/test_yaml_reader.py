"""YAML as configs have it: the core schema of YAML 1.2, places, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dettoolkit.config import load_config
from dettoolkit.config.yaml_reader import dump, is_plain, parse, plain
from dettoolkit.errors import ConfigError

# YAML 1.2.2, section 10.3.2 (core schema); where YAML 1.1 differs it is said
SCALARS = [
    ("null", None),
    ("~", None),
    ("", None),
    ("Null", None),
    ("true", True),
    ("False", False),
    ("tRue", "tRue"),
    ("off", "off"),  # 1.1: false
    ("no", "no"),  # 1.1: false
    ("yes", "yes"),  # 1.1: true
    ("y", "y"),  # 1.1: true
    ("0", 0),
    ("-19", -19),
    ("+12", 12),
    ("010", 10),  # 1.1: 8
    ("0o17", 15),  # 1.1: a string
    ("0o8", "0o8"),
    ("0x3A", 58),
    ("0b11", "0b11"),  # 1.1: 3
    ("1_000", "1_000"),  # 1.1: 1000
    ("1:30", "1:30"),  # 1.1: 90, in base 60
    ("2001-12-14", "2001-12-14"),  # 1.1: a date
    ("1e-4", 1e-4),  # 1.1: a string
    ("1e5", 1e5),
    ("12e03", 12e3),
    ("-2E+05", -2e5),
    ("0.", 0.0),
    (".5", 0.5),
    ("5.", 5.0),
    ("1e", "1e"),
    ("e5", "e5"),
    (".inf", math.inf),
    ("-.Inf", -math.inf),
    ("+.INF", math.inf),
    ("inf", "inf"),
    ("nan", "nan"),
    ("=", "="),
    ("'1e-4'", "1e-4"),
    ('"null"', "null"),
    ("!!str 5", "5"),
    ("!!float 5", 5.0),
    ("!!int '5'", 5),
]


@pytest.mark.parametrize(("text", "expected"), SCALARS)
def test_scalars_are_those_of_yaml_1_2(text, expected):
    found, _ = parse(text, "x")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_nan(text):
    assert math.isnan(parse(text, "x")[0])


def test_every_value_has_the_line_of_its_key():
    _, origins = parse("A:\n  B: 1\n  C:\n    - 2\n    -\n      D: 3\n", "file.yaml")
    assert origins == {
        ("A",): "file.yaml:1",
        ("A", "B"): "file.yaml:2",
        ("A", "C"): "file.yaml:3",
        ("A", "C", "0"): "file.yaml:4",
        ("A", "C", "1"): "file.yaml:6",
        ("A", "C", "1", "D"): "file.yaml:6",
    }


def test_an_anchor_stands_for_its_value():
    assert parse("A: &x [1, 2]\nB: *x\n", "x")[0] == {"A": [1, 2], "B": [1, 2]}


REFUSED = [
    ("A: !!python/object/apply:os.system ['true']", "x:1: the tag !!python/object/apply:os.system is refused"),
    ("A:\n  - !mine 5", "x:2: the tag !mine is refused"),
    ("A: !!set {b}", "x:1: the tag !!set is refused"),
    ("A: !!binary aGVsbG8=", "x:1: the tag !!binary is refused"),
    ("A: !!map [1]", "x:1: the tag !!map is refused"),
    ("A: !!int abc", "x:1: 'abc' is no int"),
    ("A: !!bool off", "x:1: 'off' is no bool"),
    ("A: !!null 0", "x:1: '0' is no null"),
    ("A: 1e999", "x:1: '1e999' is no float that can be held"),
    ("A: " + "9" * 5000, "x:1: '9999"),
    ("A: 1\nB: 2\nA: 3", "x:3: the key 'A' stands twice, first at x:1"),
    ("A:\n  B: 1\n  'B': 2", "x:3: the key 'A.B' stands twice, first at x:2"),
    ("? [a]\n: 1", "x:1: expected a name as key, got a sequence"),
    ("A: [1, 2", "x:1: not valid YAML: "),
    ("A: 1\n\tB: 2", "x:2: not valid YAML: "),
    ("A: *nobody", "x:1: not valid YAML: found undefined alias 'nobody'"),
    ("A: 1\n---\nB: 2", "x:2: not valid YAML: but found another document"),
    ("A: 1\nB: \x07", "x:2: not valid YAML: it has the character '\\x07'"),
    ("A: &a [*a]", "levels (aliases that multiply?)"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse(text, "x")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("depth", [52, 200, 2_000])
def test_deep_nesting_is_refused(depth):
    with pytest.raises(ConfigError, match=r"50 levels"):
        parse("[" * depth + "]" * depth, "x")


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory():
    lines = ["A0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"A{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]  # 10 ** 12 values
    with pytest.raises(ConfigError, match=r"more than 100000 values"):
        parse("\n".join(lines), "x")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("OUTPUT_DIR: böse".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml: expected a YAML file in UTF-8, but byte 13 is not UTF-8"):
        load_config(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path):
    path = tmp_path / "bom.yaml"
    path.write_bytes("\ufeffSEED: 3".encode())
    assert load_config(path).SEED == 3


@pytest.mark.parametrize(("text", "came"), [("- a", r"\['a'\] \(a list\)"), ("a", r"'a' \(a string\)"), ("5", r"5 \(int\)")])
def test_a_file_that_is_no_mapping_is_refused(write, text, came):
    with pytest.raises(ConfigError, match=rf"config\.yaml: expected a mapping of config keys, got {came}\."):
        load_config(write(text))


def test_a_folder_is_no_config(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no config file"):
        load_config(tmp_path)


TRICKY = ["1e-4", "null", "~", "", " ", "off", "true", "010", "0o17", "0x1F", ".inf", ".nan", "=", "<<", "- a", "a: b", "# no"]
TRICKY += [
    "梟 🦉",
    "a\nb\n",
    "\ttab",
    " lead",
    "trail ",
    "'",
    '"',
    "\\n",
    "!x",
    "&a",
    "*a",
    "%",
    "@",
    "`",
    "{}",
    "[",
    "x" * 300,
]
TRICKY += ["\u2028", "\u0085", "\ufeff", "\x07", "\x00", "word " * 60, "|", ">-", "? a", "---", "...", "2001-12-14", "1:30"]


@pytest.mark.parametrize("text", TRICKY)
def test_every_string_comes_back_from_yaml_as_it_was(text):
    data = {"A": text, "B": [text, {"C": text}]}
    assert parse(dump(data), "x")[0] == data


@pytest.mark.parametrize("number", [0, -1, 10**30, 0.1, 1e-4, 1e-5, 1e22, 123456789.123, math.inf, -math.inf, 5e-324, -0.0])
def test_every_number_comes_back_from_yaml_as_it_was(number):
    found, _ = parse(dump([number]), "x")
    assert found == [number]
    assert type(found[0]) is type(number)


def test_a_list_that_two_places_share_is_written_twice():
    shared = [1]
    assert "&" not in dump({"A": shared, "B": shared})


def test_plain_copies_mappings_and_turns_tuples_into_lists():
    original = {"A": {"B": (1, [2])}}
    copy = plain(original)
    assert copy == {"A": {"B": [1, [2]]}}
    copy["A"]["B"][1].append(3)
    assert original == {"A": {"B": (1, [2])}}


def test_what_yaml_can_write_is_plain():
    assert is_plain({"A": [1, 2.0, None, True, ("x",)]})
    assert not is_plain({"A": [Path("x")]})
    assert not is_plain({1: "x"})
