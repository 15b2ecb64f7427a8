"""Programs that are installed where the path has a space start all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.mend_scripts import mend

BODY = "import sys\n\nprint(*sys.argv[1:], sep='|')\n"


def program(folder: Path, name: str = "python") -> Path:
    """A script as pip writes it, in an environment in `folder`."""
    folder.mkdir(parents=True)
    interpreter = folder / name
    interpreter.symlink_to(sys.executable)
    script = folder / "program"
    script.write_text(f"#!{interpreter}\n{BODY}")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("folder", ["my models/bin", "/".join(["long"] * 40)])
def test_a_path_that_no_system_starts(tmp_path: Path, folder: str) -> None:
    script = program(tmp_path / folder)
    assert mend(script)
    done = subprocess.run([script, "a b", "$c", "'"], capture_output=True, text=True, check=True)
    assert done.stdout == "a b|$c|'\n"
    assert not mend(script)


def test_others_stay_as_they_are(tmp_path: Path) -> None:
    script = tmp_path / "program"
    for text in (f"#!{sys.executable}\n{BODY}", "#!/bin/sh -e\n", "#!/no such/python\n", "", "text\n"):
        script.write_text(text)
        assert not mend(script)
        assert script.read_text() == text


def test_a_path_that_a_shell_would_take_apart_is_refused(tmp_path: Path) -> None:
    script = program(tmp_path / "a $b")
    with pytest.raises(SystemExit, match="choose a path without quotes"):
        mend(script)
