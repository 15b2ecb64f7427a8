"""Workflow files of hosts, run as their runners do: the shell steps, in order, in a fresh checkout without weights.

What a runner has of its own (contexts, checkout, cache) is given by the test; anything else in a file that we do not know
is an error, so a file cannot quietly say what nothing runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Checkout:
    """What both kinds of runners work in. `env` is what the machine gives every step."""

    url: str
    folder: Path
    env: dict[str, str]
    said: str = ""

    def run(self, script: str, env: dict[str, str], *, check: bool = True) -> int:
        """As a runner runs a step: bash that ends at the first command that fails."""
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.folder, env=self.env | env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=100, check=False,
        )  # fmt: skip
        self.said += f"$ {script}\n{done.stdout}"
        assert not check or done.returncode == 0, self.said
        return done.returncode

    def clone(self, revision: str) -> None:
        """A full clone without weights, at a branch, tag or commit; twice is harmless."""
        if not self.folder.exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            command = ["git", "clone", "-q", "--no-checkout", self.url, str(self.folder)]
            subprocess.run(command, env=self.env | {"GIT_LFS_SKIP_SMUDGE": "1"}, check=True)
        self.run(f'git checkout -q "{revision}"', {"GIT_LFS_SKIP_SMUDGE": "1"})


@dataclass
class GitHub:
    """One job of a workflow. `context` has the value of each expression that the file may use."""

    checkout: Checkout
    context: dict[str, str]
    cache: Path
    output: dict[str, str] = field(default_factory=dict)

    def run(self, workflow: Path, job: str, *, fails: bool = False) -> str:
        """Run the steps; gives what went to the job's summary. With `fails` some step must fail; those after it run
        where they say
        that they always do."""
        steps = yaml.safe_load(workflow.read_text())["jobs"][job]
        files = {name: self.cache.parent / f"{job}-{name.lower()}" for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
        for file in files.values():
            file.write_text("")
        base = {key: self.expand(value) for key, value in steps.get("env", {}).items()}
        failed = False
        for step in steps["steps"]:
            condition = self.expand(step.get("if", "true"))
            if (failed and condition != "always") or condition == "false":
                continue
            if "uses" in step:
                self._use(step)
                continue
            env = base | {key: self.expand(value) for key, value in step.get("env", {}).items()}
            env |= {name: str(path) for name, path in files.items()}
            assert not _EXPRESSION.search(step["run"]), "expressions in scripts are an injection: use env"
            failed |= bool(self.checkout.run(step["run"], env, check=not fails and not step.get("continue-on-error")))
            if "id" in step:
                told = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
                self.context |= {f"steps.{step['id']}.outputs.{key}": value for key, value in told.items()}
        assert failed == fails, self.checkout.said
        return files["GITHUB_STEP_SUMMARY"].read_text()

    def expand(self, value: object) -> str:
        text = str(value)
        return (
            self.context[text] if text in self.context else _EXPRESSION.sub(lambda found: self.context[found[1]], text)
        )

    def _use(self, step: dict[str, Any]) -> None:
        action, given = (
            step["uses"].partition("@")[0],
            {key: self.expand(value) for key, value in step.get("with", {}).items()},
        )
        if action == "actions/checkout":
            assert given["lfs"] == "False"
            self.checkout.clone(given.get("ref") or self.context["github.ref_name"])
        elif action == "actions/cache":
            kept, place = self.cache / given["key"], self.checkout.folder / given["path"]
            if kept.exists():
                shutil.copytree(kept, place, dirs_exist_ok=True)
        else:
            assert action == "actions/setup-python", action


def run_gitlab(
    checkout: Checkout, files: list[Path], job: str, variables: dict[str, str], *, fails: bool = False
) -> None:
    """Run one job of a pipeline, with what it extends."""
    document: dict[str, Any] = {}
    for file in files:
        document |= yaml.safe_load(file.read_text())
    found = document[job]
    base = document[found["extends"]] if "extends" in found else {}
    env = base.get("variables", {}) | found.get("variables", {}) | variables
    checkout.clone(variables["CI_COMMIT_SHA"])
    script = "\n".join([*base.get("before_script", []), *found["script"]])
    code = checkout.run(script, env, check=not fails)
    assert bool(code) == fails, checkout.said
    if fails:
        return
    for path in (*found.get("artifacts", {}).get("paths", []), *found.get("artifacts", {}).get("reports", {}).values()):
        assert (checkout.folder / path).exists(), f"the job made no {path}"
