"""Who may open which repository, in one place. It never tells whether a repository exists to somebody who may not read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, true

from hundredweight.base.ids import RepoName
from hundredweight.hub.database.schema import repositories
from hundredweight.hub.errors import AuthenticationRequired, Forbidden
from hundredweight.hub.repos.service import RepositoryMissing
from hundredweight.hub.tokens.service import Scope

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from hundredweight.hub.repos.service import Repositories, Repository
    from hundredweight.hub.tokens.service import Principal


class Access:
    """The rules. All calls block."""

    def __init__(self, repositories: Repositories, *, anonymous_read: bool) -> None:
        self._repositories = repositories
        self._anonymous_read = anonymous_read

    def open(self, text: str, principal: Principal, scope: Scope, *, create: bool = False) -> Repository:
        """The repository named `OWNER/NAME[.git]` for `principal` to use with `scope`.

        `create` makes a missing one where the token may write there. Raises `InvalidId` for an impossible name (404),
        `AuthenticationRequired` (401), `RepositoryMissing` (404: also for one that may not be read), `Forbidden` (403).
        """
        name = RepoName.parse(text)
        repository = self._repositories.find(name)
        reads = self.may_read(principal, name, public=repository is not None and repository.public)
        if principal.anonymous and (not reads or scope is not Scope.READ):
            raise AuthenticationRequired
        if repository is None and create and principal.may(Scope.WRITE, name):
            return self._repositories.find_or_create(name, created_by=principal.user)
        if repository is None or not reads:
            raise RepositoryMissing(name)
        if scope is not Scope.READ and not principal.may(scope, name):
            raise Forbidden(f"the token may not {_VERBS[scope]} '{name}'")
        return repository

    def may_read(self, principal: Principal, name: RepoName, *, public: bool) -> bool:
        """Whether `principal` may read the repository of that name, were it there; `public` is the repository's own flag."""
        return self._anonymous_read or public or principal.may(Scope.READ, name)

    def readable(self, principal: Principal) -> ColumnElement[bool]:
        """`may_read` as a condition on the table of repositories: an object may be in thousands of them."""
        if self._anonymous_read or principal.may(Scope.READ):
            return true()
        key = repositories.c.key
        bound = principal.bound.casefold()
        if principal.anonymous:
            return repositories.c.public.is_(True)
        own = key == bound if "/" in bound else key.startswith(bound + "/", autoescape=True)
        return or_(repositories.c.public.is_(True), own)

    def require_admin(self, principal: Principal, name: RepoName | None = None) -> None:
        """Raises `AuthenticationRequired` or `Forbidden` unless `principal` administers `name` (None: the whole hub)."""
        if principal.anonymous:
            raise AuthenticationRequired
        if not principal.may(Scope.ADMIN, name):
            raise Forbidden("the token may not administer " + (f"'{name}'" if name else "this hub"))


_VERBS = {Scope.READ: "read", Scope.WRITE: "write to", Scope.ADMIN: "administer"}
