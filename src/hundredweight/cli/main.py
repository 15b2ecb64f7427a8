"""The dispatcher of both programs: argv[1] picks a module, which is loaded on demand; nothing else is imported first.

A command module has `run(args: list[str], environment: Environment) -> int`: it parses, calls `client` or `hub`, prints and
returns the exit code. `CwtError` ends here, as `error: MESSAGE`, `hint: HINT` on stderr and the class's exit code.
"""

from __future__ import annotations

import os
import sys

from hundredweight.base.errors import EXIT_NOT_A_REPOSITORY, CwtError, UsageError
from hundredweight.cli.env import read_environment, start_trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from hundredweight.cli.env import Environment

# The value is the module below hundredweight.cli; commands that share a module are told apart by name in argv.
GIT_LFS_COMMANDS = (
    "checkout", "clean", "clone", "env", "ext", "fetch", "filter-process", "fsck", "install", "lock", "locks", "logs",
    "ls-files", "migrate", "pointer", "post-checkout", "post-commit", "post-merge", "pre-push", "prune", "pull", "push",
    "smudge", "status", "track", "uninstall", "unlock", "untrack", "update", "version",
)  # fmt: skip
CWT_COMMANDS = (
    "ci", "clone", "data", "deploy", "deployments", "diff", "diff-driver", "du", "exp", "hub", "id", "init",
    "inspect", "log", "merge-driver", "merge-weights", "pack", "release", "restore", "rollback", "show", "textconv",
    "transfer-agent", "unpack", "verify", "version",
)  # fmt: skip


class UnknownCommand(UsageError):
    """A command that the program does not have. `git lfs` ends with 127, as stock git-lfs does, and as shells do."""

    def __init__(self, program: str, name: str) -> None:
        shown = _PROGRAMS[program]
        super().__init__(f"unknown command '{name}'", hint=f"run '{shown} help' for the list of commands")
        if program == "lfs":
            self.exit_code = 127


def git_lfs() -> NoReturn:
    """The program `git-lfs`."""
    _main("lfs", GIT_LFS_COMMANDS, sys.argv[1:])


def cwt() -> NoReturn:
    """The program `cwt`."""
    _main("cwt", CWT_COMMANDS, sys.argv[1:])


def _main(program: str, commands: tuple[str, ...], argv: list[str]) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        # Paths that are not valid in the locale's encoding leave as they came.
        stream.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    environment = read_environment()
    start_trace(environment)
    try:
        code = dispatch(program, commands, argv, environment)
        sys.stdout.flush()
    except CwtError as error:
        code = report(program, error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001 - the outermost frame: what nobody expected is logged and told
        from hundredweight.cli.crash import handle

        code = handle(error, environment)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End without the interpreter's tear-down (3 ms of a hook's time); both streams are flushed first."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        pass
    os._exit(code)


def dispatch(program: str, commands: tuple[str, ...], argv: list[str], environment: Environment) -> int:
    """Run one command in this process and return its exit code. Raises `CwtError`."""
    if program == "lfs" and not argv:
        # As stock: the version, the list of commands, and no failure.
        _version(environment)
        argv = ["help"]
    name = argv[0] if argv else ""
    if name in ("version", "--version", "-v") and len(argv) == 1:
        return _version(environment)
    if name in ("", "help", "-h", "--help"):
        from hundredweight.cli.help import show

        return show(program, commands, argv)
    if name not in commands:
        raise UnknownCommand(program, name)
    module = __import__(f"hundredweight.cli.{program}.{name.replace('-', '_')}", fromlist=["run"])
    code: int = module.run(argv[1:], environment)
    return code


_PROGRAMS = {"lfs": "git lfs", "cwt": "cwt"}


def version_line() -> str:
    from hundredweight import __version__

    machine = os.uname()
    python = sys.version_info
    system = machine.sysname.lower()
    return (
        f"git-lfs/{__version__} (hundredweight; {system} {machine.machine}; python {python[0]}.{python[1]}.{python[2]})"
    )


def _version(_environment: Environment) -> int:
    sys.stdout.write(version_line() + "\n")
    return 0


def report(program: str, error: CwtError) -> int:
    """Say what failed and what mends it, on stderr; gives the exit code."""
    if program == "lfs" and error.exit_code == EXIT_NOT_A_REPOSITORY:
        # Scripts look for git-lfs's own words about the place it was started in, and on stdout.
        sys.stdout.write((error.git_lfs_text or error.message) + "\n")
        return error.exit_code
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
    return error.exit_code
