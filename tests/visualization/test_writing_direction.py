"""Right-to-left names. Expected forms are read from the Unicode charts of Arabic Presentation Forms-B."""

from __future__ import annotations

import pytest

from dettoolkit.visualization.writing_direction import is_right_to_left, visual_order


@pytest.mark.parametrize("text", ["", "RBC 0.98", "Тромбоцит", "血小板 0.5"])
def test_left_to_right_text_comes_back_as_it_is(text: str) -> None:
    assert visual_order(text) == text
    assert not is_right_to_left(text)


def test_hebrew_is_turned_round() -> None:
    assert visual_order("\u05d3\u05dd") == "\u05dd\u05d3"


def test_arabic_letters_take_the_form_that_their_neighbours_give_them() -> None:
    # red: alef with hamza (joins nothing after it), hah initial, meem medial, reh final; last letter leftmost
    assert visual_order("\u0623\u062d\u0645\u0631") == "\ufeae\ufee4\ufea3\ufe83"


def test_lam_and_alef_become_one() -> None:
    # peace: seen initial, lam-alef final (0xFEFC), meem isolated because an alef joins nothing after it
    assert visual_order("\u0633\u0644\u0627\u0645") == "\ufee1\ufefc\ufeb3"


def test_a_score_stays_right_of_the_name_and_in_its_own_order() -> None:
    assert visual_order("\u05d3\u05dd 0.98") == "\u05dd\u05d3 0.98"


def test_words_stand_in_reading_order_from_the_right_and_digits_in_a_word_are_not_turned() -> None:
    assert visual_order("\u05d0 \u05d1\u05d2") == "\u05d2\u05d1 \u05d0"
    assert visual_order("\u05d0\u05d112") == "12\u05d1\u05d0"
    assert visual_order("\u05d0(\u05d1)") == "(\u05d1)\u05d0"


def test_vowel_marks_are_left_out() -> None:
    assert visual_order("\u05d3\u05b8\u05dd") == "\u05dd\u05d3"
