"""`git lfs track`: send files of a pattern through LFS, or list the patterns."""

from __future__ import annotations

import sys

from hundredweight.base.quoting import quote
from hundredweight.cli.arguments import make_parser, parse
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.hook_scripts import ensure_hooks
from hundredweight.client.settings import Settings
from hundredweight.client.track import TrackOptions, TrackPlan, execute, known_patterns, plan_track

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace

_FORBIDDEN = (
    "Pattern '{}' matches forbidden file '{}'. If you would like to track {}, modify '.gitattributes' manually."
)


_DEFAULTS = {
    **dict.fromkeys(("lockable", "not_lockable", "verbose", "dry_run", "no_modify_attrs"), False),
    **dict.fromkeys(("no_excluded", "filename", "json"), False),
    "patterns": [],
}


def parser() -> ArgumentParser:
    made = make_parser("git lfs track", "Send files of a pattern through LFS, or list them.")
    made.add_argument("patterns", nargs="*", metavar="PATTERN", help="as in .gitattributes; none: list what is tracked")
    made.add_argument("-l", "--lockable", action="store_true", help="files are read-only unless locked")
    made.add_argument("--not-lockable", action="store_true", help="files are no longer lockable")
    made.add_argument("-v", "--verbose", action="store_true", help="tell which files are touched")
    made.add_argument("-d", "--dry-run", action="store_true", help="tell what would be done")
    made.add_argument("--no-modify-attrs", action="store_true", help="leave .gitattributes alone, just touch files")
    made.add_argument("--no-excluded", action="store_true", help="do not list excluded patterns")
    made.add_argument("--filename", action="store_true", help="the pattern is a file's name, taken literally")
    made.add_argument("-j", "--json", action="store_true", help="list as JSON")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parse(args, parser, _DEFAULTS, mixed=True)
    workspace = open_clone(environment, work_tree=True)
    if Settings(workspace.config, workspace.variables).track_installs_hooks:
        ensure_hooks(workspace)
    if not options.patterns:
        return _list(workspace, as_json=options.json, excluded=not options.no_excluded)
    if options.json:
        sys.stderr.write("--json option can't be combined with arguments\n")
        return 2
    chosen = TrackOptions(
        lockable=True if options.lockable else False if options.not_lockable else None,
        file_names=options.filename,
        modify=not (options.no_modify_attrs or options.dry_run),
        touch=not options.dry_run,
    )
    plan = plan_track(workspace, options.patterns, chosen)
    _tell(plan, verbose=options.verbose, touching=options.verbose or options.dry_run)
    failed = []

    def report(name: str, error: OSError) -> None:
        failed.append(name)
        sys.stderr.write(f"Error marking {quote(name)} modified: {error.strerror}\n")

    execute(plan, chosen, report)
    return 2 if failed else 1 if plan.refused else 0


def _tell(plan: TrackPlan, *, verbose: bool, touching: bool) -> None:
    for pattern in plan.patterns:
        print(f"{quote(pattern.text)} already supported" if pattern.supported else f"Tracking {quote(pattern.shown)}")
    for pattern in plan.patterns:
        if pattern.supported or pattern.replaces:
            continue
        if verbose:
            print(f"Searching for files matching pattern: {pattern.text}")
            print(f"Found {len(pattern.files)} files previously added to Git matching pattern: {pattern.text}")
        for name in pattern.forbidden:
            print(_FORBIDDEN.format(pattern.text, name, name))
        if touching and not pattern.forbidden:
            for name in pattern.files:
                print(f"Touching {quote(name)}")


def _list(workspace: Workspace, *, as_json: bool, excluded: bool) -> int:
    known = known_patterns(workspace)
    if as_json:
        rows = [
            {"pattern": p.path, "source": p.source, "lockable": bool(p.lockable), "tracked": p.is_tracked}
            for p in known
        ]
        import json

        print(json.dumps({"patterns": rows}, indent=1, ensure_ascii=False))
        return 0
    if not known:
        return 0
    print("Listing tracked patterns")
    for pattern in known:
        if pattern.lockable:
            print(f"    {pattern.path} [lockable] ({pattern.source})")
        elif pattern.is_tracked:
            print(f"    {pattern.path} ({pattern.source})")
    if excluded:
        print("Listing excluded patterns")
        for pattern in known:
            if not pattern.is_tracked and not pattern.lockable:
                print(f"    {pattern.path} ({pattern.source})")
    return 0
