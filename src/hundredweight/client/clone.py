"""`cwt clone` and `git lfs clone`: git clones without the filter; then the clone is set up, and its weights are pulled.

Git would run every file through the filter, one after the other, each whole in memory. `pull` writes them itself. A
`cwt clone` that was stopped, even killed, is marked in its own configuration until it is complete, and the same command
goes on where it ended.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, UsageError
from hundredweight.client.hook_scripts import ensure_hooks
from hundredweight.client.install import Scope, install_filter, plan_filter
from hundredweight.client.pointer_files import WITHOUT_FILTER, WRITES_LATER
from hundredweight.client.repository_format import ensure
from hundredweight.client.workspace import open_workspace
from hundredweight.git.new import is_new
from hundredweight.lineage.experiments import refspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git

MARK = "hundredweight.cloning"
_SHORT_WITH_VALUE = frozenset("jobuc")
_LONG_WITH_VALUE = (
    "branch", "bundle-uri", "config", "depth", "filter", "jobs", "origin", "ref-format", "reference", "reference-if-able",
    "revision", "separate-git-dir", "server-option", "shallow-exclude", "shallow-since", "template", "upload-pack",
)  # fmt: skip
_LONG_FLAGS = (
    "also-filter-submodules", "bare", "dissociate", "hardlinks", "ipv4", "ipv6", "local", "mirror", "no-checkout",
    "no-hardlinks", "no-local", "no-reject-shallow", "no-remote-submodules", "no-shallow-submodules", "no-single-branch",
    "no-tags", "progress", "quiet", "recurse-submodules", "recursive", "reject-shallow", "remote-submodules",
    "shallow-submodules", "shared", "single-branch", "sparse", "tags", "verbose",
)  # fmt: skip
_OURS = ("include", "exclude")


class CloneFailed(CwtError):
    """git could not clone; it has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"git clone failed with exit code {code}")
        self.exit_code = code if 0 < code < 256 else 1


@dataclass
class CloneRequest:
    """`options` go to git as they are. `folder` is never empty: where git would put the clone."""

    options: list[str]
    url: str = ""
    folder: str = ""
    include: str | None = None
    exclude: str | None = None
    bare: bool = False
    checkout: bool = True
    submodules: bool = False
    quiet: bool = False
    origin: str = "origin"

    @property
    def has_files(self) -> bool:
        return self.checkout and not self.bare

    @property
    def template(self) -> tuple[str, ...]:
        """The options of git that say where a new repository's hooks and the like come from."""
        found: tuple[str, ...] = ()
        for place, option in enumerate(self.options):
            if option.startswith("--te"):
                found = tuple(self.options[place : place + (1 if "=" in option else 2)])
        return found


def parse_arguments(args: Sequence[str]) -> CloneRequest:
    """Ours (-I, -X) are taken out of git's own command line. Raises `UsageError` without a repository to clone."""
    request = CloneRequest([])
    names: list[str] = []
    waiting = list(args)
    while waiting:
        arg = waiting.pop(0)
        if arg == "--":
            names += waiting
            break
        if arg.startswith("--"):
            _take_long(request, arg, waiting)
        elif arg.startswith("-") and arg != "-":
            _take_short(request, arg, waiting)
        else:
            names.append(arg)
    if not 1 <= len(names) <= 2:
        raise UsageError("name a repository to clone, and maybe a folder", hint="run 'cwt clone URL [DIR]'")
    request.url = names[0]
    request.folder = names[1] if len(names) == 2 else guess_folder(names[0], bare=request.bare)
    return request


def guess_folder(url: str, *, bare: bool = False) -> str:
    """The folder that `git clone URL` makes, by git's rules."""
    scheme, separator, rest = url.partition("://")
    path = rest if separator else scheme
    host = path.partition("/")[0]
    path = path[len(host.rpartition("@")[0]) + 1 :] if "@" in host else path
    path = path.rstrip(" /").removesuffix("/.git").rstrip("/")
    if "/" not in path and separator:
        head, colon, port = path.rpartition(":")
        path = head if colon and port.isdigit() else path
    name = path.replace(":", "/").rpartition("/")[2]
    name = name.removesuffix(".bundle").removesuffix(".git")
    name = " ".join("".join(" " if ord(char) < 33 or ord(char) == 127 else char for char in name).split())
    if not name:
        raise UsageError(f"no folder's name can be made of '{url}'", hint="name one: 'cwt clone URL DIR'")
    return f"{name}.git" if bare else name


def run_git_clone(
    git: Git, request: CloneRequest, *, resumable: bool = False, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Clone without the filter; git talks to the terminal itself. With `resumable` the clone carries the mark until
    `complete`, and one that carries it is gone on with. `meanwhile` is called while git runs. Raises `CloneFailed`."""
    if resumable and _resume(git, request):
        return
    mark = ("--config", f"{MARK}=true", *_with_experiments(request)) if resumable else ()
    quiet = git.with_env(**{WRITES_LATER: "1"}).with_options(*WITHOUT_FILTER)
    with quiet.popen("clone", *mark, *request.options, "--", request.url, request.folder) as process:
        meanwhile()
        code = process.wait()
    if code:
        raise CloneFailed(code)


def _with_experiments(request: CloneRequest) -> tuple[str, ...]:
    """Options by which git fetches experiments now (of a single branch or a shallow clone: from the first fetch on) and later; a
    bare repository has no remote's refs of its own."""
    if request.bare:
        return ()
    return "--config", f"remote.{request.origin}.fetch={refspec(request.origin)}"


def complete(workspace: Workspace) -> None:
    """Nothing is missing any more."""
    workspace.git.run("config", "--local", "--unset", MARK)


def set_up(
    git: Git, folder: str, variables: Mapping[str, str], *, hooks: bool = True, own_filter: bool = True
) -> Workspace:
    """The clone as a workspace, with hooks, and with its own filter where the user has none: so that later git commands
    know what a pointer is."""
    workspace = open_workspace(git.at(os.path.abspath(folder)), variables)
    if own_filter and not workspace.config.get("filter.lfs.clean"):
        scope = Scope(("--local",))
        install_filter(workspace.git, scope, plan_filter(workspace.git, scope))
        workspace = open_workspace(git.at(os.path.abspath(folder)), variables)
    ensure(workspace)
    if hooks:
        ensure_hooks(workspace)
    return workspace


def keep_filters(workspace: Workspace, request: CloneRequest) -> None:
    """Make -I and -X the clone's own settings, so that later checkouts do not fetch what was left out."""
    for key, value in (("lfs.fetchinclude", request.include), ("lfs.fetchexclude", request.exclude)):
        if value is not None:
            workspace.git.output("config", "--local", key, value)


def submodule_folders(workspace: Workspace) -> list[str]:
    """Of all submodules that are checked out, nested ones too."""
    out = workspace.git.output("submodule", "--quiet", "foreach", "--quiet", "--recursive", "printf '%s\\0' \"$PWD\"")
    return [os.fsdecode(path) for path in out.split(b"\0") if path]


def _resume(git: Git, request: CloneRequest) -> bool:
    """Whether a marked clone of the same URL is there; what git left undone in it is done first. What git had only begun is
    removed, so that it can begin again."""
    git_dir = request.folder if request.bare else os.path.join(request.folder, ".git")
    config = os.path.join(git_dir, "config")
    there = git.at(os.path.abspath(request.folder))
    marked = os.path.isfile(config) and git.run("config", "--file", config, "--bool", MARK).out.strip() == b"true"
    if marked and _is_fetched(there, request):
        origin = os.fsdecode(git.run("config", "--file", config, "--get-regexp", r"^remote\..*\.url$").out)
        if request.url not in (line.partition(" ")[2] for line in origin.splitlines()):
            return False
        _unlock(git_dir, "config")
        if request.has_files:
            _check_out(there, git_dir, request)
        return True
    # Killed while git fetched, or before it wrote the mark: nothing in it is anybody's but git's own.
    alone = os.path.isdir(git_dir) and (request.bare or os.listdir(request.folder) == [".git"])
    if alone and (marked or is_new(git, git_dir, bare=request.bare, template=request.template)):
        shutil.rmtree(git_dir)
    return False


def _is_fetched(there: Git, request: CloneRequest) -> bool:
    """Whether git had written all but the files: the upstream of the branch comes last."""
    if not there.ok("rev-parse", "--verify", "--quiet", "HEAD^{tree}"):
        return False
    branch = there.run("symbolic-ref", "--quiet", "--short", "HEAD").out.strip()
    return request.bare or not branch or there.ok("config", "--get", f"branch.{os.fsdecode(branch)}.merge")


def _check_out(there: Git, git_dir: str, request: CloneRequest) -> None:
    """Git was killed while it wrote the files: whatever it wrote, it writes again, what `pull` wrote stays."""
    quiet = there.with_env(**{WRITES_LATER: "1"}).with_options(*WITHOUT_FILTER)
    _unlock(git_dir, "index")
    if not os.path.exists(os.path.join(git_dir, "index")):
        quiet.output("checkout", "--force", "HEAD")
    if request.submodules:
        quiet.output("submodule", "update", "--init", "--recursive")


def _unlock(git_dir: str, name: str) -> None:
    """Whoever held that lock was killed."""
    lock = os.path.join(git_dir, f"{name}.lock")
    if os.path.exists(lock):
        os.unlink(lock)


def _take_long(request: CloneRequest, arg: str, waiting: list[str]) -> None:
    name, equals, value = arg[2:].partition("=")
    full = _full_name(name)
    takes_value = full in _LONG_WITH_VALUE or full in _OURS
    extra = [waiting.pop(0)] if takes_value and not equals and waiting else []
    if full in _OURS:
        setattr(request, full, value if equals else "".join(extra))
        return
    request.options += [arg, *extra]
    if full == "origin":
        request.origin = value if equals else "".join(extra)
    _note(request, full)


def _full_name(name: str) -> str:
    """Git takes any unambiguous beginning of an option's name."""
    known = (*_LONG_WITH_VALUE, *_LONG_FLAGS, *_OURS)
    fitting = [name] if name in known else [long for long in known if long.startswith(name)]
    return fitting[0] if len(fitting) == 1 else name


def _take_short(request: CloneRequest, arg: str, waiting: list[str]) -> None:
    for place, letter in enumerate(arg[1:], 1):
        rest = arg[place + 1 :]
        if letter in "IX":
            value = rest or (waiting.pop(0) if waiting else "")
            setattr(request, "include" if letter == "I" else "exclude", value)
            if place > 1:
                request.options.append(arg[:place])
            return
        if letter in _SHORT_WITH_VALUE:
            request.options += [arg, waiting.pop(0)] if not rest and waiting else [arg]
            if letter == "o":
                request.origin = rest or request.options[-1]
            return
        _note(request, {"n": "no-checkout", "q": "quiet"}.get(letter, ""))
    request.options.append(arg)


def _note(request: CloneRequest, name: str) -> None:
    if name in ("bare", "mirror"):
        request.bare = True
    elif name == "no-checkout":
        request.checkout = False
    elif name in ("recursive", "recurse-submodules"):
        request.submodules = True
    elif name == "quiet":
        request.quiet = True
