"""The adapter `cwt-blocks` against a hub that lies, fails and cuts: nothing wrong gets a name, and objects still move."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hundredweight.base.ids import Oid
from hundredweight.codec import block
from hundredweight.formats.source import BytesSource
from hundredweight.git.config import BadConfigValue
from hundredweight.protocol.blocks import PROBE, Terms
from hundredweight.store.pack import (
    DEEPEST,
    MAGIC,
    BlockRecord,
    PackStreamReader,
    PackStreamWriter,
    encode_block_head,
    encode_recipe_record,
)
from hundredweight.store.packfolder import PackFolder
from hundredweight.store.recipe import Recipe
from hundredweight.transfer import choice
from hundredweight.transfer.blocks import Known, Receiver
from hundredweight.transfer.retry import RetryPolicy
from tests.hub.blocks_client import Block, Blocks, identity, made, recipe_by_hand, stream_of
from tests.hub.serving import Caller, Served, served, sha256
from tests.store.weights import arrays, fine_tuned, recipe_of, safetensors_of
from tests.transfer.rig import FAST, Rig, item

OLD = safetensors_of(arrays())
NEW = safetensors_of(fine_tuned(arrays()))
PART = 64 << 10
_SEEDS = itertools.count(100)
Body = bytes | Iterator[bytes]
Lie = Callable[[int, bytes], tuple[int, Body]]


@dataclass
class Liar:
    """Stands before a hub, and changes its answers to the first `times` requests of a kind: `METHOD path`, a pattern."""

    lies: list[tuple[str, Lie, int]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    sent: int = 0

    def tell(self, pattern: str, lie: Lie, times: int = 1 << 30) -> None:
        self.lies.append((pattern, lie, times))

    def _lie(self, request: str) -> Lie | None:
        for number, (pattern, lie, times) in enumerate(self.lies):
            if re.fullmatch(pattern, request) and times:
                self.lies[number] = (pattern, lie, times - 1)
                return lie
        return None

    def wrap(self, app: Any) -> Any:
        async def front(scope: Any, receive: Any, send: Any) -> None:
            request = f"{scope['method']} {scope['path'].partition('/objects/')[2]}"
            self.seen.append(request)
            lie = self._lie(request)
            if lie is None:
                await app(scope, receive, send)
                return
            status, body = 200, bytearray()

            async def collect(message: Any) -> None:
                nonlocal status
                status = message.get("status", status)
                body.extend(message.get("body", b""))

            await app(scope, receive, collect)
            code, content = lie(status, bytes(body))
            await self._send(send, asyncio.ensure_future(_left(receive)), code, content)

        return front

    async def _send(self, send: Any, left: asyncio.Future[None], code: int, content: Body) -> None:
        headers = [(b"content-type", b"application/vnd.git-lfs+json")]
        if isinstance(content, bytes):
            headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": code, "headers": headers})
        for piece in [content] if isinstance(content, bytes) else content:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
            self.sent += len(piece)
            if left.done():
                return
        await send({"type": "http.response.body", "body": b""})
        left.cancel()

    def count(self, pattern: str) -> int:
        return sum(re.fullmatch(pattern, one) is not None for one in self.seen)


async def _left(receive: Any) -> None:
    """Until the client hangs up."""
    while (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)


class Here:
    """What the clone has: `near` are the objects that are like any other."""

    def __init__(self, rig: Rig, near: Sequence[bytes] = (), folder: PackFolder | None = None) -> None:
        self._rig = rig
        self._near = [Known(recipe_of(data), BytesSource(data)) for data in near]
        self.kept: list[Recipe] = []

    def own(self, oid: Oid, _size: int) -> Known | None:
        data = self._rig.read(oid)
        return Known(recipe_of(data), BytesSource(data))

    def near(self, _recipe: Recipe, _name: str) -> Sequence[Known]:
        return self._near

    def sent(self, stream: PackStreamWriter, _file: object) -> None:
        assert not stream.index.empty

    def receiver(self, recipe: Recipe) -> Receiver | None:
        return _Keeper(self.kept, recipe)

    def forget(self, oid: Oid) -> None:
        raise AssertionError(f"{oid} is what it says")

    def settle(self) -> None:
        """Nothing is kept twice."""


class _Keeper:
    """Holds every block that it was given to be right, once it is told that the object is."""

    def __init__(self, kept: list[Recipe], recipe: Recipe) -> None:
        self._kept = kept
        self._recipe = recipe
        self._records: list[BlockRecord] = []

    def add(self, record: BlockRecord) -> None:
        self._records.append(record)

    def take(self, number: int, data: bytes | bytearray | memoryview) -> None:
        assert identity(bytes(data)) == self._recipe.segments[number].id

    def finish(self) -> None:
        old = recipe_of(OLD)
        raws = {one.id: OLD[at : at + one.size] for one, at in zip(old.segments, old.offsets(), strict=False)}
        for each in self._records:
            raw = bytes(block.decode(each.data, each.size, None if each.base is None else raws[each.base]))
            assert identity(raw) == each.id
            raws[each.id] = raw
        self._kept.append(self._recipe)

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._records.clear()


@pytest.fixture(scope="module")
def front() -> Liar:
    return Liar()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, front: Liar) -> Iterator[Served]:
    """One for all tests: it has OLD and NEW, packed."""
    with served(tmp_path_factory.mktemp("data") / "hub", part_size=PART, wrap=front.wrap) as found:
        caller = Caller(found.url, found.token())
        Blocks(caller, OLD).push()
        Blocks(caller, NEW).push([OLD])
        caller.close()
        yield found


@pytest.fixture
def liar(front: Liar) -> Liar:
    front.lies.clear()
    front.seen.clear()
    front.sent = 0
    return front


@pytest.fixture
def fresh() -> bytes:
    """One more version, that the hub has not."""
    return safetensors_of(fine_tuned(arrays(), next(_SEEDS)))


@pytest.fixture
def clone(rig: Rig, hub: Served) -> Rig:
    address = hub.url.removeprefix("http://")
    rig.settings = [
        ("lfs.url", f"http://{address}/team/model.git/info/lfs"),
        ("http.extraheader", f"Authorization: Bearer {hub.token()}"),
    ]
    return rig


@pytest.fixture
def caller(hub: Served) -> Iterator[Caller]:
    made_here = Caller(hub.url, hub.token())
    yield made_here
    made_here.close()


def options(rig: Rig, near: Sequence[bytes] = (), retries: int = 3) -> Any:
    return replace(FAST, nearby=Here(rig, near), retries=RetryPolicy(retries, 0.01))


def upload(clone: Rig, data: bytes, near: Sequence[bytes] = ()) -> list[str]:
    clone.put(data)
    return [str(failure.error) for failure in clone.upload(item(data), options=options(clone, near))]


def download(clone: Rig, data: bytes, near: Sequence[bytes] = ()) -> list[str]:
    failures = clone.download(item(data), options=options(clone, near))
    path = Path(clone.store.path(Oid(sha256(data))))
    assert path.exists() == (not failures)
    assert not failures or not clone.meter.moved.get("a.bin")
    if path.exists():
        assert path.read_bytes() == data
    return [str(failure.error) for failure in failures]


def status(code: int) -> Lie:
    return lambda _status, _body: (code, b'{"message": "no"}')


def instead(data: bytes) -> Lie:
    return lambda _status, _body: (200, data)


def changed(change: Callable[[bytes], Body]) -> Lie:
    return lambda code, body: (code, change(body))


def late(seconds: float, but: int = 2) -> Lie:
    """Answers come so late, but for the first ones."""
    waits = itertools.chain([0.0] * but, itertools.repeat(seconds))

    def wait(code: int, body: bytes) -> tuple[int, Body]:
        time.sleep(next(waits))
        return code, body

    return wait


RECIPE, SEGMENTS = "GET .*/blocks/recipe", "POST .*/blocks/segments"
TERMS, OPEN, PUT, COMMIT = (
    "POST .*/blocks/recipe",
    r"POST .*/blocks/[0-9a-f]{64}-\d+",
    r"PUT .*/blocks/.*/\d+",
    "POST .*/blocks/.*/commit",
)
PROBED = "POST .*/blocks/probe"
WHOLE_GET, WHOLE_PUT = "GET [0-9a-f]{64}", "PUT [0-9a-f]{64}(/parts/.*)?"


def test_it_works(clone: Rig, caller: Caller, liar: Liar, fresh: bytes) -> None:
    assert upload(clone, fresh, [OLD]) == []
    assert liar.count(WHOLE_PUT) == 0
    assert caller.download(sha256(fresh), len(fresh)) == fresh
    Path(clone.store.path(Oid(sha256(fresh)))).unlink()
    liar.seen.clear()
    assert download(clone, OLD) == []
    assert download(clone, fresh, [OLD]) == []
    assert liar.count(WHOLE_GET) == 0


# Down


def reencoded(stream: bytes, change: Callable[[list[Block]], list[Block]]) -> bytes:
    reader = PackStreamReader()
    blocks = [
        Block(one.id, one.size, one.base, one.data) for one in reader.feed(stream) if isinstance(one, BlockRecord)
    ]
    return stream_of(None, change(blocks))


def endless(stream: bytes, record: bytes) -> Iterator[bytes]:
    yield MAGIC
    while True:
        yield record * 64


def junk(number: int) -> Block:
    return made(np.random.default_rng(number).bytes(1000))


def wrong_junk() -> Block:
    """It says to be a segment that is none of the object's, and is another."""
    return junk(1)._replace(id=identity(b"what a later version has"))


def on_unknown(like: Block) -> Block:
    base = np.random.default_rng(3).standard_normal(8192, dtype=np.float32)
    return made((base * np.float32(1.000001)).tobytes(), base.tobytes())._replace(id=like.id, size=like.size)


DOWN: dict[str, tuple[str, Lie]] = {
    "recipe 404": (RECIPE, status(404)),
    "recipe 422": (RECIPE, status(422)),
    "recipe of nothing": (RECIPE, instead(b"")),
    "recipe damaged": (RECIPE, changed(lambda body: body[:70] + b"\0" + body[71:])),
    "recipe of another object": (RECIPE, instead(recipe_of(OLD).encode())),
    "recipe of another size": (RECIPE, instead(replace(recipe_by_hand([NEW + b"x"]), oid=Oid(sha256(NEW))).encode())),
    "recipe too long": (RECIPE, changed(lambda _: iter([bytes(1 << 20)] * 34))),
    "recipe of other segments": (
        RECIPE,
        instead(replace(recipe_by_hand([NEW[:-9], b"123456789"]), oid=Oid(sha256(NEW))).encode()),
    ),
    "segments 404": (SEGMENTS, status(404)),
    "segments 422": (SEGMENTS, status(422)),
    "segments of nothing": (SEGMENTS, instead(b"")),
    "segments: none": (SEGMENTS, instead(MAGIC)),
    "segments: no stream": (SEGMENTS, instead(b"<html>" * 1000)),
    "segments end early": (SEGMENTS, changed(lambda body: body[: len(body) // 2])),
    "segments: one less": (SEGMENTS, changed(lambda body: reencoded(body, lambda blocks: blocks[:-1]))),
    "segments: another order": (SEGMENTS, changed(lambda body: reencoded(body, lambda blocks: blocks[::-1]))),
    "segments: another block": (
        SEGMENTS,
        changed(lambda body: reencoded(body, lambda blocks: [blocks[0]._replace(data=junk(1).data), *blocks[1:]])),
    ),
    "segments: a bomb": (
        SEGMENTS,
        changed(
            lambda body: reencoded(
                body, lambda blocks: [blocks[0]._replace(data=block.encode(bytes(16 << 20), "")), *blocks[1:]]
            )
        ),
    ),
    "segments: an unknown base": (
        SEGMENTS,
        changed(
            lambda body: reencoded(
                body,
                lambda blocks: [on_unknown(blocks[0]), *blocks[1:]],
            )
        ),
    ),
    "segments: too long a chain": (
        SEGMENTS,
        changed(lambda body: reencoded(body, lambda blocks: [*map(junk, range(6)), *blocks])),
    ),
    "segments: a wrong block that nothing needs": (
        SEGMENTS,
        changed(lambda body: reencoded(body, lambda blocks: [wrong_junk(), *blocks])),
    ),
    "segments: blocks without end": (
        SEGMENTS,
        changed(
            lambda body: endless(body, encode_block_head(junk(1).id, 1000, None, len(junk(1).data)) + junk(1).data)
        ),
    ),
    "segments: recipes without end": (
        SEGMENTS,
        changed(lambda body: endless(body, encode_recipe_record(bytes(1000)))),
    ),
}


@pytest.mark.parametrize("name", DOWN)
def test_a_download_survives(clone: Rig, liar: Liar, name: str) -> None:
    liar.tell(*DOWN[name])
    assert download(clone, NEW, [OLD]) == []
    assert liar.count(WHOLE_GET) == 1
    assert liar.sent < 40 << 20


@pytest.mark.parametrize("code", [500, 503])
@pytest.mark.parametrize("where", [RECIPE, SEGMENTS])
def test_a_download_goes_on_after_a_passing_fault(clone: Rig, liar: Liar, where: str, code: int) -> None:
    liar.tell(where, status(code), 2)
    assert download(clone, NEW) == []
    assert liar.count(WHOLE_GET) == 0
    Path(clone.store.path(Oid(sha256(NEW)))).unlink()
    liar.tell(where, status(code))
    errors = download(clone, NEW)
    assert not errors or ["no" in error for error in errors] == [True]


def test_a_wrong_object_out_of_right_blocks_gets_no_name(clone: Rig, liar: Liar) -> None:
    """Recipe and blocks agree, and are of another object: only the SHA-256 tells."""
    lie = NEW[:-4] + b"lies"
    recipe = replace(recipe_of(lie), oid=Oid(sha256(NEW)))
    liar.tell(RECIPE, instead(recipe.encode()))
    wrong = [made(lie[at : at + one.size]) for one, at in zip(recipe.segments, recipe.offsets(), strict=False)]
    liar.tell(SEGMENTS, instead(stream_of(None, wrong)))
    assert download(clone, NEW) == []
    assert liar.count(WHOLE_GET) == 1
    liar.tell(WHOLE_GET, instead(lie))
    Path(clone.store.path(Oid(sha256(NEW)))).unlink()
    assert "expected OID" in download(clone, NEW)[0]


@pytest.mark.parametrize("how", ["short", "broken"])
def test_a_cut_download_goes_on_where_it_stopped(clone: Rig, caller: Caller, liar: Liar, how: str) -> None:
    """By the whole object's other bytes where the stream ended as if it were done, by other blocks where the line broke."""
    pieces = [np.random.default_rng(number).standard_normal(65536, dtype=np.float32).tobytes() for number in range(8)]
    blocks = [Block(identity(piece), len(piece), None, block.encode(piece, "F32")) for piece in pieces]
    data = b"".join(pieces)
    if upload_actions := Blocks(caller, data).actions:
        assert "blocks" in upload_actions
        assert Blocks(caller, data).send(stream_of(recipe_by_hand(pieces), blocks)).whole().status == 200
    liar.seen.clear()

    def short(_status: int, body: bytes) -> tuple[int, Body]:
        return 200, body[: len(body) * 3 // 4]

    def broken(_status: int, body: bytes) -> tuple[int, Body]:
        return 200, breaking(body[: len(body) * 3 // 4])

    counted: list[int] = []

    def count(status: int, body: bytes) -> tuple[int, Body]:
        counted.append(len(body))
        return status, body

    liar.tell(SEGMENTS, short if how == "short" else broken, 1)
    liar.tell(SEGMENTS if how == "broken" else "nothing", count)
    assert download(clone, data) == []
    if how == "short":
        assert (liar.count(SEGMENTS), liar.count(WHOLE_GET)) == (1, 1)
    else:
        assert (liar.count(SEGMENTS), liar.count(WHOLE_GET)) == (2, 0)
        assert 0 < counted[0] < sum(len(each.data) for each in blocks) * 2 // 3


def breaking(data: bytes) -> Iterator[bytes]:
    yield data
    raise ConnectionAbortedError


# Up


UP: dict[str, tuple[str, Lie]] = {
    "terms 404": (TERMS, status(404)),
    "terms 422": (TERMS, status(422)),
    "terms of nothing": (TERMS, instead(b"")),
    "terms that are none": (TERMS, instead(b'{"bases": 5}')),
    "terms of other objects": (TERMS, instead(Terms({Oid("ab" * 32): "0" * 500}).encode())),
    "terms too short": (TERMS, instead(Terms({Oid(sha256(OLD)): "0"}).encode())),
    "open 404": (OPEN, status(404)),
    "open 422": (OPEN, status(422)),
    "open 429": (OPEN, status(429)),
    "open of nothing": (OPEN, instead(b"")),
    "open of another size": (OPEN, instead(b'{"size": 5, "part_size": 65536, "held": []}')),
    "part 422": (PUT, status(422)),
    "part 413": (PUT, status(413)),
    "commit 422": (COMMIT, status(422)),
}


@pytest.mark.parametrize("name", UP)
def test_an_upload_survives(clone: Rig, caller: Caller, liar: Liar, fresh: bytes, name: str) -> None:
    liar.tell(*UP[name])
    assert upload(clone, fresh, [OLD]) == []
    assert caller.download(sha256(fresh), len(fresh)) == fresh


@pytest.mark.parametrize("where", [TERMS, OPEN, PUT, COMMIT])
@pytest.mark.parametrize("code", [404, 500, 503])
def test_an_upload_goes_on_after_a_passing_fault(
    clone: Rig, caller: Caller, liar: Liar, fresh: bytes, where: str, code: int
) -> None:
    liar.tell(where, status(code), 2)
    assert upload(clone, fresh, [OLD]) == []
    assert caller.download(sha256(fresh), len(fresh)) == fresh


@pytest.mark.parametrize("where", [TERMS, OPEN, PUT, COMMIT])
def test_a_fault_that_stays_is_told(clone: Rig, liar: Liar, fresh: bytes, where: str) -> None:
    liar.tell(where, status(500))
    errors = upload(clone, fresh, [OLD])
    assert not errors or ["no" in error for error in errors] == [True]


def test_depths_that_lie_cost_the_saving_alone(clone: Rig, caller: Caller, liar: Liar) -> None:
    count = len(recipe_of(OLD).segments)
    for digit in "049":
        data = safetensors_of(fine_tuned(arrays(), next(_SEEDS)))
        liar.lies.clear()
        liar.tell(TERMS, instead(Terms({Oid(sha256(OLD)): digit * count}).encode()))
        assert upload(clone, data, [OLD]) == []
        assert caller.download(sha256(data), len(data)) == data


def test_terms_for_what_the_hub_has_not_end_in_a_whole_upload(
    clone: Rig, caller: Caller, liar: Liar, fresh: bytes
) -> None:
    other = safetensors_of(fine_tuned(arrays(), next(_SEEDS)))
    liar.tell(TERMS, instead(Terms({Oid(sha256(other)): "0" * len(recipe_of(other).segments)}).encode()))
    assert upload(clone, fresh, [other]) == []
    assert liar.count(WHOLE_PUT) > 0
    assert caller.download(sha256(fresh), len(fresh)) == fresh


class Kin(Here):
    """All versions are like each other, the newest first, as history has them."""

    def near(self, recipe: Recipe, _name: str) -> Sequence[Known]:
        return [each for each in self._near if each.recipe.oid != recipe.oid]


def test_versions_of_one_push_are_bases_for_each_other(clone: Rig, hub: Served, liar: Liar) -> None:
    now, versions = arrays(seed=next(_SEEDS)), []
    for _ in range(4):
        now = fine_tuned(now, next(_SEEDS), 1e-5)
        versions.append(safetensors_of(now))
        clone.put(versions[-1])
    wanted = replace(options(clone), nearby=Kin(clone, versions[::-1]))
    assert clone.upload(*(item(data, f"{number}.bin") for number, data in enumerate(versions)), options=wanted) == []
    assert liar.count(WHOLE_PUT) == 0
    ids = [recipe_of(data).segments[1].id for data in versions]
    found = hub.services.packs.segments(ids)
    assert [found[each].depth > 0 for each in ids].count(True) == 3
    assert sorted(found[each].stored for each in ids)[2] < found[ids[0]].size / 2


def test_a_long_history_keeps_a_base_that_a_delta_may_stand_upon(clone: Rig, hub: Served, liar: Liar) -> None:
    now, versions = arrays(seed=next(_SEEDS)), list[bytes]()
    for number in range(7):
        now = fine_tuned(now, next(_SEEDS), 1e-5)
        versions.insert(0, safetensors_of(now))
        clone.put(versions[0])
        wanted = replace(options(clone), nearby=Kin(clone, versions))
        assert clone.upload(item(versions[0], f"{number}.bin"), options=wanted) == []
    assert liar.count(WHOLE_PUT) == 0
    ids = [recipe_of(data).segments[1].id for data in versions]
    found = hub.services.packs.segments(ids)
    assert sorted(found[each].depth for each in ids)[1:] == [1, *[DEEPEST] * 5]
    assert all(found[each].stored < found[each].size / 2 for each in ids[:-1])


def test_a_recipe_of_other_bytes_is_made_anew(clone: Rig, caller: Caller, liar: Liar, fresh: bytes) -> None:
    class Healed(Here):
        """Knows what the object was when it was damaged, until told."""

        forgotten = 0

        def own(self, oid: Oid, size: int) -> Known | None:
            known = super().own(oid, size)
            assert known is not None
            damaged = replace(recipe_of(fresh[:-4] + b"oops"), oid=oid)
            return known if self.forgotten else Known(damaged, known.source)

        def forget(self, oid: Oid) -> None:
            self.forgotten += 1

    clone.put(fresh)
    here = Healed(clone, [OLD])
    assert clone.upload(item(fresh), options=replace(options(clone), nearby=here)) == []
    assert here.forgotten == 1
    assert liar.count(WHOLE_PUT) == 0
    assert caller.download(sha256(fresh), len(fresh)) == fresh


# Deltas or whole


@pytest.mark.parametrize(
    ("wish", "slow", "whole"), [("auto", 0.0, True), ("auto", 0.5, False), ("deltas", 0.0, False), ("whole", 0.5, True)]
)
def test_it_goes_the_way_that_is_sooner(
    clone: Rig, liar: Liar, fresh: bytes, monkeypatch: pytest.MonkeyPatch, wish: str, slow: float, whole: bool
) -> None:
    monkeypatch.setattr(choice, "LARGE", len(fresh))
    monkeypatch.setattr(choice, "FAST", PROBE / 0.25)
    clone.settings.append(("hundredweight.upload", wish))
    liar.tell(PROBED, late(slow))
    assert upload(clone, fresh, [OLD]) == []
    assert (liar.count(WHOLE_PUT) > 0) == whole
    assert (liar.count(PROBED) > 0) == (wish == "auto")


def test_a_link_that_is_fast_for_a_moment_gets_deltas(
    clone: Rig, liar: Liar, fresh: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is limited lets some bytes through at once."""
    monkeypatch.setattr(choice, "LARGE", len(fresh))
    monkeypatch.setattr(choice, "FAST", PROBE / 0.1)
    liar.tell(PROBED, late(1.0, but=3))
    assert upload(clone, fresh, [OLD]) == []
    assert liar.count(WHOLE_PUT) == 0
    assert liar.count(PROBED) == 4


def test_a_small_object_is_worth_no_probe(clone: Rig, liar: Liar, fresh: bytes) -> None:
    assert upload(clone, fresh, [OLD]) == []
    assert liar.count(PROBED) == liar.count(WHOLE_PUT) == 0


def test_a_hub_that_knows_no_probes_gets_deltas(
    clone: Rig, liar: Liar, fresh: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "LARGE", len(fresh))
    liar.tell(PROBED, status(404))
    assert upload(clone, fresh, [OLD]) == []
    assert liar.count(WHOLE_PUT) == 0
    assert liar.count(PROBED) == 1


def test_a_wish_that_is_none_is_told(clone: Rig, fresh: bytes) -> None:
    clone.settings.append(("hundredweight.upload", "sometimes"))
    with pytest.raises(BadConfigValue, match=r"hundredweight\.upload"):
        upload(clone, fresh)
