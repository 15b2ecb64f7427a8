"""`cwt hub repo`: make, list and delete a hub's repositories."""

from __future__ import annotations

import argparse
import json
import sys

from hundredweight.base.errors import EXIT_FAILURE
from hundredweight.cli.hub_target import add_arguments, run_action
from hundredweight.cli.table import format_moment, format_table

DESCRIPTION = "A push to a repository that does not exist makes it too, where the token may write."

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.hub.admin.interface import Administration


def run(args: list[str], environment: Environment) -> int:
    return run_action(parser().parse_args(args), environment, _ACTIONS)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="cwt hub repo", description=DESCRIPTION)
    actions = result.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make an empty repository")
    create.add_argument("name", metavar="OWNER/NAME", help="letters, digits, '.', '_' and '-', in any case")
    create.add_argument("--public", action="store_true", help="everybody may read it, without a token")
    create.add_argument(
        "--object-format", choices=("sha1", "sha256"), default="sha1", help="git's hash, as in git init (sha1)"
    )
    create.add_argument("--json", action="store_true", help="print the repository as JSON")
    listing = actions.add_parser("list", help="list all repositories")
    listing.add_argument("--json", action="store_true", help="print them as a JSON array")
    delete = actions.add_parser("delete", help="delete a repository with its git data, locks and claims on objects")
    delete.add_argument(
        "name", metavar="OWNER/NAME", help="which one; its objects stay on disk until garbage collection"
    )
    delete.add_argument("--yes", action="store_true", help="do it without asking")
    for action in (create, listing, delete):
        add_arguments(action)
    return result


def _create(admin: Administration, options: argparse.Namespace) -> int:
    made = admin.create_repository(options.name, public=options.public, object_format=options.object_format)
    sys.stdout.write(json.dumps(made) + "\n" if options.json else f"created {made['name']}\n")
    return 0


def _list(admin: Administration, options: argparse.Namespace) -> int:
    found = admin.repositories()
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    rows = [
        (repo["name"], "public" if repo["public"] else "private", format_moment(repo["created_at"]), repo["created_by"])
        for repo in found
    ]
    sys.stdout.write(format_table(("NAME", "ACCESS", "CREATED", "BY"), rows))
    return 0


def _delete(admin: Administration, options: argparse.Namespace) -> int:
    if not options.yes:
        sys.stderr.write(f"delete '{options.name}' with its history and locks? There is no way back. [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            sys.stderr.write("nothing was deleted\n")
            return EXIT_FAILURE
    admin.delete_repository(options.name)
    sys.stdout.write(f"deleted {options.name}\n")
    return 0


_ACTIONS = {"create": _create, "list": _list, "delete": _delete}
