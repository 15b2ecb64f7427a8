"""The journal of a target: what it tells of each deployment, also when a line was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.client.deploy import journal as events
from hundredweight.client.deploy.journal import Journal, JournalDamaged, Settings, What
from hundredweight.client.deploy.moments import BadMoment, parse_moment

WHAT = What("/srv/model", "prod", "c" * 40, "model@v1.0.0")


def begin(journal: Journal, number: int, folder: str = "") -> str:
    folder = folder or f"{number}-model"
    settings = {name: getattr(Settings(keep=number), name) for name in Settings.__slots__}
    what = {name: getattr(WHAT, name) for name in What.__slots__}
    told = {"who": "ada <a@b>", "host": "box", "where": "/srv", "why": "because", "what": what, "settings": settings}
    journal.write(events.BEGUN, number, folder, action="deploy", **told)
    return folder


def served(journal: Journal, number: int, folder: str = "") -> str:
    folder = begin(journal, number, folder)
    journal.write(events.SWITCHED, number, folder, **{"from": ""})
    journal.write(events.HEALTHY, number, folder, seconds=0.1)
    return folder


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(str(tmp_path / "journal.jsonl"))


def test_nothing_was_deployed(journal: Journal) -> None:
    history = journal.read()
    assert (history.deployments, history.next_number, history.serving) == ([], 1, None)


def test_one_takes_the_place_of_another(journal: Journal) -> None:
    served(journal, 1)
    served(journal, 2)
    one, two = journal.read().deployments
    assert (one.state, two.state) == ("served", "serving")
    assert one.until == two.switched
    assert (two.what, two.settings, two.who, two.why) == (WHAT, Settings(keep=2), "ada <a@b>", "because")
    assert journal.read().next_number == 3


def test_a_failed_one_leaves_the_one_before(journal: Journal) -> None:
    served(journal, 1)
    folder = begin(journal, 2)
    journal.write(events.SWITCHED, 2, folder, **{"from": "1-model"})
    journal.write(events.FAILED, 2, folder, reason="no answer", to="1-model")
    journal.write(events.ROLLED_BACK, 2, folder, to="1-model", healthy=True)
    history = journal.read()
    assert history.serving is history.deployments[0]
    assert (history.deployments[1].state, history.deployments[1].reason) == ("failed", "no answer")
    assert history.deployments[1].back_to == "1-model"
    assert history.good_folders() == ["1-model"]


def test_an_old_version_that_serves_again_is_as_old_as_it_was(journal: Journal) -> None:
    for number in (1, 2):
        served(journal, number)
    served(journal, 3, "1-model")
    history = journal.read()
    assert history.good_folders() == ["1-model", "2-model"]
    maker = history.maker("1-model")
    assert maker is not None
    assert maker.number == 1


def test_what_served_when(journal: Journal) -> None:
    served(journal, 1)
    served(journal, 2)
    one, two = journal.read().deployments
    history = journal.read()
    for moment, number in ((one.switched, 1), (two.switched, 2), ("2999-01-01T00:00:00Z", 2)):
        found = history.serving_at(moment)
        assert found is not None
        assert found.number == number
    assert history.serving_at("2001-01-01T00:00:00Z") is None


def test_moments() -> None:
    assert parse_moment("2026-11-23") == "2026-11-23T23:59:59.999999Z"
    assert parse_moment("2026-11-23 14:05") == "2026-11-23T14:05:00.000000Z"
    assert parse_moment("2026-11-23T14:05:00+02:00") == "2026-11-23T12:05:00.000000Z"
    with pytest.raises(BadMoment):
        parse_moment("yesterday")


def test_a_torn_line_counts_as_not_written(journal: Journal) -> None:
    served(journal, 1)
    whole = Path(journal.path).read_bytes()
    for size in (1, 40, 4096, 9000):
        Path(journal.path).write_bytes(whole + b"x" * size)
        assert [one.state for one in journal.read().deployments] == ["serving"]
        served(journal, 2)
        assert [one.state for one in journal.read().deployments] == ["served", "serving"]
        assert Path(journal.path).read_bytes().startswith(whole + b'{"version": 1, "event": "begun", "number": 2')
        Path(journal.path).write_bytes(whole)


def test_a_reserve_is_held_once(journal: Journal) -> None:
    journal.hold_reserve()
    reserve = Path(journal.path).with_name("reserve")
    first = reserve.read_bytes()
    assert len(first) == events.RESERVE_BYTES
    journal.hold_reserve()
    assert reserve.read_bytes() == first


def test_a_damaged_line_is_named(journal: Journal) -> None:
    served(journal, 1)
    for bad in (b"{}", b"nonsense", b'{"event": "begun", "number": 2}', b'{"event": 7, "number": 1}'):
        whole = Path(journal.path).read_bytes()
        Path(journal.path).write_bytes(whole + bad + b"\n")
        if bad == b"{}":
            # Nothing that anybody knows: a newer program may have written it.
            assert len(journal.read().deployments) == 1
        else:
            with pytest.raises(JournalDamaged) as caught:
                journal.read()
            assert caught.value.line == 4
        Path(journal.path).write_bytes(whole)


def test_names_that_are_no_text_come_back(journal: Journal) -> None:
    folder = begin(journal, 1, "1-a\udcffb")
    assert journal.read().deployments[0].folder == folder
