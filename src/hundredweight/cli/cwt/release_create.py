"""`cwt release create`: tag what goes live, with its model card."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hundredweight.base.clock import SystemClock
from hundredweight.base.errors import UsageError
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.release_push import add_option, bring_tags, push
from hundredweight.cli.release_report import as_json
from hundredweight.client.releases.create import CreateOptions, execute, plan
from hundredweight.lineage import releases
from hundredweight.lineage.tags import Bump

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.releases.create import Created, CreatePlan

DESCRIPTION = (
    "Make a release: an annotated tag, signed where git is configured to sign (tag.gpgSign), whose message holds what "
    "is behind the weights in a block for machines: metrics, weights ids and objects, data, environment, experiment. "
    "Before it tags, the model card is written (the front matter of README.md, and eval_results.yaml) and committed "
    "on top, so that the tag has it. NAME is a tag (MODEL@vX.Y.Z, or any other name), or a model; by default it is "
    "the next version of the model. It refuses weights that nobody could get, uncommitted changes, and metrics out of "
    "the bounds in hundredweight.toml."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt release create", description=DESCRIPTION, allow_abbrev=False)
    add = made.add_argument
    add("name", nargs="?", default="", metavar="NAME", help="the tag, or a model whose next version it is")
    add(
        "--from",
        dest="experiment",
        default="",
        metavar="EXPERIMENT",
        help="release this experiment's weights: from HEAD where it has them, else from the experiment's own commit",
    )
    add("--model", default="", metavar="NAME", help="the model, by default that of hundredweight.toml")
    add(
        "--bump",
        choices=[str(bump) for bump in Bump],
        default=str(Bump.MINOR),
        help="which number goes up (default: minor)",
    )
    notes = made.add_mutually_exclusive_group()
    notes.add_argument(
        "-F", "--notes", metavar="FILE", help="take the release notes from this file; - is standard input"
    )
    notes.add_argument("-m", "--message", default="", metavar="TEXT", help="the release notes")
    add(
        "--weights",
        action="append",
        default=[],
        metavar="PATTERN",
        help="which files are the model's weights, by default as hundredweight.toml says; may be repeated",
    )
    add(
        "--force",
        default="",
        metavar="REASON",
        help="release though metrics are out of bounds; the reason goes into the notes",
    )
    add("--sign", action="store_true", help="sign the tag whatever the configuration says")
    add("--no-card", action="store_true", help="leave the model card as it is")
    add("--dry-run", action="store_true", help="check everything and print the tag's message, and change nothing")
    add("--json", action="store_true", help="print the release as JSON")
    add_option(made)
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    bring_tags(workspace, options.push)
    wanted = CreateOptions(
        name=options.name,
        model=options.model,
        experiment=options.experiment,
        notes=_notes(options),
        bump=Bump(options.bump),
        weights=tuple(options.weights),
        force=options.force.strip(),
        sign=options.sign,
        with_card=not options.no_card,
    )
    planned = plan(workspace, wanted, SystemClock().now())
    sys.stderr.write("".join(f"note: {line}\n" for line in planned.told))
    if options.dry_run:
        sys.stdout.write(planned.message)
        return 0
    made = execute(workspace, planned, sign=options.sign)
    if options.json:
        release = releases.resolve(workspace.git, made.name)
        assert release is not None
        sys.stdout.write(json.dumps(as_json(release), indent=1) + "\n")
    else:
        _tell(planned, made)
    if options.push is not None:
        push(workspace, environment, options.push, [made.name], made.moved)
    return 0


def _tell(planned: CreatePlan, made: Created) -> None:
    sys.stdout.write(f"released {made.name} at {made.commit[:12]}\n")
    if made.card:
        sys.stdout.write(f"card: {', '.join(made.card)}" + (f", committed to {made.moved}\n" if made.moved else "\n"))
    if not planned.on_head:
        sys.stdout.write("note: HEAD does not have these weights: the tag is on the experiment's own commit; ")
        sys.stdout.write(f"'git merge {made.name}' brings it here\n")
    for reason in planned.passed:
        sys.stderr.write(f"warning: {reason}\n")


def _notes(options: argparse.Namespace) -> str:
    if options.notes is None:
        return str(options.message)
    try:
        if options.notes == "-":
            return sys.stdin.read()
        with open(options.notes, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read the notes '{options.notes}': {reason}") from error
