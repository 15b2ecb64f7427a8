"""Names of tags: GTO's forms, versions and plain names."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.lineage import tags
from hundredweight.lineage.tags import Bump, Kind, Version
from tests.peers import lifecycle

NUMBERS = st.integers(0, 10**6)
WORDS = st.from_regex(r"[a-zA-Z][a-zA-Z0-9-]{0,6}", fullmatch=True)
PRES = st.lists(st.one_of(NUMBERS.map(str), WORDS), max_size=3).map(".".join)
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, NUMBERS, PRES, st.one_of(st.just(""), WORDS))
NAMES = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9\-/_]{0,8}[a-zA-Z0-9])?", fullmatch=True)
MODELS = st.one_of(NAMES, st.builds("{}:{}".format, NAMES, NAMES))
FORMS = {
    "digits@v1.2.0": (Kind.VERSION, "digits", "v1.2.0", "", 0),
    "digits@v1.2.0!": (Kind.WITHDRAWN, "digits", "v1.2.0", "", 0),
    "digits@v1.2.0#7": (Kind.VERSION, "digits", "v1.2.0", "", 7),
    "digits#prod#3": (Kind.ASSIGNED, "digits", "", "prod", 3),
    "digits#prod": (Kind.ASSIGNED, "digits", "", "prod", 0),
    "digits#prod!#4": (Kind.UNASSIGNED, "digits", "", "prod", 4),
    "digits#prod!": (Kind.UNASSIGNED, "digits", "", "prod", 0),
    "digits@deprecated": (Kind.DEPRECATED, "digits", "", "", 0),
    "digits@created#2": (Kind.CREATED, "digits", "", "", 2),
    "path/to/dir=digits@v1.2.0": (Kind.VERSION, "path/to/dir:digits", "v1.2.0", "", 0),
    "path/to/dir=digits#prod#1": (Kind.ASSIGNED, "path/to/dir:digits", "", "prod", 1),
    "v1.2.0": (Kind.VERSION, "", "v1.2.0", "", 0),
    "1.2.0-rc.1": (Kind.VERSION, "", "v1.2.0-rc.1", "", 0),
    "v1.2-qwen3vl8b-ecommerce": (Kind.PLAIN, "", "", "", 0),
    "digits@1.2.0": (Kind.PLAIN, "", "", "", 0),
    "-digits@v1.2.0": (Kind.PLAIN, "", "", "", 0),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_says_what_it_means(name: str) -> None:
    found = tags.parse(name)
    version = str(found.version) if found.version else ""
    assert (found.kind, found.model, version, found.stage, found.number) == FORMS[name]
    assert found.name == name


@pytest.mark.peer
def test_gto_means_the_same() -> None:
    program = "import json, sys; from gto.tag import parse_name\nfor name in json.load(sys.stdin):\n"
    program += " p = parse_name(name, raise_on_fail=False)\n print(json.dumps({k: getattr(v, 'value', v) for k, v in p.items()}))"
    asked = [name for name, (_, model, *_) in FORMS.items() if model and "created" not in name]
    asked += [f"{model}@{version}" for model in ("a", "a-b", "a_b/c", "x=y") for version in ("v1.2.3-a.1+b", "v01.2.3")]
    done = subprocess.run(
        [lifecycle("python"), "-c", program], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    actions = {
        "register": Kind.VERSION, "deregister": Kind.WITHDRAWN, "assign": Kind.ASSIGNED, "unassign": Kind.UNASSIGNED,
        "deprecate": Kind.DEPRECATED,
    }  # fmt: skip
    for name, line in zip(asked, done.stdout.splitlines(), strict=True):
        theirs, ours = json.loads(line), tags.parse(name)
        if not theirs:
            assert ours.kind is Kind.PLAIN, name
            continue
        assert (ours.kind, ours.model) == (actions[theirs["action"]], theirs["name"])
        assert (str(ours.version) if ours.version else None) == theirs.get("version")
        assert (ours.stage or None, ours.number or None) == (theirs.get("stage"), theirs.get("counter"))


@given(MODELS, VERSIONS)
def test_version_tags_come_back(model: str, version: Version) -> None:
    found = tags.parse(tags.version_tag(model, version))
    assert (found.kind, found.model, found.version) == (Kind.VERSION, model, version)
    taken_back = tags.parse(tags.withdrawn_tag(model, version))
    assert (taken_back.kind, taken_back.model, taken_back.version) == (Kind.WITHDRAWN, model, version)


@given(MODELS, NAMES, st.integers(1, 10**6), st.booleans())
def test_stage_tags_come_back(model: str, stage: str, number: int, ends: bool) -> None:
    found = tags.parse(tags.stage_tag(model, stage, number, ends=ends))
    assert found.kind is (Kind.UNASSIGNED if ends else Kind.ASSIGNED)
    assert (found.model, found.stage, found.number) == (model, stage, number)


@given(st.text())
def test_every_name_says_something(name: str) -> None:
    assert tags.parse(name).name == name


@given(VERSIONS, st.sampled_from(list(Bump)))
def test_a_bumped_version_is_higher(version: Version, which: Bump) -> None:
    assert version < version.bump(which)
    assert tags.parse_version(str(version)) == version


@given(st.lists(VERSIONS, max_size=6))
def test_order_is_total(versions: list[Version]) -> None:
    ordered = sorted(versions)
    assert all(not b < a for a, b in pairwise(ordered))


def test_order_is_that_of_semver() -> None:
    texts = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
    ]
    versions = [tags.parse_version(text) for text in texts]
    assert versions == sorted(version for version in versions if version is not None)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("v1.2-qwen3vl8b-ecommerce", True),
        ("v2", True),
        ("1.5", True),
        ("backup", False),
        ("vision", False),
        ("2024-backup", False),
    ],
)
def test_which_plain_names_are_versions(name: str, meant: bool) -> None:
    assert tags.looks_like_version(name) is meant


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("digits", True),
        ("a/b-c_d", True),
        ("path/to:digits", True),
        ("-digits", False),
        ("digits-", False),
        ("a b", False),
        ("a..b", False),
        ("", False),
    ],
)
def test_names_of_models(name: str, good: bool) -> None:
    assert tags.is_model_name(name) is good
