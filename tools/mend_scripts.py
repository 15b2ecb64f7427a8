"""Mends the installed programs where the environment's path has a space in it, or is long: no system starts a script whose
first line names such an interpreter, and pip writes that line without looking (only its slow wrappers are safe).

    python tools/mend_scripts.py       in the environment that has the programs
"""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAMS = ("cwt", "git-lfs")
LONGEST = 127
"""Characters of a first line that every system takes."""


def mend(script: Path) -> bool:
    """Start `script` by way of `/bin/sh` when its first line would not do. Whether it was changed."""
    first, _, rest = script.read_text().partition("\n")
    interpreter = first.removeprefix("#!")
    if not first.startswith("#!/") or not Path(interpreter).exists():
        return False
    if len(first) <= LONGEST and not any(map(str.isspace, interpreter)):
        return False
    if set(interpreter) & set("\"'\\$`"):
        raise SystemExit(f"error: '{interpreter}' cannot start programs: choose a path without quotes, $ and \\")
    # To the shell this is an exec, to Python a string.
    script.write_text(f"#!/bin/sh\n'''exec' \"{interpreter}\" \"$0\" \"$@\"\n' '''\n{rest}")
    return True


def main() -> None:
    for name in PROGRAMS:
        if mend(Path(sys.executable).parent / name):
            print(f"note: '{name}' starts by way of /bin/sh, since the path here has a space or is long")


if __name__ == "__main__":
    main()
