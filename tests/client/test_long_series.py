"""A long series of versions stays cheap: a base that a delta may stand upon is always within reach, going up and coming down."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import pytest

from hundredweight.base.errors import CwtError
from hundredweight.client.foundations import foundations
from hundredweight.client.nearby import VERSIONS, NearbyObjects
from hundredweight.hub.packs.background import BackgroundPacker
from hundredweight.hub.packs.exchange import Exchange
from hundredweight.hub.packs.service import pack_key
from hundredweight.hub.packs.shortening import Shortener
from hundredweight.protocol.blocks import MAX_BASES
from hundredweight.store.bases import Candidate
from hundredweight.store.pack import DEEPEST, MAX_DEPTH
from hundredweight.store.recipe import Segment
from tests.clones import Clone, oid_of, pointer_of
from tests.hub.serving import Served, served
from tests.store.clone_store import CloneStore
from tests.store.weights import arrays, fine_tuned, recipe_of, safetensors_of
from tests.transfer.rig import FAST, Rig, item

NAME = "model.safetensors"
LENGTH = 24
STEP = 1e-5
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("data") / "hub") as found:
        yield found


class Person:
    """A clone of one repository of a hub; what moves is kept as packs, unless `packs` is off."""

    def __init__(self, folder: Path, env: dict[str, str], hub: Served, repository: str, *, packs: bool = True) -> None:
        self.packs = packs
        self.clone = Clone(folder)
        self.rig = Rig(folder, env, f"{hub.url}/{repository}.git/info/lfs")
        self.rig.settings.append(("http.extraheader", f"Authorization: Bearer {hub.token()}"))

    def holds(self, data: bytes) -> bool:
        store = self.clone.workspace().store
        try:
            return b"".join(store.open_stream(oid_of(data))) == data
        finally:
            store.close()

    def know(self, data: bytes) -> None:
        """A commit has the pointer; the object need not be here."""
        self.clone.write(NAME, pointer_of(data).encode())
        self.clone.commit()

    def push(self, *versions: bytes, blocks: bool = True) -> None:
        for data in versions:
            self.clone.store(data)
        self._move(self.rig.upload, versions, blocks)

    def pull(self, *versions: bytes) -> None:
        self._move(self.rig.download, versions)

    def _move(self, move: Callable[..., Any], versions: Sequence[bytes], blocks: bool = True) -> None:
        nearby = NearbyObjects(self.clone.workspace(), keep=self.packs) if blocks else None
        # Absolute: no path in the repository, which is looked up by the object then; a meter wants them to differ.
        items = [item(data, f"/{number}") for number, data in enumerate(versions)]
        assert move(*items, options=replace(FAST, nearby=nearby)) == []
        if nearby is not None:
            nearby.settle()


class Company:
    """Who makes versions, who follows, and their hub."""

    def __init__(self, folder: Path, env: dict[str, str], hub: Served) -> None:
        repository = f"team/series{next(_NUMBERS)}"
        self.hub = hub
        self.author = Person(folder / "author", env, hub, repository)
        self.follower = Person(folder / "follower", env, hub, repository)
        self._new = partial(Person, env=env, hub=hub, repository=repository)
        self._folder = folder

    def newcomer(self, versions: Sequence[bytes], *, packs: bool = True) -> Person:
        """Knows the history and has the last of these versions."""
        person = self._new(self._folder / f"newcomer{next(_NUMBERS)}", packs=packs)
        for data in versions:
            person.know(data)
        person.pull(*versions[-1:])
        return person

    def sent(self) -> int:
        """Bytes of objects that the hub has sent."""
        return int(self.hub.services.metrics.bytes.labels("out")._value.get())

    def pack(self) -> None:
        """What came whole or too deep, as the hub does it in the background."""
        services = self.hub.services
        failures: list[CwtError] = []
        BackgroundPacker(services.store, services.packs, services.activity, failures.append).pack_all()
        assert failures == []

    def stored(self, data: bytes, deepest: int = DEEPEST) -> int:
        """Bytes of the blocks of its tensors, all of which must be deltas."""
        ids = {segment.id for segment in recipe_of(data).segments if segment.dtype}
        found = self.hub.services.packs.segments(ids)
        assert found.keys() == ids
        assert all(0 < at.depth <= deepest for at in found.values()), "sent or stored whole"
        return sum(at.stored for at in found.values())


@pytest.fixture
def company(tmp_path: Path, git_env: dict[str, str], hub: Served) -> Company:
    return Company(tmp_path, git_env, hub)


def series(*, drifts: bool, length: int = LENGTH, bf16: bool = False) -> list[bytes]:
    """Fine-tunes of one base, or the checkpoints of a training."""
    save = in_bf16 if bf16 else safetensors_of
    # Below 256 KiB objects come whole.
    base = now = arrays(1000 + next(_NUMBERS), 400 if bf16 else 300)
    versions = [save(base)]
    for seed in range(length - 1):
        now = fine_tuned(now if drifts else base, seed, 100 * STEP if bf16 else STEP)
        versions.append(save(now))
    return versions


def in_bf16(tensors: dict[str, Any]) -> bytes:
    return safetensors_of({name: values.astype(ml_dtypes.bfloat16) for name, values in tensors.items()})


@pytest.mark.parametrize("drifts", [False, True], ids=["fine-tunes", "checkpoints"])
@pytest.mark.parametrize("way", ["one by one", "at once", "by the hub"])
def test_no_version_but_the_first_goes_whole(company: Company, way: str, drifts: bool) -> None:
    versions = series(drifts=drifts)
    for data in versions:
        company.author.know(data)
        if way == "one by one":
            company.author.push(data)
        elif way == "by the hub":
            company.author.push(data, blocks=False)
            company.pack()
    if way == "at once":
        company.author.push(*versions)
    stored = [company.stored(data) for data in versions[1:]]
    assert max(stored) < 0.6 * len(versions[0])
    # Down, as somebody who follows: what comes of each is what it takes on the hub.
    for data in versions:
        company.follower.know(data)
        company.follower.pull(data)
    packs = company.follower.clone.workspace().store.packs
    assert {oid for oid, _ in packs.ids()} == {oid_of(data) for data in versions}
    for data, there in zip(versions[1:], stored, strict=True):
        ids = {segment.id for segment in recipe_of(data).segments if segment.dtype}
        assert sum(at.stored for at in packs.segments(ids).values()) <= there * 1.02


@pytest.mark.parametrize(
    ("packs", "bf16", "drifts"),
    [
        pytest.param(False, False, False, id="loose-fp32-fine-tunes"),
        pytest.param(False, True, True, id="loose-bf16-checkpoints"),
        pytest.param(True, False, True, id="packed-fp32-checkpoints"),
        pytest.param(True, True, False, id="packed-bf16-fine-tunes"),
    ],
)
def test_who_has_the_newest_version_alone_sends_no_more_than_who_has_all(
    company: Company, packs: bool, bf16: bool, drifts: bool
) -> None:
    """Even if each version comes out of another fresh clone. What it is kept as in the end stands upon no longer chains."""
    versions = series(drifts=drifts, length=7, bf16=bf16)
    for data in versions[:3]:
        company.author.know(data)
        company.author.push(data)
    usual = max(company.stored(data) for data in versions[1:3])
    for number, data in enumerate(versions[3:], 3):
        newcomer = company.newcomer(versions[:number], packs=packs)
        newcomer.know(data)
        newcomer.push(data)
        assert company.stored(data, MAX_DEPTH) < 1.5 * usual
        company.pack()
        assert company.stored(data) < (2 if drifts else 1.5) * usual
    reader = company.newcomer(versions)
    assert reader.holds(versions[-1])


@pytest.mark.parametrize("packs", [False, True], ids=["loose", "packed"])
@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
def test_who_has_the_version_before_alone_gets_no_more_than_who_has_all(
    company: Company, bf16: bool, packs: bool
) -> None:
    """Though the next one stands upon an older one there."""
    versions = series(drifts=True, length=5, bf16=bf16)
    for data in versions[:4]:
        company.author.know(data)
        company.author.push(data)
    newcomer = company.newcomer(versions[:4], packs=packs)
    company.author.know(versions[4])
    company.author.push(versions[4])
    newcomer.know(versions[4])
    before = company.sent()
    newcomer.pull(versions[4])
    assert company.sent() - before < 1.1 * company.stored(versions[4]) + 2000
    assert newcomer.holds(versions[4])
    assert (newcomer.clone.workspace().store.loose_size(oid_of(versions[4])) < 0) == packs


def test_a_shard_is_no_base_of_the_next(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone has it when it asks for the next; their tensors have the same shapes, but nothing else in common."""
    shards: list[list[bytes]] = []
    for layer in range(2):
        now = {f"h.{layer}.{name}": values for name, values in arrays(1000 + next(_NUMBERS), 300).items()}
        shards.append([safetensors_of(now)])
        for seed in range(2):
            now = fine_tuned(now, seed, STEP)
            shards[-1].append(safetensors_of(now))
    for version in zip(*shards, strict=True):
        for data in version:
            company.author.know(data)
        company.author.push(*version)
    bases: list[object] = []
    anew = Exchange._anew

    def noted(exchange: Exchange, segment: Segment, base: Candidate | None) -> Any:
        bases.append(base)
        return anew(exchange, segment, base)

    monkeypatch.setattr(Exchange, "_anew", noted)
    newest = [versions[-1] for versions in shards]
    newcomer = company.newcomer([])
    newcomer.pull(*newest)
    assert all(newcomer.holds(data) for data in newest)
    assert not any(bases)


def test_history_comes_oldest_first_even_at_once(company: Company) -> None:
    versions = series(drifts=True, length=12)
    for data in versions:
        company.author.know(data)
    company.author.push(*versions)
    follower = company.newcomer(versions, packs=False)
    before = company.sent()
    follower.pull(*versions[:-1])
    stored = len(versions[0]) + sum(company.stored(data) for data in versions[1:-1])
    assert company.sent() - before < 1.02 * stored
    assert all(follower.holds(data) for data in versions)


def test_packs_whose_chains_were_shortened_go_when_nobody_reads_them(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = series(drifts=True, length=4)
    for data in versions[:3]:
        company.author.know(data)
        company.author.push(data)
    newcomer = company.newcomer(versions[:3])
    newcomer.know(versions[3])
    newcomer.push(versions[3])
    packs = company.hub.services.packs
    place = packs.tables.place(oid_of(versions[3]))
    assert place is not None
    shortener = Shortener(packs, company.hub.services.store.backend, lambda _: [], lambda: None)
    assert shortener.todo() == [oid_of(versions[3])]
    assert shortener.todo() == []
    assert shortener.shorten(oid_of(versions[3]))
    shortener.sweep()
    there = company.hub.services.store.backend
    assert there.stat(pack_key(place.pack)) is not None, "somebody may be in it"
    monkeypatch.setattr("hundredweight.hub.packs.shortening.GRACE", 0)
    shortener.sweep()
    assert there.stat(pack_key(place.pack)) is None
    assert company.newcomer(versions).holds(versions[3])


def test_what_packed_versions_stand_upon_is_found_in_packs_of_many(tmp_path: Path) -> None:
    clone = CloneStore(tmp_path)
    oids = clone.add_versions(6)
    clone.pack(*oids)
    packs = clone.store.packs
    last = packs.recipe(oids[-1])
    assert last is not None
    below = [each.oid for each in foundations(packs, last, oids)]
    ids = {segment.id for segment in last.segments}
    chains = packs.reader.chains(ids)
    bases = {link.id for chain in chains.values() for link in chain[1:]}
    assert bases - {segment.id for oid in below[:2] for segment in packs.recipe(oid).segments} == set()  # type: ignore[union-attr]
    assert oids[-1] not in below
    first = packs.recipe(oids[0])
    assert first is not None
    assert foundations(packs, first, oids) == [], "it stands upon nothing"


def test_loose_versions_from_far_back_count_only_where_they_are_cut(tmp_path: Path) -> None:
    """To read them for a guess would take as long as to send them."""
    clone = Clone(tmp_path / "clone")
    versions = series(drifts=False)
    for data in versions:
        clone.commit_file(NAME, data)
    newest = recipe_of(versions[-1])
    near = [known.recipe.oid for known in NearbyObjects(clone.workspace()).near(newest, NAME)]
    assert near == [oid_of(data) for data in versions[-2 : -2 - VERSIONS : -1]]
    for data in versions[:-1]:
        assert NearbyObjects(clone.workspace()).own(oid_of(data), len(data)) is not None
    near = [known.recipe.oid for known in NearbyObjects(clone.workspace()).near(newest, NAME)]
    assert near[VERSIONS] == oid_of(versions[0])
    assert VERSIONS + 4 <= len(near) <= MAX_BASES
    middle = NearbyObjects(clone.workspace()).near(recipe_of(versions[10]), NAME)
    assert [known.recipe.oid for known in middle][:VERSIONS] == [oid_of(data) for data in versions[9:1:-1]]
