"""Releases and stages, read from tags that anybody may have made."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.git.run import Git
from hundredweight.lineage import block, releases
from hundredweight.lineage.block import Facts
from hundredweight.lineage.releases import AmbiguousRelease


class Tagged:
    """A repository with a few commits; `tag` puts one at a given second."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.git = Git(str(folder))
        self.git.output("init", "-q", "-b", "main")
        self.commits = []
        for number in range(4):
            self.git.output("commit", "-q", "--allow-empty", "-m", f"commit {number}")
            self.commits.append(self.git.text("rev-parse", "HEAD"))

    def tag(self, name: str, commit: int, second: int, message: str = "") -> None:
        when = self.git.with_env(GIT_COMMITTER_DATE=f"{1_700_000_000 + second} +0000")
        when.output("tag", "--cleanup=verbatim", "-m", message or name, name, self.commits[commit])

    def stage(self, model: str = "digits", stage: str = "prod") -> str | None:
        assigned = releases.read(self.git).in_stage(model, stage)
        return assigned.release if assigned else None


@pytest.fixture
def tagged(tmp_path: Path) -> Tagged:
    return Tagged(tmp_path / "repo")


def test_ours_gtos_and_plain_ones_are_releases(tagged: Tagged) -> None:
    tagged.tag("digits@v1.0.0", 0, 0, "Registering artifact digits version v1.0.0")
    tagged.tag("v1.2-qwen3vl8b-ecommerce", 1, 1, "Good one\n\nfor the shop\n")
    tagged.tag(
        "digits@v1.1.0",
        2,
        2,
        "Release digits@v1.1.0\n\nBetter\n\n" + block.write("digits", "v1.1.0", Facts({"acc": 1.0})),
    )
    tagged.tag("backup", 3, 3)
    tagged.tag("deployed/host/1", 3, 4)
    tagged.tag("nice-name", 3, 5, block.write("letters", "", Facts({"acc": 2.0})))
    tagged.git.output("tag", "v3.0.0", tagged.commits[3])
    found = {release.name: release for release in releases.find_releases(tagged.git)}
    assert list(found) == ["digits@v1.0.0", "v1.2-qwen3vl8b-ecommerce", "digits@v1.1.0", "nice-name", "v3.0.0"]
    ours = found["digits@v1.1.0"]
    assert (ours.model, ours.version, ours.notes, ours.facts.metrics) == ("digits", "v1.1.0", "Better", {"acc": 1.0})
    assert (ours.commit, ours.author, ours.created) == (
        tagged.commits[2],
        "test <test@example.com>",
        "2023-11-14T22:13:22Z",
    )
    assert ours.tag_id == tagged.git.text("rev-parse", "refs/tags/digits@v1.1.0")
    assert found["v1.2-qwen3vl8b-ecommerce"].notes == "Good one\n\nfor the shop"
    assert (found["nice-name"].model, found["nice-name"].version) == ("letters", "")
    light = found["v3.0.0"]
    assert (light.version, light.tag_id, light.commit) == ("v3.0.0", tagged.commits[3], tagged.commits[3])


def test_the_settings_of_its_commit_name_the_model_of_a_plain_tag(tagged: Tagged, tmp_path: Path) -> None:
    (tmp_path / "repo" / "hundredweight.toml").write_text('[model]\nname = "digits"\n')
    tagged.git.output("add", ".")
    tagged.git.output("commit", "-q", "-m", "settings")
    tagged.commits[3] = tagged.git.text("rev-parse", "HEAD")
    tagged.tag("v1.0.0", 3, 0)
    tagged.tag("v0.9", 0, 0)
    assert [(each.name, each.model) for each in releases.find_releases(tagged.git)] == [
        ("v0.9", ""),
        ("v1.0.0", "digits"),
    ]
    found = releases.resolve(tagged.git, "digits@latest")
    assert found is not None
    assert found.name == "v1.0.0"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("digits@v1.0.0", "digits@v1.0.0"), ("digits@latest", "digits@v1.10.0"), ("digits@greatest", "digits@v1.10.0"),
        ("digits#prod", "digits@v1.0.0"), ("prod", "digits@v1.0.0"), ("v1.10.0", "digits@v1.10.0"), ("1.10.0", "digits@v1.10.0"),
        ("digits@1.0.0", "digits@v1.0.0"), ("staging", None), ("digits#staging", None), ("other@latest", None), ("v9.9.9", None),
        ("letters@latest", "letters@v1.0.0"), ("main", None),
    ],
)  # fmt: skip
def test_names_that_mean_a_release(tagged: Tagged, name: str, meant: str | None) -> None:
    tagged.tag("digits@v1.0.0", 0, 0)
    tagged.tag("digits@v1.10.0", 1, 1)
    tagged.tag("digits@v1.9.0", 2, 2)
    tagged.tag("letters@v1.0.0", 2, 2)
    tagged.tag("digits#prod#1", 0, 3)
    found = releases.resolve(tagged.git, name)
    assert (found.name if found else None) == meant


def test_what_several_models_have_is_ambiguous(tagged: Tagged) -> None:
    for number, model in enumerate(("digits", "letters")):
        tagged.tag(f"{model}@v1.0.0", 0, number)
        tagged.tag(f"{model}#prod#1", 0, number)
    for name in ("prod", "v1.0.0", "latest"):
        with pytest.raises(AmbiguousRelease) as caught:
            releases.resolve(tagged.git, name)
        assert len(caught.value.choices) == 2
        assert all(releases.resolve(tagged.git, choice) for choice in caught.value.choices)


def test_a_stage_that_is_left_has_again_what_was_there_before(tagged: Tagged) -> None:
    tagged.tag("digits@v1.0.0", 0, 0)
    tagged.tag("digits@v1.1.0", 1, 0)
    tagged.tag("digits#prod#1", 0, 10)
    tagged.tag("digits#prod#2", 1, 20)
    assert tagged.stage() == "digits@v1.1.0"
    tagged.tag("digits#prod!#3", 1, 30)
    assert tagged.stage() == "digits@v1.0.0"
    tagged.tag("digits#prod!#4", 0, 40)
    assert tagged.stage() is None
    tagged.tag("digits#prod", 1, 50)
    periods = releases.read(tagged.git).history("digits", "prod")
    seconds = [(p.release.partition("@")[2], p.since[-3:-1], p.until[-3:-1]) for p in periods]
    assert seconds == [("v1.0.0", "30", "40"), ("v1.1.0", "40", "50"), ("v1.0.0", "50", "00"), ("v1.1.0", "10", "")]
    assert [p.tag for p in periods] == ["digits#prod#1", "digits#prod#2", "digits#prod#1", "digits#prod"]


def test_of_the_same_second_the_number_decides(tagged: Tagged) -> None:
    for number in range(1, 12):
        tagged.tag(f"digits#prod#{number}", number % 2, 0)
    assert releases.read(tagged.git).assignments[-1].number == 11
    assert releases.read(tagged.git).next_number("digits") == 12
    assert releases.read(tagged.git).next_number("other") == 1


def test_what_is_withdrawn_counts_no_more(tagged: Tagged) -> None:
    tagged.tag("digits@v1.0.0", 0, 0)
    tagged.tag("digits@v1.1.0", 1, 1)
    tagged.tag("digits#prod#1", 0, 2)
    tagged.tag("digits#prod#2", 1, 3)
    tagged.tag("digits@v1.1.0!", 1, 4)
    assert tagged.stage() == "digits@v1.0.0"
    registry = releases.read(tagged.git)
    latest = registry.latest("digits")
    assert latest is not None
    assert latest.name == "digits@v1.0.0"
    assert [release.withdrawn for release in registry.releases] == [False, True]
    tagged.tag("digits@deprecated", 1, 5)
    assert all(release.withdrawn for release in releases.find_releases(tagged.git))
    assert releases.read(tagged.git).latest("digits") is None


def test_an_assignment_names_one_of_several_releases_of_its_commit(tagged: Tagged) -> None:
    tagged.tag("digits@v1.0.0", 0, 0)
    tagged.tag("pretty", 0, 0, block.write("digits", "", Facts({"acc": 1.0})))
    tagged.tag("digits#prod#1", 0, 1, "Assign pretty to prod\n\nbecause\n\nRelease: pretty\n")
    tagged.tag("digits#dev#2", 0, 2, "by gto")
    tagged.tag("digits#test#3", 1, 3, "Release: digits@v1.0.0\n")
    first, second, third = releases.assignments(tagged.git)
    assert (first.release, first.message) == ("pretty", "Assign pretty to prod\n\nbecause")
    assert second.release == "digits@v1.0.0"
    assert third.release == ""


def test_a_damaged_block_hides_nothing(tagged: Tagged) -> None:
    tagged.tag("digits@v1.0.0", 0, 0, f"Release\n\n{block.BEGIN}\n{{oops\n{block.END}\n")
    tagged.tag("digits@v1.1.0", 1, 1)
    first, second = releases.find_releases(tagged.git)
    assert "not JSON" in first.fault
    assert first.facts == Facts()
    assert second.fault == ""


def test_tags_of_tags_and_of_files_do_no_harm(tagged: Tagged) -> None:
    tagged.tag("digits@v1.0.0", 0, 0)
    tagged.git.output("tag", "-m", "of a tag", "digits@v1.1.0", "digits@v1.0.0")
    blob = tagged.git.text("hash-object", "-w", "--stdin", stdin=b"x")
    tagged.git.output("tag", "-m", "of a blob", "v2.0.0", blob)
    tagged.git.output("tag", "v2.1.0", blob)
    found = releases.find_releases(tagged.git)
    assert [(release.name, release.commit) for release in found] == [
        ("digits@v1.0.0", tagged.commits[0]), ("digits@v1.1.0", tagged.commits[0])
    ]  # fmt: skip


def test_a_repository_without_tags(tagged: Tagged) -> None:
    registry = releases.read(tagged.git)
    assert (registry.releases, registry.assignments, registry.models, registry.history()) == ((), (), (), ())
