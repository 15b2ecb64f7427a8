"""`cwt exp` finds its sub-commands by their modules."""

from __future__ import annotations

import subprocess

import pytest

from hundredweight.cli.cwt import exp


def test_help_names_every_sub_command(git_env: dict[str, str]) -> None:
    done = subprocess.run(["cwt", "exp", "--help"], env=git_env, capture_output=True, text=True, check=True)
    assert all(f" {name} " in done.stdout for name in exp.COMMANDS)


@pytest.mark.parametrize("args", [[], ["nothing"]])
def test_a_wrong_name_is_a_usage_error(git_env: dict[str, str], args: list[str]) -> None:
    done = subprocess.run(["cwt", "exp", *args], env=git_env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
