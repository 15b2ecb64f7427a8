"""What every backend must do, whatever it keeps its bytes in. A subclass gives `make_backend`."""

from __future__ import annotations

import mmap
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from hundredweight.backend.interface import READ_CHUNK, Backend, BackendFailed, InvalidKey, KeyMissing, Stat

BAD_KEYS = [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    ".",
    "..",
    "a/../b",
    ".hidden",
    "a/.b",
    "a b",
    "a\n",
    "é",
    "a\0",
    "x" * 201,
    "a/" * 7 + "x" * 200 + "/" + "y" * 200 + "/" + "z" * 200,
    "a/" * 8 + "a",
]
GOOD_KEYS = ["a", "a/b", "A-1_2.3", "x" * 200, "a/b/c/d/e/f/g/h"]


class BackendContract:
    @pytest.fixture
    def backend(self) -> Backend:
        raise NotImplementedError

    @pytest.mark.parametrize("key", GOOD_KEYS)
    def test_what_was_put_is_read_back(self, backend: Backend, key: str) -> None:
        assert backend.put(key, b"value")
        assert b"".join(backend.read(key)) == b"value"
        found = backend.stat(key)
        assert found is not None
        assert (found.key, found.size) == (key, 5)
        assert found.modified > 1_600_000_000

    def test_nothing_is_under_a_key_nobody_wrote(self, backend: Backend) -> None:
        backend.put("a/b", b"x")
        for key in ("missing", "a", "a/b/c"):
            assert backend.stat(key) is None
            assert not backend.delete(key)
            assert backend.local_path(key) is None
            with pytest.raises(KeyMissing) as caught:
                list(backend.read(key))
            assert caught.value.key == key
            assert not caught.value.temporary

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_a_bad_key_is_refused_everywhere(self, backend: Backend, key: str) -> None:
        with pytest.raises(InvalidKey):
            backend.stat(key)
        with pytest.raises(InvalidKey):
            list(backend.read(key))
        with pytest.raises(InvalidKey):
            backend.put(key, b"x")
        with pytest.raises(InvalidKey):
            backend.delete(key)
        with pytest.raises(InvalidKey):
            backend.local_path(key)
        with pytest.raises(InvalidKey):
            backend.move(key, "good")
        with pytest.raises(InvalidKey):
            backend.move("good", key)
        assert list(backend.list()) == []

    def test_a_second_put_changes_nothing(self, backend: Backend) -> None:
        assert backend.put("k", b"first")
        assert not backend.put("k", b"second and longer")
        assert b"".join(backend.read("k")) == b"first"

    def test_replacing_is_asked_for(self, backend: Backend) -> None:
        for value in (b"first", b"second", b"third"):
            with backend.writer() as writer:
                writer.write([value])
                assert writer.commit("deep/k", replace=True)
            assert b"".join(backend.read("deep/k")) == value
        assert [stat.key for stat in backend.list()] == ["deep/k"]
        assert backend.clean() == 0

    def test_of_many_writers_one_wins(self, backend: Backend) -> None:
        values = [bytes([number]) * 1000 for number in range(16)]
        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(lambda value: backend.put("race", value), values))
        assert won.count(True) == 1
        assert b"".join(backend.read("race")) == values[won.index(True)]

    def test_a_value_shows_only_after_commit(self, backend: Backend) -> None:
        with backend.writer() as writer:
            writer.write([b"abc", bytearray(b"def"), memoryview(b"ghi")])
            writer.write([])
            assert writer.size == 9
            assert backend.stat("k") is None
            assert list(backend.list()) == []
            assert writer.commit("k")
        assert b"".join(backend.read("k")) == b"abcdefghi"

    def test_an_unfinished_value_leaves_nothing(self, backend: Backend) -> None:
        with backend.writer() as writer:
            writer.write([b"abc"])
        writer.abort()
        writer = backend.writer()
        writer.write([b"abc"])
        writer.abort()
        with pytest.raises(RuntimeError), backend.writer() as writer:
            raise RuntimeError
        assert list(backend.list()) == []
        assert backend.clean() == 0

    def test_a_commit_that_fails_ends_the_writer(self, backend: Backend) -> None:
        with backend.writer() as writer:
            writer.write([b"abc"])
            with pytest.raises(InvalidKey):
                writer.commit("../k")
        assert list(backend.list()) == []
        assert backend.clean() == 0

    def test_an_empty_value_is_a_value(self, backend: Backend) -> None:
        assert backend.put("empty", b"")
        assert list(backend.read("empty")) == []
        assert backend.stat("empty") is not None

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, None, b"0123456789"),
            (3, None, b"3456789"),
            (0, 4, b"0123"),
            (3, 7, b"3456"),
            (5, 5, b""),
            (8, 99, b"89"),
            (10, None, b""),
            (99, 100, b""),
        ],
    )
    def test_a_range_is_cut_to_the_value(self, backend: Backend, start: int, end: int | None, expected: bytes) -> None:
        backend.put("digits", b"0123456789")
        assert b"".join(backend.read("digits", start, end)) == expected

    def test_a_long_value_comes_in_pieces(self, backend: Backend) -> None:
        value = random.Random(1).randbytes(2 * READ_CHUNK + 17)
        with backend.writer() as writer:
            writer.write([value[:1000], value[1000:]])
            writer.commit("long")
        pieces = list(backend.read("long"))
        assert max(map(len, pieces)) <= READ_CHUNK
        assert b"".join(pieces) == value
        assert b"".join(backend.read("long", 1000, READ_CHUNK + 2000)) == value[1000 : READ_CHUNK + 2000]

    def test_a_value_deleted_while_read_is_read_to_its_end(self, backend: Backend) -> None:
        value = b"x" * (READ_CHUNK + 1)
        backend.put("k", value)
        pieces = backend.read("k")
        first = next(pieces)
        assert backend.delete("k")
        assert first + b"".join(pieces) == value
        assert backend.stat("k") is None

    def test_a_deleted_key_may_be_written_again(self, backend: Backend) -> None:
        backend.put("k", b"first")
        assert backend.delete("k")
        assert not backend.delete("k")
        assert backend.put("k", b"second")
        assert b"".join(backend.read("k")) == b"second"

    def test_a_moved_value_is_under_its_new_key_alone(self, backend: Backend) -> None:
        backend.put("a/old", b"value")
        pieces = backend.read("a/old")
        assert backend.move("a/old", "b/c/new")
        assert b"".join(pieces) == b"value"
        assert [(stat.key, stat.size) for stat in backend.list()] == [("b/c/new", 5)]
        assert not backend.move("a/old", "b/c/new")
        assert b"".join(backend.read("b/c/new")) == b"value"
        backend.put("a/old", b"another")
        assert backend.move("b/c/new", "a/old")
        assert b"".join(backend.read("a/old")) == b"value"

    def test_list_gives_keys_in_order_below_a_prefix(self, backend: Backend) -> None:
        keys = ["a.b", "a/b", "a/c/d", "a0", "ab/c", "b/a", "B/a"]
        for key in keys:
            backend.put(key, key.encode())
        assert [stat.key for stat in backend.list()] == sorted(keys)
        assert [(s.key, s.size) for s in backend.list("a/")] == [("a/b", 3), ("a/c/d", 5)]
        assert list(backend.list("none/")) == []
        assert all(isinstance(stat, Stat) for stat in backend.list())

    @pytest.mark.parametrize("prefix", ["a", "../", "/", "a//"])
    def test_a_prefix_is_whole_parts(self, backend: Backend, prefix: str) -> None:
        with pytest.raises(InvalidKey):
            list(backend.list(prefix))

    def test_a_local_path_holds_the_value(self, backend: Backend) -> None:
        backend.put("k", b"value")
        path = backend.local_path("k")
        if path is not None:
            with open(path, "rb") as file:
                assert file.read() == b"value"

    def test_check_leaves_nothing(self, backend: Backend) -> None:
        backend.check()
        assert list(backend.list()) == []
        assert backend.clean() == 0

    def test_a_stage_is_found_again_until_it_is_published(self, backend: Backend) -> None:
        assert backend.stage("s.1", create=False) is None
        stage = backend.stage("s.1", create=True)
        assert stage is not None
        stage.write_at(6, [b"wor", b"ld", memoryview(b"!")])
        again = backend.stage("s.1", create=False)
        assert again is not None
        again.write_at(0, [b"hello "])
        again.write_at(100, [b"beyond"])
        again.sync()
        assert [stat.key for stat in backend.stages()] == ["s.1"]
        buffer = bytearray(20)
        assert stage.read_into(4, memoryview(buffer)[:6]) == 6
        assert bytes(buffer[:6]) == b"o worl"
        assert stage.read_into(100, memoryview(buffer)) == 6
        assert stage.read_into(500, memoryview(buffer)) == 0
        backend.put("a/b", b"old")
        again.commit("a/b", 12)
        assert b"".join(backend.read("a/b")) == b"hello world!"
        assert backend.stages() == ()
        assert backend.stage("s.1", create=False) is None

    @pytest.mark.parametrize("size", [1, 4096, 3 * 4096, 2 * 4096 + 17])
    @pytest.mark.parametrize("offset", [0, 4096, 4099])
    def test_a_stage_takes_blocks(self, backend: Backend, size: int, offset: int) -> None:
        stage = backend.stage("s", create=True)
        assert stage is not None
        stage.write_at(offset + size, [b"behind"])
        block = memoryview(mmap.mmap(-1, 4 * 4096))[:size]
        block[:] = random.Random(1).randbytes(size)
        stage.write_block(offset, block)
        buffer = bytearray(size + 6)
        assert stage.read_into(offset, memoryview(buffer)) == size + 6
        assert bytes(buffer) == bytes(block) + b"behind"
        stage.remove()
        with pytest.raises(BackendFailed):
            stage.write_block(offset, block)

    def test_what_is_expected_stays_what_it_is(self, backend: Backend) -> None:
        backend.put("a/b", b"value")
        for size in (0, 5, 100 << 20):
            backend.expect("a/b", size)
            backend.expect("a/missing", size)
        assert [stat.key for stat in backend.list()] == ["a/b"]
        assert b"".join(backend.read("a/b")) == b"value"

    def test_a_removed_stage_is_gone(self, backend: Backend) -> None:
        stage = backend.stage("s", create=True)
        assert stage is not None
        stage.write_at(0, [b"x"])
        stage.remove()
        stage.remove()
        assert backend.stages() == ()
        with pytest.raises(BackendFailed):
            stage.write_at(0, [b"late"])
        assert list(backend.list()) == []

    def test_stages_survive_cleaning(self, backend: Backend) -> None:
        stage = backend.stage("s", create=True)
        assert stage is not None
        backend.clean()
        stage.write_at(0, [b"x"])
        assert len(backend.stages()) == 1
        stage.remove()

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a b", "x" * 201])
    def test_a_stage_has_a_plain_name(self, backend: Backend, name: str) -> None:
        with pytest.raises(InvalidKey):
            backend.stage(name, create=True)
