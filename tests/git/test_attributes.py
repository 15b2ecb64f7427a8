"""`.gitattributes`: parsing, escaping and precedence, with git as the judge of verdicts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hundredweight.git import attributes
from hundredweight.git.attributes import AttributePattern, Macros, lfs_patterns, parse
from tests.clones import Clone


def test_lines_are_parsed_as_git_does() -> None:
    text = b"""# a comment
*.bin filter=lfs -text !diff lockable
  \t
"a b\\tc\\303\\274" text
[attr]big filter=lfs -text
[attr] spaced x
"unclosed filter=lfs
"bad \\q" filter=lfs
"trail\\
*.win filter=lfs\r
tab\tfilter=lfs
"""
    lines = parse(text)
    assert [(line.pattern, line.values, line.is_macro) for line in lines] == [
        ("*.bin", [("filter", "lfs"), ("text", False), ("diff", None), ("lockable", True)], False),
        ("a b\tcü", [("text", True)], False),
        ("big", [("filter", "lfs"), ("text", False)], True),
        ("spaced", [("x", True)], True),
        ("*.win", [("filter", "lfs")], False),
        ("tab", [("filter", "lfs")], False),
    ]


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (b"", ""),
        (b"a", ""),
        (b"a\nb\n", "\n"),
        (b"a\r\nb\r\n", "\r\n"),
        (b"a\r\nb\r\nc\n", "\r\n"),
        (b"a\r\nb\n", "\n"),
    ],
)
def test_line_ending_is_the_usual_one(data: bytes, ending: str) -> None:
    assert attributes.line_ending(data) == ending


def test_patterns_that_mention_lfs(tmp_path: Path) -> None:
    macros = Macros()
    macros.read(parse(b"[attr]lfs filter=lfs -text\n[attr]heavy lfs lockable\n"))
    data = (
        b"*.a lfs\n*.b heavy\n*.c !lfs\n*.d -filter\n*.e text\n*.f filter=other\n*.g -lockable\n[attr]lfs x\n*.h -lfs\n"
    )
    found = lfs_patterns(data, "sub", "sub/.gitattributes", macros)
    assert [(p.text, p.is_tracked, p.filter, p.lockable) for p in found] == [
        ("*.a", True, "lfs", None),
        ("*.b", True, "lfs", True),
        ("*.c", False, "", None),
        ("*.d", False, "", None),
        ("*.f", False, "other", None),
        ("*.g", False, None, False),
        ("*.h", False, None, None),
    ]
    assert [p.text for p in found if not p.is_listed] == ["*.g", "*.h"]
    assert found[0].path == "sub/*.a"
    assert found[0].matches("sub/deep/x.a")
    assert not found[0].matches("x.a")


def test_a_macro_of_itself_ends() -> None:
    macros = Macros()
    macros.read(parse(b"[attr]loop loop filter=lfs\n"))
    assert ("filter", "lfs") in list(macros.expand([("loop", True)]))


rules_text = st.lists(
    st.tuples(
        st.sampled_from(["*.bin", "*.dat", "/top.bin", "dir/*.bin", "**/x.dat", "dir/", "*", "lfs.bin"]),
        st.sampled_from(
            ["filter=lfs", "-filter", "!filter", "lockable", "-lockable", "mac", "!mac", "filter=lfs lockable"]
        ),
    ),
    max_size=4,
).map(lambda lines: "".join(f"{pattern} {values}\n" for pattern, values in lines))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=rules_text, inner=rules_text, info=rules_text, user=rules_text)
def test_the_rules_decide_as_git_does(
    tmp_path_factory: pytest.TempPathFactory, top: str, inner: str, info: str, user: str
) -> None:
    clone = Clone(tmp_path_factory.mktemp("rules"))
    clone.write(".gitattributes", b"[attr]mac filter=lfs lockable\n" + top.encode())
    clone.write("dir/.gitattributes", inner.encode())
    clone.write(".git/info/attributes", info.encode())
    clone.write(".git/user", user.encode())
    clone.git.output("config", "core.attributesFile", str(clone.folder / ".git" / "user"))
    paths = ["top.bin", "a.dat", "dir/top.bin", "dir/x.dat", "dir/dir/a.bin", "other/dir/b.bin", "lfs.bin"]
    space = clone.workspace()
    rules = attributes.rules(space.repository, space.git_config, space.variables)
    tracked = {path for path in paths if rules.is_tracked(path)}
    lockable = {path for path in paths if rules.is_lockable(path)}
    said = list(attributes.check(clone.git, paths, "filter", "lockable"))
    assert tracked == {path for path, name, value in said if name == "filter" and value == "lfs"}
    assert tracked == set(attributes.tracked_paths(clone.git, paths))
    assert lockable == {path for path, name, value in said if name == "lockable" and value == "set"}


def test_where_attribute_files_are_found(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    home = tmp_path / "someone"
    clone.write(".gitattributes", b"*.top filter=lfs\n")
    clone.write("a/b/.gitattributes", b"*.deep filter=lfs\r\n")
    clone.write(".git/info/attributes", b"*.info filter=lfs\n")
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "attributes").write_text("[attr]m filter=lfs\n*.user m\n")
    variables = {"HOME": str(home)}
    space = clone.workspace()
    inner = attributes.work_tree_patterns(space.repository, space.git_config, variables)
    assert [(p.path, p.source, p.line_ending) for p in inner] == [
        ("*.info", ".git/info/attributes", "\n"),
        ("a/b/*.deep", "a/b/.gitattributes", "\r\n"),
        ("*.top", ".gitattributes", "\n"),
    ]
    outer = attributes.known_patterns(space.repository, space.git_config, variables)[3:]
    assert [p.path for p in outer if p.source.startswith(str(home))] == ["*.user"]
    assert attributes.rules(space.repository, space.git_config, variables).any_lockable is False


def test_where_the_users_file_is() -> None:
    from hundredweight.git.config import Config

    assert attributes.user_file(Config(), {"XDG_CONFIG_HOME": "/x"}) == "/x/git/attributes"
    assert attributes.user_file(Config(), {}) == ""
    assert attributes.user_file(Config([("core.attributesfile", "~/mine")]), {"HOME": "/h"}) == "/h/mine"
    assert attributes.user_file(Config([("core.attributesfile", "/abs")]), {}) == "/abs"


def test_macros_are_not_read_from_a_folders_file(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.write("dir/.gitattributes", b"[attr]own filter=lfs\n*.bin own\n")
    space = clone.workspace()
    assert attributes.work_tree_patterns(space.repository, space.git_config, {}) == []
    assert attributes.tracked_paths(clone.git, ["dir/a.bin"]) == []
    assert attributes.tracked_paths(clone.git, []) == []


names = st.text(alphabet="ab #*?[]\\é.-", min_size=1, max_size=8).filter(
    lambda n: n.strip() == n and n not in (".", "..") and n[0] not in "!-"
)


@settings(max_examples=60, deadline=None)
@given(name=names)
def test_escaping_is_undone(name: str) -> None:
    assert attributes.unescape_pattern(attributes.escape_pattern(name)) == name


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names, other=names)
def test_an_escaped_file_name_matches_just_that_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, other: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "escaping"
    clone = Clone(folder)
    line = f"{attributes.escape_file_name(name)} {attributes.TRACKED_BY_LFS}\n"
    clone.write(".gitattributes", os.fsencode(line))
    assert attributes.tracked_paths(clone.git, [name]) == [name]
    if other != name:
        assert attributes.tracked_paths(clone.git, [other]) == []
    assert AttributePattern(attributes.escape_file_name(name)).matches(name)
