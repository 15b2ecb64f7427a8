"""The pack format: records of blocks and recipes one after the other, an index behind them, and the hash of all that as the name.

docs/formats/pack.md has the layout. Header and records alone are a pack stream: it travels as it is, and becomes a pack by having
index and trailer put behind it. Nothing here does I/O: writers get a `write`, the index a ranged `read`, stream readers chunks.
On the filter path (an object is looked up by its id), hence no numpy and no heavy module.
"""

from __future__ import annotations

import struct

from hundredweight.base.errors import DamageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Buffer = bytes | bytearray | memoryview

MAGIC = b"CWTP\x01\0\0\0"
END_MAGIC = b"CWTPEND\x01"
RECIPE, BLOCK = 1, 2
ID_SIZE = 32
NO_BASE = bytes(ID_SIZE)
MAX_RAW = 16 << 20
"""Bytes of a segment, as in recipes."""
MAX_BLOCK = MAX_RAW + 1024
"""Bytes of a codec block: the codec adds a few to what does not compress."""
MAX_RECIPE = 32 << 20
MAX_DEPTH = 4
"""Deltas until a block without base, at most, in what is read."""
DEEPEST = 2
"""In what is made. A clone decodes whole chains: over loopback 1.08 GB of bf16 take it 4.8 s at depth one, 5.9 at two, 7.1 at
three, 8.1 at four; stock git-lfs takes 4.9 out of whole files."""
MAX_ENTRIES = 1 << 24

_RECORD = struct.Struct("<BI")
_BLOCK = struct.Struct("<32sIB")
_ENTRY = struct.Struct("<32s32sQIIB")
_RECIPE_ENTRY = struct.Struct("<32sQQI")
_FAN_OUT = struct.Struct("<256I")
_TRAILER = struct.Struct("<QIIQ8s")
RECORD_SIZE = _RECORD.size
TRAILER_SIZE = _TRAILER.size + ID_SIZE
BUCKET_BYTES = 1 << 16
"""Rows of one fan-out bucket that are read at once."""


class PackDamaged(DamageError):
    """Bytes that should be a pack, or a part of one, are not. `what` is the fault, `offset` where it was seen, or -1."""

    hint = "'git lfs fsck' names the objects that this concerns; 'git lfs fetch' brings them again"

    def __init__(self, what: str, offset: int = -1) -> None:
        super().__init__(f"a pack is damaged: {what}" + (f" (at byte {offset})" if offset >= 0 else ""))
        self.what = what
        self.offset = offset


class RecipeRecord:
    """An encoded recipe in a stream; `offset` is where its bytes begin."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset


class BlockRecord:
    """A segment in a stream: `data` is the codec block and `offset` where it begins, `size` the segment's raw bytes."""

    __slots__ = ("base", "data", "id", "offset", "size")

    def __init__(self, identity: bytes, size: int, base: bytes | None, data: bytes, offset: int) -> None:
        self.id = identity
        self.size = size
        self.base = base
        self.data = data
        self.offset = offset


class PackStreamReader:
    """Header and records out of chunks of any size. Holds one record and one chunk; sans I/O."""

    def __init__(self) -> None:
        self.offset = 0
        """Where the first byte that is not yet part of a record stands: whoever continues a cut stream begins here."""
        self._buffer = bytearray()
        self._needed = len(MAGIC)

    def feed(self, data: Buffer) -> Iterator[RecipeRecord | BlockRecord]:
        """The records that `data` completes. Run it to its end before the next call. Raises `PackDamaged`."""
        self._buffer += data
        place = 0
        try:
            while len(self._buffer) - place >= self._needed:
                size = self._record_size(place)
                if len(self._buffer) - place < size:
                    self._needed = size
                    break
                if self.offset == 0:
                    self._check_header(place)
                    record = None
                else:
                    record = self._record(place, size)
                place += size
                self.offset += size
                self._needed = RECORD_SIZE
                if record is not None:
                    yield record
        finally:
            del self._buffer[:place]

    def rewind(self, record: RecipeRecord | BlockRecord | None) -> None:
        """Forget what came of the record that is not complete, and with `record`, which it gave, all from that on: the next bytes
        are to begin at `offset`."""
        if record is not None:
            head = 0 if isinstance(record, RecipeRecord) else _BLOCK.size + (ID_SIZE if record.base is not None else 0)
            self.offset = record.offset - head - RECORD_SIZE
        self._buffer = bytearray()
        self._needed = RECORD_SIZE if self.offset else len(MAGIC)

    def finish(self) -> None:
        """The stream ended. Raises `PackDamaged` when it did so within a record or before the header."""
        if self._buffer or self.offset == 0:
            raise PackDamaged("it ends early", self.offset + len(self._buffer))

    def _record_size(self, place: int) -> int:
        if self.offset == 0:
            return len(MAGIC)
        kind, length = _RECORD.unpack_from(self._buffer, place)
        least, most = {RECIPE: (1, MAX_RECIPE), BLOCK: (_BLOCK.size, _BLOCK.size + ID_SIZE + MAX_BLOCK)}.get(
            kind, (1, 0)
        )
        if not least <= length <= most:
            raise PackDamaged(f"a record of kind {kind} and {length} bytes", self.offset)
        return RECORD_SIZE + int(length)

    def _check_header(self, place: int) -> None:
        if self._buffer[place : place + len(MAGIC)] != MAGIC:
            raise PackDamaged("it is of no known version", 0)

    def _record(self, place: int, size: int) -> RecipeRecord | BlockRecord:
        start, end = place + RECORD_SIZE, place + size
        with memoryview(self._buffer) as view:
            if view[place] == RECIPE:
                return RecipeRecord(bytes(view[start:end]), self.offset + RECORD_SIZE)
            identity, raw, has_base = _BLOCK.unpack_from(view, start)
            head = _BLOCK.size + ID_SIZE * has_base
            if (
                has_base > 1
                or not 0 < raw <= MAX_RAW
                or not RECORD_SIZE + head < size <= RECORD_SIZE + head + MAX_BLOCK
            ):
                raise PackDamaged(f"a block of {size} bytes for a segment of {raw}", self.offset)
            base = bytes(view[start + _BLOCK.size : start + head]) if has_base else None
            if base == identity:
                raise PackDamaged("a segment is its own base", self.offset)
            return BlockRecord(identity, raw, base, bytes(view[start + head : end]), self.offset + RECORD_SIZE + head)


def encode_recipe_record(recipe: bytes) -> bytes:
    return _RECORD.pack(RECIPE, len(recipe)) + recipe


def encode_block_head(identity: bytes, size: int, base: bytes | None, stored: int) -> bytes:
    """What stands before a codec block of `stored` bytes."""
    length = _BLOCK.size + (ID_SIZE if base else 0) + stored
    return _RECORD.pack(BLOCK, length) + _BLOCK.pack(identity, size, 1 if base else 0) + (base or b"")


class IndexBuilder:
    """Collects what stands in a pack and gives the index and the trailer."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, bytes] = {}
        self._recipes: dict[bytes, bytes] = {}

    def __contains__(self, identity: bytes) -> bool:
        return identity in self._blocks

    @property
    def empty(self) -> bool:
        return not self._blocks and not self._recipes

    def outside_bases(self) -> set[bytes]:
        """Bases that must be in the store already, since they are not in this pack."""
        bases = {_ENTRY.unpack(row)[1] for row in self._blocks.values()}
        return bases - self._blocks.keys() - {NO_BASE}

    def deltas(self) -> Iterator[tuple[bytes, int]]:
        """The base and the depth of each block that has one."""
        for row in self._blocks.values():
            _, base, _, _, _, depth = _ENTRY.unpack(row)
            if depth:
                yield base, depth

    def objects(self) -> Iterator[str]:
        """The ids of the objects whose recipes are here."""
        for key in self._recipes:
            yield key.hex()

    def entry(self, identity: bytes) -> tuple[int, int, int, bytes | None, int] | None:
        """What `PackIndex.block` will give for the segment."""
        row = self._blocks.get(identity)
        if row is None:
            return None
        _, base, offset, stored, size, depth = _ENTRY.unpack(row)
        return offset, stored, size, base if depth else None, depth

    def add_block(self, identity: bytes, offset: int, stored: int, size: int, base: bytes | None, depth: int) -> None:
        """`offset` and `stored` are of the codec block. Raises `PackDamaged` for a segment that is there already."""
        if identity in self._blocks:
            raise PackDamaged("a segment stands in it twice", offset)
        self._blocks[identity] = _ENTRY.pack(identity, base or NO_BASE, offset, stored, size, depth)

    def add_recipe(self, oid: str, offset: int, length: int, size: int) -> None:
        """`size` is the object's. Raises `PackDamaged` for an object that is there already."""
        key = bytes.fromhex(oid)
        if key in self._recipes:
            raise PackDamaged(f"object {oid[:12]} stands in it twice", offset)
        self._recipes[key] = _RECIPE_ENTRY.pack(key, size, offset, length)

    def encode(self, end: int) -> bytes:
        """Index and trailer without the hash, to stand at `end`: where the last record ends."""
        keys = sorted(self._blocks)
        counts = [0] * 256
        for key in keys:
            counts[key[0]] += 1
        total = 0
        for number, count in enumerate(counts):
            total += count
            counts[number] = total
        parts = [_FAN_OUT.pack(*counts)]
        parts += [self._blocks[key] for key in keys]
        parts += [self._recipes[key] for key in sorted(self._recipes)]
        raw = sum(_ENTRY.unpack(row)[4] for row in self._blocks.values())
        parts.append(_TRAILER.pack(end, len(keys), len(self._recipes), raw, END_MAGIC))
        return b"".join(parts)


class PackStreamWriter:
    """Writes a pack, or its stream alone. `finish` makes the stream a pack; without it, what was written is a stream."""

    def __init__(self, write: Callable[[Buffer], object]) -> None:
        """`write` takes whole pieces in order."""
        from blake3 import blake3  # noqa: PLC0415 - who looks up an object does not write

        self.index = IndexBuilder()
        self.offset = 0
        self._sink = write
        self._hash = blake3()
        self._write(MAGIC)

    def recipe(self, oid: str, size: int, encoded: bytes) -> None:
        head = _RECORD.pack(RECIPE, len(encoded))
        self.index.add_recipe(oid, self.offset + len(head), len(encoded), size)
        self._write(head + encoded)

    def block(self, identity: bytes, size: int, base: bytes | None, data: Buffer, depth: int) -> None:
        """A segment of `size` raw bytes as the codec block `data`."""
        head = encode_block_head(identity, size, base, len(data))
        self.index.add_block(identity, self.offset + len(head), len(data), size, base, depth)
        self._write(head)
        self._write(data)

    def finish(self) -> str:
        """Write index and trailer. Returns the pack's name."""
        self._write(self.index.encode(self.offset))
        digest = self._hash.digest()
        self._sink(digest)
        self.offset += len(digest)
        return str(digest.hex())

    def _write(self, data: Buffer) -> None:
        self._hash.update(data)
        self._sink(data)
        self.offset += len(data)


class PackIndex:
    """The index of a pack, read through `read(offset, length)` as it is needed. Raises `PackDamaged` where it lies.

    Ids are found by bisection over what the file holds: opening costs one small read, a look-up two or three.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, name: str) -> None:
        """`size` is the pack's, `name` its id. The hash over the content is not computed here: `check_hash` does."""
        self.name = name
        self.size = size
        self._read = read
        if size < len(MAGIC) + _FAN_OUT.size + TRAILER_SIZE:
            raise PackDamaged(f"it has {size} bytes")
        trailer = read(size - TRAILER_SIZE, TRAILER_SIZE)
        self.end, self.segments, self.recipes, self.raw_size, magic = _TRAILER.unpack_from(trailer)
        """Where the records end, how many segments and recipes there are, and what the segments have in raw bytes."""
        rows = _FAN_OUT.size + _ENTRY.size * self.segments + _RECIPE_ENTRY.size * self.recipes
        if magic != END_MAGIC or max(self.segments, self.recipes) > MAX_ENTRIES:
            raise PackDamaged("its end is not that of a pack", size - TRAILER_SIZE)
        if self.end < len(MAGIC) or self.end + rows + TRAILER_SIZE != size:
            raise PackDamaged("its index is not where it says", size - TRAILER_SIZE)
        if trailer[-ID_SIZE:].hex() != name:
            raise PackDamaged("it has another name than its content", size - ID_SIZE)
        self._rows = self.end + _FAN_OUT.size
        self._recipe_rows = self._rows + _ENTRY.size * self.segments
        self._fan_out: tuple[int, ...] = ()

    def block(self, identity: bytes) -> tuple[int, int, int, bytes | None, int] | None:
        """Offset and stored length of the codec block, raw size, base, depth. None where the segment is not in this pack."""
        first, last = self._bucket(identity[0])
        row = self._find(identity, self._rows, _ENTRY.size, first, last)
        return None if row is None else self._block_entry(row)[1:]

    def recipe(self, oid: str) -> tuple[int, int, int] | None:
        """Offset and length of the object's recipe, and the object's size. None where it is not in this pack."""
        row = self._find(bytes.fromhex(oid), self._recipe_rows, _RECIPE_ENTRY.size, 0, self.recipes)
        return None if row is None else self._recipe_entry(row)[1:]

    def blocks(self) -> Iterator[tuple[bytes, int, int, int, bytes | None, int]]:
        """Every segment, in order of id, with what `block` gives."""
        before = b""
        for row in self._all(self._rows, _ENTRY.size, self.segments):
            entry = self._block_entry(row)
            if entry[0] <= before:
                raise PackDamaged("its index is not in order", self._rows)
            before = entry[0]
            yield entry

    def objects(self) -> Iterator[tuple[str, int, int, int]]:
        """Every object: id in hexadecimal digits, with what `recipe` gives; in order of id."""
        before = ""
        for row in self._all(self._recipe_rows, _RECIPE_ENTRY.size, self.recipes):
            entry = self._recipe_entry(row)
            if entry[0] <= before:
                raise PackDamaged("its index is not in order", self._recipe_rows)
            before = entry[0]
            yield entry

    def _bucket(self, first: int) -> tuple[int, int]:
        if not self._fan_out:
            fan_out = _FAN_OUT.unpack(self._read(self.end, _FAN_OUT.size))
            if list(fan_out) != sorted(fan_out) or fan_out[-1] != self.segments:
                raise PackDamaged("its fan-out is not in order", self.end)
            self._fan_out = fan_out
        return (self._fan_out[first - 1] if first else 0), self._fan_out[first]

    def _find(self, key: bytes, start: int, width: int, first: int, last: int) -> bytes | None:
        # Many at once or one by one: a bucket is two kilobytes, in a pack of a few thousand segments.
        if (last - first) * width <= BUCKET_BYTES:
            rows = self._read(start + first * width, (last - first) * width) if last > first else b""
            return _bisect(key, 0, last - first, lambda at: rows[at * width : (at + 1) * width])
        return _bisect(key, first, last, lambda at: self._read(start + at * width, width))

    def _all(self, start: int, width: int, count: int) -> Iterator[bytes]:
        step = BUCKET_BYTES // width
        for first in range(0, count, step):
            number = min(step, count - first)
            rows = self._read(start + first * width, number * width)
            for place in range(0, number * width, width):
                yield rows[place : place + width]

    def _block_entry(self, row: bytes) -> tuple[bytes, int, int, int, bytes | None, int]:
        identity, base, offset, stored, size, depth = _ENTRY.unpack(row)
        inside = len(MAGIC) < offset and offset + stored <= self.end
        if not inside or not 0 < stored <= MAX_BLOCK or not 0 < size <= MAX_RAW:
            raise PackDamaged("an entry of its index lies outside", offset)
        if depth > MAX_DEPTH or (depth == 0) != (base == NO_BASE) or base == identity:
            raise PackDamaged(f"a chain of {depth} deltas", offset)
        return identity, offset, stored, size, base if depth else None, depth

    def _recipe_entry(self, row: bytes) -> tuple[str, int, int, int]:
        oid, size, offset, length = _RECIPE_ENTRY.unpack(row)
        if not len(MAGIC) < offset or offset + length > self.end or not 0 < length <= MAX_RECIPE:
            raise PackDamaged("an entry of its index lies outside", offset)
        return oid.hex(), offset, length, size


def check_hash(chunks: Iterable[Buffer], name: str) -> None:
    """All bytes of a pack, against its name. Raises `PackDamaged`."""
    from blake3 import blake3  # noqa: PLC0415 - who looks up an object does not check

    machine = blake3()
    tail = b""
    for chunk in chunks:
        data = tail + bytes(chunk)
        machine.update(memoryview(data)[:-ID_SIZE])
        tail = data[-ID_SIZE:]
    if tail.hex() != name or machine.hexdigest() != name:
        raise PackDamaged("its content has another hash than its name")


def _bisect(key: bytes, first: int, last: int, row: Callable[[int], bytes]) -> bytes | None:
    while first < last:
        middle = (first + last) // 2
        found = row(middle)
        if found[:ID_SIZE] == key:
            return found
        if found[:ID_SIZE] < key:
            first = middle + 1
        else:
            last = middle
    return None
