"""Making releases: the tag, the card, and what refuses one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from hundredweight.base.errors import UsageError
from hundredweight.client.releases.checks import GateClosed, NotCommitted, NoWeights, WeightsMissing
from hundredweight.client.releases.create import CreateOptions, ReleasedAlready, execute, plan
from hundredweight.client.releases.naming import BadReleaseName, NoModelName, ReleaseExists
from hundredweight.client.releases.tagging import TagFailed
from hundredweight.client.weight_files import BadWeights
from hundredweight.lineage import card, experiments, releases
from hundredweight.lineage.record import Record, Status, Weights
from hundredweight.lineage.releases import Release
from hundredweight.lineage.tags import Bump
from tests.client.releases.models import SETTINGS, Repository, safetensors

NOW = 1_795_000_000.0


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def create(repo: Repository, **options: object) -> Release:
    """Make one, and read it back."""
    wanted = CreateOptions(**options)  # type: ignore[arg-type]
    made = execute(repo.workspace, plan(repo.workspace, wanted, NOW), sign=wanted.sign)
    found = releases.resolve(repo.git, made.name)
    assert found is not None
    assert found.commit == made.commit
    return found


def test_a_release_says_what_is_behind_its_weights(repo: Repository) -> None:
    found = create(repo, notes="# First\n\n#1 in the shop")
    assert (found.name, found.model, found.version, found.fault) == ("digits@v1.0.0", "digits", "v1.0.0", "")
    assert found.notes == "# First\n\n#1 in the shop"
    facts = found.facts
    assert facts.metrics["test_acc"] == 0.9
    assert facts.parameters == {"lr": 1e-3}
    assert facts.environment.packages == {"numpy": "2.0.0"}
    assert [(data.path, data.version, data.files) for data in facts.data] == [("data", "v1.0", 1)]
    pointer = repo.person.git("lfs", "ls-files", "--long", cwd=repo.folder).split()[0]
    assert [(weights.path, weights.oid) for weights in facts.weights] == [("model.safetensors", pointer)]
    assert facts.weights[0].weights_id == repo.cwt("id", "model.safetensors").split()[0]


def test_the_tag_has_the_card_and_the_work_tree_follows(repo: Repository) -> None:
    before = repo.person.git("rev-parse", "HEAD", cwd=repo.folder)
    found = create(repo)
    assert repo.person.git("rev-parse", "HEAD", "HEAD^", cwd=repo.folder).split() == [found.commit, before]
    assert repo.person.git("symbolic-ref", "HEAD", cwd=repo.folder) == "refs/heads/main"
    assert repo.person.git("status", "--porcelain", cwd=repo.folder) == ""
    changed = repo.person.git("diff", "--name-only", "HEAD^", cwd=repo.folder)
    assert changed.split() == ["README.md", "eval_results.yaml"]
    known = card.front_matter((repo.folder / "README.md").read_bytes())
    assert known["datasets"] == ["data"]
    assert (repo.folder / "eval_results.yaml").read_text().count("value: 0.9\n") == 1


def test_versions_go_up_as_asked(repo: Repository) -> None:
    names = [create(repo).name]
    for accuracy, bump in ((0.91, Bump.MINOR), (0.92, Bump.PATCH), (0.93, Bump.MAJOR)):
        repo.train(accuracy)
        names.append(create(repo, bump=bump).name)
    assert names == [f"digits@v{version}" for version in ("1.0.0", "1.1.0", "1.1.1", "2.0.0")]


def test_plain_names_and_other_models(repo: Repository) -> None:
    plain = create(repo, name="v1.2-qwen3vl8b-ecommerce")
    assert (plain.model, plain.version) == ("digits", "")
    repo.train(0.91)
    assert create(repo, name="letters@v0.1.0", model="letters", weights=("*.safetensors",)).model == "letters"
    repo.train(0.92)
    assert create(repo, name="letters", weights=("*.safetensors",)).name == "letters@v0.2.0"
    repo.train(0.93)
    assert create(repo, name="v7.0.0").version == "v7.0.0"
    repo.train(0.94)
    assert create(repo).name == "digits@v7.1.0"


def refused(repo: Repository, error: type[Exception], **options: object) -> Exception:
    """That it is refused, and nothing is done."""
    before = repo.snapshot()
    with pytest.raises(error) as caught:
        create(repo, **options)
    assert repo.snapshot() == before
    assert getattr(caught.value, "hint", "")
    return caught.value


@pytest.mark.parametrize(
    "name",
    ["digits#prod", "digits@v1.0.0!", "digits@deprecated", "a..b", "x y", "digits@1.0", "deployed/x", "letters@v1.0.0"],
)
def test_names_that_no_release_can_have(repo: Repository, name: str) -> None:
    assert name in str(refused(repo, BadReleaseName, name=name))


def test_a_name_that_is_taken(repo: Repository) -> None:
    create(repo, name="digits@v1.0.0")
    repo.train(0.95)
    assert "'digits@v1.0.0' exists already" in str(refused(repo, ReleaseExists, name="digits@v1.0.0"))


def test_a_tag_that_appears_meanwhile_leaves_no_card(repo: Repository) -> None:
    made = plan(repo.workspace, CreateOptions(), NOW)
    repo.person.git("tag", "-m", "first", "digits@v1.0.0", cwd=repo.folder)
    before = repo.snapshot()
    with pytest.raises(ReleaseExists):
        execute(repo.workspace, made)
    assert repo.snapshot() == before


def test_a_branch_that_moved_meanwhile_leaves_no_tag(repo: Repository) -> None:
    made = plan(repo.workspace, CreateOptions(), NOW)
    repo.train(0.5)
    before = repo.snapshot()
    with pytest.raises(UsageError.__mro__[1]) as caught:
        execute(repo.workspace, made)
    assert "branch" in str(caught.value)
    assert repo.snapshot() == before
    assert (repo.folder / "metrics.json").read_bytes().startswith(b'{"test_acc": 0.5')


def test_the_same_commit_is_no_second_version(repo: Repository) -> None:
    create(repo)
    assert "digits@v1.0.0" in str(refused(repo, ReleasedAlready))
    assert create(repo, name="also-called-so").commit == releases.find_releases(repo.git)[0].commit


def test_uncommitted_changes_are_not_released(repo: Repository) -> None:
    repo.write({"model.safetensors": safetensors(w=[1.0])})
    assert "model.safetensors" in str(refused(repo, NotCommitted))


def test_metrics_out_of_bounds_need_a_reason(tmp_path: Path) -> None:
    bounds = "[release]\nminimum = { test_acc = 0.95, test_f1 = 0.5 }\nmaximum = { val_loss = 0.01 }\n"
    repo = Repository(tmp_path, SETTINGS + bounds)
    reasons = getattr(refused(repo, GateClosed), "reasons")  # noqa: B009
    assert reasons == (
        "test_acc is 0.9, less than 0.95",
        "test_f1 is not known, and must not be less than 0.5",
        "val_loss is 0.1, more than 0.01",
    )
    found = create(repo, force="the old one is broken")
    assert found.notes.startswith("Forced: the old one is broken\n- test_acc is 0.9")


@pytest.mark.parametrize("sent", [True, False])
def test_weights_that_are_not_here_must_be_on_the_server(repo: Repository, tmp_path: Path, sent: bool) -> None:
    repo.person.git("init", "-q", "--bare", str(tmp_path / "server"))
    repo.person.git("remote", "add", "origin", str(tmp_path / "server"), cwd=repo.folder)
    repo.person.git("push", "-q", "origin", "main", cwd=repo.folder, GIT_LFS_SKIP_PUSH="0" if sent else "1")
    repo.person.git("clone", "-q", str(tmp_path / "server"), "other", cwd=tmp_path, GIT_LFS_SKIP_SMUDGE="1")
    repo.folder = tmp_path / "other"
    repo.git = repo.git.at(str(repo.folder))
    if sent:
        assert create(repo).facts.weights[0].size > 0
    else:
        assert "model.safetensors" in str(refused(repo, WeightsMissing))


def test_weights_in_git_itself_and_no_weights(tmp_path: Path) -> None:
    repo = Repository(tmp_path, SETTINGS.replace("model.safetensors", "*.npz"))
    refused(repo, NoWeights)
    repo.person.commit(repo.folder, {"small.npz": b"PK"})
    assert "in git itself" in str(refused(repo, NoWeights))


def test_damaged_weights_are_not_released(repo: Repository) -> None:
    whole = safetensors(w=[1.0] * 100)
    repo.person.commit(repo.folder, {"model.safetensors": whole[:-40]})
    with pytest.raises(BadWeights, match="cut short"):
        create(repo)
    assert releases.find_releases(repo.git) == ()


def test_a_model_needs_a_name(tmp_path: Path) -> None:
    repo = Repository(tmp_path, '[model]\nweights = ["*.safetensors"]\n')
    refused(repo, NoModelName)
    assert create(repo, model="digits").name == "digits@v1.0.0"


def test_without_a_card(repo: Repository) -> None:
    head = repo.person.git("rev-parse", "HEAD", cwd=repo.folder)
    assert create(repo, with_card=False).commit == head


def test_a_model_of_a_folder_has_its_weights_and_its_card_there(repo: Repository) -> None:
    refused(repo, NoWeights, model="letters")
    refused(repo, NoWeights, model="sub/dir:letters")
    repo.person.commit(repo.folder, {"sub/dir/b.safetensors": safetensors(w=[1.0]), "sub/dir/notes.txt": b"x"})
    found = create(repo, model="sub/dir:letters")
    assert found.name == "sub/dir=letters@v1.0.0"
    assert [weights.path for weights in found.facts.weights] == ["sub/dir/b.safetensors"]
    assert repo.person.git("diff", "--name-only", "HEAD^", cwd=repo.folder) == "sub/dir/README.md"
    assert "b.safetensors" in repo.cwt("release", "show", "sub/dir:letters@latest")


def test_bounds_are_those_of_one_model(tmp_path: Path) -> None:
    repo = Repository(tmp_path, SETTINGS + "[release]\nminimum = { test_acc = 0.95 }\n")
    assert create(repo, model="letters", weights=("*.safetensors",)).facts.metrics == {}
    refused(repo, GateClosed)


def test_a_detached_head_and_a_bare_repository_take_the_card_too(repo: Repository, tmp_path: Path) -> None:
    repo.person.git("clone", "-q", "--bare", str(repo.folder), str(tmp_path / "bare.git"))
    repo.person.git("switch", "-q", "--detach", cwd=repo.folder)
    head = repo.person.git("rev-parse", "main", cwd=repo.folder)
    found = create(repo)
    assert repo.person.git("rev-parse", "HEAD", "main", cwd=repo.folder).split() == [found.commit, head]
    repo.folder = tmp_path / "bare.git"
    repo.git = repo.git.at(str(repo.folder))
    repo.person.run("cp", "-r", str(tmp_path / "repo" / ".git" / "lfs"), str(repo.folder))
    found = create(repo)
    assert repo.person.git("rev-parse", "main", "main^", cwd=repo.folder).split() == [found.commit, head]


def recorded(repo: Repository, accuracy: float, status: Status = Status.DONE) -> tuple[str, str]:
    """An experiment off the branch, with weights of its own: its id and commit."""
    head = repo.person.git("rev-parse", "HEAD", cwd=repo.folder)
    repo.train(accuracy)
    blob = repo.git.text("rev-parse", "HEAD:model.safetensors")
    oid = repo.person.git("lfs", "ls-files", "--long", cwd=repo.folder).split()[0]
    size = (repo.folder / "model.safetensors").stat().st_size
    repo.person.git("reset", "-q", "--hard", head, cwd=repo.folder)
    made = Record(
        f"20261123-140000-a{round(accuracy * 1000):05d}", name="tuned", status=status, metrics={"test_acc": accuracy},
        parameters={"lr": 3e-5}, weights=(Weights("model.safetensors", oid, size),), base="digits@v0.9.0",
    )  # fmt: skip
    return made.id, experiments.write(repo.git, head, made, {"model.safetensors": blob})


def test_an_experiment_that_head_lacks_is_released_where_it_is(repo: Repository) -> None:
    identity, commit = recorded(repo, 0.97)
    before = repo.snapshot()
    found = create(repo, experiment=identity)
    assert repo.person.git("rev-parse", f"{found.name}^{{commit}}^", cwd=repo.folder) == commit
    assert repo.snapshot()[1:] == before[1:]
    assert (found.facts.experiment, found.facts.metrics, found.facts.parameters) == (
        identity,
        {"test_acc": 0.97},
        {"lr": 3e-5},
    )
    text = repo.person.git("show", f"{found.name}:README.md", cwd=repo.folder)
    assert "base_model: digits@v0.9.0" in text
    assert not (repo.folder / "README.md").exists()


def test_an_experiment_that_was_merged_is_released_from_the_branch(repo: Repository) -> None:
    identity, commit = recorded(repo, 0.97)
    repo.person.git("merge", "-q", "--squash", commit, cwd=repo.folder)
    repo.person.git("commit", "-q", "-m", "squashed", cwd=repo.folder)
    head = repo.person.git("rev-parse", "HEAD", cwd=repo.folder)
    found = create(repo, experiment=identity)
    assert repo.person.git("rev-parse", "HEAD", "HEAD^", cwd=repo.folder).split() == [found.commit, head]
    assert found.facts.experiment == identity
    repo.train(0.98)
    assert create(repo).facts.experiment == ""


def test_the_record_in_the_tree_is_found_without_being_named(repo: Repository) -> None:
    identity, commit = recorded(repo, 0.97)
    repo.person.git("merge", "-q", "--ff-only", commit, cwd=repo.folder)
    assert create(repo).facts.experiment == identity


def test_a_failed_experiment_needs_a_reason(repo: Repository) -> None:
    identity, _ = recorded(repo, 0.97, Status.FAILED)
    refused(repo, UsageError, experiment=identity)
    assert create(repo, experiment=identity, force="it failed while cleaning up").facts.experiment == identity


def test_a_tag_is_signed_where_git_signs(repo: Repository, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "allowed").write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}")
    for name, value in {"gpg.format": "ssh", "user.signingKey": str(key), "tag.gpgSign": "true",
                        "gpg.ssh.allowedSignersFile": str(tmp_path / "allowed")}.items():  # fmt: skip
        repo.person.git("config", name, value, cwd=repo.folder)
    found = create(repo, notes="signed")
    assert found.signed
    assert found.notes == "signed"
    assert found.facts.metrics["test_acc"] == 0.9
    repo.person.git("verify-tag", found.name, cwd=repo.folder)
    repo.train(0.95)
    repo.person.git("config", "user.signingKey", str(tmp_path / "gone"), cwd=repo.folder)
    refused(repo, TagFailed)


def test_the_command_prints_what_it_did(repo: Repository) -> None:
    assert (
        json.loads(repo.cwt("release", "create", "--dry-run").partition("---\n")[2].partition("---")[0])["model"]
        == "digits"
    )
    assert releases.find_releases(repo.git) == ()
    (repo.folder / "notes.md").write_text("From a file\n")
    told = json.loads(repo.cwt("release", "create", "--notes", "notes.md", "--json"))
    assert (told["name"], told["notes"], told["metrics"]["test_acc"]) == ("digits@v1.0.0", "From a file", 0.9)
    text = repo.cwt("release", "show", "latest")
    assert text.startswith("release    digits@v1.0.0\n")
    assert told["weights"][0]["weights_id"] in text
    assert "digits@v1.0.0" in repo.cwt("release", "list")
    assert [each["name"] for each in json.loads(repo.cwt("release", "list", "--json"))] == ["digits@v1.0.0"]
    assert "no release is called 'nothing'" in repo.cwt("release", "show", "nothing", check=False)
