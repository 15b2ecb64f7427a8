"""`cwt transfer-agent` as git-lfs runs it: JSON in, JSON out. Whole journeys with stock git-lfs are in
tests/e2e/test_blocks.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.people import Person


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person("ada", tmp_path / "ada")


def answers(person: Person, folder: Path, *messages: object) -> tuple[list[Any], int, str]:
    said = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in messages)
    done = person.run("cwt", "transfer-agent", cwd=folder, check=False, stdin=said)
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode, done.stderr


def test_an_object_that_cannot_move_is_an_answer_and_no_end(person: Person) -> None:
    folder = person.repository("work")
    person.git("remote", "add", "origin", "http://127.0.0.1:9/team/model.git", cwd=folder)
    oid = "a" * 64
    event = {"event": "download", "oid": oid, "size": 5, "action": {"href": "http://127.0.0.1:9/x"}}
    person.git("config", "lfs.transfer.maxretries", "1", cwd=folder)
    said, code, _ = answers(
        person,
        folder,
        {"event": "init", "operation": "download", "remote": "origin", "concurrent": False},
        event,
        {**event, "oid": "not an id"},
        {"event": "terminate"},
    )
    assert code == 0
    assert said[0] == {}
    assert [(each["event"], each["oid"], each["error"]["code"]) for each in said[1:]] == [
        ("complete", oid, 2),
        ("complete", "not an id", 2),
    ]


@pytest.mark.parametrize(
    "messages",
    [
        ("no JSON",),
        ("[]",),
        ({"event": "upload", "oid": "a" * 64, "size": 1},),
        ({"event": "init", "operation": "download", "remote": "origin"}, {"event": "dance"}),
    ],
)
def test_what_is_not_the_protocol_ends_it_with_a_hint(person: Person, messages: tuple[object, ...]) -> None:
    folder = person.repository("work")
    person.git("remote", "add", "origin", "http://127.0.0.1:9/team/model.git", cwd=folder)
    _, code, err = answers(person, folder, *messages)
    assert code == 1
    assert "cwt init --agent" in err


def test_an_unknown_operation_is_refused_as_git_lfs_expects(person: Person) -> None:
    folder = person.repository("work")
    said, code, _ = answers(person, folder, {"event": "init", "operation": "dance", "remote": "origin"})
    assert code == 0
    assert said[0]["error"]["code"] == 2
