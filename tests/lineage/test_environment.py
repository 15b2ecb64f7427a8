"""Lists of packages of every kind that teams keep, and how an installation differs from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.lineage.environment import differences, parse_requirements, satisfies
from hundredweight.lineage.fields import RecordInvalid

PIP = b"""\
# comment
numpy==2.4.6  # pinned
Torch_Audio[extra] >= 2.0, <3 ; python_version > "3.8"
safetensors>=0.4
tokenizers == 0.20.1 \\
    --hash=sha256:abc
-r other.txt
--index-url https://example.org/simple
-e .
./local
git+https://example.org/x.git#egg=x
zoo @ https://example.org/zoo.whl
plain
"""

CONDA = b"""\
name: x
channels: [conda-forge]
dependencies:
  - python=3.11
  - numpy=1.26
  - conda-forge::scipy=1.11.4=py311h1
  - pandas 2.*
  - pip
  - pip:
      - safetensors==0.4.5
"""

UV = b"""\
version = 1
[[package]]
name = "mine"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "numpy" }, { name = "colorama", marker = "sys_platform == 'win32'" }]
[[package]]
name = "numpy"
version = "2.4.6"
source = { registry = "https://example.org/simple" }
[[package]]
name = "colorama"
version = "0.4.6"
source = { registry = "https://example.org/simple" }
"""

POETRY = b"""\
[[package]]
name = "numpy"
version = "2.4.6"
optional = false
[package.dependencies]
typing = "*"
[[package]]
name = "extra"
version = "1.0"
optional = true
"""


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        (
            "requirements.txt",
            PIP,
            {"numpy": "2.4.6", "safetensors": ">=0.4", "tokenizers": "0.20.1", "zoo": "", "plain": ""},
        ),
        (
            "env/environment.yml",
            CONDA,
            {"numpy": "=1.26", "scipy": "1.11.4", "pandas": "==2.*", "safetensors": "0.4.5"},
        ),
        ("uv.lock", UV, {"numpy": "2.4.6"}),
        ("poetry.lock", POETRY, {"numpy": "2.4.6"}),
        ("pylock.toml", b'[[packages]]\nname = "numpy"\nversion = "2.4.6"\n', {"numpy": "2.4.6"}),
        ("pyproject.toml", b'[project]\ndependencies = ["numpy >= 1.26", "x"]\n', {"numpy": ">=1.26", "x": ""}),
        ("Pipfile.lock", b'{"default": {"numpy": {"version": "==2.4.6"}}}', {"numpy": "2.4.6"}),
        ("requirements.txt", b"", {}),
    ],
)
def test_lists_of_every_kind(name: str, data: bytes, wanted: dict[str, str]) -> None:
    assert parse_requirements(name, data) == wanted


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("requirements.txt", b"\xff\xfe"),
        ("requirements.txt", b"!!!"),
        ("environment.yml", b"a: [b"),
        ("environment.yml", b"- 1"),
        ("uv.lock", b"= 1"),
        ("uv.lock", b"package = 3"),
        ("Pipfile.lock", b"[]"),
        ("pyproject.toml", b"project = {dependencies = [1]}"),
    ],
)
def test_what_is_no_list_is_named(name: str, data: bytes) -> None:
    with pytest.raises(RecordInvalid) as raised:
        parse_requirements(name, data)
    assert raised.value.where == name


@pytest.mark.parametrize(
    ("version", "rule", "held"),
    [
        ("2.4.6", "2.4.6", True),
        ("2.4", "2.4.0", True),
        ("2.4.6", "2.4.5", False),
        ("2.4.6+cu124", "2.4.6", True),
        ("2.4.6+cu124", "==2.4.6+cpu", False),
        ("1.26.4", "=1.26", True),
        ("1.27.0", "=1.26", False),
        ("2.1", "==2.*", True),
        ("3.0", "!=2.*", True),
        ("1.4.5", "~=1.4.2", True),
        ("1.5", "~=1.4.2", False),
        ("2.0rc1", ">=2.0", False),
        ("2.0.dev1", "<2.0a1", True),
        ("2.0.post1", ">2.0", True),
        ("1!1.0", ">9", True),
        ("2.10", ">=2.9,<3", True),
        ("3.0", ">=2.9,<3", False),
        ("1.0", "", True),
        ("1.0", "https://example.org/x.whl", True),
    ],
)
def test_rules_of_versions(version: str, rule: str, held: bool) -> None:
    assert satisfies(version, rule) is held


def test_differences_are_lines_for_people() -> None:
    assert differences(
        {"NumPy": "2.0", "torch": "2.4.0"}, {"numpy": "2.4.6", "torch": ">=2.0", "x-y": "", "z": "1"}
    ) == (
        "numpy is 2.0, wanted 2.4.6",
        "x-y is not installed",
        "z is not installed, wanted 1",
    )


@given(
    st.sampled_from(["requirements.txt", "environment.yml", "uv.lock", "pyproject.toml", "Pipfile.lock"]), st.binary()
)
def test_any_bytes_give_a_list_or_a_named_fault(name: str, data: bytes) -> None:
    try:
        wanted = parse_requirements(name, data)
    except RecordInvalid:
        return
    assert differences({}, wanted) == () or wanted


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.tuples(st.integers(0, 99), st.integers(0, 99))))
def test_what_is_installed_as_locked_does_not_differ(versions: dict[str, tuple[int, int]]) -> None:
    installed = {name: f"{major}.{minor}" for name, (major, minor) in versions.items()}
    listed = "".join(f"{name}=={version}\n" for name, version in installed.items()).encode()
    assert differences(installed, parse_requirements("requirements.txt", listed)) == ()
