"""A recipe as YAML with its reasons as comments: a config that can be trained."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from dettoolkit.diagnosis.recipe.recipe import Recipe

_WIDTH = 120


def to_yaml(recipe: Recipe, base: str, heading: str) -> str:
    """Return a config that is based on ``base`` and sets what the recipe advises.

    Args:
        recipe: what to set.
        base: path or shipped name of the config that it is for.
        heading: sentences for its first lines.
    """
    # a path may hold what YAML would read otherwise; a string of JSON is one of YAML
    lines = [*_comment(heading), f"_BASE_: {json.dumps(base, ensure_ascii=False)}"]
    tree: dict[str, Any] = {}
    for advice in recipe.advice:
        *sections, name = advice.key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = advice
    lines += _section(tree, 0)
    for note in recipe.notes:
        lines += _comment(f"Note: {note}.")
    return "\n".join(lines) + "\n"


def _section(tree: dict[str, Any], depth: int) -> list[str]:
    indent, lines = "  " * depth, []
    for key, value in tree.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", *_section(value, depth + 1)]
        else:
            lines += [*_comment(f"{value.why}.", indent), f"{indent}{key}: {value.value}"]
    return lines


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
