"""Uploads and downloads by blocks over HTTP: what the hub takes and gives, and every lie that it must not believe."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from hundredweight.backend.interface import BackendFailed
from hundredweight.base.ids import Oid
from hundredweight.codec import block
from hundredweight.hub.objects import staging
from hundredweight.hub.packs.background import BackgroundPacker
from hundredweight.hub.packs.service import Packs
from hundredweight.protocol.blocks import LONG_PROBE, Bases, StreamName, probe_url, recipe_url, segments_url, stream_url
from hundredweight.protocol.parts import commit_url, part_url
from hundredweight.store.pack import MAGIC
from hundredweight.store.recipe import Recipe, Segment
from tests.hub.blocks_client import (
    Block,
    Blocks,
    bases_of,
    identity,
    made,
    recipe_by_hand,
    records,
    stream_of,
)
from tests.hub.serving import Caller, Served, served, sha256, wait_for
from tests.store.weights import arrays, fine_tuned, recipe_of, safetensors_of

PART = 32 << 10


def version(number: int) -> bytes:
    """Half a megabyte of weights; each version is a little off the first in every element."""
    return safetensors_of(arrays() if not number else fine_tuned(arrays(), number))


VERSIONS = [version(number) for number in range(3)]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "hub", part_size=PART, max_staged=100 << 20) as found:
        yield found


@pytest.fixture
def caller(hub: Served) -> Iterator[Caller]:
    made_here = Caller(hub.url, hub.token())
    yield made_here
    made_here.close()


@pytest.fixture
def eve(hub: Served) -> Iterator[Caller]:
    """Somebody who may read nothing of `caller`'s."""
    made_here = Caller(hub.url, hub.token("eve", bound="eve/own"), "eve/own")
    yield made_here
    made_here.close()


def stages(hub: Served) -> list[str]:
    return [stat.key for stat in hub.services.store.backend.stages()]


def packs(hub: Served) -> list[Path]:
    return sorted(Path(hub.services.settings.objects_folder).rglob("*.pack"))


def is_there(caller: Caller, data: bytes) -> bool:
    return "actions" in caller.one("download", sha256(data), len(data))


def floats(seed: int, base: bytes | None = None) -> bytes:
    """32 KiB of numbers, near those of `base`."""
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(8192, dtype=np.float32) if base is None else np.frombuffer(base, "<f4")
    return (start * np.float32(1 + 1e-6 * seed)).astype("<f4").tobytes() if base else start.tobytes()


def chain(length: int) -> list[bytes]:
    """Segments of which each is near the one before it."""
    found = [floats(1)]
    while len(found) < length:
        found.append(floats(len(found) + 1, found[-1]))
    return found


PIECES = chain(4)
WHOLE = b"".join(PIECES)


def honest() -> list[Block]:
    return [made(PIECES[0]), *(made(new, old) for old, new in itertools.pairwise(PIECES))]


# What works


def test_versions_go_up_and_come_down_as_deltas(hub: Served, caller: Caller) -> None:
    sent = [Blocks(caller, VERSIONS[0]).push()]
    sent += [Blocks(caller, data).push(VERSIONS[:number]) for number, data in enumerate(VERSIONS[1:], 1)]
    assert max(sent[1:]) < 0.5 * len(VERSIONS[0])
    assert stages(hub) == []
    assert [caller.download(sha256(data), len(data)) for data in VERSIONS] == VERSIONS
    for number, data in enumerate(VERSIONS):
        alone, whole = Blocks(caller, data, down=True).pull()
        assert alone == data
        held, delta = Blocks(caller, data, down=True).pull(VERSIONS[:number])
        assert held == data
        assert delta <= whole
        assert abs(delta - sent[number]) < 0.02 * sent[number] + 4096
    assert Blocks(caller, VERSIONS[2]).actions == {}


def test_parts_come_in_any_order_and_stay_as_they_came(caller: Caller) -> None:
    upload = Blocks(caller, VERSIONS[0])
    sending = upload.send(upload.stream())
    sending.open()
    for number in reversed(range(sending.count())):
        assert sending.put(number).status == 200
        assert sending.put(number, bytes(sending.part_size)).status == 200
    assert not is_there(caller, VERSIONS[0])
    assert sending.commit().status == 200
    assert sending.commit().status == 404
    assert caller.download(upload.oid, upload.size) == VERSIONS[0]


def test_a_chain_of_the_greatest_depth_is_read_in_any_range(caller: Caller) -> None:
    pieces = chain(5)
    data = b"".join(pieces)
    stream = stream_of(
        recipe_by_hand(pieces),
        [made(pieces[0]), *(made(new, old) for old, new in itertools.pairwise(pieces))],
    )
    assert Blocks(caller, data).send(stream).whole().status == 200
    href = caller.one("download", sha256(data), len(data))["actions"]["download"]["href"]
    size = len(pieces[0])
    for start, end in ((4 * size, 5 * size), (5 * size - 1, 5 * size), (3 * size - 7, 4 * size + 9)):
        answer = caller.send("GET", href, Range=f"bytes={start}-{end - 1}")
        assert (answer.status, answer.body) == (206, data[start:end])
    down = Blocks(caller, data, down=True)
    assert down.pull()[0] == data
    assert down.segments([(4, 5)]).status == 200


def test_only_what_is_wanted_comes(caller: Caller) -> None:
    Blocks(caller, WHOLE).send(stream_of(recipe_by_hand(PIECES), [made(piece) for piece in PIECES])).whole()
    down = Blocks(caller, WHOLE, down=True)
    assert [each.id for each in records(down.segments([(1, 2), (3, 4)]).body)] == [identity(PIECES[n]) for n in (1, 3)]
    assert down.segments([]).body == MAGIC
    assert down.segments([(3, 5)]).status == 422


def test_a_client_that_says_it_holds_what_it_has_not_harms_itself(caller: Caller) -> None:
    Blocks(caller, VERSIONS[0]).push()
    Blocks(caller, VERSIONS[1]).push(VERSIONS[:1])
    down = Blocks(caller, VERSIONS[1], down=True)
    recipe = recipe_of(VERSIONS[1])
    answer = down.segments([(0, len(recipe.segments))], bases_of(VERSIONS[:1]))
    own = {each.id for each in records(answer.body)}
    assert {each.base for each in records(answer.body)} - own - {None} <= {
        each.id for each in recipe_of(VERSIONS[0]).segments
    }
    assert down.pull()[0] == VERSIONS[1]


# Lies in a stream


def other_recipe() -> Recipe:
    return recipe_by_hand(PIECES[::-1])


def sizes_that_lie() -> Recipe:
    """Its sum is right."""
    good = recipe_by_hand(PIECES)
    first, second, *rest = good.segments
    changed = (Segment(first.id, first.size - 4, ""), Segment(second.id, second.size + 4, ""), *rest)
    return Recipe(good.oid, good.size, "", changed)


def damaged_recipe() -> bytes:
    encoded = bytearray(recipe_by_hand(PIECES).encode())
    encoded[60] ^= 1
    return bytes(encoded)


def too_deep() -> bytes:
    pieces = chain(6)
    return stream_of(
        recipe_by_hand(pieces),
        [made(pieces[0]), *(made(new, old) for old, new in itertools.pairwise(pieces))],
    )


def lying(blocks: list[Block], number: int, **changed: object) -> list[Block]:
    return [each._replace(**changed) if place == number else each for place, each in enumerate(blocks)]  # type: ignore[arg-type]


RECIPE = recipe_by_hand(PIECES)
BOMB = block.encode(bytes(16 << 20), "")
LIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a block of other bytes": (
        lambda: stream_of(RECIPE, lying(honest(), 0, data=block.encode(floats(99), ""))),
        "another content",
    ),
    "a delta of other bytes": (
        lambda: stream_of(RECIPE, lying(honest(), 2, data=made(floats(99, PIECES[1]), PIECES[1]).data)),
        "another content",
    ),
    "a segment id that is none of the object's": (
        lambda: stream_of(RECIPE, lying(honest(), 1, id=bytes(32))),
        "did not come",
    ),
    "no block at all": (lambda: stream_of(RECIPE, lying(honest(), 1, data=b"\x01\x63" + bytes(50))), "segment"),
    "a decompression bomb": (lambda: stream_of(RECIPE, lying(honest(), 0, data=BOMB)), "segment"),
    "a segment that is longer than its recipe says": (
        lambda: stream_of(RECIPE, lying(honest(), 0, size=16 << 20, data=BOMB)),
        "not the next",
    ),
    "a segment over the bound": (lambda: stream_of(RECIPE, lying(honest(), 0, size=(16 << 20) + 1)), "a block of"),
    "a missing segment": (lambda: stream_of(RECIPE, honest()[:2] + honest()[3:]), "did not come"),
    "a missing end": (lambda: stream_of(RECIPE, honest()[:3]), "did not come"),
    "an extra segment": (lambda: stream_of(RECIPE, [*honest(), made(floats(99))]), "not the next"),
    "a block twice": (lambda: stream_of(RECIPE, [honest()[0], honest()[0], *honest()[1:]]), "did not come"),
    "another order": (lambda: stream_of(RECIPE, honest()[::-1]), "did not come"),
    "an unknown base": (lambda: stream_of(RECIPE, lying(honest(), 1, base=bytes(32))), "the base of"),
    "a base that comes later": (lambda: stream_of(RECIPE, lying(honest(), 1, base=honest()[2].id)), "the base of"),
    "itself as base": (lambda: stream_of(RECIPE, lying(honest(), 1, base=honest()[1].id)), "its own base"),
    "a circle": (
        lambda: stream_of(RECIPE, [made(PIECES[0], PIECES[1]), made(PIECES[1], PIECES[0]), *honest()[2:]]),
        "the base of",
    ),
    "a base that is not used": (
        lambda: stream_of(RECIPE, lying(honest(), 1, data=block.encode(PIECES[1], ""))),
        "does not use",
    ),
    "a delta without base": (lambda: stream_of(RECIPE, lying(honest(), 1, base=None)), "does not use"),
    "no recipe": (lambda: stream_of(None, honest()), "no recipe"),
    "two recipes": (lambda: stream_of(RECIPE, []) + stream_of(RECIPE, honest())[len(MAGIC) :], "another object"),
    "the recipe of another object": (lambda: stream_of(other_recipe(), honest()), "another object"),
    "a damaged recipe": (lambda: stream_of(damaged_recipe(), honest()), "recipe"),
    "sizes that lie": (lambda: stream_of(sizes_that_lie(), honest()), "not the next"),
    "an order of segments that lies": (
        lambda: stream_of(Recipe(RECIPE.oid, RECIPE.size, "", RECIPE.segments[::-1]), honest()[::-1]),
        "the base of",
    ),
    "another order that holds together": (
        lambda: stream_of(
            Recipe(RECIPE.oid, RECIPE.size, "", RECIPE.segments[::-1]), [made(piece) for piece in PIECES[::-1]]
        ),
        "SHA-256",
    ),
    "an end within a record": (lambda: stream_of(RECIPE, honest())[:-5], "ends early"),
    "bytes behind the end": (lambda: stream_of(RECIPE, honest()) + b"\x02", "ends early"),
    "a record of no known kind": (lambda: stream_of(RECIPE, honest()) + b"\x07\x10\0\0\0" + bytes(16), "kind 7"),
    "a record of a giant length": (lambda: stream_of(RECIPE, honest()) + b"\x02\xff\xff\xff\xff", "kind 2"),
    "no stream": (lambda: b"PK" + stream_of(RECIPE, honest())[2:], "no known version"),
    "a header alone": (lambda: MAGIC, "no recipe"),
    "less than a header": (lambda: MAGIC[:3], "ends early"),
}


def test_the_blocks_that_the_lies_are_made_of_are_good(caller: Caller) -> None:
    assert Blocks(caller, WHOLE).send(stream_of(RECIPE, honest())).whole().status == 200
    assert caller.download(sha256(WHOLE), len(WHOLE)) == WHOLE


def test_no_lie_is_believed(hub: Served, caller: Caller) -> None:
    """One hub for all of them: none spoils it for the next, nor for the truth at the end."""
    for name, (make, reason) in LIES.items():
        sending = Blocks(caller, WHOLE).send(make())
        answer = sending.whole()
        assert (answer.status, reason in answer.json["message"]) == (422, True), (name, answer.body)
        assert sha256(WHOLE) in answer.json["message"]
        assert sending.commit().status == 404, name
    assert caller.batch("download", (sha256(WHOLE), len(WHOLE))).json["objects"][0]["error"]["code"] == 404
    assert (stages(hub), packs(hub)) == ([], [])
    assert Blocks(caller, WHOLE).send(stream_of(RECIPE, honest())).whole().status == 200
    assert caller.download(sha256(WHOLE), len(WHOLE)) == WHOLE


def test_a_chain_that_is_too_deep_is_refused(caller: Caller) -> None:
    data = b"".join(chain(6))
    answer = Blocks(caller, data).send(too_deep()).whole()
    assert answer.status == 422
    assert "the base of" in answer.json["message"]


def test_a_stream_is_what_its_name_says(hub: Served, caller: Caller) -> None:
    stream = stream_of(RECIPE, honest())
    wrong = StreamName(blake3(b"another").hexdigest(), len(stream))
    answer = Blocks(caller, WHOLE).send(stream, name=wrong).whole()
    assert answer.status == 422
    assert "digest" in answer.json["message"]
    assert (stages(hub), packs(hub)) == ([], [])


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("0" * 64, 422),
        ("0" * 64 + "-", 422),
        ("0" * 64 + "-0", 422),
        ("0" * 64 + "--5", 422),
        ("0" * 64 + "-" + "9" * 16, 422),
        ("0" * 64 + "-" + "9" * 15, 422),
        ("0" * 64 + f"-{len(WHOLE) + 1}", 422),
        ("G" * 64 + "-50", 422),
        ("0" * 63 + "-50", 422),
        ("0" * 64 + "-50/x/y", 404),
    ],
)
def test_a_stream_has_a_digest_and_a_size_of_use(hub: Served, caller: Caller, name: str, status: int) -> None:
    upload = Blocks(caller, WHOLE)
    href = upload.href.replace("/blocks?", f"/blocks/{name}?")
    assert caller.send("POST", href, Bases().encode()).status == status
    assert stages(hub) == []


def test_an_object_of_very_many_small_segments_is_refused(caller: Caller) -> None:
    pieces = [bytes((n % 256, n // 256)) * 50 for n in range(5000)]
    data = b"".join(pieces)
    answer = Blocks(caller, data).send(stream_of(recipe_by_hand(pieces), [])).whole()
    assert answer.status == 422
    assert "too many" in answer.json["message"]


def test_a_few_bytes_that_ask_for_a_huge_object_are_bounded(caller: Caller) -> None:
    """The announced object counts as if it came whole."""
    piece = bytes(16 << 20)
    size = len(piece) * 7
    recipe = Recipe(Oid("ab" * 32), size, "", (Segment(identity(piece), len(piece), ""),) * 7)
    stream = stream_of(recipe, [made(piece)])
    assert len(stream) < 2000
    answer = Blocks(caller, b"", oid="ab" * 32, size=size).send(stream).whole()
    assert answer.status == 429


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"bases": []}', b'{"bases": {"x": "y"}}', b"{" * 5000])
def test_bodies_that_are_none_are_refused(caller: Caller, body: bytes) -> None:
    upload = Blocks(caller, WHOLE)
    for url in (recipe_url(upload.href), stream_url(upload.href, StreamName("0" * 64, 500))):
        assert caller.send("POST", url, body).status == 422
    Blocks(caller, VERSIONS[0]).push()
    assert caller.send("POST", segments_url(Blocks(caller, VERSIONS[0], down=True).href), body).status == 422


# Other people's


def test_a_segment_of_another_repository_is_as_good_as_unknown(caller: Caller, eve: Caller) -> None:
    """By its hash alone one learns nothing: neither as a base, nor as a segment that is not sent."""
    Blocks(caller, WHOLE).send(stream_of(RECIPE, honest())).whole()
    answers = []
    for foreign in (PIECES[0], floats(77)):
        # Of an object of her own, that would have it in the middle, or build on it.
        pieces = [floats(1000), foreign, floats(1001)]
        omitted = Blocks(eve, b"".join(pieces)).send(
            stream_of(recipe_by_hand(pieces), [made(pieces[0]), made(pieces[2])])
        )
        own = [floats(1000), floats(5, foreign)]
        based = Blocks(eve, b"".join(own)).send(stream_of(recipe_by_hand(own), [made(own[0]), made(own[1], foreign)]))
        for sending in (omitted, based):
            answer = sending.whole()
            assert answer.status == 422
            message = answer.json["message"]
            answers.append((sending is based, message[message.index("refused") :].split("'")[0::2]))
    assert answers[:2] == answers[2:]


def test_an_object_of_another_repository_is_as_good_as_unknown(caller: Caller, eve: Caller) -> None:
    Blocks(caller, VERSIONS[0]).push()
    upload = Blocks(eve, VERSIONS[1])
    unknown = upload.terms(bases_of([VERSIONS[2]]))
    assert upload.terms(bases_of([VERSIONS[0]])).body == unknown.body == b'{"bases":{}}'
    opened = [upload.send(upload.stream(), [data]).open() for data in (VERSIONS[0], VERSIONS[2])]
    assert [answer.status for answer in opened] == [422, 422]
    assert opened[0].json["message"] == opened[1].json["message"]
    upload.push()
    down = Blocks(eve, VERSIONS[1], down=True)
    assert down.pull()[0] == VERSIONS[1]
    recipe = recipe_of(VERSIONS[1])
    with_claim = down.segments([(0, len(recipe.segments))], bases_of([VERSIONS[0]]))
    assert with_claim.body == down.segments([(0, len(recipe.segments))]).body
    for changed in (
        down.href.replace(sha256(VERSIONS[1]), sha256(VERSIONS[0])),
        down.href.replace("eve/own", "team/model"),
    ):
        assert eve.send("GET", recipe_url(changed)).status == 403


def test_no_base_of_another_repository_is_given_away(hub: Served, caller: Caller, eve: Caller) -> None:
    """Equal segments are kept once. Whoever has one that is stored as a delta must not be sent what it is a delta of."""
    Blocks(caller, VERSIONS[0]).push()
    Blocks(caller, VERSIONS[1]).push(VERSIONS[:1])
    for bring in ("whole", "blocks"):
        data = safetensors_of({**fine_tuned(arrays(), 1), bring: np.ones(5, np.float32)})
        if bring == "whole":
            eve.upload(data)
            packer = BackgroundPacker(
                hub.services.store, hub.services.packs, hub.services.activity, lambda error: pytest.fail(str(error))
            )
            assert packer.pack_all() == 1
        else:
            Blocks(eve, data).push()
        stored = hub.services.packs.segments(segment.id for segment in recipe_of(data).segments)
        secret = {each.id for each in recipe_of(VERSIONS[0]).segments} - {each.id for each in recipe_of(data).segments}
        if bring == "whole":
            assert {place.base for place in stored.values()} & secret
        down = Blocks(eve, data, down=True)
        came = records(down.segments([(0, len(recipe_of(data).segments))]).body)
        assert not {each.id for each in came} & secret
        assert not {each.base for each in came} & secret
        assert down.pull()[0] == data
    delta = Blocks(caller, VERSIONS[1], down=True).pull(VERSIONS[:1])[1]
    assert delta < 0.5 * len(VERSIONS[1])


def test_long_chains_of_others_do_not_make_ones_own_longer(hub: Served, caller: Caller, eve: Caller) -> None:
    """A segment that is stored deep already, and sent again without base, with a chain upon it that is good in its stream."""
    pieces = chain(9)
    deltas = [made(new, old) for old, new in itertools.pairwise(pieces)]
    first, second = pieces[:5], pieces[4:]
    for who, part, blocks in (
        (caller, first, [made(first[0]), *deltas[:4]]),
        (eve, second, [made(second[0]), *deltas[4:]]),
    ):
        assert Blocks(who, b"".join(part)).send(stream_of(recipe_by_hand(part), blocks)).whole().status == 200
    for who, part in ((caller, first), (eve, second)):
        assert who.download(sha256(b"".join(part)), len(b"".join(part))) == b"".join(part)
        assert Blocks(who, b"".join(part), down=True).pull()[0] == b"".join(part)
    places = hub.services.packs.segments(map(identity, pieces))
    assert [places[identity(piece)].depth for piece in pieces] == [0, 1, 2, 3, 0, 1, 2, 3, 4]


# URLs and tokens


def test_urls_are_good_for_one_thing(hub: Served, caller: Caller) -> None:
    Blocks(caller, VERSIONS[0]).push()
    up, down = Blocks(caller, VERSIONS[1]), Blocks(caller, VERSIONS[0], down=True)
    name = StreamName("0" * 64, 500)
    for changed in (
        up.href.replace("team/model", "team/second"),
        up.href.replace(up.oid, "0" * 64),
        up.href.replace("user=ada", "user=eve"),
        up.href.replace(f"size={up.size}", "size=500000000"),
        up.href.partition("?")[0],
        up.actions["upload"]["href"].replace("?", "/blocks?"),
        down.href,
    ):
        href = stream_url(changed, name)
        for method, url in (
            ("POST", href),
            ("PUT", part_url(href, 0)),
            ("POST", commit_url(href)),
            ("POST", recipe_url(changed)),
            ("POST", probe_url(changed)),
        ):
            assert caller.send(method, url, b"{}").status == 403
    for method, url in (("GET", recipe_url(up.href)), ("POST", segments_url(up.href))):
        assert caller.send(method, url).status == 403
    assert stages(hub) == []


def test_a_probe_takes_a_bounded_body_and_leaves_nothing(hub: Served, caller: Caller) -> None:
    href = probe_url(Blocks(caller, VERSIONS[1]).href)
    assert [caller.send("POST", href, bytes(size)).status for size in (0, LONG_PROBE, LONG_PROBE + 1)] == [
        200,
        200,
        413,
    ]
    assert stages(hub) == []


def test_urls_end_and_tokens_are_revoked(hub: Served, caller: Caller) -> None:
    upload = Blocks(caller, VERSIONS[0])
    sending = upload.send(upload.stream())
    sending.open()
    sending.put(0)
    expires = upload.href.partition("expires=")[2].partition("&")[0]
    late = sending.href.replace(expires, str(int(expires) - 100_000))
    assert caller.send("PUT", part_url(late, 1), b"x").status == 403
    [token] = [one for one in hub.services.tokens.list() if one.user == "ada"]
    hub.services.tokens.revoke(str(token.id))
    assert caller.batch("upload", (upload.oid, upload.size), transfers=["cwt-blocks"]).status == 401


# Several at once, and ends of all kinds


def test_several_clients_bring_one_object_by_different_streams(hub: Served, caller: Caller) -> None:
    for data in VERSIONS[:2]:
        Blocks(caller, data).push()

    def bring(number: int) -> int:
        one = Caller(hub.url, caller.token)
        upload = Blocks(one, VERSIONS[2])
        if not upload.actions:
            return 200
        bases = [VERSIONS[:1], VERSIONS[1:2], VERSIONS[:2], []][number % 4]
        sending = upload.send(upload.stream(bases), bases)
        assert sending.open().status == 200
        for part in range(sending.count()):
            # Of two that send the same stream one gets ahead, with each part and with the end.
            wait_for(lambda part=part: sending.put(part).status in (200, 404))  # type: ignore[misc]
        status = sending.commit().status
        one.close()
        return status

    with ThreadPoolExecutor(8) as pool:
        # 404: another ended the very same stream; the batch API then says that the object is there.
        assert {200} <= set(pool.map(bring, range(8))) <= {200, 404}
    assert caller.download(sha256(VERSIONS[2]), len(VERSIONS[2])) == VERSIONS[2]
    assert stages(hub) == []
    assert len(packs(hub)) == 3


def test_one_stream_may_be_ended_by_several_requests_at_once(hub: Served, caller: Caller) -> None:
    upload = Blocks(caller, VERSIONS[0])
    sending = upload.send(upload.stream())
    sending.open()
    sending.put_all()
    with ThreadPoolExecutor(6) as pool:
        statuses = {answer.status for answer in pool.map(lambda _: sending.commit(), range(6))}
    # Whoever asks after the end learns that the upload is no more: the next batch call says that the object is there.
    assert statuses in ({200}, {200, 404})
    assert len(packs(hub)) == 1
    assert caller.download(upload.oid, upload.size) == VERSIONS[0]


def test_an_object_that_came_whole_meanwhile_is_kept_once(hub: Served, caller: Caller) -> None:
    upload = Blocks(caller, VERSIONS[0])
    sending = upload.send(upload.stream())
    sending.open()
    sending.put_all()
    caller.upload(VERSIONS[0])
    assert sending.commit().status == 200
    assert (stages(hub), packs(hub)) == ([], [])
    assert caller.download(upload.oid, upload.size) == VERSIONS[0]


def test_a_restarted_hub_goes_on(tmp_path: Path) -> None:
    with served(tmp_path / "hub", part_size=PART) as hub:
        token = hub.token()
        upload = Blocks(Caller(hub.url, token), VERSIONS[0])
        stream = upload.stream()
        before = upload.send(stream)
        before.open()
        before.put(0)
        before.put(2)
    with served(tmp_path / "hub", part_size=PART) as hub:
        hub.services.store.backend.clean()
        after = Blocks(Caller(hub.url, token), VERSIONS[0]).send(stream)
        after.part_size = PART
        assert after.put(1).status == 404
        assert after.open().json["held"] == [[0, 1], [2, 3]]
        assert after.whole().status == 200
        assert after.caller.download(sha256(VERSIONS[0]), len(VERSIONS[0])) == VERSIONS[0]


@pytest.mark.parametrize("restart", [True, False])
def test_a_hub_that_dies_between_pack_and_rows_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    def die(_self: Packs, _contents: object) -> None:
        raise BackendFailed("the machine stops")

    with served(tmp_path / "hub", part_size=PART) as hub:
        token = hub.token()
        caller = Caller(hub.url, token)
        upload = Blocks(caller, VERSIONS[0])
        sending = upload.send(upload.stream())
        sending.open()
        sending.put_all()
        with monkeypatch.context() as patched:
            patched.setattr(Packs, "enter", die)
            assert sending.commit().status >= 500
        assert len(packs(hub)) == 1
        assert caller.batch("download", (upload.oid, upload.size)).json["objects"][0]["error"]["code"] == 404
        if not restart:
            assert sending.commit().status == 200
            assert caller.download(upload.oid, upload.size) == VERSIONS[0]
            return
    with served(tmp_path / "hub", part_size=PART) as hub:
        assert hub.services.packs.clean() == 1
        caller = Caller(hub.url, token)
        Blocks(caller, VERSIONS[0]).push()
        assert caller.download(upload.oid, upload.size) == VERSIONS[0]
        assert len(packs(hub)) == 1


def test_a_lost_pack_is_brought_again_by_another_stream(hub: Served, caller: Caller) -> None:
    Blocks(caller, VERSIONS[0]).push()
    Blocks(caller, VERSIONS[1]).push(VERSIONS[:1])
    [name] = {place.pack for place in [hub.services.packs.tables.place(Oid(sha256(VERSIONS[1])))] if place}
    next(path for path in packs(hub) if path.stem == name).unlink()
    answer = caller.batch("download", (sha256(VERSIONS[1]), len(VERSIONS[1])))
    assert answer.json["objects"][0]["error"]["code"] == 410
    Blocks(caller, VERSIONS[1]).push()
    assert caller.download(sha256(VERSIONS[1]), len(VERSIONS[1])) == VERSIONS[1]
    assert name not in dict(hub.services.packs.tables.names())


def test_a_lost_base_does_not_keep_new_versions_out(hub: Served, caller: Caller) -> None:
    Blocks(caller, VERSIONS[0]).push()
    first = Blocks(caller, VERSIONS[2])
    stream = first.stream(VERSIONS[:1])
    sending = first.send(stream, VERSIONS[:1])
    sending.open()
    for path in packs(hub):
        path.unlink()
    sending.put_all()
    answer = sending.commit()
    assert answer.status == 422
    assert answer.json["hint"]
    assert stages(hub) == []
    hub.services.packs.reader._kept = type(hub.services.packs.reader._kept)(0)
    Blocks(caller, VERSIONS[0]).push()
    assert caller.download(sha256(VERSIONS[0]), len(VERSIONS[0])) == VERSIONS[0]
    Blocks(caller, VERSIONS[2]).push(VERSIONS[:1])
    assert caller.download(sha256(VERSIONS[2]), len(VERSIONS[2])) == VERSIONS[2]


def test_a_base_that_is_forgotten_meanwhile_is_noticed(hub: Served, caller: Caller) -> None:
    Blocks(caller, VERSIONS[0]).push()
    upload = Blocks(caller, VERSIONS[1])
    sending = upload.send(upload.stream(VERSIONS[:1]), VERSIONS[:1])
    sending.open()
    sending.put_all()
    staged = hub.services.staging._uploads.values()
    assert all(each.follow() for each in staged)
    [name] = dict(hub.services.packs.tables.names())
    hub.services.packs.tables.forget_pack(name)
    answer = sending.commit()
    assert answer.status == 422
    assert "not stored any more" in answer.json["message"]
    assert [path.stem for path in packs(hub)] == [name]
    assert stages(hub) == []
    Blocks(caller, VERSIONS[1]).push()
    assert caller.download(upload.oid, upload.size) == VERSIONS[1]


# Bounds


def test_streams_in_memory_are_few_and_go_on_after_making_room(
    hub: Served, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MAX_STREAMS", 2)
    uploads = [Blocks(caller, data) for data in VERSIONS]
    sendings = [upload.send(upload.stream()) for upload in uploads]
    assert [sending.open().status for sending in sendings] == [200, 200, 429]
    sendings[0].put(0)
    monkeypatch.setattr(staging, "STREAM_IDLE", 0.0)
    sendings[1].put(0)
    assert sendings[2].open().status == 200
    assert sendings[0].put(1).status == 404
    assert sendings[0].open().json["held"] == [[0, 1]]
    sendings[0].put_all()
    assert sendings[0].commit().status == 200
    assert caller.download(uploads[0].oid, uploads[0].size) == VERSIONS[0]


def test_unfinished_streams_count_and_are_removed(hub: Served, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Blocks(caller, VERSIONS[0])
    sending = first.send(first.stream())
    sending.open()
    sending.put(0)
    monkeypatch.setattr(staging, "MAX_UPLOADS", 1)
    other = Blocks(caller, VERSIONS[1])
    assert other.send(other.stream()).open().status == 429
    monkeypatch.setattr(staging, "ABANDONED", -1.0)
    assert other.send(other.stream()).open().status == 200
    assert len(stages(hub)) == 1
    monkeypatch.undo()
    assert sending.put(1).status == 404
    assert sending.commit().status == 404


def test_random_damage_is_refused_or_does_no_harm(hub: Served, caller: Caller) -> None:
    """Whatever comes, the object is right or is not there."""
    rng = random.Random(4)
    stream = stream_of(RECIPE, honest())
    began = time.monotonic()
    for _ in range(40):
        bad = bytearray(stream)
        for _ in range(rng.choice((1, 1, 5, 200))):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        if rng.random() < 0.2:
            del bad[rng.randrange(len(bad)) :]
        if not bad or bytes(bad) == stream:
            continue
        answer = Blocks(caller, WHOLE).send(bytes(bad)).whole()
        assert answer.status == 422, answer.body
    assert (stages(hub), packs(hub)) == ([], [])
    assert time.monotonic() - began < 20
