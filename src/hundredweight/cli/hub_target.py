"""Which hub a `cwt hub` command works on: a data folder on this machine, or a running hub at a URL."""

from __future__ import annotations

import os
from contextlib import contextmanager

from hundredweight.base.errors import UsageError
from hundredweight.git import config
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from hundredweight.cli.env import Environment
    from hundredweight.hub.admin.interface import Administration

TOKEN = "CWT_HUB_TOKEN"
URL = "CWT_HUB_URL"
DATA = "CWT_HUB_DATA"


class NoHub(UsageError):
    """There is no hub where the command should work."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", help=f"the hub's data folder (default: {DATA}); it may be in use")
    parser.add_argument(
        "--hub", metavar="URL", help=f"a running hub instead, such as http://127.0.0.1:8417 (default: {URL})"
    )
    parser.add_argument("--token", help=f"an admin token for --hub (default: {TOKEN}, or DIR/admin-token with --data)")


@contextmanager
def administration(args: argparse.Namespace, environment: Environment) -> Iterator[Administration]:
    """The hub that the options name; what the command line says counts before the environment. Raises `NoHub`."""
    data, url = args.data or "", args.hub or ""
    if not data and not url:
        data, url = environment.get(DATA), environment.get(URL)
    admin = _remote(url, data, args.token, environment) if url else _local(data, environment)
    try:
        yield admin
    finally:
        admin.close()


def run_action(
    options: argparse.Namespace, environment: Environment, actions: Mapping[str, Callable[[Administration, Any], int]]
) -> int:
    """Do what `options.action` names on the hub that the options name; the exit code."""
    with administration(options, environment) as admin:
        return actions[options.action](admin, options)


def _local(data: str, environment: Environment) -> Administration:
    from hundredweight.hub.admin.service import LocalAdministration
    from hundredweight.hub.services import open_services
    from hundredweight.hub.settings import load

    if not data:
        raise NoHub("no hub was named", hint="pass --data DIR or --hub URL")
    settings = load(environment.variables, data=data)
    if not os.path.exists(settings.inside("hub.db")):
        raise NoHub(f"'{data}' is not the data folder of a hub", hint=f"'cwt hub serve --data {data}' makes one")
    return LocalAdministration(open_services(settings), _login(environment))


def _remote(url: str, data: str, token: str | None, environment: Environment) -> Administration:
    from hundredweight.hub.admin.remote import RemoteAdministration

    found = token or environment.get(TOKEN) or _read_token(data)
    if not found:
        raise NoHub("a token is needed", hint=f"pass --token, set {TOKEN}, or name the hub's folder with --data")
    git = Git()
    return RemoteAdministration(url, found, config.load(git), git, environment.variables)


def _read_token(data: str) -> str:
    if not data:
        return ""
    path = os.path.join(data, "admin-token")
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise NoHub(f"cannot read '{path}': {error.strerror}", hint=f"pass --token or set {TOKEN}") from error


def _login(environment: Environment) -> str:
    return environment.get("USER") or environment.get("LOGNAME") or "admin"
