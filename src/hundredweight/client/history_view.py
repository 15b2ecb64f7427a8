"""What git needs to show weights: the configuration of its diff drivers, and how `cwt log` and `cwt show` run it.

Git hands a driver the content of files, which for LFS files it would have to smudge, whole and in memory. With the filter off it
hands over pointers; the drivers find the objects themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.client.pointer_files import WITHOUT_FILTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.git.run import Git

DRIVERS = ("lfs", "weights")
"""`diff=lfs` stands in the attributes of every LFS file; `diff=weights` is for weights that git itself holds."""


def driver_config(program: str = "cwt") -> list[tuple[str, str]]:
    """Git's configuration by which `git diff` prints tables of tensors, `git show` and `git log -p` a line for each tensor.
    `program` is how a shell starts ours."""
    made = []
    for name in DRIVERS:
        made.append((f"diff.{name}.textconv", f"{program} textconv"))
        made.append((f"diff.{name}.command", f"{program} diff-driver"))
    return made


def viewer(git: Git, program: str) -> Git:
    """git that hands pointers to our drivers, however the clone is configured."""
    settings = [part for key, value in driver_config(program) for part in ("-c", f"{key}={value}")]
    return git.with_options(*WITHOUT_FILTER, *settings)


def view_arguments(command: str, arguments: Sequence[str]) -> list[str]:
    """`git log` and `git show` use the table only when asked to, by an option that the user's own may take back."""
    return [command, "--ext-diff", *arguments]
