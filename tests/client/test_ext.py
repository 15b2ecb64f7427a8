"""Configured extensions."""

from __future__ import annotations

import pytest

from hundredweight.client.ext import DuplicatePriority, configured_extensions
from hundredweight.git.config import BadConfigValue, Config


def test_extensions_in_order_of_priority() -> None:
    config = Config(
        [
            ("lfs.extension.late.clean", "late-clean %f"),
            ("lfs.extension.late.priority", "5"),
            ("lfs.extension.my.first.smudge", "first-smudge"),
            ("lfs.url", "https://host"),
            ("lfs.https://host.access", "basic"),
        ]
    )
    found = [(e.name, e.clean, e.smudge, e.priority) for e in configured_extensions(config)]
    assert found == [("my.first", "", "first-smudge", 0), ("late", "late-clean %f", "", 5)]


def test_what_cannot_be_ordered_is_an_error() -> None:
    with pytest.raises(DuplicatePriority) as caught:
        configured_extensions(Config([("lfs.extension.a.clean", "x"), ("lfs.extension.b.clean", "y")]))
    assert (caught.value.priority, caught.value.name) == (0, "b")
    with pytest.raises(BadConfigValue):
        configured_extensions(Config([("lfs.extension.a.priority", "high")]))
