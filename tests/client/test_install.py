"""The filter's configuration: set, renewed, refused, removed, in each scope."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.client.install import (
    ConfigFailed,
    FilterConflict,
    Scope,
    filter_values,
    install_filter,
    plan_access,
    plan_filter,
    uninstall_filter,
    update_access,
)
from tests.clones import Clone

LOCAL = Scope(("--local",))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def present(clone: Clone) -> dict[str, str]:
    lines = clone.git.run("config", "--local", "--get-regexp", r"^filter\.lfs\.").out.decode().splitlines()
    return {key.removeprefix("filter.lfs."): value for key, _, value in (line.partition(" ") for line in lines)}


@pytest.mark.parametrize("skip", [False, True])
def test_installing_twice_changes_nothing_more(clone: Clone, skip: bool) -> None:
    install_filter(clone.git, LOCAL, plan_filter(clone.git, LOCAL, skip_smudge=skip))
    assert present(clone) == filter_values(skip)
    assert plan_filter(clone.git, LOCAL, skip_smudge=skip).changes == []
    other = plan_filter(clone.git, LOCAL, skip_smudge=not skip)
    assert [key for key, _ in other.changes] == ["filter.lfs.smudge", "filter.lfs.process"]


def test_former_defaults_are_renewed_and_other_values_refused(clone: Clone) -> None:
    clone.git.output("config", "filter.lfs.clean", "git-lfs clean %f")
    assert ("filter.lfs.clean", "git-lfs clean -- %f") in plan_filter(clone.git, LOCAL).changes
    clone.git.output("config", "filter.lfs.clean", "mine")
    with pytest.raises(FilterConflict) as caught:
        plan_filter(clone.git, LOCAL)
    assert str(caught.value) == 'the "filter.lfs.clean" attribute should be "git-lfs clean -- %f" but is "mine"'
    install_filter(clone.git, LOCAL, plan_filter(clone.git, LOCAL, force=True))
    assert present(clone) == filter_values(False)


def test_several_values_become_one_by_force(clone: Clone) -> None:
    clone.git.output("config", "--add", "filter.lfs.smudge", "one")
    clone.git.output("config", "--add", "filter.lfs.smudge", "two")
    install_filter(clone.git, LOCAL, plan_filter(clone.git, LOCAL, force=True))
    assert clone.git.text("config", "--get-all", "filter.lfs.smudge") == "git-lfs smudge -- %f"


def test_uninstalling_leaves_other_scopes_and_sections(clone: Clone, tmp_path: Path) -> None:
    file = Scope(("--file", str(tmp_path / "file")))
    clone.git.output("config", "filter.other.clean", "stays")
    for scope in (LOCAL, file):
        install_filter(clone.git, scope, plan_filter(clone.git, scope))
    uninstall_filter(clone.git, LOCAL)
    uninstall_filter(clone.git, LOCAL)
    assert present(clone) == {}
    assert clone.git.text("config", "filter.other.clean") == "stays"
    assert plan_filter(clone.git, file).changes == []


def test_a_scope_that_is_not_there_is_an_error(clone: Clone, tmp_path: Path) -> None:
    clone.commit()
    clone.git.output("worktree", "add", "-q", str(tmp_path / "other"))
    with pytest.raises(ConfigFailed) as caught:
        plan_filter(clone.git, Scope(("--worktree",)))
    assert "error running git 'config --worktree" in str(caught.value)
    (tmp_path / "file").mkdir()
    with pytest.raises(ConfigFailed):
        install_filter(clone.git, Scope(("--file", str(tmp_path / "file"))), plan_filter(clone.git, LOCAL))


def test_access_modes_of_former_versions(clone: Clone) -> None:
    for url, mode in (
        ("https://a", "private"),
        ("https://b", "basic"),
        ("https://c", "odd"),
        ("https://d", "negotiate"),
    ):
        clone.git.output("config", f"lfs.{url}.access", mode)
    space = clone.workspace()
    plan = plan_access(space.config)
    assert (plan.to_basic, plan.to_remove) == ([("https://a", "private")], [("https://c", "odd")])
    update_access(space, plan)
    after = clone.workspace().config
    modes = {url: after.get(f"lfs.https://{url}.access") for url in "abcd"}
    assert modes == {"a": "basic", "b": "basic", "c": "", "d": "negotiate"}
