"""`git lfs push`: upload objects of refs, or named objects, to a remote's LFS server."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_USAGE
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.lfs.transfers import CommandRefused, WholeMeter, checked_remote, refuse, report_failures
from hundredweight.cli.progress import open_meter
from hundredweight.client.lock_check import LockCheck, LockCheckFailed
from hundredweight.client.push import BadObject, RemoteBranches, Update, Upload, items_by_id, plan_push, send
from hundredweight.client.settings import Settings
from hundredweight.git import refs
from hundredweight.git.scan import ScanError
from hundredweight.protocol.batch import UPLOAD
from hundredweight.transfer.basic import ObjectCorrupt, ObjectMissing
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hundredweight.base.errors import CwtError
    from hundredweight.cli.env import Environment
    from hundredweight.client.lock_check import HeldLock
    from hundredweight.client.workspace import Workspace
    from hundredweight.transfer.queue import Failure
    from hundredweight.transfer.server import LfsServer

_HINTS = """hint: Your push was rejected due to missing or corrupt local objects.
hint: You can disable this check with: `git config lfs.allowincompletepush true`"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("git lfs push", description="Upload objects to a remote's LFS server.")
    add = made.add_argument
    add("-d", "--dry-run", action="store_true", help="print what would be pushed")
    add(
        "-a",
        "--all",
        action="store_true",
        help="objects of all history of the refs, by default of all branches and tags",
    )
    add("-o", "--object-id", action="store_true", help="the arguments are object ids, not refs")
    add("--stdin", action="store_true", help="read refs or object ids from standard input, one a line")
    add("remote", nargs="?", default="", metavar="REMOTE", help="a remote's name, or a URL")
    add("names", nargs="*", metavar="REF|OID", help="what to push")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_intermixed_args(args)
    if not options.remote:
        print("Specify a remote and a remote branch name (`git lfs push origin main`)")
        return 1
    workspace = open_clone(environment)
    try:
        remote = checked_remote(workspace, options.remote)
        names = _names(options)
        if names is None:
            return 1
        if options.object_id:
            return _push_objects(workspace, environment, remote, names, dry_run=options.dry_run)
        updates = _updates(workspace, remote, names, everything=options.all)
        return push_updates(workspace, environment, remote, updates, everything=options.all, dry_run=options.dry_run)
    except (CommandRefused, BadObject, ScanError) as error:
        return refuse(error)


def _names(options: argparse.Namespace) -> list[str] | None:
    """The refs or ids to push; None after telling that there are none."""
    if options.stdin:
        if options.names:
            print("Further command line arguments are ignored with --stdin")
            return None
        return [line.strip() for line in sys.stdin if line.strip()]
    if not options.names and (options.object_id or not options.all):
        what = (
            "object ID must be supplied with --object-id" if options.object_id else "ref must be supplied without --all"
        )
        print(f"At least one {what}")
        return None
    return list(options.names)


def _updates(workspace: Workspace, remote: str, names: Sequence[str], *, everything: bool) -> list[Update]:
    """What each name stands for: a local branch or tag, else anything git resolves."""
    local = refs.local_refs(workspace.git)
    if everything and not names:
        return [_update(workspace, remote, ref) for ref in local]
    by_name = {ref.name: ref for ref in reversed(local)}
    updates = []
    for name in names:
        try:
            updates.append(_update(workspace, remote, by_name.get(name) or refs.resolve(workspace.git, name)))
        except refs.UnknownRef as error:
            raise CommandRefused(f"Invalid ref argument: {name}\nError getting local refs.", hint=error.hint) from error
    return updates


def _update(workspace: Workspace, remote: str, ref: refs.Ref) -> Update:
    return Update(ref.name, ref.commit, refs.push_target(workspace.config, remote, ref))


def push_updates(
    workspace: Workspace,
    environment: Environment,
    remote: str,
    updates: Sequence[Update],
    *,
    everything: bool = False,
    dry_run: bool = False,
) -> int:
    """The whole of a push with its messages; gives the exit code. Raises `ScanError`."""
    if not updates:
        return 0
    allow_missing = Settings(workspace.config, workspace.variables).allow_incomplete_push
    branches = RemoteBranches(workspace, "" if everything else remote)
    failures: list[Failure] = []
    with _open(workspace, remote) as server:
        locks = LockCheck(workspace, server)
        try:
            for update in updates:
                locks.verify(update.target)
        except LockCheckFailed as error:
            return refuse(error)
        finally:
            sys.stderr.write("".join(f"{line}\n" for line in locks.notices))
        plan = plan_push(workspace, updates, locks, branches, everything=everything, allow_missing=allow_missing)
        if dry_run:
            _print_plan(plan)
            return _report_locks(locks)
        meter = WholeMeter(open_meter(environment, workspace.config))
        try:
            for upload in plan:
                if upload.items:
                    failures += send(workspace, server, upload.target, upload.items, meter)
        finally:
            meter.close()
    if not _report(failures, allow_missing=allow_missing):
        return EXIT_USAGE
    return _report_locks(locks)


def _open(workspace: Workspace, remote: str) -> LfsServer:
    git_dir = workspace.repository.git_dir
    return open_server(workspace.config, workspace.git, workspace.variables, remote, UPLOAD, git_dir=git_dir)


def _push_objects(
    workspace: Workspace, environment: Environment, remote: str, names: Sequence[str], *, dry_run: bool
) -> int:
    items = items_by_id(workspace, names)
    if dry_run:
        _print_items((item.oid, item.path) for item in items)
        return 0
    head = refs.current(workspace.git)
    target = refs.push_target(workspace.config, remote, head) if head is not None else ""
    with _open(workspace, remote) as server:
        failures = send(workspace, server, target, items, open_meter(environment, workspace.config)) if items else []
    return 0 if _report(failures, allow_missing=False) else EXIT_USAGE


def _print_plan(plan: Iterable[Upload]) -> None:
    _print_items((file.pointer.oid, file.path) for upload in plan for file in upload.files)


def _print_items(items: Iterable[tuple[str, str]]) -> None:
    """Each object once, at its first path."""
    for oid, path in dict(reversed(list(items))).items():
        print(f"push {oid} => {path}")


def _report(failures: Sequence[Failure], *, allow_missing: bool) -> bool:
    """Tell what was not sent; gives whether the push may go on."""
    own = [failure for failure in failures if isinstance(failure.error, ObjectMissing | ObjectCorrupt)]
    others = [failure for failure in failures if failure not in own]
    report_failures(others)
    # An error that stopped the whole push is shared by objects that are here; only its own is named.
    faults = [failure for failure in own if _oid(failure.error) == failure.item.oid]
    if faults:
        print(f"Git LFS upload {'missing objects' if allow_missing else 'failed'}:")
        for kind, label in ((ObjectMissing, "missing"), (ObjectCorrupt, "corrupt")):
            for failure in faults:
                if isinstance(failure.error, kind):
                    print(f"  ({label}) {failure.item.path} ({failure.item.oid})")
        if not allow_missing:
            print(_HINTS)
    sys.stdout.flush()
    return not others and (allow_missing or not own)


def _oid(error: CwtError) -> str:
    return error.oid if isinstance(error, ObjectMissing | ObjectCorrupt) else ""


def _report_locks(locks: LockCheck) -> int:
    if locks.theirs:
        print("Unable to push locked files:")
        for held in locks.theirs.values():
            print(f"* {held.path} - {_owners(held, locks.verified)}")
        sys.stdout.flush()
        if locks.enforced:
            sys.stderr.write("Cannot update locked files.\n")
            return EXIT_USAGE
        sys.stderr.write("warning: The above files would have halted this push.\n")
    elif locks.mine:
        print("Consider unlocking your own locked files: (`git lfs unlock <path>`)")
        for held in locks.mine.values():
            print(f"* {held.path}")
    return 0


def _owners(held: HeldLock, verified: Sequence[str]) -> str:
    """Who holds the lock; for which refs, unless it is for all that are pushed."""
    named = []
    for owner, targets in held.owners.items():
        short = ", ".join(sorted(target.removeprefix(refs.HEADS) for target in targets))
        named.append(owner if len(targets) == len(verified) else f"{owner} (refs: {short})")
    return ", ".join(sorted(named))
