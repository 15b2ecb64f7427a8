"""`git lfs fetch`: download objects into the local store, without touching the work tree."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hundredweight.base.progress import NullMeter
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.lfs.transfers import CommandRefused, NoCommitYet, checked_remote, refuse, report_failures
from hundredweight.cli.progress import open_meter
from hundredweight.client.fetch import Fetcher, history_rounds, recent_rounds, ref_rounds
from hundredweight.client.settings import Settings
from hundredweight.git import refs
from hundredweight.protocol.batch import DOWNLOAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hundredweight.cli.env import Environment
    from hundredweight.client.fetch import Round
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.refs import Ref
    from hundredweight.protocol.batch import BatchObject
    from hundredweight.transfer.queue import Failure, Item

_NEVER = "0001-01-01T00:00:00Z"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "git lfs fetch", description="Download objects into the local store, without touching the work tree."
    )
    add = made.add_argument
    add("-I", "--include", metavar="PATTERNS", help="only files that match one of these, comma-separated")
    add("-X", "--exclude", metavar="PATTERNS", help="no files that match one of these, comma-separated")
    add("-r", "--recent", action="store_true", help="also refs and versions of recent days (lfs.fetchrecent*)")
    add("-a", "--all", action="store_true", help="every object of all history, or of the history of the refs given")
    add("-p", "--prune", action="store_true", help="afterwards drop old objects, as 'git lfs prune' does")
    add("--refetch", action="store_true", help="also objects that are here, to mend damaged ones")
    add("--stdin", action="store_true", help="read the refs from standard input, one a line")
    add("-d", "--dry-run", action="store_true", help="print what would be fetched")
    add("-j", "--json", action="store_true", help="print the transfers as JSON")
    add("remote", nargs="?", default="", metavar="REMOTE", help="a remote's name, or a URL")
    add("refs", nargs="*", metavar="REF", help="what to fetch for, by default what is checked out")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_intermixed_args(args)
    workspace = open_clone(environment)
    try:
        return _run(workspace, environment, options)
    except CommandRefused as error:
        return refuse(error)


def _run(workspace: Workspace, environment: Environment, options: argparse.Namespace) -> int:
    remote = checked_remote(workspace, options.remote) if options.remote else ""
    wanted = _resolve(workspace, _named(options), needed=not options.all)
    if options.json and options.prune:
        raise CommandRefused("Cannot combine --json with --prune")
    failures: list[Failure] = []
    answers: list[tuple[Item, BatchObject]] = []
    with Fetcher(workspace, remote, refetch=options.refetch) as fetcher:
        for part in _rounds(workspace, options, wanted, fetcher.server.remote):
            if part.title:
                sys.stderr.write(f"{part.title}\n")
            items = fetcher.plan(part.files)
            if options.json or options.dry_run:
                found = [answer for answer in fetcher.ask(items) if DOWNLOAD in answer[1].actions]
                answers += found
            if options.dry_run:
                for item, _ in found:
                    sys.stderr.write(f"fetch {item.oid} => {item.path}\n")
            else:
                # With --json nothing else may be on stdout.
                meter = NullMeter() if options.json else open_meter(environment, workspace.config)
                some = fetcher.execute(items, meter)
                report_failures(some)
                failures += some
        url = fetcher.url
    if options.prune:
        _prune(environment, dry_run=options.dry_run)
    if failures:
        raise CommandRefused(f"error: failed to fetch some objects from '{url}'")
    if options.json:
        print(json.dumps({"transfers": [_fields(workspace, *one) for one in answers]}, indent=1, ensure_ascii=False))
    return 0


def _named(options: argparse.Namespace) -> list[str]:
    if not options.stdin:
        return list(options.refs)
    return [*options.refs, *(line.strip() for line in sys.stdin if line.strip())]


def _resolve(workspace: Workspace, names: list[str], *, needed: bool) -> list[Ref]:
    try:
        if names:
            return [refs.resolve(workspace.git, name) for name in names]
        return [refs.resolve(workspace.git, "HEAD")] if needed else []
    except refs.UnknownRef as error:
        if not names:
            raise NoCommitYet("fetch") from error
        raise CommandRefused(f"Invalid ref argument: {names}", hint=error.hint) from error


def _rounds(workspace: Workspace, options: argparse.Namespace, wanted: list[Ref], remote: str) -> Iterator[Round]:
    settings = Settings(workspace.config, workspace.variables)
    if options.all:
        if options.recent:
            raise CommandRefused("Cannot combine --all with --recent")
        if options.include is not None or options.exclude is not None:
            raise CommandRefused("Cannot combine --all with --include or --exclude")
        if settings.fetch_include or settings.fetch_exclude:
            sys.stderr.write("Ignoring global include / exclude paths to fulfil --all\n")
        yield from history_rounds(workspace, wanted)
        return
    paths = settings.path_filter(options.include, options.exclude)
    yield from ref_rounds(workspace, wanted, paths)
    if options.recent or settings.fetch_recent_always:
        yield from recent_rounds(workspace, settings, remote, wanted, paths, time.time())


def _fields(workspace: Workspace, item: Item, answer: BatchObject) -> dict[str, object]:
    """One transfer as git-lfs prints it."""
    actions = {}
    for name, action in answer.actions.items():
        at = action.expires_at
        stamp = _NEVER if at is None else datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        shown: dict[str, object] = {"href": action.href}
        if action.header:
            shown["header"] = dict(action.header)
        shown["expires_at"] = stamp
        if action.expires_in:
            shown["expires_in"] = action.expires_in
        actions[name] = shown
    fields: dict[str, object] = {"name": item.path, "oid": item.oid, "size": item.size}
    if answer.authenticated:
        fields["authenticated"] = True
    return {**fields, "actions": actions, "path": os.path.abspath(workspace.store.path(item.oid))}


def _prune(environment: Environment, *, dry_run: bool) -> None:
    from hundredweight.cli.lfs import prune

    prune.run(["--dry-run", "--verbose"] if dry_run else [], environment)
