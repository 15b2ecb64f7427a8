"""Objects by long-running cat-file processes: every answer is git's own, whatever the order and the number."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.git.objects import MissingObject, ObjectInfo, ObjectReader
from tests.clones import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone")
    for number in range(30):
        made.write(f"f{number}", f"content {number}\n".encode() * number)
    made.write("sub/with space", b"x")
    made.commit()
    return made


def test_info_and_read_of_any_name(clone: Clone) -> None:
    with ObjectReader(clone.git) as reader:
        info = reader.info("HEAD:f3")
        assert info == ObjectInfo(clone.git.text("rev-parse", "HEAD:f3"), "blob", 30)
        assert repr(info) == f"ObjectInfo({info.name} blob 30)"
        assert hash(info) == hash(info.name)
        assert reader.info("HEAD").kind == "commit"  # type: ignore[union-attr]
        assert reader.read("HEAD:sub/with space") == b"x"
        assert reader.read("HEAD:f0") == b""
        assert reader.info("HEAD:nothing here") is None
        with pytest.raises(MissingObject) as caught:
            reader.read("HEAD:nothing here")
        assert caught.value.name == "HEAD:nothing here"


def test_bulk_answers_come_in_order_and_tell_what_is_missing(clone: Clone) -> None:
    names = [f"HEAD:f{n % 40}" for n in range(2000)]
    with ObjectReader(clone.git) as reader:
        sizes = [info.size if info else -1 for info in reader.infos(iter(names))]
        contents = [found[1] if found else None for found in reader.contents(iter(names))]
        assert list(reader.infos([])) == []
    expected = [f"content {n % 40}\n".encode() * (n % 40) if n % 40 < 30 else None for n in range(2000)]
    assert contents == expected
    assert sizes == [-1 if content is None else len(content) for content in expected]


def test_large_content_is_copied_in_pieces(clone: Clone) -> None:
    clone.write("big", bytes(range(256)) * 12_000)
    clone.commit()
    pieces: list[int] = []
    with ObjectReader(clone.git) as reader:
        info = reader.copy("HEAD:big", lambda piece: pieces.append(len(piece)))
        assert reader.read("HEAD:f1") == b"content 1\n", "the stream stands at the next answer"
        with pytest.raises(MissingObject):
            reader.copy("HEAD:none", lambda piece: pieces.append(len(piece)))
    assert sum(pieces) == info.size == 3_072_000
    assert max(pieces) <= 1 << 20


def test_an_abandoned_iterator_leaves_a_usable_reader(clone: Clone) -> None:
    with ObjectReader(clone.git) as reader:
        answers = reader.infos(f"HEAD:f{n % 30}" for n in range(1000))
        assert next(answers) is not None
        answers.close()  # type: ignore[attr-defined]
        assert reader.info("HEAD:f2") == ObjectInfo(clone.git.text("rev-parse", "HEAD:f2"), "blob", 20)


def test_content_that_nobody_takes_to_its_end_leaves_a_usable_reader(clone: Clone) -> None:
    clone.write("large", b"x" * (3 << 20))
    clone.commit()

    def full(_piece: bytes) -> None:
        raise OSError(28, "no space left")

    with ObjectReader(clone.git) as reader:
        with pytest.raises(OSError, match="no space"):
            reader.copy("HEAD:large", full)
        pieces = reader.pieces("HEAD:large")
        assert len(next(pieces)) == 1 << 20
        pieces.close()  # type: ignore[attr-defined]
        assert b"".join(reader.pieces("HEAD:large")) == b"x" * (3 << 20)
        with pytest.raises(MissingObject):
            next(reader.pieces("HEAD:none"))


def test_a_name_with_a_line_end_is_found_too(clone: Clone) -> None:
    clone.write("two\nlines", b"here")
    clone.commit()
    with ObjectReader(clone.git) as reader:
        assert reader.read("HEAD:two\nlines") == b"here"
        assert reader.info("HEAD:no\nsuch") is None
    reader.close()


def test_a_repository_without_git_is_an_error(tmp_path: Path) -> None:
    from hundredweight.git.objects import CatFileDied
    from hundredweight.git.run import Git

    with ObjectReader(Git(str(tmp_path))) as reader, pytest.raises(CatFileDied):
        reader.info("HEAD")
