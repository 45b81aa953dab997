"""Text written from right to left, put into the order and the letter forms in which it stands on the page.

OpenCV draws characters from left to right and joins no letters. The tables are those of Unicode itself (``unicodedata``): which
way a character runs, and the presentation forms of the Arabic letters.
"""

from __future__ import annotations

import functools
import itertools
import unicodedata

_RIGHT_TO_LEFT = {"R", "AL"}
_NUMBER = {"EN", "AN", "ES", "CS", "ET"}
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


def is_right_to_left(text: str) -> bool:
    """Return whether the text holds a letter that is written from right to left."""
    return any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text)


def visual_order(text: str) -> str:
    """Return the text in the order in which its characters stand from left to right, Arabic letters joined.

    A label is a name and a number, so one rule is enough: each stretch of right-to-left words is turned round, numbers in it
    are not. Text without such letters comes back as it is. Vowel marks are left out: they would stand beside their letters.
    """
    if not is_right_to_left(text):
        return text
    words = [_join_letters(word) for word in unicodedata.normalize("NFC", text).split(" ")]
    ordered: list[str] = []
    for turned, run in itertools.groupby(words, key=is_right_to_left):
        ordered += [_turned(word) for word in reversed(list(run))] if turned else list(run)
    return " ".join(ordered)


def _turned(word: str) -> str:
    """Return a right-to-left word from its last character to its first, with the digits of each number in their own order."""
    runs = []
    for is_number, run in itertools.groupby(word, key=lambda character: unicodedata.bidirectional(character) in _NUMBER):
        characters = "".join(run)
        runs.append(characters if is_number else characters[::-1].translate(_MIRRORED))
    return "".join(reversed(runs))


def _join_letters(word: str) -> str:
    """Return the word with each Arabic letter in the form that its neighbours give it."""
    forms = _arabic_forms()
    letters = _ligate([character for character in word if not unicodedata.combining(character)])
    joined = []
    for index, letter in enumerate(letters):
        mine = forms.get(letter, {})
        before = forms.get(letters[index - 1], {}) if index else {}
        after = forms.get(letters[index + 1], {}) if index + 1 < len(letters) else {}
        from_before = "initial" in before and "final" in mine
        to_after = "initial" in mine and "final" in after
        form = {(False, False): "isolated", (False, True): "initial", (True, False): "final", (True, True): "medial"}
        joined.append(mine.get(form[from_before, to_after], letter[0]))
    return "".join(joined)


def _ligate(characters: list[str]) -> list[str]:
    """Return the letters with lam and the alef after it as one, the only ligature that Arabic writing demands."""
    letters: list[str] = []
    for character in characters:
        if letters and letters[-1] == "\u0644" and "final" in _arabic_forms().get("\u0644" + character, {}):
            letters[-1] += character
        else:
            letters.append(character)
    return letters


@functools.cache
def _arabic_forms() -> dict[str, dict[str, str]]:
    """Return letter (or ligature) -> form -> the character of Arabic Presentation Forms that draws it."""
    forms: dict[str, dict[str, str]] = {}
    for code in itertools.chain(range(0xFB50, 0xFC00), range(0xFE80, 0xFEFD)):
        form, *letters = unicodedata.decomposition(chr(code)).split() or [""]
        text = "".join(chr(int(letter, 16)) for letter in letters)
        if form and (len(text) == 1 or text in {"\u0644\u0622", "\u0644\u0623", "\u0644\u0625", "\u0644\u0627"}):
            forms.setdefault(text, {})[form.strip("<>")] = chr(code)
    return forms
