"""A hook that needs another stands behind it."""

from __future__ import annotations

import pytest

from dettoolkit.engine.hook_order import check_order
from dettoolkit.engine.hooks import Hook
from dettoolkit.errors import ConfigError


class First(Hook):
    pass


class Second(Hook):
    stands_after = ("First", "SomethingElse")


def test_a_hook_before_one_that_it_needs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"HOOKS\.1: Second stands before First, .* Put it behind\."):
        check_order([Hook(), Second(), First()])


def test_a_hook_behind_what_it_needs_or_without_it_is_fine() -> None:
    check_order([First(), Second()])
    check_order([Second()])
    check_order([])
