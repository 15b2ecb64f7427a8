"""What the tests of both message families share: any JSON, and the law that a parser answers or refuses."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from hundredweight.protocol.message import BadMessage


def json_values(*keys: str) -> st.SearchStrategy[object]:
    """Any JSON value; objects often have some of `keys`."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(keys) | st.text(max_size=3), inner, max_size=4)
        ),
        max_leaves=20,
    )


def assert_parses_or_refuses(parse: Callable[[bytes], object], data: bytes) -> None:
    """Nothing but `BadMessage` comes out, and it says where."""
    try:
        parse(data)
    except BadMessage as error:
        said = error
    else:
        return
    assert said.where
    assert said.reason
