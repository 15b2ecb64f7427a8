"""`cwt verify`: what goes wrong in teams: pointers, changed bytes, the wrong release, missing objects, moved tags.

Exit codes: 0 all is well, 1 something is wrong, 2 it could not be checked.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from hundredweight.base.errors import EXIT_FAILURE, EXIT_USAGE, CwtError
from hundredweight.base.files import write_file
from hundredweight.cli.main import report as report_error
from hundredweight.cli.verify_report import as_github, as_json, as_junit, as_text
from hundredweight.client.verify.verify import Options, verify
from hundredweight.client.workspace import open_workspace
from hundredweight.git import refs
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.verify.findings import Report
    from hundredweight.client.workspace import Workspace

DESCRIPTION = (
    "Check a checkout, or the commit REV without touching the work tree: weights that are still pointers, bytes that differ from "
    "the commit, another release than the recommended one (hundredweight.toml, or a line 'recommended: NAME' in the model card), "
    "big files, pickles and weights outside Git LFS, gaps in .gitattributes, data or environment other than the release's, and "
    "moved or unsigned tags. Unchanged weights are not read again: Git's index tells which changed. Each finding names the "
    "command that mends it. Exit code 0: all is well; 1: something is wrong; 2: it could not be checked."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt verify", description=DESCRIPTION)
    add = made.add_argument
    add("revision", nargs="?", default="", metavar="REV", help="a commit, tag or branch (default: the checkout)")
    add(
        "--remote",
        nargs="?",
        const="",
        metavar="NAME",
        help="also ask the remote (default: the usual one) for its tags and for every object of the commit",
    )
    add(
        "--against",
        default="",
        metavar="RELEASE",
        help="compare with this release or stage, instead of the recommended one",
    )
    add(
        "--full",
        "--deep",
        action="store_true",
        help="read all weights of the checkout, also those that Git knows to be unchanged",
    )
    add("--signed", action="store_true", help="releases must be signed, and validly (also: hundredweight.signedTags)")
    add(
        "--installed", action="store_true", help="also compare the packages of this machine's Python with the release's"
    )
    add("--strict", action="store_true", help="warnings fail, too")
    add("--json", action="store_true", help="print everything as JSON")
    add("--junit", metavar="FILE", default="", help="also write the result to FILE, in JUnit's XML")
    add("--github", action="store_true", help="also print annotations for GitHub")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    try:
        return _run(options, environment)
    except CwtError as error:
        # 1 would say that something was found.
        report_error("cwt", error)
        return EXIT_USAGE


def _run(options: argparse.Namespace, environment: Environment) -> int:
    started = time.monotonic()
    workspace = open_workspace(Git(), environment.variables)
    revision, remote = _sorted_out(workspace, options.revision, options.remote)
    if not revision and workspace.repository.bare:
        revision = "HEAD"
    found = verify(
        workspace,
        Options(revision, options.against, remote, options.full, options.signed, options.installed),
    )
    code = _exit_code(found, strict=options.strict)
    if options.junit:
        write_file(options.junit, as_junit(found, time.monotonic() - started, time.time()))
    if options.github:
        sys.stdout.write(as_github(found))
    sys.stdout.write(as_json(found, code) if options.json else as_text(found))
    top = workspace.repository.work_tree
    if found.findings and not options.json and os.path.realpath(environment.cwd) != os.path.realpath(top or "."):
        sys.stdout.write(f"paths and commands are for the top of the repository, '{top}'\n" if top else "")
    return code


def _sorted_out(workspace: Workspace, revision: str, remote: str | None) -> tuple[str, str | None]:
    """`--remote v1.2` names a revision, where no remote is called so."""
    if remote and not revision and remote not in refs.remotes(workspace.config) and "/" not in remote:
        return remote, ""
    return revision, remote


def _exit_code(found: Report, *, strict: bool) -> int:
    if found.errors or (strict and found.findings):
        return EXIT_FAILURE
    return EXIT_USAGE if found.unchecked else 0
