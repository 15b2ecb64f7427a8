"""What an administrator may ask of a hub, and the answers as they are written in JSON: over HTTP and by `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Protocol


class RepositoryFacts(TypedDict):
    """One repository. Times are seconds since 1970 (UTC)."""

    name: str
    public: bool
    created_at: float
    created_by: str


class TokenFacts(TypedDict):
    """One token without its secret. `repository` is what it is bound to: empty for the whole hub, OWNER, or OWNER/NAME."""

    id: int
    name: str
    user: str
    scope: str
    repository: str
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    revoked_at: float | None


class NewToken(TokenFacts):
    """A token just made. `token` is the secret, told this once."""

    token: str


class RepositoryStats(TypedDict):
    """What one repository's objects come to. `logical_bytes` is what a client sees; `stored_bytes` what they take on the hub's
    disk: the packs that hold them, and those that stand in none; `shared_bytes` the part of `stored_bytes` that holds objects of
    other repositories too, so that deleting this one frees `stored_bytes - shared_bytes`."""

    name: str
    objects: int
    logical_bytes: int
    stored_bytes: int
    shared_bytes: int


class HubStats(TypedDict):
    """The whole hub. `objects` and `stored_bytes` count an object once, `logical_bytes` once for each repository that has it."""

    repositories: int
    objects: int
    logical_bytes: int
    stored_bytes: int
    by_repository: list[RepositoryStats]


class CheckFinding(TypedDict):
    """One thing that a check found. `kind` is one of `store.check.Kind`; `name` the object's id, or where a stray thing lies;
    `repositories` some that possess the object; `place` where its bytes were moved to, empty when they were not."""

    event: Literal["finding"]
    kind: str
    name: str
    size: int
    reason: str
    repositories: list[str]
    place: str


class CheckProgress(TypedDict):
    """How far a check is: `objects` of about `total`, and bytes read."""

    event: Literal["progress"]
    objects: int
    total: int
    bytes: int


class CheckReport(TypedDict):
    """The last of a check. `ok` says that nothing is damaged, unreadable or missing; the numbers count findings by kind."""

    event: Literal["end"]
    ok: bool
    objects: int
    bytes: int
    damaged: int
    unreadable: int
    missing: int
    unrecorded: int
    stray: int
    quarantined: int


CheckEvent = CheckFinding | CheckProgress | CheckReport


if TYPE_CHECKING:

    class Administration(Protocol):
        """One hub. Raises `CwtError`s: what is missing, exists already, or is not allowed."""

        def repositories(self) -> list[RepositoryFacts]: ...
        def create_repository(self, name: str, *, public: bool, object_format: str) -> RepositoryFacts: ...
        def delete_repository(self, name: str) -> None: ...
        def tokens(self) -> list[TokenFacts]: ...
        def create_token(
            self, user: str, scope: str, *, name: str, repository: str, expires_at: float | None
        ) -> NewToken: ...
        def revoke_token(self, which: str) -> list[TokenFacts]:
            """End the token with that id, or all of that name."""

        def stats(self) -> HubStats: ...
        def check(self, *, repair: bool) -> Generator[CheckEvent]:
            """Verify every stored object; `repair` moves damaged ones aside. Findings and progress as they come, last a
            `CheckReport`. Closing the iterator ends the check."""

        def close(self) -> None: ...
