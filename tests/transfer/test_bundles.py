"""Small objects that come together from a hub, and what becomes of them where that fails."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hundredweight.protocol.bundle import LARGEST, write_bundle
from tests.hub.serving import Caller, Served, served
from tests.transfer.rig import Rig, item

CONTENTS = [random.Random(number).randbytes(200 + number) for number in range(150)]
LARGE = random.Random(1).randbytes(LARGEST + 1)


class Front:
    """Before the hub's application: counts requests, and answers those for bundles as `bundle` says, where it does."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.bundles = 0
        self.singles = 0
        self.bundle: Callable[[list[str]], tuple[int, bytes]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        self.bundles += path.endswith("/objects/bundle")
        self.singles += scope.get("method") == "GET" and "/objects/" in path
        if self.bundle is None or not path.endswith("/objects/bundle"):
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        status, content = self.bundle(json.loads(body)["oids"])
        headers = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": False})


@pytest.fixture
def place(tmp_path: Path, git_env: dict[str, str]) -> Iterator[tuple[Served, Front, Rig]]:
    fronts: list[Front] = []

    def wrap(app: Any) -> Front:
        fronts.append(Front(app))
        return fronts[0]

    with served(tmp_path / "hub", wrap=wrap) as hub:
        caller = Caller(hub.url, hub.token())
        for content in [*CONTENTS, LARGE]:
            caller.upload(content)
        caller.close()
        subprocess.run(["git", "init", "-q", str(tmp_path / "clone")], check=True, env=git_env)
        rig = Rig(tmp_path / "clone", git_env, caller.lfs)
        rig.settings.append(("http.extraheader", f"Authorization: Bearer {hub.token()}"))
        yield hub, fronts[0], rig


def all_items() -> list[Any]:
    return [item(content, f"f{number}") for number, content in enumerate([*CONTENTS, LARGE])]


def check(rig: Rig) -> None:
    assert rig.download(*all_items()) == []
    for one, content in zip(all_items(), [*CONTENTS, LARGE], strict=True):
        assert rig.read(one.oid) == content
    assert list(Path(rig.store.temp).glob("*")) == []


def test_small_objects_take_few_requests(place: tuple[Served, Front, Rig]) -> None:
    _, front, rig = place
    check(rig)
    assert front.singles < 20
    assert front.bundles < 20


def test_basic_transfers_only_means_what_it_says(place: tuple[Served, Front, Rig]) -> None:
    _, front, rig = place
    rig.settings.append(("lfs.basictransfersonly", "true"))
    check(rig)
    assert (front.bundles, front.singles) == (0, 151)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _oids: (500, b"no"),
        lambda _oids: (404, b""),
        lambda _oids: (200, b"<html>"),
        lambda oids: (200, write_bundle([b"wrong"] * len(oids))),
        lambda oids: (200, write_bundle([None] * len(oids))),
        lambda oids: (200, write_bundle([b""] * (len(oids) - 1))),
        lambda oids: (200, write_bundle([CONTENTS[0]] * len(oids))[:-1]),
    ],
    ids=["500", "404", "html", "wrong", "absent", "too-few", "cut"],
)
def test_what_did_not_come_together_comes_alone(
    place: tuple[Served, Front, Rig], answer: Callable[[list[str]], tuple[int, bytes]]
) -> None:
    _, front, rig = place
    front.bundle = answer
    check(rig)
    assert front.bundles >= 1
    assert front.singles >= len(CONTENTS)


def test_what_a_former_try_left_is_used_and_gone(place: tuple[Served, Front, Rig]) -> None:
    _, _, rig = place
    begun = item(CONTENTS[7])
    rig.part(begun.oid).parent.mkdir(parents=True, exist_ok=True)
    rig.part(begun.oid).write_bytes(CONTENTS[7][:100])
    check(rig)
    assert list(Path(rig.store.incomplete).iterdir()) == []


def test_a_missing_object_is_told_as_ever(place: tuple[Served, Front, Rig]) -> None:
    hub, _, rig = place
    lost = item(CONTENTS[3], "lost")
    path = hub.services.store.local_path(lost.oid)
    assert path is not None
    items = [item(CONTENTS[2], "a"), lost, item(CONTENTS[4], "b")]
    Path(path).unlink()
    [failure] = rig.download(*items)
    assert failure.item.path == "lost"
    assert "push it again" in str(failure.error)
    assert rig.read(items[0].oid) == CONTENTS[2]
