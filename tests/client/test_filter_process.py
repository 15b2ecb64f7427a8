"""The long-running filter: served to a hand-written git on two pipes, and to the real one."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hundredweight.base.errors import CwtError
from hundredweight.client.filter_process import FilterProcess
from hundredweight.client.filter_stream import FilterStream
from hundredweight.protocol.filter import FilterProtocolError, encode_content, take_packet
from hundredweight.protocol.pktline import FLUSH, MAX_PAYLOAD, encode_lines
from hundredweight.protocol.pointer import CUTOFF, Extension, Pointer
from tests.clones import Clone, oid_of, pointer_of

HELLO = encode_lines(["git-filter-client", "version=2"])
ABILITIES = encode_lines(["capability=clean", "capability=smudge", "capability=delay"])


class HandWrittenGit:
    """git's side of the two pipes. What it sends goes out by a thread, so that tests read answers as git does, afterwards."""

    def __init__(self, clone: Clone, **variables: str) -> None:
        theirs, self._to = os.pipe()
        self._from, ours = os.pipe()
        self.said: list[str] = []
        self.error: BaseException | None = None
        self.process = FilterProcess(clone.workspace(**variables), FilterStream(theirs, ours), say=self.said.append)
        self._thread = threading.Thread(target=self._serve, args=(theirs, ours))
        self._thread.start()
        self._raw = b""

    def _serve(self, theirs: int, ours: int) -> None:
        try:
            self.process.run()
        except CwtError as error:
            self.error = error
        finally:
            os.close(theirs)
            os.close(ours)

    def greet(self) -> None:
        self.send(HELLO + ABILITIES)
        assert self.read_list() == [b"git-filter-server", b"version=2"]
        assert self.read_list() == [b"capability=clean", b"capability=smudge", b"capability=delay"]

    def send(self, raw: bytes) -> None:
        view = memoryview(raw)
        while view:
            view = view[os.write(self._to, view) :]

    def ask(self, command: str, path: str, content: bytes = b"", *more: str) -> tuple[str, bytes]:
        """The answer's status and content."""
        self.send(encode_lines([f"command={command}", f"pathname={path}", *more]) + encode_content(content) + FLUSH)
        status = self.read_list()
        if status != [b"status=success"]:
            return status[0].decode(), b""
        packets = self.read_packets()
        assert self.read_list() == []
        return "status=success", b"".join(packets)

    def available(self) -> list[bytes]:
        self.send(encode_lines(["command=list_available_blobs"]))
        paths = self.read_list()
        assert self.read_list() == [b"status=success"]
        return paths

    def read_packets(self) -> list[bytes]:
        packets: list[bytes] = []
        while True:
            packet, after = take_packet(self._raw)
            if after < 0:
                more = os.read(self._from, 1 << 16)
                assert more, self.error
                self._raw += more
                continue
            self._raw = self._raw[after:]
            if packet is None:
                return packets
            packets.append(packet)

    def read_list(self) -> list[bytes]:
        return [packet.removesuffix(b"\n") for packet in self.read_packets()]

    def close(self) -> None:
        os.close(self._to)
        self._thread.join()
        os.close(self._from)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


@pytest.fixture
def git(clone: Clone) -> Iterator[HandWrittenGit]:
    made = HandWrittenGit(clone)
    made.greet()
    yield made
    made.close()


def weights(size: int) -> bytes:
    return hashlib.shake_128(str(size).encode()).digest(size)


SIZES = [1, CUTOFF - 1, CUTOFF, MAX_PAYLOAD, MAX_PAYLOAD + 1, 16 * MAX_PAYLOAD, 16 * MAX_PAYLOAD + 1, 5_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_clean_then_smudge_gives_the_bytes_back(clone: Clone, git: HandWrittenGit, size: int) -> None:
    content = weights(size)
    assert git.ask("clean", "a.bin", content) == ("status=success", pointer_of(content).encode())
    assert clone.has(content)
    assert git.ask("smudge", "a.bin", pointer_of(content).encode()) == ("status=success", content)
    assert os.listdir(clone.workspace().store.temp) == []


def test_files_follow_each_other(clone: Clone, git: HandWrittenGit) -> None:
    for size in (*SIZES, *reversed(SIZES)):
        content = weights(size)
        assert git.ask("clean", f"{size}.bin", content)[1] == pointer_of(content).encode()


@pytest.mark.parametrize("packet", [1, 100, 4096])
def test_short_packets_are_content_too(clone: Clone, git: HandWrittenGit, packet: int) -> None:
    """As git sends what it reads from a pipe (`git hash-object --stdin --path`)."""
    content = weights(packet * 500 + 17)
    raw = b"".join(encode_content(content[at : at + packet]) for at in range(0, len(content), packet))
    git.send(encode_lines(["command=clean", "pathname=a.bin"]) + raw + FLUSH)
    assert git.read_list() == [b"status=success"]
    assert b"".join(git.read_packets()) == pointer_of(content).encode()
    assert git.read_list() == []
    assert clone.has(content)


def test_many_short_packets_over_several_runs(clone: Clone, git: HandWrittenGit) -> None:
    content = weights(3_000_000)
    raw = b"".join(encode_content(content[at : at + 40_000]) for at in range(0, len(content), 40_000))
    git.send(encode_lines(["command=clean", "pathname=a.bin"]) + raw + FLUSH)
    assert git.read_list() == [b"status=success"]
    assert b"".join(git.read_packets()) == pointer_of(content).encode()


def test_pointers_and_empty_files_pass_through_clean(clone: Clone, git: HandWrittenGit) -> None:
    odd = pointer_of(b"x").encode().replace(b"\n", b"\r\n")
    for content in (b"", pointer_of(b"x").encode(), odd):
        assert git.ask("clean", "a.bin", content) == ("status=success", content)
    assert not clone.has(b"x")


@pytest.mark.parametrize("size", [5, CUTOFF, 3_000_000])
def test_what_is_no_pointer_passes_through_smudge_and_is_told(clone: Clone, git: HandWrittenGit, size: int) -> None:
    assert git.ask("smudge", "bad.bin", weights(size)) == ("status=success", weights(size))
    assert git.process.malformed == ["bad.bin"]
    assert git.ask("smudge", "empty.bin", b"") == ("status=success", b"")
    assert git.process.malformed == ["bad.bin"]


@pytest.mark.parametrize("size", [5, 2_000_000])
def test_a_damaged_object_is_stored_again(clone: Clone, git: HandWrittenGit, size: int) -> None:
    content = weights(size)
    path = Path(clone.workspace().store.path(oid_of(content)))
    for damage in (content[:-1], content[:-1] + b"?"):
        git.ask("clean", "a.bin", content)
        assert path.read_bytes() == content
        path.write_bytes(damage)
    git.ask("clean", "a.bin", content)
    assert path.read_bytes() == content


def test_skip_and_filters_leave_pointers(clone: Clone) -> None:
    clone.store(b"here")
    clone.git.output("config", "lfs.fetchexclude", "big")
    pointer = pointer_of(b"here").encode()
    git = HandWrittenGit(clone)
    git.greet()
    assert git.ask("smudge", "big/a.bin", pointer)[1] == pointer
    assert git.ask("smudge", "small/a.bin", pointer)[1] == b"here"
    git.close()
    skipping = HandWrittenGit(clone, GIT_LFS_SKIP_SMUDGE="1")
    skipping.greet()
    assert skipping.ask("smudge", "small/a.bin", pointer)[1] == pointer
    skipping.close()


def test_missing_objects_are_delayed_and_then_told(clone: Clone) -> None:
    """Without a server there is nothing to wait for: each path is listed, and each gets its error."""
    git = HandWrittenGit(clone, GIT_LFS_SKIP_DOWNLOAD_ERRORS="1")
    git.greet()
    clone.store(b"here")
    pointer = pointer_of(b"missing").encode()
    assert git.ask("smudge", "here.bin", pointer_of(b"here").encode(), "can-delay=1") == ("status=success", b"here")
    assert git.ask("smudge", "one.bin", pointer, "can-delay=1")[0] == "status=delayed"
    assert git.ask("smudge", "two.bin", pointer, "can-delay=1")[0] == "status=delayed"
    assert sorted(git.available()) == [b"pathname=one.bin", b"pathname=two.bin"]
    # git does not send the content a second time
    assert git.ask("smudge", "one.bin") == ("status=success", pointer)
    assert git.available() == [b"pathname=two.bin"]
    assert git.ask("smudge", "two.bin") == ("status=success", pointer)
    assert git.available() == []
    assert [line for line in git.said if line.startswith("Error downloading object: one.bin (")]
    git.close()


def test_a_missing_object_ends_the_process_unless_errors_are_skipped(clone: Clone) -> None:
    git = HandWrittenGit(clone)
    git.greet()
    git.send(
        encode_lines(["command=smudge", "pathname=a.bin"]) + encode_content(pointer_of(b"missing").encode()) + FLUSH
    )
    git.close()
    assert str(git.error).startswith("Error downloading object: a.bin (")
    assert getattr(git.error, "exit_code", 0) == 2


@pytest.mark.parametrize("size", SIZES)
def test_a_damaged_object_fails_its_file_and_no_other(clone: Clone, git: HandWrittenGit, size: int) -> None:
    content = weights(size)
    clone.store(content)
    clone.store(b"sound")
    damaged = clone.damage(content)
    git.send(encode_lines(["command=smudge", "pathname=a.bin"]) + encode_content(pointer_of(content).encode()) + FLUSH)
    assert git.read_list() == [b"status=success"]
    assert b"".join(git.read_packets()) == damaged
    assert git.read_list() == [b"status=error"]
    assert git.said[0].startswith(f"error: object '{oid_of(content)}' of 'a.bin' is damaged in the local store")
    assert git.said[1].startswith("hint: run the command again")
    assert (clone.folder / ".git/lfs/bad" / oid_of(content)).read_bytes() == damaged
    assert not clone.has(content)
    assert git.ask("smudge", "b.bin", pointer_of(b"sound").encode()) == ("status=success", b"sound")


def test_a_truncated_object_that_was_whole_a_moment_ago_fails_its_file(
    clone: Clone, git: HandWrittenGit, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.store(b"whole")
    path = Path(clone.workspace().store.path(oid_of(b"whole")))
    monkeypatch.setattr("hundredweight.store.loose.LooseStore.has", lambda *_: path.write_bytes(b"who"))
    git.send(encode_lines(["command=smudge", "pathname=a.bin"]) + encode_content(pointer_of(b"whole").encode()) + FLUSH)
    assert git.read_list() == [b"status=success"]
    assert b"".join(git.read_packets()) == b"who"
    assert git.read_list() == [b"status=error"]


def test_content_passes_through_extensions_both_ways(clone: Clone) -> None:
    for name, command in (("clean", "tr a-z b-za"), ("smudge", "tr b-za a-z"), ("priority", "0")):
        clone.git.output("config", f"lfs.extension.shift.{name}", command)
    git = HandWrittenGit(clone)
    git.greet()
    pointer = Pointer(oid_of(b"bcd"), 3, (Extension("shift", 0, oid_of(b"abc")),))
    assert git.ask("clean", "a.bin", b"abc") == ("status=success", pointer.encode())
    assert git.ask("smudge", "a.bin", pointer.encode()) == ("status=success", b"abc")
    assert git.ask("clean", "a.bin", pointer.encode()) == ("status=success", pointer.encode())
    git.close()
    assert git.error is None


def test_an_extension_that_is_not_configured_gives_an_error(clone: Clone) -> None:
    clone.store(b"x")
    pointer = Pointer(oid_of(b"x"), 1, (Extension("secret", 0, oid_of(b"y")),))
    git = HandWrittenGit(clone)
    git.greet()
    git.send(encode_lines(["command=smudge", "pathname=a.bin"]) + encode_content(pointer.encode()) + FLUSH)
    git.close()
    assert str(git.error) == "extension 'secret' is not configured"


@pytest.mark.parametrize(
    "raw",
    [
        b"0009hello",
        encode_lines(["git-filter-client", "version=1"]),
        HELLO + encode_lines(["capability=clean"]),
        HELLO + ABILITIES + encode_lines(["command=dance"]),
        HELLO + ABILITIES + encode_lines(["command=clean", "pathname=a"]) + b"zzzz",
        HELLO + ABILITIES + encode_lines(["command=clean", "pathname=a"]) + b"0010cut off",
        HELLO + ABILITIES + encode_lines(["command=clean", "pathname=a"]) + encode_content(b"x" * 70000),
        HELLO + ABILITIES + b"0013command=cl",
    ],
)
def test_a_broken_conversation_is_an_error_and_stores_nothing(clone: Clone, raw: bytes) -> None:
    git = HandWrittenGit(clone)
    git.send(raw)
    git.close()
    assert git.error is not None
    assert isinstance(git.error, FilterProtocolError | CwtError)
    assert list(clone.workspace().store.ids()) == []
    temp = clone.workspace().store.temp
    assert not os.path.isdir(temp) or os.listdir(temp) == []


def test_git_that_says_nothing_is_no_error(clone: Clone) -> None:
    git = HandWrittenGit(clone)
    git.close()
    assert git.error is None
