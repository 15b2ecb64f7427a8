"""Packs and their streams: what is written is found; damage and lies are refused."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.store import pack
from hundredweight.store.pack import (
    BlockRecord,
    PackDamaged,
    PackIndex,
    PackStreamReader,
    PackStreamWriter,
    RecipeRecord,
)

GOLDEN = Path(__file__).parent / "golden" / "v1.pack"
GOLDEN_NAME = "00cae87a222715180af5401b5bbdcc9317fdc6c42270f838c8bcc234a024c43b"


def identity(number: int) -> bytes:
    return blake3(number.to_bytes(8, "little")).digest()


def sample_stream(blocks: int = 5) -> tuple[PackStreamWriter, bytearray]:
    data = bytearray()
    writer = PackStreamWriter(data.extend)
    writer.recipe("cd" * 32, 1000, b"recipe")
    for number in range(blocks):
        base = identity(number - 1) if number % 5 else None
        writer.block(identity(number), 100 + number, base, bytes((number % 256,)) * (number % 90 + 1), number % 5)
    return writer, data


def sample(blocks: int = 5) -> tuple[str, bytes]:
    writer, data = sample_stream(blocks)
    return writer.finish(), bytes(data)


def index_of(name: str, data: bytes) -> PackIndex:
    return PackIndex(lambda offset, length: data[offset : offset + length], len(data), name)


def test_golden_file() -> None:
    name, data = sample()
    assert data == GOLDEN.read_bytes()
    assert name == GOLDEN_NAME
    assert index_of(name, data).recipe("cd" * 32) is not None


@pytest.mark.parametrize("blocks", [0, 1, 5, 2000])
def test_what_is_written_is_found(blocks: int) -> None:
    name, data = sample(blocks)
    index = index_of(name, data)
    pack.check_hash([data[:7], data[7:50], data[50:]], name)
    assert (index.segments, index.recipes) == (blocks, 1)
    assert index.raw_size == sum(100 + number for number in range(blocks))
    place, length, size = index.recipe("cd" * 32) or (0, 0, 0)
    assert (data[place : place + length], size) == (b"recipe", 1000)
    for number in range(blocks):
        offset, stored, raw, base, depth = index.block(identity(number)) or (0, 0, 0, None, 0)
        assert data[offset : offset + stored] == bytes((number % 256,)) * (number % 90 + 1)
        assert (raw, depth) == (100 + number, number % 5)
        assert base == (identity(number - 1) if number % 5 else None)
    assert index.block(b"\0" * 32) is None
    assert index.block(b"\xff" * 32) is None
    assert index.recipe("00" * 32) is None
    assert [entry[0] for entry in index.blocks()] == sorted(identity(number) for number in range(blocks))
    assert [entry[0] for entry in index.objects()] == ["cd" * 32]


def test_large_buckets_are_bisected_in_place() -> None:
    """Ids of a hostile pack may all begin alike."""
    data = bytearray()
    writer = PackStreamWriter(data.extend)
    ids = [b"\7" + number.to_bytes(31, "big") for number in range(3000)]
    for each in ids:
        writer.block(each, 1, None, b"x", 0)
    name = writer.finish()
    reads: list[int] = []

    def read(offset: int, length: int) -> bytes:
        reads.append(length)
        return bytes(data[offset : offset + length])

    index = PackIndex(read, len(data), name)
    assert all(index.block(each) for each in ids[::100])
    assert max(reads) <= pack.BUCKET_BYTES


@given(st.lists(st.integers(1, 200), max_size=30))
def test_a_stream_in_any_chunks(sizes: list[int]) -> None:
    name, whole = sample(8)
    data = whole[: index_of(name, whole).end]
    reader = PackStreamReader()
    records: list[RecipeRecord | BlockRecord] = []
    place = 0
    for size in [*sizes, len(data)]:
        records += reader.feed(data[place : place + size])
        place += size
    reader.finish()
    assert reader.offset == len(data)
    first, *blocks = records
    assert isinstance(first, RecipeRecord)
    assert first.data == b"recipe" == data[first.offset : first.offset + 6]
    assert len(blocks) == 8
    for number, record in enumerate(blocks):
        assert isinstance(record, BlockRecord)
        assert (record.id, record.size) == (identity(number), 100 + number)
        assert record.base == (identity(number - 1) if number % 5 else None)
        assert record.data == data[record.offset : record.offset + len(record.data)]


def test_a_stream_becomes_the_pack() -> None:
    """Index and trailer put behind a stream that came give what its writer would have made."""
    name, whole = sample(8)
    stream = whole[: index_of(name, whole).end]
    builder = pack.IndexBuilder()
    depths: dict[bytes, int] = {}
    for record in PackStreamReader().feed(stream):
        if isinstance(record, RecipeRecord):
            builder.add_recipe("cd" * 32, record.offset, len(record.data), 1000)
        else:
            depths[record.id] = depths[record.base] + 1 if record.base else 0
            builder.add_block(record.id, record.offset, len(record.data), record.size, record.base, depths[record.id])
    body = stream + builder.encode(len(stream))
    assert body + blake3(body).digest() == whole


def record_of(kind: int, content: bytes) -> bytes:
    return bytes((kind,)) + len(content).to_bytes(4, "little") + content


BLOCK_HEAD = identity(1) + (10).to_bytes(4, "little")
HOSTILE = {
    "other magic": b"CWTP\2\0\0\0",
    "unknown kind": pack.MAGIC + record_of(3, b"x"),
    "endless recipe": pack.MAGIC + b"\1" + (pack.MAX_RECIPE + 1).to_bytes(4, "little"),
    "endless block": pack.MAGIC + b"\2\xff\xff\xff\xff",
    "empty recipe": pack.MAGIC + record_of(1, b""),
    "block without content": pack.MAGIC + record_of(2, BLOCK_HEAD + b"\0"),
    "block without its base": pack.MAGIC + record_of(2, BLOCK_HEAD + b"\1" + b"b" * 32),
    "base flag": pack.MAGIC + record_of(2, BLOCK_HEAD + b"\2" + b"b" * 80),
    "its own base": pack.MAGIC + record_of(2, BLOCK_HEAD + b"\1" + identity(1) + b"x"),
    "empty segment": pack.MAGIC + record_of(2, identity(1) + bytes(4) + b"\0x"),
    "huge segment": pack.MAGIC + record_of(2, identity(1) + (pack.MAX_RAW + 1).to_bytes(4, "little") + b"\0x"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_streams_are_refused(case: str) -> None:
    with pytest.raises(PackDamaged):
        list(PackStreamReader().feed(HOSTILE[case]))


def test_a_stream_that_ends_early() -> None:
    _writer, data = sample_stream()
    reader = PackStreamReader()
    assert len(list(reader.feed(data[:-1]))) == 5
    with pytest.raises(PackDamaged, match="early"):
        reader.finish()
    with pytest.raises(PackDamaged, match="early"):
        PackStreamReader().finish()


def test_the_reader_holds_one_record() -> None:
    data = bytearray()
    writer = PackStreamWriter(data.extend)
    for number in range(64):
        writer.block(identity(number), 1 << 20, None, bytes(1 << 20), 0)
    reader = PackStreamReader()
    tracemalloc.start()
    for place in range(0, len(data), 1 << 16):
        for record in reader.feed(data[place : place + (1 << 16)]):
            del record
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_twice_the_same_is_refused() -> None:
    writer, _data = sample_stream()
    with pytest.raises(PackDamaged, match="twice"):
        writer.block(identity(1), 1, None, b"x", 0)
    with pytest.raises(PackDamaged, match="twice"):
        writer.recipe("cd" * 32, 1, b"x")


def test_the_hash_covers_everything() -> None:
    name, data = sample()
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1
        with pytest.raises(PackDamaged):
            pack.check_hash([broken], name)


def all_of(name: str, data: bytes) -> list[object]:
    index = index_of(name, data)
    found: list[object] = [*index.blocks(), *index.objects()]
    return [*found, *(index.block(identity(number)) for number in range(5)), index.recipe("cd" * 32)]


def test_a_damaged_index_is_refused_or_read() -> None:
    """Never anything but `PackDamaged`, and entries never point outside the records."""
    name, data = sample(20)
    rng = random.Random(5)
    end = index_of(name, data).end
    refused = 0
    for _ in range(400):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 1, 3))):
            place = rng.choice((rng.randrange(end, len(data)), rng.randrange(len(data) - pack.TRAILER_SIZE, len(data))))
            broken[place] = rng.randrange(256)
        broken = broken[: len(data) - rng.choice((0, 0, 0, 1, 40))]
        try:
            all_of(name, bytes(broken))
        except PackDamaged:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("size", [0, 1, 40, 1000])
def test_no_pack_at_all(size: int) -> None:
    with pytest.raises(PackDamaged):
        index_of("0" * 64, bytes(size))
