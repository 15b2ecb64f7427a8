"""Blocks: any bytes, any type, any base come back as they were; what is no block is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hundredweight.codec import block
from hundredweight.codec.errors import CodecError

DTYPES = ["", "F32", "BF16", "F16", "F64", "I64", "U8", "F8_E4M3", "Q4_K", "BOOL", "C64"]


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=300), dtype=st.sampled_from(DTYPES), base=st.none() | st.binary(max_size=300))
def test_any_bytes_come_back(raw: bytes, dtype: str, base: bytes | None) -> None:
    made = block.encode(raw, dtype, base)
    assert bytes(block.decode(made, len(raw), base)) == raw
    assert len(made) <= len(raw) + 2


def test_a_stored_block_of_another_size_is_refused() -> None:
    with pytest.raises(CodecError):
        block.decode(block.encode(b"abc", ""), 4)
