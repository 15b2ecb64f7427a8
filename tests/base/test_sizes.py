from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.sizes import BadSize, format_in_unit, format_size, parse_size, parse_unit


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (1040, "1.0 KB"),
        (1050, "1.1 KB"),
        (9_999, "10 KB"),
        (1_000_000, "1.0 MB"),
        (34_500_000, "34 MB"),
        (10**9, "1.0 GB"),
        (5 * 10**15, "5.0 PB"),
        (10**19, "10000 PB"),
    ],
)
def test_sizes_print_as_git_lfs_prints_them(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 0),
        ("121B", 121),
        ("1b", 1),
        ("20 MB", 20_000_000),
        ("3 TiB", 3 << 40),
        ("1,000", 1000),
        ("1.5kib", 1536),
        ("100Kb", 100_000),
    ],
)
def test_sizes_parse_as_git_lfs_parses_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["x", "1 parsec", "1.2.3", "-5", "99999999 PB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadSize):
        parse_size(text)


def test_a_unit_is_named_in_any_case() -> None:
    assert parse_unit(" GiB ") == 1 << 30


def test_bytes_have_no_decimals_and_larger_units_one_below_ten() -> None:
    assert format_in_unit(5, 1) == "5"
    assert format_in_unit(170, 1000) == "0.2"


@given(st.integers(0, 10**18))
def test_what_is_printed_parses_back_to_within_its_rounding(size: int) -> None:
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.06)
