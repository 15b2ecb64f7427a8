"""Runs of bytes inside a block: constant, stored, or entropy-coded by zstd; and the cursor that reads a block within its bounds.

A packed run is a zstd frame without its first six bytes, which are the same for all: so a block cannot make a decoder allocate
for a content size or window of its own choosing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from hundredweight.codec.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

EMPTY, CONSTANT, STORED, PACKED = range(4)
# Magic, then a frame of unknown content size without checksum or dictionary; the window may be as long as a segment.
FRAME_START = b"\x28\xb5\x2f\xfd\x00"
WINDOW = b"\x70"
MAX_VARINT = 5
CONSTANT_SAMPLE = 64
NOISE_SAMPLE = 128
"""Of so many bytes of noise four fifths differ from each other."""

# Symbols that have been decorrelated hold no repeats worth the search, and what zstd then finds by chance disturbs its Huffman
# tables. A tiny hash table of long matches leaves little but the tables: measured 1 to 10 % smaller than level 1, twice as fast.
SYMBOLS = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST,
    min_match=7,
    hash_log=6,
    chain_log=6,
    search_log=1,
    target_length=0,
    window_log=17,
    write_checksum=False,
    write_content_size=False,
)


class _Coders(threading.local):
    """zstd's contexts, kept for each thread: they may not be shared, and making one costs more than a short run."""

    def __init__(self) -> None:
        self.symbols = zstandard.ZstdCompressor(compression_params=SYMBOLS)
        self.planes = zstandard.ZstdCompressor(level=1, write_content_size=False)
        self.plain = zstandard.ZstdCompressor(level=3, write_content_size=False)
        self.thorough = zstandard.ZstdCompressor(level=19, write_content_size=False)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 24)


_coders = _Coders()


def pack_symbols(runs: Sequence[Bytes]) -> list[memoryview | None]:
    """For symbols without repeats, many runs at once: each call lets other threads take the interpreter, and asks for it again.
    None where nothing is gained."""
    coder = _coders.symbols
    if len(runs) < 2 or not hasattr(coder, "multi_compress_to_buffer"):
        return [_packed(coder, data) for data in runs]
    frames = coder.multi_compress_to_buffer([data.data for data in runs])
    return [_kept(frames[number].tobytes(), data) for number, data in enumerate(runs)]


def pack_planes(data: Bytes) -> memoryview | None:
    """For bytes with many zeros and runs."""
    return _packed(_coders.planes, data)


def pack_plain(data: Bytes, *, thoroughly: bool = False) -> memoryview | None:
    """For bytes of any structure."""
    return _packed(_coders.thorough if thoroughly else _coders.plain, data)


def _packed(compressor: zstandard.ZstdCompressor, data: Bytes) -> memoryview | None:
    return _kept(compressor.compress(data.data), data)


def _kept(frame: bytes, data: Bytes) -> memoryview | None:
    """The frame of `data` without what all frames begin with, if it is shorter."""
    # A frame of another shape (a zstd that decides otherwise) would still be right to store whole, so it is.
    if frame[: len(FRAME_START)] != FRAME_START or len(frame) - 6 + MAX_VARINT >= len(data):
        return None
    return memoryview(frame)[6:]


def unpack(data: memoryview, length: int) -> Bytes:
    """The `length` bytes that were packed. Raises `CodecError` for anything else."""
    try:
        content = _coders.decompressor.decompress(
            b"".join((FRAME_START, WINDOW, data)), max_output_size=length, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise CodecError("a run of bytes in a block does not decompress") from error
    if len(content) != length:
        raise CodecError(f"a run in a block has {len(content)} bytes, not {length}")
    return np.frombuffer(content, np.uint8)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _run(data: Bytes, packed: memoryview | None) -> tuple[bytes | memoryview, ...]:
    if packed is None:
        return bytes((STORED,)), data.data
    return bytes((PACKED,)), varint(len(packed)), packed


class Writer:
    """Collects the parts of a block."""

    def __init__(self, head: Sequence[int]) -> None:
        self.parts: list[bytes | memoryview] = [bytes(head)]
        self._unpacked: list[tuple[int, Bytes]] = []

    def octets(self, *values: int) -> None:
        self.parts.append(bytes(values))

    def varint(self, value: int) -> None:
        self.parts.append(varint(value))

    def run(self, data: Bytes, packed: memoryview | None) -> None:
        """`data`, whose length the reader knows, as `packed` if it is not None."""
        if len(data):
            self.parts += _run(data, packed)

    def symbols(self, data: Bytes) -> None:
        """A run of decorrelated symbols. It is packed at the end, and must not change until then."""
        if not self._constant(data):
            self._unpacked.append((len(self.parts), data))
            self.parts.append(b"")

    def plane(self, data: Bytes) -> None:
        """A run that may hold repeats."""
        if not self._constant(data):
            self.run(data, pack_planes(data))

    def noise(self, data: Bytes) -> None:
        """A run that most likely has no redundancy: a few bytes of it are looked at."""
        some = data[:: len(data) // NOISE_SAMPLE + 1].tobytes()
        if len(set(some)) * 5 < min(len(some), NOISE_SAMPLE) * 3:
            self.symbols(data)
        else:
            self.run(data, None)

    def _constant(self, data: Bytes) -> bool:
        """Whether the run is empty or of one byte, and done."""
        if not len(data):
            return True
        # A few of them first: to compare all takes the interpreter's lock away and back, which threads wait for.
        if data[0] != data[-1] or len(set(data[:CONSTANT_SAMPLE].tobytes())) > 1 or (data != data[0]).any():
            return False
        self.parts.append(bytes((CONSTANT, int(data[0]))))
        return True

    def joined(self) -> bytes:
        """All of it. To be called once."""
        for (place, data), packed in zip(
            self._unpacked, pack_symbols([data for _, data in self._unpacked]), strict=True
        ):
            self.parts[place] = b"".join(_run(data, packed))
        return b"".join(self.parts)


class Reader:
    """A cursor over a block. Every method raises `CodecError` rather than read past the end."""

    def __init__(self, block: memoryview, start: int) -> None:
        self.block = block
        self.position = start

    def take(self, length: int) -> memoryview:
        end = self.position + length
        if end > len(self.block):
            raise CodecError("a block ends too early")
        part = self.block[self.position : end]
        self.position = end
        return part

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self, limit: int) -> int:
        """A number from 0 to `limit`."""
        value = 0
        for shift in range(0, 7 * MAX_VARINT, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise CodecError("a number in a block is too long")
        if value > limit:
            raise CodecError(f"a block says {value} where {limit} is the most there can be")
        return value

    def run(self, length: int) -> Bytes:
        """The next run, of `length` bytes."""
        if not length:
            return np.empty(0, np.uint8)
        mode = self.byte()
        if mode == CONSTANT:
            return np.full(length, self.byte(), np.uint8)
        if mode == STORED:
            return np.frombuffer(self.take(length), np.uint8)
        if mode == PACKED:
            return unpack(self.take(self.varint(length)), length)
        raise CodecError(f"a run in a block is of unknown kind {mode}")

    def finish(self) -> None:
        if self.position != len(self.block):
            raise CodecError(f"{len(self.block) - self.position} bytes after the end of a block")
