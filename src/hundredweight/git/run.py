"""Running git, and the one place that builds its environment.

Short calls without input go through `posix_spawn` (importing `subprocess` costs 9 ms, a spawn 1.4); everything
else through `subprocess`, imported when first needed. Output is bytes; git's paths are decoded with `os.fsdecode`.
"""

from __future__ import annotations

import os

from hundredweight.base.errors import CwtError
from hundredweight.base.trace import enabled, trace
from hundredweight.git.process import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from subprocess import Popen
    from typing import NoReturn


class GitError(CwtError):
    """git ended with an error. `command`, `code` and `stderr` (text, stripped) are its facts."""

    def __init__(self, command: tuple[str, ...], code: int, stderr: str) -> None:
        first = stderr.splitlines()[0] if stderr else f"exit code {code}"
        super().__init__(f"git {command[0] if command else ''} failed: {first}")
        self.command = command
        self.code = code
        self.stderr = stderr


class GitMissing(CwtError):
    """There is no git to run."""

    hint = "install git 2.32 or newer and make sure that it is on PATH"


class Result:
    """What a finished git said: exit `code`, `out` and `err` as bytes."""

    __slots__ = ("code", "err", "out")

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.out = out
        self.err = err


class Git:
    """git in one folder with one environment. Immutable; methods may be called from several threads."""

    def __init__(self, folder: str = "", env: Mapping[str, str] | None = None, options: tuple[str, ...] = ()) -> None:
        """`folder` is git's `-C` (empty: the current one); `env` replaces the process's; `options` go before each command."""
        self.folder = folder
        self.env: dict[str, str] = dict(os.environ if env is None else env)
        # Set by git while it works on a submodule; most git commands refuse to run with it.
        self.env.pop("GIT_INTERNAL_SUPER_PREFIX", None)
        self.options = options

    def at(self, folder: str, *, keep_repository: bool = False) -> Git:
        """The same git elsewhere. Unless `keep_repository`, GIT_DIR and its kin are dropped: they name another place."""
        if keep_repository:
            return Git(folder, self._absolute_env(), self.options)
        return Git(folder, {k: v for k, v in self.env.items() if k not in _REPOSITORY_VARIABLES}, self.options)

    def _absolute_env(self) -> dict[str, str]:
        """The environment with paths that mean the same from another folder."""
        relative = [name for name in _PATH_VARIABLES if not os.path.isabs(self.env.get(name) or "/")]
        if not relative:
            return self.env
        here = os.path.abspath(self.folder or ".")
        return {**self.env, **{name: os.path.join(here, self.env[name]) for name in relative}}

    def with_env(self, **changes: str) -> Git:
        return Git(self.folder, {**self.env, **changes}, self.options)

    def with_options(self, *options: str) -> Git:
        return Git(self.folder, self.env, (*self.options, *options))

    def argv(self, args: tuple[str, ...]) -> list[str]:
        return ["git", *(("-C", self.folder) if self.folder else ()), *self.options, *args]

    def run(self, *args: str, stdin: bytes | None = None) -> Result:
        """Run to the end, whatever the exit code. Raises `GitMissing`."""
        argv = self.argv(args)
        if enabled():
            trace("exec: " + " ".join(f"'{part}'" if i else part for i, part in enumerate(argv)))
        try:
            if hasattr(os, "posix_spawnp"):
                return _run(argv, self.env, stdin or b"")
            return _run_subprocess(argv, self.env, stdin)
        except FileNotFoundError as error:
            raise GitMissing("git was not found") from error

    def output(self, *args: str, stdin: bytes | None = None) -> bytes:
        """stdout. Raises `GitError` on a non-zero exit code."""
        result = self.run(*args, stdin=stdin)
        if result.code:
            self._fail(args, result)
        return result.out

    def text(self, *args: str, stdin: bytes | None = None) -> str:
        """stdout without its last line end, decoded as git paths are."""
        return os.fsdecode(self.output(*args, stdin=stdin)).removesuffix("\n")

    def fields(self, *args: str, stdin: bytes | None = None) -> list[str]:
        """NUL-separated stdout of a `-z` command."""
        out = self.output(*args, stdin=stdin)
        return os.fsdecode(out.removesuffix(b"\0")).split("\0") if out else []

    def ok(self, *args: str) -> bool:
        """Whether git exits with 0; its output is dropped."""
        return self.run(*args).code == 0

    def start(self, *args: str, errors: bool = True) -> Running:
        """A running git whose output is read as it comes (`git/process.py`). The caller closes it. Raises `GitMissing`."""
        argv = self.argv(args)
        if enabled():
            trace("exec: " + " ".join(f"'{part}'" if i else part for i, part in enumerate(argv)))
        try:
            return Running(argv, self.env, errors=errors)
        except FileNotFoundError as error:
            raise GitMissing("git was not found") from error

    def popen(self, *args: str, **options: object) -> Popen[bytes]:
        """A running git; `options` as for `subprocess.Popen`. The caller ends it (use it as a context)."""
        import subprocess  # noqa: PLC0415 - 9 ms that filters and hooks do not pay

        # Descriptors that were handed to us are git's too (GIT_TRACE=3 names one); our own are never inheritable.
        options.setdefault("close_fds", False)
        if enabled():
            trace("exec: " + " ".join(self.argv(args)))
        try:
            return subprocess.Popen(self.argv(args), env=self.env, **options)  # type: ignore[call-overload,no-any-return]
        except FileNotFoundError as error:
            raise GitMissing("git was not found") from error

    def _fail(self, args: tuple[str, ...], result: Result) -> NoReturn:
        raise GitError(args, result.code, result.err.decode("utf-8", "replace").strip())


def service_environment(
    settings: Iterable[tuple[str, str]] = (), variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """git's environment inside the hub, built from nothing: no user's or system's configuration, English messages, `settings` as
    configuration over the repository's own, `variables` on top. The folder's owner does not matter: the hub hands git its
    own data only, and a mounted volume may belong to anybody."""
    env = {
        name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "GIT_EXEC_PATH") if name in os.environ
    }
    env.update(
        LC_ALL="C",
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_ATTR_NOSYSTEM="1",
        GIT_TERMINAL_PROMPT="0",
        GIT_OPTIONAL_LOCKS="0",
    )
    pairs = [("safe.directory", "*"), *settings]
    env["GIT_CONFIG_COUNT"] = str(len(pairs))
    for number, (key, value) in enumerate(pairs):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return {**env, **(variables or {})}


_PATH_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
_REPOSITORY_VARIABLES = frozenset(
    (
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_NAMESPACE",
        "GIT_SHALLOW_FILE",
    )
)


def _run(argv: list[str], env: dict[str, str], stdin: bytes) -> Result:
    with Running(argv, env) as process:
        out = b"".join(process.chunks(stdin))
        return Result(process.wait(), out, process.said)


def _run_subprocess(argv: list[str], env: dict[str, str], stdin: bytes | None) -> Result:
    import subprocess  # noqa: PLC0415 - 9 ms that filters and hooks do not pay

    done = subprocess.run(argv, env=env, input=stdin or b"", capture_output=True, check=False, close_fds=False)
    return Result(done.returncode, done.stdout, done.stderr)
