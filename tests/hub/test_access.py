"""Who may read what: the rule in Python and the same rule in SQL agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from hundredweight.base.ids import RepoName
from hundredweight.hub.access import Access
from hundredweight.hub.database.schema import repositories
from hundredweight.hub.errors import AuthenticationRequired, Forbidden
from hundredweight.hub.services import Services, open_services
from hundredweight.hub.settings import Settings
from hundredweight.hub.tokens.service import ANONYMOUS, Principal, Scope

NAMES = ["team/model", "Team2/model", "team_x/model", "teams/Model", "open/model"]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    opened = open_services(Settings(data=str(tmp_path_factory.mktemp("hub") / "hub")))
    for name in NAMES:
        opened.repositories.create(RepoName.parse(name), public=name.startswith("open/"))
    yield opened
    opened.close()


@pytest.mark.parametrize("anonymous_read", [False, True])
@pytest.mark.parametrize("bound", ["", "team", "TEAM", "team2", "team_x", "teams/model", "team/other", "open", "t%"])
@pytest.mark.parametrize("scope", [None, *Scope])
def test_the_rule_in_sql_is_the_rule(services: Services, anonymous_read: bool, bound: str, scope: Scope | None) -> None:
    principal = ANONYMOUS if scope is None else Principal("ada", "t", scope, bound)
    access = Access(services.repositories, anonymous_read=anonymous_read)
    with services.database.read() as connection:
        found = set(connection.execute(select(repositories.c.name).where(access.readable(principal))).scalars())
    expected = {
        repository.name
        for repository in services.repositories.list()
        if access.may_read(principal, repository.name, public=repository.public)
    }
    assert found == expected


def test_administration_needs_an_admin(services: Services) -> None:
    model = RepoName.parse("team/model")
    admin, bound = Principal("a", "t", Scope.ADMIN), Principal("a", "t", Scope.ADMIN, "team")
    services.access.require_admin(admin)
    services.access.require_admin(bound, model)
    with pytest.raises(AuthenticationRequired):
        services.access.require_admin(ANONYMOUS)
    for principal, name in [
        (bound, None),
        (bound, RepoName.parse("open/model")),
        (Principal("a", "t", Scope.WRITE), model),
    ]:
        with pytest.raises(Forbidden):
            services.access.require_admin(principal, name)


def test_a_name_is_opened_in_any_case_and_shown_as_it_was_made(services: Services, tmp_path: Path) -> None:
    ada = Principal("ada", "t", Scope.WRITE, "teams")
    assert services.access.open("TEAMS/MODEL.git", ada, Scope.WRITE).name == "teams/Model"
