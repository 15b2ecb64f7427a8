"""Each thing that goes wrong is found, named, and mended by the command that the finding gives."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from hundredweight.git.run import Git
from hundredweight.lineage import block
from hundredweight.lineage.block import Facts
from hundredweight.lineage.data import data_versions
from hundredweight.lineage.record import Environment
from hundredweight.lineage.weights import weights_in
from tests.clones import oid_of
from tests.people import Person
from tests.running_hub import RunningHub

WEIGHTS = [os.urandom(3000) for _ in range(3)]
SETTINGS = b"""[model]
name = "digits"
weights = ["*.safetensors"]
recommended = "digits@v1.0.0"
[data]
paths = ["data"]
version = "v1"
[experiment]
environment = "requirements.txt"
"""


class Project:
    """A repository with a released model."""

    def __init__(self, person: Person, folder: Path) -> None:
        self.person = person
        self.folder = folder
        self.git = Git(str(folder), person.env)

    def verify(self, *args: str, **variables: str) -> tuple[int, dict[str, Any]]:
        """Exit code and the JSON; without warnings about gaps, which are not what most tests are about."""
        done = self.person.run("cwt", "verify", "--json", *args, cwd=self.folder, check=False, **variables)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def findings(self, *args: str, **variables: str) -> list[tuple[str, str | None]]:
        code, found = self.verify(*args, **variables)
        assert code == bool(found["errors"]), found
        assert found["exit_code"] == code
        return [(each["code"], each["path"]) for each in found["findings"]]

    def mend(self, *args: str) -> list[str]:
        """Run the command of each finding, then see that nothing is left; gives the codes."""
        _, found = self.verify(*args)
        for each in found["findings"]:
            assert each["mend"], each
            self.person.run("bash", "-ec", each["mend"], cwd=self.folder)
        assert self.verify(*args)[1]["findings"] == []
        return [each["code"] for each in found["findings"]]

    def commit(self, files: dict[str, bytes], message: str = "change") -> str:
        return self.person.commit(self.folder, files, message)

    def release(self, name: str, **environment: str) -> None:
        """Tag HEAD, with a block as releases have it."""
        facts = Facts(
            weights=weights_in(self.git, "HEAD", ["*.safetensors"]),
            data=data_versions(self.git, "HEAD", ["data"], "v1"),
            environment=Environment(python="3.11", packages=environment),
        )
        text = f"Release {name}\n\n{block.write('digits', name.partition('@')[2], facts)}"
        self.git.output("tag", "-a", "-F", "-", name, stdin=text.encode())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    person = Person("ada", tmp_path / "ada")
    folder = person.repository("model")
    person.run("cwt", "init", cwd=folder)
    made = Project(person, folder)
    made.commit(
        {
            "hundredweight.toml": SETTINGS,
            "model.safetensors": WEIGHTS[0],
            "data/train.csv": b"text,label\none,a\n",
            "requirements.txt": b"numpy==2.0\n",
            "train.py": b"print()\n",
        }
    )
    made.release("digits@v1.0.0", numpy="2.0")
    return made


def test_a_good_checkout_is_good(project: Project) -> None:
    code, found = project.verify()
    assert code == 0
    assert found["findings"] == found["unchecked"] == []
    assert found["release"] == "digits@v1.0.0"
    assert (found["files"], found["lfs_files"]) == (6, 1)
    assert found["checked"] == ["checkout", "storage", "attributes", "release", "tags"]
    done = project.person.run("cwt", "verify", cwd=project.folder)
    assert done.stdout.endswith("against digits@v1.0.0: 6 files, 1 in Git LFS: all is well\n")
    assert project.findings("HEAD", "--strict") == []


def test_changed_bytes_are_found_and_restored(project: Project) -> None:
    (project.folder / "model.safetensors").write_bytes(WEIGHTS[1])
    (project.folder / "data" / "train.csv").write_bytes(b"text,label\nother,b\n")
    assert project.findings() == [("differs", "model.safetensors"), ("differs", "data/train.csv")]
    project.mend()
    (project.folder / "model.safetensors").unlink()
    assert project.mend() == ["differs"]
    (project.folder / "model.safetensors").write_bytes(WEIGHTS[1])
    project.git.output("add", "model.safetensors")
    assert project.mend() == ["staged"]
    (project.folder / "train.py").write_bytes(b"print(2)\n")
    code, found = project.verify()
    assert (code, found["errors"], found["warnings"]) == (0, 0, 1)
    assert project.person.run("cwt", "verify", "--strict", cwd=project.folder, check=False).returncode == 1


def test_a_touched_file_is_read_and_is_no_finding(project: Project) -> None:
    for name in ("model.safetensors", "train.py"):
        os.utime(project.folder / name, (1, 1))
    assert project.findings() == []


def test_what_git_knows_to_be_unchanged_is_not_read_unless_asked(project: Project) -> None:
    path = project.folder / "model.safetensors"
    project.git.output("config", "core.trustctime", "false")
    # An index as new as the file makes Git itself look again.
    past = time.time() - 100
    os.utime(path, (past, past))
    project.git.output("update-index", "--refresh")
    before = path.stat()
    path.write_bytes(WEIGHTS[1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert project.findings() == []
    assert project.findings("--full") == project.findings("--deep") == [("differs", "model.safetensors")]


def test_weights_and_pickles_and_big_files_in_git_are_found_and_moved(project: Project) -> None:
    project.git.output("config", "core.attributesFile", "/dev/null")
    attributes = project.folder / ".gitattributes"
    before = attributes.read_bytes()
    lines = before.splitlines(keepends=True)
    attributes.write_bytes(b"".join(line for line in lines if not line.startswith(b"*.gguf")))
    project.commit(
        {
            "small.gguf": b"GGUF" * 100,
            "big.txt": b"0123456789abcdef" * (11 << 16),
            "object.pkl": pickle.dumps({"a": 1}),
            "state.bin": pickle.dumps([1]),
            "other.bin": b"no pickle",
        }
    )
    found = dict(project.findings("HEAD"))
    assert found == {
        "weights-in-git": "small.gguf",
        "big-file": "big.txt",
        "pickle": "state.bin",
        "attributes-gap": ".gitattributes",
    }
    assert project.findings("HEAD").count(("pickle", "object.pkl")) == 1
    codes = project.mend()
    assert sorted(codes) == ["attributes-gap", "big-file", "pickle", "pickle", "weights-in-git"]


def test_what_the_settings_call_weights_belongs_into_lfs(project: Project) -> None:
    settings = SETTINGS.replace(b'["*.safetensors"]', b'["*.safetensors", "nets/*.dat"]')
    project.commit({"hundredweight.toml": settings, "nets/a.dat": b"weights", "b.dat": b"others"})
    assert project.findings("HEAD") == [("weights-in-git", "nets/a.dat")]
    project.mend("HEAD")
    (project.folder / "hundredweight.toml").write_bytes(b"[model\n")
    done = project.person.run("cwt", "verify", cwd=project.folder, check=False)
    assert (done.returncode, done.stderr.partition(":")[0]) == (2, "error")


def test_files_that_missed_the_filter_and_pointers_without_one_are_found(project: Project) -> None:
    other = project.folder / "other.safetensors"
    other.write_bytes(WEIGHTS[1])
    project.git.with_options(
        "-c", "filter.lfs.process=", "-c", "filter.lfs.clean=cat", "-c", "filter.lfs.required=false"
    ).output("add", "other.safetensors")
    project.git.output("commit", "-q", "-m", "missed")
    assert ("not-in-lfs", "other.safetensors") in project.findings("HEAD")
    project.mend("HEAD")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid_of(WEIGHTS[2])}\nsize 3000\n"
    project.commit({"notes.data": pointer.encode()})
    assert project.findings("HEAD") == [("untracked-pointer", "notes.data")]
    project.mend("HEAD")


def test_another_release_than_the_recommended_one_is_found(project: Project) -> None:
    project.commit(
        {
            "model.safetensors": WEIGHTS[1],
            "hundredweight.toml": SETTINGS.replace(b"v1.0.0", b"v2.0.0"),
            "data/train.csv": b"text,label\none,b\n",
            "requirements.txt": b"numpy>=2.1\n",
        }
    )
    project.release("digits@v2.0.0", numpy="2.1")
    assert project.findings() == []
    assert project.findings("--against", "digits@v1.0.0") == [
        ("weights-differ", "model.safetensors"),
        ("data-differ", "data"),
        ("environment-differ", "requirements.txt"),
    ]
    project.git.output("checkout", "-q", "digits@v1.0.0")
    code, found = project.verify("HEAD")
    assert (code, found["warnings"]) == (0, 3), "a commit need not be the recommended one"
    code, found = project.verify()
    assert code == 1
    assert found["findings"][0]["text"] == (
        "is not that of digits@v2.0.0, which is recommended: the checkout is digits@v1.0.0"
    )
    project.person.run("bash", "-ec", found["findings"][0]["mend"], cwd=project.folder)
    assert project.findings() == []


def test_a_stage_and_a_line_in_the_card_name_releases_too(project: Project) -> None:
    project.git.output("tag", "-a", "-m", "to prod", "digits#prod#1", "digits@v1.0.0^{}")
    assert project.findings("--against", "prod") == []
    settings = SETTINGS.replace(b'recommended = "digits@v1.0.0"\n', b"")
    card = b"---\nlicense: mit\n---\n# Digits\n\n**Recommended release:** `digits@v1.0.0`.\n"
    project.commit({"model.safetensors": WEIGHTS[1], "hundredweight.toml": settings, "README.md": card})
    assert project.findings() == [("not-recommended", "model.safetensors")]
    project.commit({"README.md": card.replace(b"digits@v1", b"digits@v7")})
    assert project.findings() == [("unknown-release", None)]
    assert project.verify()[0] == 0, "a card may mean something else"
    project.commit({"README.md": b"---\nrecommended: digits@v1.0.0\n---\nRecommended: use Python 3.11\n"})
    assert project.findings() == [("not-recommended", "model.safetensors")]
    project.commit({"README.md": b"Recommended: use Python 3.11\n"})
    assert project.findings() == []
    done = project.person.run("cwt", "verify", "--against", "nothing", cwd=project.folder, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: 'nothing' is no release\nhint: ")


def test_packages_of_this_machine_are_compared_when_asked(project: Project) -> None:
    assert project.findings() == []
    (code, path), *_ = project.findings("--installed")
    assert (code, path) == ("installed-differ", "requirements.txt")


def test_a_tag_that_was_made_again_elsewhere_is_found(project: Project) -> None:
    message = project.git.output("for-each-ref", "--format=%(contents)", "refs/tags/digits@v1.0.0")
    project.commit({"model.safetensors": WEIGHTS[1], "hundredweight.toml": SETTINGS.replace(b"recommended", b"was")})
    project.git.output("tag", "-f", "-a", "-F", "-", "digits@v1.0.0", stdin=message)
    assert project.findings() == [("moved-tag", None)]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="signing with SSH keys needs ssh-keygen")
def test_unsigned_tags_are_found_where_signatures_are_asked_for(project: Project) -> None:
    key = project.person.home / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (project.person.home / "allowed").write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("gpg.ssh.allowedSignersFile", str(project.person.home / "allowed")),
        ("hundredweight.signedTags", "true"),
    ):
        project.git.output("config", name, value)
    assert project.findings() == [("unsigned-tag", None)]
    message = project.git.output("for-each-ref", "--format=%(contents)", "refs/tags/digits@v1.0.0")
    project.git.output("tag", "-f", "-s", "-F", "-", "digits@v1.0.0", "digits@v1.0.0^{}", stdin=message)
    assert project.findings("--signed") == []
    (project.person.home / "allowed").write_text("")
    assert project.findings() == [("bad-signature", None)]


def test_pointers_are_found_and_pulled(project: Project, hub: RunningHub, tmp_path: Path) -> None:
    ada = hub.person(tmp_path / "hub-ada", "ada")
    name = hub.new_name()
    ada.git("push", "-q", "--tags", hub.remote(name), "main", cwd=project.folder)
    ada.run("git", "clone", "-q", hub.remote(name), "clone", GIT_LFS_SKIP_SMUDGE="1")
    clone = Project(ada, ada.home / "clone")
    ada.run("git", "lfs", "install", "--local", cwd=clone.folder)
    assert clone.findings() == [("pointer", "model.safetensors")]
    assert clone.mend("--remote") == ["pointer"]
    assert (clone.folder / "model.safetensors").read_bytes() == WEIGHTS[0]
    clone.git.output("config", "lfs.fetchexclude", "*.safetensors")
    pointer = clone.git.output("cat-file", "blob", "HEAD:model.safetensors")
    (clone.folder / "model.safetensors").write_bytes(pointer)
    assert clone.findings() == [], "left out on purpose"


def test_the_remote_is_asked_for_objects_and_tags(project: Project, hub: RunningHub, tmp_path: Path) -> None:
    ada = hub.person(tmp_path / "hub-ada", "ada")
    project.person.env = ada.env
    project.git.output("remote", "add", "origin", hub.remote(hub.new_name()))
    ada.git("push", "-q", "origin", "main", cwd=project.folder)
    assert project.findings("--remote") == [("unpushed-tag", None)]
    project.mend("--remote", "origin")
    project.commit({"new.safetensors": WEIGHTS[2]})
    assert project.findings("--remote") == [("missing-on-remote", "new.safetensors")]
    assert project.findings("--remote", "HEAD") == [("missing-on-remote", "new.safetensors")], "HEAD is no remote"
    project.mend("--remote")
    project.git.output("tag", "-f", "-a", "-m", "other", "digits@v1.0.0", "HEAD")
    assert project.findings("--remote") == [("moved-tag", None)]
    project.mend("--remote")


def test_what_cannot_be_checked_ends_with_2(project: Project) -> None:
    project.git.output("remote", "add", "origin", "http://127.0.0.1:9/team/none.git")
    project.git.output("config", "lfs.transfer.maxretries", "1")
    code, found = project.verify("--remote")
    assert code == 2
    assert [each["check"] for each in found["unchecked"]] == ["remote"]
    done = project.person.run("cwt", "verify", "--remote", "elsewhere/x", cwd=project.folder, check=False)
    assert done.returncode == 2
    assert project.person.run("cwt", "verify", "nothing", cwd=project.folder, check=False).returncode == 2
    assert project.person.run("cwt", "verify", cwd=project.person.home, check=False).returncode == 2


def test_reports_are_valid_junit_and_annotations(project: Project) -> None:
    name = "odd,\x01 name:%.safetensors"
    (project.folder / "model.safetensors").write_bytes(WEIGHTS[1])
    (project.folder / name).write_bytes(b"x")
    done = project.person.run("cwt", "verify", "--junit", "out.xml", "--github", cwd=project.folder, check=False)
    assert done.returncode == 1
    suite = ET.parse(project.folder / "out.xml").getroot()[0]
    cases = suite.findall("testcase")
    assert (suite.tag, suite.get("tests"), suite.get("failures"), suite.get("errors")) == (
        "testsuite",
        str(len(cases)),
        "1",
        "0",
    )
    failure = suite.find("testcase[@name='model.safetensors']/failure")
    assert failure is not None
    assert failure.get("type") == "differs"
    assert "mend: git restore -- model.safetensors" in (failure.text or "")
    first, second = (line for line in done.stdout.splitlines() if line.startswith("::"))
    assert first.startswith("::error file=model.safetensors,title=cwt verify%3A differs::model.safetensors differs")
    assert "%0Amend: git restore -- model.safetensors" in first
    assert second.startswith("::warning file=odd%2C")
    assert "name%3A%25.safetensors," in second


def test_a_repository_without_commits_and_settings_can_be_verified(tmp_path: Path) -> None:
    person = Person("ada", tmp_path / "ada")
    project = Project(person, person.repository("empty"))
    assert project.findings() == [("attributes-gap", ".gitattributes")]
    person.run("cwt", "init", cwd=project.folder)
    project.commit({"a.txt": b"text"})
    assert project.findings() == []


def test_packages_that_differed_at_the_training_are_no_finding(project: Project) -> None:
    facts = Facts(
        weights=weights_in(project.git, "HEAD", ["*.safetensors"]),
        environment=Environment(packages={"numpy": "2.1"}, differs=("numpy is 2.1, wanted 2.0",)),
    )
    text = f"Release\n\n{block.write('digits', 'v1.1.0', facts)}"
    project.git.output("tag", "-a", "-F", "-", "digits@v1.1.0", stdin=text.encode())
    assert project.findings("--against", "digits@v1.1.0") == []
    project.commit({"requirements.txt": b"numpy==2.2\n"})
    assert project.findings("--against", "digits@v1.1.0") == [("environment-differ", "requirements.txt")]


def test_sizes_that_read_the_same_are_told_in_bytes(project: Project) -> None:
    path = project.folder / "model.safetensors"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"x")
    _, found = project.verify()
    (finding,) = [each for each in found["findings"] if each["code"] == "differs"]
    assert finding["text"].endswith(f"it has {size + 1:,} bytes, not {size:,}") or size < 1000
