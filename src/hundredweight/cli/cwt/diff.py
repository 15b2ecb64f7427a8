"""`cwt diff`: what changed in weights, tensor by tensor, between revisions, files or in the work tree."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import dataclass, field

from hundredweight.base.errors import EXIT_FAILURE, CwtError
from hundredweight.cli.lfs.transfers import CommandRefused, report_failures
from hundredweight.cli.pager import Pager, colour_wanted
from hundredweight.cli.progress import TransferMeter
from hundredweight.cli.tensor_report import as_json, as_markdown, as_text
from hundredweight.cli.weights import opened, printable
from hundredweight.client.diff import Plan, Subject, compare_models, compare_subject, plan
from hundredweight.client.remote_recipes import learn
from hundredweight.client.weight_files import URL_SCHEMES, NotWeights
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.diff import File, ModelDiff
    from hundredweight.client.workspace import Workspace

DESCRIPTION = (
    "Show what changed in weights: tensors added, removed, renamed, reshaped, of another type or changed; for changed ones the "
    "share of elements that changed, the relative L2 norm of the difference, its largest absolute value, the cosine; by layer. "
    "Metadata and hyper-parameters that changed are named. Revisions, paths and options are those of 'git diff': without a "
    "revision the work tree is compared with the index, with one with that, with two (A B, A..B, A...B) they with each other; "
    "--cached, -R and -M mean what they mean to git. Shards of one model are compared as one model. Other files are shown by git "
    "itself. Two arguments that name files, REV:PATH or URLs are compared with each other."
)
_TO_GIT = (
    "--name-only", "--name-status", "--raw", "--numstat", "--shortstat", "--summary", "--dirstat", "--cumulative", "--check",
    "--quiet", "--relative", "--output", "-z", "-s", "--no-patch", "-q", "-X",
)  # fmt: skip
"""With these git's own answer is what is asked for."""
_LOOKS = (
    "-p", "-u", "--patch", "-U", "--unified", "--stat", "--compact-summary", "--binary", "--color", "--no-color", "--word-diff",
    "--ext-diff", "--no-ext-diff", "--textconv", "--no-textconv", "--exit-code",
)  # fmt: skip
"""How git shows files, which is nothing to what a diff covers."""


@dataclass
class Options:
    """Ours, and what is git's: `git` as given, `covers` what of it says which files are compared."""

    json: bool = False
    markdown: bool = False
    stat: bool = False
    fetch: bool = False
    no_index: bool = False
    exit_code: bool = False
    colour: str = ""
    git: list[str] = field(default_factory=list)
    covers: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    separated: bool = False
    for_git: bool = False


def parser() -> argparse.ArgumentParser:
    """For help: `run` leaves all that is git's to git."""
    made = argparse.ArgumentParser("cwt diff", description=DESCRIPTION, allow_abbrev=False)
    add = made.add_argument
    add("--json", action="store_true", help="print everything as JSON")
    add("--md", action="store_true", help="print Markdown, for a merge request")
    add(
        "--stat",
        action="store_true",
        help="only which tensors changed, without statistics of their data; of other files git's --stat",
    )
    add("--fetch", action="store_true", help="first download objects that are not here")
    add("--no-index", action="store_true", help="compare two files, wherever they are")
    add("--exit-code", action="store_true", help="exit with 1 where there are differences, with 0 where there are none")
    add("--color", nargs="?", metavar="WHEN", help="always, never or auto; always also draws the heat strip")
    add("revisions", nargs="*", metavar="REVISION", help="as for 'git diff'; or two files or URLs")
    add("paths", nargs="*", metavar="-- PATH", help="only what is below these")
    return made


def run(args: list[str], environment: Environment) -> int:
    if "-h" in args or "--help" in args:
        parser().print_help()
        return 0
    options = parse(args)
    git = Git()
    targets = _targets(git, options)
    if options.for_git or (options.no_index and not targets):
        return _run_git(git, options.git)
    if targets:
        return _diff_targets(git, environment, options, targets)
    workspace = open_workspace(git, environment.variables)
    planned = plan(workspace, options.covers)
    if not planned.subjects and not (options.json or options.markdown):
        return _run_git(git, [*(["--exit-code"] if options.exit_code else []), *options.git])
    if options.fetch:
        _fetch(workspace, planned)
    else:
        learn(workspace, [file.pointer for file in planned.pointers()])
    return _Printer(workspace, options, args).show(planned)


def parse(args: list[str]) -> Options:
    """Ours are taken out of git's own command line."""
    made = Options()
    ours = {
        "--json": "json",
        "--md": "markdown",
        "--fetch": "fetch",
        "--no-index": "no_index",
        "--exit-code": "exit_code",
    }
    for place, arg in enumerate(args):
        if arg == "--":
            made.separated = True
            made.git += args[place:]
            made.covers += args[place:]
            break
        if arg in ours:
            setattr(made, ours[arg], True)
            if arg == "--no-index":
                made.git.append(arg)
            continue
        made.git.append(arg)
        if not arg.startswith("-") or arg == "-":
            made.names.append(arg)
        elif arg == "--stat" or arg.startswith("--stat="):
            made.stat = True
        elif arg.startswith(("--color", "--no-color")) and "-moved" not in arg and "-words" not in arg:
            made.colour = "never" if arg == "--no-color" else arg.partition("=")[2] or "always"
        made.for_git |= arg.partition("=")[0] in _TO_GIT or arg.startswith("-X")
        if not _is_look(arg):
            made.covers.append(arg)
    return made


def _is_look(arg: str) -> bool:
    return arg.startswith("-") and (
        arg.partition("=")[0].startswith(_LOOKS) if arg.startswith("--") else arg[:2] in _LOOKS
    )


def _targets(git: Git, options: Options) -> list[str]:
    """Two files that are named to be compared with each other."""
    names = options.names
    if len(names) != 2 or (options.separated and not options.no_index):
        return []
    if all(_is_file(name) or (not options.no_index and _is_blob(git, name)) for name in names):
        return names
    return []


def _is_file(name: str) -> bool:
    return name.startswith(URL_SCHEMES) or os.path.isfile(name)


def _is_blob(git: Git, name: str) -> bool:
    return ":" in name[1:] and git.run("cat-file", "-t", name).out.strip() == b"blob"


def _run_git(git: Git, args: list[str]) -> int:
    """git itself, with nothing of ours; its drivers need no content of pointers to be written for them."""
    sys.stdout.flush()
    with git.with_env(GIT_LFS_SKIP_SMUDGE="1").popen("diff", *args) as process:
        return process.wait()


def _diff_targets(git: Git, environment: Environment, options: Options, targets: list[str]) -> int:
    try:
        with opened(targets[0], environment) as old, opened(targets[1], environment) as new:
            found = compare_models(old, new, statistics=not options.stat)
    except NotWeights:
        if options.json or options.markdown or options.fetch:
            raise
        return _run_git(git, options.git if options.no_index else [*options.git[:-2], "--no-index", *targets])
    differs = bool(found.tensors.changes or found.facts)
    if options.json:
        print(json.dumps({"models": [as_json(found)]}, indent=2))
    elif options.markdown:
        sys.stdout.write(as_markdown(found))
    else:
        with Pager(git) as pager:
            _write(found, pager, options)
    return EXIT_FAILURE if differs and options.exit_code else 0


def _write(found: ModelDiff, pager: Pager, options: Options) -> None:
    colour = colour_wanted(pager.git, "color.diff", terminal=pager.terminal, asked=options.colour)
    strip = pager.terminal or options.colour == "always"
    sys.stdout.write(as_text(found, strip=strip, colour=colour))
    sys.stdout.flush()


def _fetch(workspace: Workspace, planned: Plan) -> None:
    from hundredweight.client.fetch import Fetcher

    missing = [file for file in planned.pointers() if not workspace.store.has(file.pointer.oid, file.pointer.size)]
    if not missing:
        return
    with Fetcher(workspace) as fetcher:
        failures = fetcher.execute(fetcher.plan(missing), TransferMeter(sys.stderr, live=sys.stderr.isatty()))
        report_failures(failures)
        if failures:
            raise CommandRefused(f"error: failed to fetch some objects from '{fetcher.url}'")


class _Printer:
    """Shows what a plan covers, model by model. What cannot be compared is told at once, and fails the command at its end."""

    def __init__(self, workspace: Workspace, options: Options, args: list[str]) -> None:
        self._workspace = workspace
        self._options = options
        self._hint = f"run '{shlex.join(['cwt', 'diff', '--fetch', *args])}' to download it"
        self._objects: list[Subject] = []
        self._failed: list[tuple[str, CwtError]] = []

    def show(self, planned: Plan) -> int:
        if self._options.json:
            self._show_json(planned)
        elif self._options.markdown:
            self._show_markdown(planned)
        else:
            self._show_text(planned)
        if self._failed:
            return max(error.exit_code for _, error in self._failed)
        return EXIT_FAILURE if self._options.exit_code and (planned.subjects or planned.others) else 0

    def _compare(self, planned: Plan, subject: Subject) -> ModelDiff | None:
        """None where it is no model, or cannot be compared."""
        try:
            return compare_subject(
                self._workspace, planned, subject, hint=self._hint, statistics=not self._options.stat
            )
        except NotWeights:
            self._objects.append(subject)
        except CwtError as error:
            self._failed.append((subject.name, error))
            sys.stdout.flush()
            sys.stderr.write(f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return None

    def _show_text(self, planned: Plan) -> None:
        with Pager(self._workspace.repository.git) as pager:
            first = True
            for subject in planned.subjects:
                found = self._compare(planned, subject)
                if found is not None:
                    sys.stdout.write("" if first else "\n")
                    _write(found, pager, self._options)
                    first = False
            for subject in self._objects:
                sys.stdout.write(f"object {printable(subject.name)}\n{object_lines(subject)}")
            if planned.others:
                sys.stdout.write("" if first else "\n")
                _run_git(pager.git, [*self._options.git, *_without(planned)])

    def _show_markdown(self, planned: Plan) -> None:
        for subject in planned.subjects:
            found = self._compare(planned, subject)
            if found is not None:
                sys.stdout.write(as_markdown(found) + "\n")
        names = [*(subject.name for subject in self._objects), *(change.path for change in planned.others)]
        if names:
            listed = "".join(f"- `{printable(name)}`\n" for name in names)
            sys.stdout.write(f"### Other files\n\n{listed}")

    def _show_json(self, planned: Plan) -> None:
        compared = [self._compare(planned, subject) for subject in planned.subjects]
        made = {
            "models": [as_json(found) for found in compared if found is not None],
            "objects": [
                {
                    "name": subject.name,
                    "old": _pointer_json(subject.old),
                    "new": _pointer_json(subject.new),
                }
                for subject in self._objects
            ],
            "files": [{"name": change.path, "status": change.status} for change in planned.others],
            "failed": [
                {"name": name, "error": error.message, "hint": error.hint or None} for name, error in self._failed
            ],
        }
        print(json.dumps(made, indent=2))


def object_lines(subject: Subject) -> str:
    """An LFS object that is no model: its ids and sizes, as the lines that changed."""
    lines = ""
    for sign, files in (("-", subject.old), ("+", subject.new)):
        for file in files:
            where = (
                "in the work tree" if file.pointer is None else f"sha256:{file.pointer.oid} {file.pointer.size} bytes"
            )
            lines += f"  {sign} {where}\n"
    return lines


def _pointer_json(files: tuple[File, ...]) -> dict[str, object] | None:
    pointers = [file.pointer for file in files if file.pointer is not None]
    return {"oid": pointers[0].oid, "size": pointers[0].size} if pointers else None


def _without(planned: Plan) -> list[str]:
    """Pathspecs that leave out what was shown already."""
    paths = dict.fromkeys(file.path for subject in planned.subjects for file in subject.files)
    return [f":(exclude,top,literal){path}" for path in paths]
