"""The four hooks of a clone: their text, byte for byte git-lfs's own, and putting them in place.

A hook that is ours, of any former version, is replaced silently; anybody else's is never touched without force.
"""

from __future__ import annotations

import os

from hundredweight.base.errors import CwtError
from hundredweight.base.files import WriteError, write_file
from hundredweight.base.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace

HOOKS = ("pre-push", "post-checkout", "post-commit", "post-merge")

_NOT_FOUND = (
    "This repository is configured for Git LFS but 'git-lfs' was not found on your path. "
    "If you no longer wish to use Git LFS, remove this hook by deleting "
)
_ANY_FOLDER = "the '%s' file in the hooks directory (set by 'core.hookspath'; usually '.git/hooks')."
_SET_UP = "This repository has been set up with Git LFS but Git LFS is not installed."
_CHECK = "#!/bin/sh\ncommand -v git-lfs >/dev/null 2>&1 || { "
_READ_LIMIT = 1024


class HookExists(CwtError):
    """Somebody else's hook is in the way. `hook` is its name, `content` its text."""

    hint = "run 'git lfs update --manual' to merge it by hand, or 'git lfs update --force' to replace it"

    def __init__(self, hook: str, content: str) -> None:
        super().__init__(f"Hook already exists: {hook}\n\n{indent(content)}\n")
        self.hook = hook
        self.content = content


def script(hook: str) -> str:
    """The hook's text without its last line end."""
    shout = f'printf >&2 "\\n%s\\n\\n" "{_NOT_FOUND}{_ANY_FOLDER % hook}"'
    return f'{_CHECK}{shout}; exit 2; }}\ngit lfs {hook} "$@"'


def former_scripts(hook: str) -> list[str]:
    """Every text that a version of Git LFS has written for this hook."""
    places = (_ANY_FOLDER % hook, f"'.git/hooks/{hook}'.", f".git/hooks/{hook}.")
    call = f'git lfs {hook} "$@"'
    former = [f'{_CHECK}echo >&2 "\\n{_NOT_FOUND}{place}\\n"; exit 2; }}\n{call}' for place in places]
    if hook == "pre-push":
        former += [f'{_CHECK}echo >&2 "\\n{_SET_UP}\\n"; exit {code}; }}\n{call}' for code in (0, 2)]
        calls = ("git lfs push --stdin $*", 'git lfs push --stdin "$@"', call)
        former += [f"#!/bin/sh\n{line}" for line in calls]
    return former


def hooks_folder(workspace: Workspace) -> str:
    """core.hooksPath (relative: below the work tree), else `hooks` in the common git folder."""
    repository = workspace.repository
    chosen = workspace.git_config.get("core.hookspath")
    if chosen.startswith("~"):
        chosen = workspace.git.text("config", "--type=path", "--get", "core.hookspath")
    if chosen:
        return os.path.join(repository.work_tree or repository.git_dir, chosen)
    return os.path.join(repository.common_dir, "hooks")


def install_hooks(workspace: Workspace, *, force: bool = False) -> None:
    """Put all hooks in place. Raises `HookExists` for the first that is somebody else's, after the others are done."""
    folder = hooks_folder(workspace)
    foreign: HookExists | None = None
    for hook in HOOKS:
        path = os.path.join(folder, hook)
        found = _read(path)
        trace(f"Install hook: {hook}, force={str(force).lower()}, path={path}")
        if found == script(hook):
            continue
        if not force and found and found not in former_scripts(hook):
            foreign = foreign or HookExists(hook, found)
        else:
            write_file(path, (script(hook) + "\n").encode(), mode=0o755)
    if foreign is not None:
        raise foreign


def survey(workspace: Workspace) -> tuple[list[str], list[str]]:
    """Hooks that `install_hooks` would write, and those of somebody else that do not run ours."""
    missing, foreign = [], []
    for hook in HOOKS:
        found = _read(os.path.join(hooks_folder(workspace), hook))
        if not found or found in former_scripts(hook):
            missing.append(hook)
        elif found != script(hook) and f"git lfs {hook}" not in found:
            foreign.append(hook)
    return missing, foreign


def ensure_hooks(workspace: Workspace) -> None:
    """`install_hooks` as commands do it in passing: a hook of the user's own stays, a folder that cannot be written too,
    without a word. `git lfs update` tells."""
    try:
        install_hooks(workspace)
    except (HookExists, WriteError) as error:
        trace(f"hooks not installed: {error}")


def uninstall_hooks(workspace: Workspace) -> None:
    """Remove the hooks that are ours. Raises `HookExists` for the first that is somebody else's, after the others."""
    folder = hooks_folder(workspace)
    foreign: HookExists | None = None
    for hook in HOOKS:
        path = os.path.join(folder, hook)
        found = _read(path)
        if found is None:
            continue
        if found and found != script(hook) and found not in former_scripts(hook):
            foreign = foreign or HookExists(hook, found)
        else:
            os.unlink(path)
    if foreign is not None:
        raise foreign


def manual_steps(workspace: Workspace) -> str:
    """What to add to which file, for who merges hooks by hand."""
    folder = hooks_folder(workspace).removeprefix(workspace.repository.work_tree + "/")
    steps = [f"Add the following to '{folder}/{hook}':\n\n{indent(script(hook))}" for hook in HOOKS]
    return "\n\n".join(steps)


def indent(text: str) -> str:
    return "\t" + text.replace("\n", "\n\t") if text else ""


def _read(path: str) -> str | None:
    """The hook's text, its lines without leading blanks; empty for a blank file, None when there is none."""
    try:
        with open(path, "rb") as file:
            data = file.read(_READ_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    lines = os.fsdecode(data).split("\n")
    return "\n".join(line.lstrip(" \t") for line in lines).strip()
