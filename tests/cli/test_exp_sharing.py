"""Experiments go to a hub and come back: pushed, pulled, applied, made branches, removed; and nothing that happens to branches
loses one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hundredweight.git.run import Git
from hundredweight.lineage import experiments
from hundredweight.lineage.record import Record, Weights, utc
from tests.clones import Clone, oid_of, pointer_of
from tests.people import Person
from tests.running_hub import RunningHub

IDS = tuple(f"20261123-10000{number}-{letter * 6}" for number, letter in enumerate("abc"))


class Desk:
    """Somebody's clone of a repository on the hub, with the filter installed."""

    def __init__(self, person: Person, folder: Path) -> None:
        self.person = person
        self.folder = folder
        self.git = Git(str(folder), person.env)

    def weights(self, number: int) -> bytes:
        """Other bytes in each test: the hub that tests share lets a user have again what they can read elsewhere."""
        return b"%d of %s " % (number, str(self.folder).encode()) * 200

    def run(self, *command: str, check: bool = True) -> str:
        done = self.person.run(*command, cwd=self.folder, check=check)
        return done.stdout if check else done.stdout + done.stderr

    def exp(self, *args: str, check: bool = True) -> str:
        return self.run("cwt", "exp", *args, check=check)

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def record(self, number: int, *, ref: str = "", base: str = "HEAD") -> str:
        content = self.weights(number)
        Clone(self.folder).store(content)
        made = Record(
            IDS[number],
            name=f"try-{number}",
            started=utc(1_800_000_000 + number),
            parameters={"lr": number},
            weights=(Weights("model.bin", oid_of(content), len(content)),),
        )
        files: dict[str, bytes | str | None] = {
            "params.toml": b"lr = %d\n" % number,
            "model.bin": pointer_of(content).encode(),
            "old.txt": None,
        }
        return experiments.write(self.git, self.git.text("rev-parse", base), made, files, ref=ref)

    def ids(self) -> list[str]:
        return sorted(row["id"] for row in json.loads(self.exp("list", "--json")))


@pytest.fixture
def desk(hub: RunningHub, tmp_path: Path) -> Desk:
    """A repository with parameters, first weights and a file that experiments delete, pushed; three experiments, not pushed."""
    person = hub.person(tmp_path / "ada", "ada")
    person.git("lfs", "install", "--skip-repo")
    folder = person.repository("work")
    made = Desk(person, folder)
    name = hub.new_name()
    person.git("remote", "add", "origin", hub.remote(name), cwd=folder)
    files = {".gitattributes": b"*.bin filter=lfs -text\n", "params.toml": b"lr = 9\n", "model.bin": made.weights(9)}
    person.commit(folder, {**files, "old.txt": b"old\n", "other.txt": b"1\n"})
    person.git("push", "-q", "-u", "origin", "main", cwd=folder)
    for number in range(3):
        made.record(number)
    return made


def colleague(hub: RunningHub, desk: Desk, tmp_path: Path, *options: str) -> Desk:
    person = hub.person(tmp_path / "bob", "bob")
    person.git("lfs", "install", "--skip-repo")
    url = desk.run("git", "remote", "get-url", "origin").strip()
    person.git("clone", "-q", *options, url, "work", GIT_LFS_SKIP_SMUDGE="1")
    return Desk(person, person.home / "work")


def test_pushed_and_pulled_with_weights_on_demand(desk: Desk, hub: RunningHub, tmp_path: Path) -> None:
    assert desk.exp("push", "origin", IDS[0]).splitlines()[-1] == "1 experiment pushed to 'origin'"
    assert desk.exp("push").splitlines() == [
        f"pushed {IDS[1]}",
        f"pushed {IDS[2]}",
        "2 experiments pushed to 'origin'; it had 1 before",
    ]
    assert desk.exp("push") == "0 experiments pushed to 'origin'; it had 3 before\n"
    other = colleague(hub, desk, tmp_path)
    assert other.ids() == []
    assert other.exp("pull", "bbbbbb").splitlines() == [f"new {IDS[1]}", "1 new experiment from 'origin'"]
    assert other.ids() == [IDS[1]]
    said = other.exp("pull", "nothing", check=False)
    assert "no experiment is called 'nothing'" in said
    assert other.exp("pull", "origin", "--weights").splitlines()[-1] == "2 objects downloaded"
    assert other.ids() == list(IDS)
    clone = Clone(other.folder)
    assert [clone.has(desk.weights(number)) for number in range(3)] == [True, False, True]
    assert other.exp("pull", "--weights", "try-1").splitlines()[-1] == "1 object downloaded"
    assert clone.has(desk.weights(1))
    assert other.git.text("for-each-ref", experiments.REFS) == ""


def test_a_push_without_its_weights_pushes_no_ref(desk: Desk) -> None:
    Clone(desk.folder)._object(desk.weights(1)).unlink()
    said = desk.exp("push", "origin", IDS[1], check=False)
    assert oid_of(desk.weights(1)) in said
    assert desk.run("git", "ls-remote", "origin", "refs/experiments/*") == ""
    assert "cannot be reached" not in said
    assert desk.exp("push", "https://127.0.0.1:1/x.git", check=False).startswith("error: 'https://127.0.0.1:1/x.git': ")


def test_applied_to_the_work_tree(desk: Desk, hub: RunningHub, tmp_path: Path) -> None:
    head = desk.git.text("rev-parse", "HEAD")
    assert desk.exp("apply", "-n", "try-1").splitlines()[-1] == "would delete old.txt"
    assert desk.read("params.toml") == b"lr = 9\n"
    desk.exp("apply", "try-1")
    assert (desk.read("params.toml"), desk.read("model.bin")) == (b"lr = 1\n", desk.weights(1))
    assert not (desk.folder / "old.txt").exists()
    assert desk.git.text("rev-parse", "HEAD") == head
    assert desk.git.text("diff", "--cached", "--name-only") == ""
    # Again, and over the same content: nothing of the user's is lost.
    desk.exp("apply", "try-1")
    said = desk.exp("apply", "try-2", check=False)
    assert "'params.toml'" in said
    assert "--force" in said
    assert desk.read("params.toml") == b"lr = 1\n"
    desk.exp("apply", "--force", "try-2")
    assert desk.read("model.bin") == desk.weights(2)
    desk.person.commit(desk.folder, message="Take it")
    assert f"({IDS[2]})" in desk.exp("show", "HEAD")
    # Elsewhere the weights come from the server.
    desk.exp("push")
    other = colleague(hub, desk, tmp_path)
    other.exp("pull")
    other.exp("apply", "try-0")
    assert other.read("model.bin") == desk.weights(0)


def test_changes_of_ones_own_stay(desk: Desk) -> None:
    (desk.folder / ".git" / "info" / "exclude").write_text("kept/\n")
    made = Record("20261123-110000-dddddd", name="kept")
    experiments.write(
        desk.git, desk.git.text("rev-parse", "HEAD"), made, {"kept/notes.txt": b"theirs\n", "new.txt": b"theirs\n"}
    )
    for path in ("kept/notes.txt", "new.txt"):
        (desk.folder / path).parent.mkdir(exist_ok=True)
        (desk.folder / path).write_bytes(b"mine\n")
    assert "'kept/notes.txt', 'new.txt'" in desk.exp("apply", "kept", check=False)
    assert desk.read("new.txt") == desk.read("kept/notes.txt") == b"mine\n"
    (desk.folder / "other.txt").write_bytes(b"mine, but not theirs\n")
    assert desk.exp("apply", "try-0").splitlines()[-1] == "deleted old.txt"
    assert desk.read("other.txt") == b"mine, but not theirs\n"


def test_applied_where_head_went_on(desk: Desk) -> None:
    desk.person.commit(desk.folder, {"params.toml": b"lr = 8\n", "other.txt": b"2\n"})
    said = desk.exp("apply", "try-0", check=False)
    assert "which is not HEAD" in said
    assert "now as the experiment has them: params.toml" in said
    assert desk.read("other.txt") == b"2\n"


def test_a_branch_of_an_experiment(desk: Desk) -> None:
    said = desk.exp("branch", "try-2", "exp/best")
    commit = desk.git.text("rev-parse", f"refs/experiments/{IDS[2]}")
    assert said == f"branch 'exp/best' is at experiment {IDS[2]} ({commit[:12]})\n"
    assert desk.git.text("rev-parse", "exp/best") == commit
    assert "there is a branch 'exp/best' already" in desk.exp("branch", "try-1", "exp/best", check=False)
    assert "no name of a branch" in desk.exp("branch", "try-1", "a..b", check=False)
    assert desk.git.text("rev-parse", "exp/best") == commit


def test_removed_here_and_there(desk: Desk, hub: RunningHub, tmp_path: Path) -> None:
    desk.exp("push")
    commit = desk.git.text("rev-parse", f"refs/experiments/{IDS[0]}")
    assert desk.exp("remove", "try-0") == f"removed {IDS[0]} (was {commit})\n"
    assert desk.ids() == list(IDS[1:])
    desk.exp("branch", "try-2", "keep")
    lines = desk.exp("remove", "--where", "lr>=1", "--remote", "origin").splitlines()
    assert [line.split(" (was")[0] for line in lines] == [f"removed {IDS[1]}", f"removed {IDS[2]}"]
    assert lines[0].endswith(", also at 'origin'")
    assert lines[1].endswith("; a branch still holds its record")
    assert desk.ids() == [IDS[2]]
    desk.exp("pull")
    assert desk.ids() == [IDS[0], IDS[2]]
    assert "no experiments named" in desk.exp("remove", check=False)


@pytest.mark.parametrize("shallow", [False, True])
def test_what_happens_to_branches_loses_none(desk: Desk, hub: RunningHub, tmp_path: Path, shallow: bool) -> None:
    """Rebase, squash merge, cherry-pick, gc; then a clone, whole or shallow."""
    git = desk.git
    for number in range(3):
        desk.exp("branch", f"try-{number}", f"exp-{number}")
    desk.person.commit(desk.folder, {"other.txt": b"2\n"}, "Go on")
    git.output("rebase", "-q", "main", "exp-0")
    git.output("checkout", "-q", "main")
    git.output("merge", "-q", "--squash", "exp-1")
    git.output("commit", "-q", "-m", "Better")
    git.output("checkout", "-q", "-b", "picked", "main^")
    git.output("cherry-pick", f"refs/experiments/{IDS[2]}")
    git.output("checkout", "-q", "main")
    git.output("branch", "-q", "-D", "exp-0", "exp-1", "exp-2")
    git.output("reflog", "expire", "--expire=now", "--all")
    git.output("gc", "-q", "--prune=now")
    assert desk.ids() == list(IDS)
    git.output("push", "-q", "origin", "main", "picked")
    desk.exp("push")
    other = colleague(hub, desk, tmp_path, *(("--depth", "1") if shallow else ()))
    # The squash merge alone carries one; the others come with their refs.
    assert other.ids() == ([IDS[1]] if shallow else [IDS[1], IDS[2]])
    other.exp("pull")
    other.git.output("gc", "-q", "--prune=now")
    assert other.ids() == list(IDS)
    other.exp("apply", "try-0", "--force")
    assert (other.read("params.toml"), other.read("model.bin")) == (b"lr = 0\n", desk.weights(0))
    compared = json.loads(other.exp("compare", *IDS, "--json"))
    assert compared["parameters"] == [{"key": "lr", "values": [0, 1, 2], "differs": True}]


def test_a_squash_merge_is_applied_without_what_came_later(desk: Desk) -> None:
    git = desk.git
    git.output("merge", "-q", "--squash", f"refs/experiments/{IDS[1]}")
    git.output("commit", "-q", "-m", "Better")
    experiments.remove(git, IDS)
    desk.person.commit(desk.folder, {"other.txt": b"later\n", "params.toml": b"lr = 5\n"}, "Later")
    desk.exp("apply", IDS[1])
    assert (desk.read("params.toml"), desk.read("other.txt")) == (b"lr = 1\n", b"later\n")
