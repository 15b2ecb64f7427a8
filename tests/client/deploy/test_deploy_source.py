"""`SOURCE@REF`: where the source ends, and what never gets into a journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.client.deploy.source import NothingNamed, Wanted, parse, without_password


@pytest.mark.parametrize(
    ("text", "source", "ref", "stage"),
    [
        ("https://hub.example/team/model.git@v1.2.0", "https://hub.example/team/model.git", "v1.2.0", False),
        ("https://hub.example/team/model@model@v1.2.0", "https://hub.example/team/model", "model@v1.2.0", False),
        ("https://ada:pw@hub.example:8417/team/model#prod", "https://ada:pw@hub.example:8417/team/model", "prod", True),
        ("ssh://git@host/model.git#model#prod", "ssh://git@host/model.git", "model#prod", True),
        ("git@host:team/model.git@model@latest", "git@host:team/model.git", "model@latest", False),
        ("git@host:team/model.git#prod", "git@host:team/model.git", "prod", True),
        ("file:///srv/model.git@main", "file:///srv/model.git", "main", False),
    ],
)
def test_where_a_url_ends(text: str, source: str, ref: str, stage: bool, tmp_path: Path) -> None:
    assert parse(text, str(tmp_path)) == Wanted(source, ref, stage)


def test_where_a_folder_ends(tmp_path: Path) -> None:
    for name in ("model", "team@home/model"):
        (tmp_path / name).mkdir(parents=True)
    here = str(tmp_path)
    assert parse("model@model@v1.2.0", here) == Wanted(f"{here}/model", "model@v1.2.0")
    assert parse("team@home/model#prod", here) == Wanted(f"{here}/team@home/model", "prod", stage=True)
    assert parse(".@v1.2.0", here) == Wanted(here, "v1.2.0")
    assert parse("@model@v1.2.0", here) == Wanted(here, "model@v1.2.0")
    assert parse(f"{here}/model#prod", "/") == Wanted(f"{here}/model", "prod", stage=True)


@pytest.mark.parametrize(
    "text", ["model", "https://hub.example/team/model", "missing@v1", ".@", ".@--upload-pack=x", "#"]
)
def test_what_names_no_version_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(NothingNamed):
        parse(text, str(tmp_path))


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("https://ada:secret@hub.example/model", "https://ada@hub.example/model"),
        ("https://token@hub.example/model", "https://hub.example/model"),
        ("ssh://git@host/model", "ssh://git@host/model"),
        ("ssh://git:pw@host/model", "ssh://git@host/model"),
        ("/srv/a@b://c", "/srv/a@b://c"),
        ("git@host:team/model", "git@host:team/model"),
    ],
)
def test_passwords_are_not_shown(source: str, shown: str) -> None:
    assert without_password(source) == shown
