"""Tokens: their text, what is kept of them, who they open what for."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.base.ids import RepoName
from hundredweight.hub.database.engine import Database
from hundredweight.hub.errors import AuthenticationRequired
from hundredweight.hub.tokens import secret
from hundredweight.hub.tokens.service import (
    ANONYMOUS,
    BadToken,
    Principal,
    Scope,
    TokenMissing,
    Tokens,
    token_of,
)

MODEL, OTHER = RepoName.parse("team/model"), RepoName.parse("else/model")


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    database = Database(f"sqlite:///{tmp_path}/hub.db")
    database.migrate()
    yield Tokens(database)
    database.close()


def bearer(text: str) -> str:
    return f"Bearer {text}"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_secret_is_well_formed_and_new_each_time() -> None:
    made = {secret.make() for _ in range(50)}
    assert len(made) == 50
    assert all(secret.is_wellformed(text) and text.startswith("cwt_") and len(text) == 53 for text in made)


@given(position=st.integers(4, 52), letter=st.sampled_from("0123456789ABCabc"))
def test_a_mistyped_letter_is_noticed(position: int, letter: str) -> None:
    text = secret.make()
    changed = text[:position] + letter + text[position + 1 :]
    assert secret.is_wellformed(changed) == (changed == text)


@given(st.text())
def test_other_texts_are_no_secrets(text: str) -> None:
    assert not secret.is_wellformed(text)
    assert not secret.is_wellformed("cwt_" + text) or len(text) == 49


def test_a_token_is_known_by_its_secret_alone(tokens: Tokens, tmp_path: Path) -> None:
    token, text = tokens.create("ada", Scope.WRITE, name="laptop", bound="team")
    assert tokens.authenticate(bearer(text)) == Principal("ada", "laptop", Scope.WRITE, "team")
    assert tokens.authenticate(basic("anything", text)).user == "ada"
    assert (token.user, token.name, token.scope, token.bound, token.revoked_at) == (
        "ada",
        "laptop",
        Scope.WRITE,
        "team",
        None,
    )
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert text.encode() not in stored
    assert text[4:47].encode() not in stored
    assert secret.digest(text).encode() in stored


def test_the_first_and_the_later_uses_are_noted_sparingly(tokens: Tokens) -> None:
    _, text = tokens.create("ada", Scope.READ)
    assert tokens.list()[0].last_used_at is None
    tokens.authenticate(bearer(text))
    first = tokens.list()[0].last_used_at
    assert first is not None
    assert abs(first - time.time()) < 10
    tokens.authenticate(bearer(text))
    assert tokens.list()[0].last_used_at == first


@pytest.mark.parametrize(
    "header", ["Bearer x", "Basic !", "Basic eA==", "Basic /w==", "Digest x", "Bearer", "x", "Bearer " + "y" * 9999]
)
def test_what_is_no_token_is_refused(tokens: Tokens, header: str) -> None:
    with pytest.raises(AuthenticationRequired, match="no token of a hub"):
        tokens.authenticate(header)


def test_unknown_revoked_and_expired_tokens_are_refused(tokens: Tokens) -> None:
    with pytest.raises(AuthenticationRequired, match="unknown"):
        tokens.authenticate(bearer(secret.make()))
    token, text = tokens.create("ada", Scope.ADMIN)
    assert [ended.id for ended in tokens.revoke(str(token.id))] == [token.id]
    with pytest.raises(AuthenticationRequired, match="revoked"):
        tokens.authenticate(bearer(text))
    _, text = tokens.create("ada", Scope.ADMIN, expires_at=time.time() - 1)
    with pytest.raises(AuthenticationRequired, match="expired"):
        tokens.authenticate(bearer(text))


def test_nobody_is_anonymous(tokens: Tokens) -> None:
    assert tokens.authenticate("") is ANONYMOUS
    assert ANONYMOUS.anonymous
    assert not ANONYMOUS.may(Scope.READ, MODEL)


def test_revoking_by_name_ends_all_of_that_name(tokens: Tokens) -> None:
    for user in ("ada", "bob"):
        tokens.create(user, Scope.READ, name="ci")
    assert len(tokens.revoke("ci")) == 2
    assert all(token.revoked_at for token in tokens.list())
    for which in ("ci", "99", "nobody"):
        with pytest.raises(TokenMissing):
            tokens.revoke(which)


@pytest.mark.parametrize(
    ("bound", "name", "allowed"),
    [
        ("", MODEL, True),
        ("", None, True),
        ("team", MODEL, True),
        ("TEAM", MODEL, True),
        ("team/model", MODEL, True),
        ("Team/Model", MODEL, True),
        ("team", OTHER, False),
        ("team/model", OTHER, False),
        ("tea", MODEL, False),
        ("team", None, False),
    ],
)
def test_a_bound_token_reaches_no_further(bound: str, name: RepoName | None, allowed: bool) -> None:
    assert Principal("ada", "t", Scope.WRITE, bound).may(Scope.WRITE, name) is allowed


def test_each_scope_includes_the_lesser_ones() -> None:
    order = [Scope.READ, Scope.WRITE, Scope.ADMIN]
    for have in order:
        for want in order:
            assert Principal("a", "t", have).may(want) == (order.index(have) >= order.index(want))


@pytest.mark.parametrize(
    "fields",
    [
        {"user": ""},
        {"user": "a:b"},
        {"user": "a\nb"},
        {"user": "x" * 101},
        {"user": "ada", "name": "12"},
        {"user": "ada", "name": "a\tb"},
        {"user": "ada", "bound": "a/b/c"},
        {"user": "ada", "bound": "../x"},
        {"user": "ada", "bound": "-x"},
    ],
)
def test_an_impossible_token_is_not_made(tokens: Tokens, fields: dict[str, str]) -> None:
    with pytest.raises(BadToken):
        tokens.create(fields.pop("user"), Scope.READ, **fields)  # type: ignore[arg-type]
    assert tokens.list() == []


def test_a_token_may_be_the_user_as_some_programs_send_it() -> None:
    text = secret.make()
    assert token_of(basic(text, "")) == text
    assert token_of(basic(text, "x-oauth-basic")) == text
    assert token_of(basic("user", text)) == text
    assert token_of(f"bearer  {text} ") == text
