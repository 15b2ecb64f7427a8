"""Request bodies of git's POSTs: chunks as they come, inflated where the client gzipped them, bounded in length.

Nothing here holds a body: one chunk in, at most `STEP` bytes out at a time, so a gzip bomb costs time on its sender's
connection and no memory.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from hundredweight.base.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

STEP = 1 << 18


class BadBody(RemoteError):
    """The request's body is not what its headers say. `status` is the HTTP status to answer with."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def encoding_of(header: str) -> str:
    """`gzip` or empty for no encoding. Raises `BadBody` (415) for others."""
    name = header.strip().lower()
    if name in ("gzip", "x-gzip"):
        return "gzip"
    if name in ("", "identity"):
        return ""
    raise BadBody(f"unsupported content encoding '{name[:40]}'", 415)


async def decoded(chunks: AsyncIterator[bytes], encoding: str, limit: int) -> AsyncIterator[bytes]:
    """The body's bytes; `limit` bounds them after inflating (0: no bound). Raises `BadBody`: 413 over the bound."""
    total = 0
    async for part in _inflate(chunks) if encoding else chunks:
        total += len(part)
        if limit and total > limit:
            raise BadBody(f"the request's body is longer than {limit} bytes", 413)
        yield part


async def _inflate(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    async for chunk in chunks:
        for part in _steps(inflater, chunk):
            yield part
    if not inflater.eof:
        raise BadBody("the gzipped body ends early")


def _steps(inflater: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    while chunk and not inflater.eof:
        try:
            part = inflater.decompress(chunk, STEP)
        except zlib.error as error:
            raise BadBody("the body is not gzip") from error
        chunk = inflater.unconsumed_tail
        if part:
            yield part
    if inflater.unused_data or (inflater.eof and chunk):
        raise BadBody("bytes follow the gzipped body")
