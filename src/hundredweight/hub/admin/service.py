"""Administration in this process, on an open hub's services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from hundredweight.base.ids import RepoName
from hundredweight.hub.admin.interface import HubStats, NewToken, RepositoryFacts, RepositoryStats, TokenFacts
from hundredweight.hub.database.schema import objects, packs, possession, recipes, repositories
from hundredweight.hub.errors import Unprocessable
from hundredweight.hub.objects.check import check_objects
from hundredweight.hub.tokens.service import Scope

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy import Select

    from hundredweight.hub.admin.interface import CheckEvent
    from hundredweight.hub.repos.service import Repository
    from hundredweight.hub.services import Services
    from hundredweight.hub.tokens.service import Token


class LocalAdministration:
    """See `Administration`. Thread-safe; all calls block."""

    def __init__(self, services: Services, created_by: str = "") -> None:
        """`created_by` is the user on whose behalf repositories are made."""
        self._services = services
        self._created_by = created_by

    def repositories(self) -> list[RepositoryFacts]:
        return [repository_facts(found) for found in self._services.repositories.list()]

    def create_repository(self, name: str, *, public: bool, object_format: str) -> RepositoryFacts:
        created = self._services.repositories.create(
            RepoName.parse(name), public=public, created_by=self._created_by, object_format=object_format
        )
        return repository_facts(created)

    def delete_repository(self, name: str) -> None:
        self._services.repositories.delete(RepoName.parse(name))

    def tokens(self) -> list[TokenFacts]:
        return [token_facts(token) for token in self._services.tokens.list()]

    def create_token(self, user: str, scope: str, *, name: str, repository: str, expires_at: float | None) -> NewToken:
        made, secret = self._services.tokens.create(
            user, parse_scope(scope), name=name, bound=repository, expires_at=expires_at
        )
        return NewToken(**token_facts(made), token=secret)

    def revoke_token(self, which: str) -> list[TokenFacts]:
        return [token_facts(token) for token in self._services.tokens.revoke(which)]

    def stats(self) -> HubStats:
        totals = self._services.objects.stats()
        return HubStats(
            repositories=totals.repositories,
            objects=totals.objects,
            logical_bytes=totals.logical,
            stored_bytes=totals.stored,
            by_repository=self._by_repository(),
        )

    def check(self, *, repair: bool) -> Generator[CheckEvent]:
        return check_objects(self._services, repair=repair)

    def close(self) -> None:
        self._services.close()

    def _by_repository(self) -> list[RepositoryStats]:
        with self._services.database.read() as connection:
            packed = {row.repository_id: row for row in connection.execute(_packed())}
            rows = connection.execute(_loose()).all()
        return [
            RepositoryStats(
                name=row.name,
                objects=row.number,
                logical_bytes=int(row.logical),
                stored_bytes=int(row.stored) + (int(packed[row.id].stored) if row.id in packed else 0),
                shared_bytes=int(row.shared) + (int(packed[row.id].shared) if row.id in packed else 0),
            )
            for row in rows
        ]


def _loose() -> Select[Any]:
    """Each possession with the number of its object's owners, summed up by repository; objects in packs are not `stored`."""
    owners = select(possession.c.oid, func.count().label("owners")).group_by(possession.c.oid).subquery()
    loose = recipes.c.oid.is_(None)
    return (
        select(
            repositories.c.id,
            repositories.c.name,
            func.count(possession.c.oid).label("number"),
            func.coalesce(func.sum(objects.c.size), 0).label("logical"),
            func.coalesce(func.sum(objects.c.size).filter(loose), 0).label("stored"),
            func.coalesce(func.sum(objects.c.size).filter(loose, owners.c.owners > 1), 0).label("shared"),
        )
        .select_from(repositories)
        .outerjoin(possession, possession.c.repository_id == repositories.c.id)
        .outerjoin(objects, objects.c.oid == possession.c.oid)
        .outerjoin(owners, owners.c.oid == possession.c.oid)
        .outerjoin(recipes, recipes.c.oid == possession.c.oid)
        .group_by(repositories.c.id, repositories.c.name, repositories.c.key)
        .order_by(repositories.c.key)
    )


def _packed() -> Select[Any]:
    """The packs that hold objects of each repository, each once."""
    uses = (
        select(possession.c.repository_id, recipes.c.pack_id)
        .join(recipes, recipes.c.oid == possession.c.oid)
        .distinct()
        .subquery()
    )
    owners = select(uses.c.pack_id, func.count().label("owners")).group_by(uses.c.pack_id).subquery()
    return (
        select(
            uses.c.repository_id,
            func.sum(packs.c.size).label("stored"),
            func.coalesce(func.sum(packs.c.size).filter(owners.c.owners > 1), 0).label("shared"),
        )
        .select_from(uses)
        .join(packs, packs.c.id == uses.c.pack_id)
        .join(owners, owners.c.pack_id == uses.c.pack_id)
        .group_by(uses.c.repository_id)
    )


def parse_scope(text: str) -> Scope:
    """Raises `Unprocessable`."""
    try:
        return Scope(text)
    except ValueError:
        raise Unprocessable(f"unknown scope '{text[:40]}'", hint="use read, write or admin") from None


def repository_facts(found: Repository) -> RepositoryFacts:
    return RepositoryFacts(
        name=found.name, public=found.public, created_at=found.created_at, created_by=found.created_by
    )


def token_facts(token: Token) -> TokenFacts:
    return TokenFacts(
        id=token.id,
        name=token.name,
        user=token.user,
        scope=token.scope.value,
        repository=token.bound,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
    )
