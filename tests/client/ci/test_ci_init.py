"""`cwt ci init`: the files of both hosts, valid by their published schemas, and nothing written over."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from hundredweight.client.ci.init import Host, State, plan_ci, write_ci
from tests.people import PROGRAMS

ROOT = Path(__file__).parents[3]
PEERS = ROOT / ".peers" / "lifecycle" / "bin"


@pytest.fixture
def work(tmp_path: Path, git_env: dict[str, str]) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path / "work")], env=git_env, check=True)
    return tmp_path / "work"


def cwt(work: Path, env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAMS / "cwt", *args], cwd=work, env=env, capture_output=True, text=True, check=False)


def valid(schema: str, *files: Path, gitlab: bool = False) -> subprocess.CompletedProcess[str]:
    if not (PEERS / "check-jsonschema").exists():
        pytest.skip("no check-jsonschema: run 'make .peers/lifecycle/ready'")
    transform = ["--data-transform", "gitlab-ci"] if gitlab else []
    command = [str(PEERS / "check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *transform, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_github_files_are_written_once(work: Path, git_env: dict[str, str]) -> None:
    first = cwt(work, git_env, "ci", "init", "github")
    assert first.returncode == 0, first.stderr
    assert first.stdout == "".join(
        f"wrote .github/workflows/model-{name}.yml\n" for name in ("deploy", "gate", "train")
    )
    assert cwt(work, git_env, "ci", "init", "github").stdout == "everything is there already\n"
    done = valid("github-workflows", *(work / ".github" / "workflows").iterdir())
    assert done.returncode == 0, done.stdout


def test_gitlab_files_are_written_and_valid(work: Path, git_env: dict[str, str]) -> None:
    assert (
        cwt(work, git_env, "ci", "init", "gitlab").stdout == "wrote .gitlab/hundredweight.yml\nwrote .gitlab-ci.yml\n"
    )
    done = valid("gitlab-ci", work / ".gitlab-ci.yml", work / ".gitlab" / "hundredweight.yml", gitlab=True)
    assert done.returncode == 0, done.stdout
    assert cwt(work, git_env, "ci", "init", "gitlab").stdout == "everything is there already\n"


def test_what_somebody_wrote_is_kept_until_forced(work: Path, git_env: dict[str, str]) -> None:
    (work / ".gitlab-ci.yml").write_text("test:\n  script: [make]\n")
    (work / ".gitlab").mkdir()
    (work / ".gitlab" / "hundredweight.yml").write_text("# mine\n")
    kept = cwt(work, git_env, "ci", "init", "gitlab")
    assert kept.stdout == (
        "kept: .gitlab/hundredweight.yml, which is changed; --force writes it anew\n"
        "next: add '- local: .gitlab/hundredweight.yml' under 'include:' in .gitlab-ci.yml\n"
    )
    assert (work / ".gitlab" / "hundredweight.yml").read_text() == "# mine\n"
    assert "wrote .gitlab/hundredweight.yml\n" in cwt(work, git_env, "ci", "init", "gitlab", "--force").stdout
    assert (work / ".gitlab-ci.yml").read_text() == "test:\n  script: [make]\n"


def test_init_writes_them_when_it_is_asked_to(work: Path, git_env: dict[str, str]) -> None:
    missing = cwt(work, git_env, "init", "--ci", "github", "--check")
    assert "missing: workflows: .github/workflows/model-deploy.yml, " in missing.stdout
    first = cwt(work, git_env, "init", "--ci", "github")
    assert "set up: workflows: .github/workflows/model-deploy.yml, " in first.stdout
    assert first.stdout.endswith("next: commit .gitattributes and hundredweight.toml and workflows\n")
    assert cwt(work, git_env, "init", "--ci", "github").stdout == "everything is set up already\n"
    (work / ".github" / "workflows" / "model-gate.yml").write_text("name: mine\n")
    kept = cwt(work, git_env, "init", "--ci", "github")
    assert kept.stdout == "kept: .github/workflows/model-gate.yml is changed\neverything is set up already\n"


def test_a_bare_repository_has_no_place_for_them(tmp_path: Path, git_env: dict[str, str]) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "bare")], env=git_env, check=True)
    done = cwt(tmp_path / "bare", git_env, "ci", "init", "github")
    assert done.returncode != 0
    assert "bare" in done.stderr


def test_the_plan_says_what_is_with_each_file(tmp_path: Path) -> None:
    plan = plan_ci(str(tmp_path), Host.GITHUB)
    assert [file.state for file in plan.files] == [State.MISSING] * 3
    assert write_ci(str(tmp_path), plan) == plan.missing
    assert [file.state for file in plan_ci(str(tmp_path), Host.GITHUB).files] == [State.SAME] * 3
    (tmp_path / plan.files[0].path).write_text("x")
    assert plan_ci(str(tmp_path), Host.GITHUB).files[0].state is State.CHANGED


def test_action_component_and_hooks_of_this_repository_are_valid(tmp_path: Path) -> None:
    done = valid("github-actions", ROOT / "action.yml")
    assert done.returncode == 0, done.stdout
    spec, jobs = (ROOT / "templates" / "gate" / "template.yml").read_text().split("\n---\n")
    inputs = yaml.safe_load(spec)["spec"]["inputs"]
    assert all(f"$[[ inputs.{name} ]]" in jobs for name in inputs)
    (tmp_path / "component.yml").write_text(jobs)
    done = valid("gitlab-ci", tmp_path / "component.yml", gitlab=True)
    assert done.returncode == 0, done.stdout
    done = subprocess.run(
        [PEERS / "pre-commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
