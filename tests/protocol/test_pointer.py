"""Laws of the LFS pointer (git-lfs docs/spec.md)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.ids import Oid
from hundredweight.protocol import pointer
from hundredweight.protocol.pointer import BadPointer, Extension, NotAPointer, Pointer

OIDS = st.text("0123456789abcdef", min_size=64, max_size=64).map(Oid)
NAMES = st.from_regex(r"\A[a-z][a-z0-9]{0,8}\Z")
EXTENSIONS = st.dictionaries(st.integers(0, 9), st.tuples(NAMES, OIDS), max_size=5).map(
    lambda found: tuple(Extension(name, number, oid) for number, (name, oid) in sorted(found.items()))
)
POINTERS = st.builds(Pointer, OIDS, st.integers(1, (1 << 63) - 1), EXTENSIONS)
OID = "a" * 64
GOOD = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12\n"


@given(POINTERS)
def test_what_is_encoded_parses_to_itself(value: Pointer) -> None:
    data = value.encode()
    again = pointer.parse(data)
    assert again == value
    assert hash(again) == hash(value)
    assert again.canonical
    assert len(data) < pointer.CUTOFF


@given(st.binary(max_size=2000))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    found = pointer.try_parse(data)
    assert found is None or found.size >= 0


@given(POINTERS, st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_damage_is_refused_or_seen(value: Pointer, place: int, junk: bytes) -> None:
    """Bytes put in anywhere give an error, or a pointer that knows it is not canonical, or another valid one."""
    data = value.encode()
    place = min(place, len(data))
    broken = data[:place] + junk + data[place:]
    found = pointer.try_parse(broken)
    assert found is None or not found.canonical or found.encode() == broken


def test_the_empty_blob_is_the_empty_pointer() -> None:
    empty = pointer.parse(b"")
    assert (empty.oid, empty.size, empty.encode(), empty.canonical) == (pointer.EMPTY_OID, 0, b"", True)


@pytest.mark.parametrize("alias", pointer.ALIASES)
def test_historic_versions_are_read_and_not_canonical(alias: str) -> None:
    found = pointer.parse(GOOD.replace(pointer.VERSION, alias).encode())
    assert found == Pointer(Oid(OID), 12)
    assert found.version == alias
    assert found.canonical == (alias == pointer.VERSION)


@pytest.mark.parametrize(
    "change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\n" + t, str.rstrip, lambda t: t + "\n"]
)
def test_white_space_is_tolerated_and_not_canonical(change: object) -> None:
    assert callable(change)
    found = pointer.parse(change(GOOD).encode())
    assert found == Pointer(Oid(OID), 12)
    assert not found.canonical


@pytest.mark.parametrize(
    "text",
    [
        "plain content",
        "# git-lfs\nnothing else",
        "git-lfs \udcff",
        GOOD + " " * 1024,
    ],
)
def test_content_is_not_a_pointer(text: str) -> None:
    with pytest.raises(NotAPointer) as caught:
        pointer.parse(text.encode("utf-8", "surrogateescape"))
    assert not isinstance(caught.value, BadPointer)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("spec/v1", "spec/v9", "unknown version"),
        ("sha256", "md5", "unknown oid type"),
        (OID, "abc", "invalid object id"),
        (OID, OID.upper(), "invalid object id"),
        ("size 12", "size -1", "invalid size"),
        ("size 12", "size 1e9", "invalid size"),
        ("size 12", "size ²", "invalid size"),
        ("size 12", f"size {1 << 63}", "invalid size"),
        ("size 12", "size 12\nextra key", "expected one 'oid'"),
        ("oid ", "iod ", "expected one 'oid'"),
        ("oid ", f"ext-x-foo sha256:{OID}\noid ", "malformed extension"),
        ("oid ", f"ext-1- sha256:{OID}\noid ", "malformed extension"),
        ("oid ", f"ext-1-a sha256:{OID}\next-1-b sha256:{OID}\noid ", "duplicate extension priority 1"),
    ],
)
def test_what_breaks_the_spec_says_where(old: str, new: str, reason: str) -> None:
    with pytest.raises(BadPointer, match=reason) as caught:
        pointer.parse(GOOD.replace(old, new).encode())
    assert reason in caught.value.reason


def test_pointers_of_other_kinds_differ() -> None:
    one = Pointer(Oid(OID), 12)
    assert one != Pointer(Oid(OID), 13)
    assert one != "text"
    assert Extension("a", 1, Oid(OID)) != "text"
    assert len({Extension("a", 1, Oid(OID)), Extension("a", 1, Oid(OID))}) == 1
    assert repr(one) == f"Pointer({OID}, 12)"
