"""`cwt hub token`: make, list and revoke a hub's tokens."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime

from hundredweight.base.errors import UsageError
from hundredweight.cli.hub_target import add_arguments, run_action
from hundredweight.cli.table import format_moment, format_table

DESCRIPTION = "A token is the password for git and git-lfs, with any user name, and the Bearer token of the API."

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.hub.admin.interface import Administration, TokenFacts

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def run(args: list[str], environment: Environment) -> int:
    return run_action(parser().parse_args(args), environment, _ACTIONS)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="cwt hub token", description=DESCRIPTION)
    actions = result.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a token and print it; it is shown this once")
    create.add_argument("--user", required=True, help="whom it stands for: the owner of locks, the author of pushes")
    create.add_argument(
        "--scope", choices=("read", "write", "admin"), default="read", help="what it may do (default: read)"
    )
    create.add_argument("--name", default="", help="what to call it in lists (default: the user's name)")
    create.add_argument(
        "--repo", default="", metavar="OWNER[/NAME]", help="restrict it to one owner's repositories, or to one"
    )
    create.add_argument("--expires", metavar="WHEN", help="when it ends: 90d, 12h, 4w, or a date such as 2027-01-31")
    create.add_argument("--json", action="store_true", help="print it with its facts as JSON")
    listing = actions.add_parser("list", help="list the tokens, without their secrets")
    listing.add_argument("--all", action="store_true", help="the revoked and expired ones too")
    listing.add_argument("--json", action="store_true", help="print them as a JSON array")
    revoke = actions.add_parser("revoke", help="end a token at once")
    revoke.add_argument("which", metavar="ID|NAME", help="its id, or a name: then every token of that name")
    for action in (create, listing, revoke):
        add_arguments(action)
    return result


def _create(admin: Administration, options: argparse.Namespace) -> int:
    expires = None if options.expires is None else parse_expiry(options.expires, time.time())
    made = admin.create_token(
        options.user, options.scope, name=options.name, repository=options.repo, expires_at=expires
    )
    if options.json:
        sys.stdout.write(json.dumps(made) + "\n")
        return 0
    where = f" on {made['repository']}" if made["repository"] else ""
    sys.stderr.write(f"token {made['id']} of {made['user']}: {made['scope']}{where}; it is shown this once\n")
    sys.stdout.write(made["token"] + "\n")
    return 0


def _list(admin: Administration, options: argparse.Namespace) -> int:
    now = time.time()
    found = [token for token in admin.tokens() if options.all or state(token, now) == "live"]
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    rows = [
        (
            str(token["id"]),
            token["name"],
            token["user"],
            token["scope"],
            token["repository"] or "all",
            format_moment(token["created_at"]),
            format_moment(token["last_used_at"], "never"),
            format_moment(token["expires_at"], "never"),
            state(token, now),
        )
        for token in found
    ]
    head = ("ID", "NAME", "USER", "SCOPE", "REPOSITORY", "CREATED", "LAST USED", "EXPIRES", "STATE")
    sys.stdout.write(format_table(head, rows, right=(0,)))
    return 0


def _revoke(admin: Administration, options: argparse.Namespace) -> int:
    for token in admin.revoke_token(options.which):
        sys.stdout.write(f"revoked token {token['id']} ({token['name']}) of {token['user']}\n")
    return 0


_ACTIONS = {"create": _create, "list": _list, "revoke": _revoke}


def state(token: TokenFacts, now: float) -> str:
    """live, revoked or expired."""
    if token["revoked_at"] is not None:
        return "revoked"
    expires = token["expires_at"]
    return "expired" if expires is not None and expires <= now else "live"


def parse_expiry(text: str, now: float) -> float:
    """Seconds since 1970 for spans from `now`, such as 90d, and for ISO dates and times (by default UTC). Raises `UsageError`."""
    number, unit = text[:-1], text[-1:].lower()
    if unit in _UNITS and number.isascii() and number.isdigit():
        moment = now + int(number) * _UNITS[unit]
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"'{text}' is no time span or date", hint="write 90d, 12h, 4w or 2027-01-31") from None
        moment = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if moment <= now:
        raise UsageError(f"'{text}' is in the past")
    if moment > 253402300799:
        raise UsageError(f"'{text}' is too far away")
    return moment
