"""`cwt deployments`: who deployed what to a folder, when and why, and what serves."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

from hundredweight.base.errors import UsageError
from hundredweight.cli.table import format_table
from hundredweight.client.deploy import service
from hundredweight.client.deploy.deploy import NoSuchDeployment
from hundredweight.client.deploy.journal import BEGUN, Journal
from hundredweight.client.deploy.moments import parse_moment
from hundredweight.client.deploy.target import NotATarget, Target

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.deploy.journal import Deployment, History

HEAD = ("N", "WHEN (UTC)", "WHAT", "COMMIT", "STATE", "WHO", "WHY")
UNFINISHED = "unfinished"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="cwt deployments",
        description="Who deployed what to a folder, when and why, and what serves: the journal of the target. '*' marks versions "
        "that are kept, which 'cwt rollback' takes without network.",
    )
    made.add_argument("folder", nargs="?", metavar="DIR", help="the target, by default the current folder")
    made.add_argument("--to", metavar="DIR", help="the same, as 'cwt deploy' has it")
    made.add_argument("--at", metavar="TIME", help="only what served at that time, such as '2026-11-23 14:05'")
    made.add_argument("-n", "--number", metavar="N", type=int, default=0, help="only the last N")
    made.add_argument("--json", action="store_true", help="print all that is known as JSON")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    if options.folder and options.to:
        raise UsageError("the target is named twice", hint="run 'cwt deployments DIR'")
    target = Target(os.path.join(environment.cwd, options.folder or options.to or "."))
    if not target.exists:
        raise NotATarget(f"nothing was ever deployed to '{target.folder}'", hint="run 'cwt deploy SOURCE@REF --to DIR'")
    history = Journal(target.journal).read()
    chosen = _chosen(history, options)
    if options.json:
        print(json.dumps(_fields(target, history, chosen), indent=1, ensure_ascii=False))
        return 0
    kept = target.names()
    print(format_table(HEAD, [_row(one, kept) for one in chosen], right=(0,)), end="")
    current = target.current()
    known = history.serving.folder if history.serving else ""
    if current != known:
        print(f"current leads to '{current}', though '{known}' should serve: 'cwt rollback' or 'cwt deploy' mends that")
    return 0


def _chosen(history: History, options: argparse.Namespace) -> list[Deployment]:
    if options.at:
        found = history.serving_at(parse_moment(options.at))
        if found is None:
            raise NoSuchDeployment(f"nothing served at {options.at}")
        return [found]
    return history.deployments[-options.number :] if options.number > 0 else history.deployments


def _row(one: Deployment, kept: list[str]) -> list[str]:
    when = (one.switched or one.at)[:16].replace("T", " ")
    star = "*" if one.folder in kept else ""
    state = UNFINISHED if one.state == BEGUN else one.state
    if one.action == "rollback":
        state += ", rollback"
    why = one.why if one.good or not one.reason else "; ".join(part for part in (one.why, one.reason) if part)
    return [str(one.number), when, one.what.name + star, one.what.commit[:12], state, one.who, why.partition("\n")[0]]


def _fields(target: Target, history: History, chosen: list[Deployment]) -> dict[str, Any]:
    process, folder = service.running(target)
    kept = target.names()
    return {
        "target": target.folder,
        "current": target.current(),
        "service": {"pid": process.pid, "folder": folder} if process is not None else None,
        "serving": history.serving.number if history.serving else None,
        "deployments": [one.as_fields() | {"kept": one.folder in kept} for one in chosen],
    }
