"""What `cwt deploy` and `cwt rollback` have in common: their options, who runs them, and what they say."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.base.progress import NullMeter
from hundredweight.base.sizes import format_size
from hundredweight.cli.progress import TransferMeter
from hundredweight.client.deploy import tag
from hundredweight.client.deploy.deploy import Changes, Person, Stage
from hundredweight.client.deploy.target import Target
from hundredweight.git.run import Git

if TYPE_CHECKING:
    import argparse

    from hundredweight.cli.env import Environment
    from hundredweight.client.deploy.deploy import Outcome

LONGEST = 1e6
OWN_NAME = "-"
"""`--tag` without a name."""


def add_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """`default` says where settings come from that are not named."""
    add = parser.add_argument
    add("--to", metavar="DIR", required=True, help="the target: the folder that is deployed to")
    add(
        "--run",
        metavar="CMD",
        help=f"the service, a shell command that stays, started in the version's folder ({default})",
    )
    add("--reload", metavar="CMD", help="a shell command that ends instead, such as 'systemctl restart NAME'")
    add("--health", metavar="URL|CMD", help="a URL that must answer 200, or a shell command that must end with 0")
    add("--health-timeout", metavar="S", type=float, help="seconds until the version must be healthy (60)")
    add(
        "--stop-timeout", metavar="S", type=float, help="seconds from SIGTERM to SIGKILL when the service is ended (10)"
    )
    add(
        "--keep",
        metavar="N",
        type=int,
        help="versions to keep, 0 for all (3); never the current and the one before it goes",
    )
    add("--why", metavar="TEXT", default="", help="the reason, for the journal")
    add(
        "--tag",
        metavar="TARGET",
        nargs="?",
        const=OWN_NAME,
        help="also tell the source, by an annotated tag deployed/TARGET/N (TARGET: by default the name of DIR)",
    )
    add("--wait", metavar="S", type=float, default=10.0, help="seconds to wait while another command changes DIR (10)")
    add("--json", action="store_true", help="print the outcome as JSON")


def changes(options: argparse.Namespace) -> Changes:
    """Raises `UsageError`."""
    if options.run and options.reload:
        raise UsageError("--run and --reload exclude each other", hint="a service that stays has --run alone")
    for name, seconds in (("health", options.health_timeout), ("stop", options.stop_timeout)):
        if seconds is not None and not 0 < seconds < LONGEST:
            raise UsageError(f"--{name}-timeout is no number of seconds")
    if options.keep is not None and options.keep < 0:
        raise UsageError("--keep is no number of versions")
    return Changes(
        _patterns(options, "include"),
        _patterns(options, "exclude"),
        options.run,
        options.reload,
        options.health,
        options.health_timeout,
        options.stop_timeout,
        options.keep,
    )


def stage(options: argparse.Namespace, environment: Environment) -> Stage:
    """Raises `BadTargetName`."""
    git = Git()
    target = Target(os.path.join(environment.cwd, options.to))
    public = ""
    if options.tag:
        public = os.path.basename(target.folder) if options.tag == OWN_NAME else options.tag
        tag.check_name(git, public)
    person = Person(_who(git, environment), socket.gethostname(), options.why)
    meter = NullMeter() if options.json else TransferMeter(sys.stderr, live=sys.stderr.isatty())
    return Stage(target, git, environment.variables, person, meter, options.wait, public)


def heed_signals() -> None:
    """A terminal that goes away, a CI job that is cancelled: as an interrupt, so that the command goes back before it ends."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def tell(outcome: Outcome, options: argparse.Namespace, target: Target) -> None:
    made = outcome.deployment
    if options.json:
        fields = made.as_fields() | {"seconds": round(outcome.seconds, 3), "tag": outcome.tag, "target": target.folder}
        print(json.dumps(fields, indent=1, ensure_ascii=False))
        return
    for path in made.skipped:
        sys.stderr.write(f"left out the submodule '{path}'\n")
    amount = f"{made.files} files, {format_size(made.bytes)}; " if made.files else ""
    healthy = f"healthy after {outcome.seconds:.1f} s" if made.settings.health else "no health check"
    print(f"{made.what.name} ({made.what.commit[:12]}) serves in '{target.path(made.folder)}' ({amount}{healthy})")
    if outcome.tag:
        print(f"tagged as {outcome.tag}")


def _patterns(options: argparse.Namespace, name: str) -> tuple[str, ...] | None:
    """Empty patterns clear the list."""
    given = getattr(options, name, None)
    return None if given is None else tuple(pattern for pattern in given if pattern)


def _who(git: Git, environment: Environment) -> str:
    """As git would sign a commit; else the login name."""
    found = git.run("var", "GIT_COMMITTER_IDENT")
    ident = os.fsdecode(found.out).strip()
    if found.code == 0 and ">" in ident:
        return ident[: ident.rindex(">") + 1]
    return environment.get("USER") or environment.get("LOGNAME") or str(os.getuid())
