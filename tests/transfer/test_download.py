"""Downloads from a server that misbehaves: the object arrives whole, or not at all and with the reason."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hundredweight.base.errors import EXIT_DAMAGED
from hundredweight.base.ids import Oid
from hundredweight.git.config import Config
from hundredweight.transfer.basic import WrongSize
from hundredweight.transfer.http import ConnectionFailed, HttpError
from hundredweight.transfer.part import PartFile, WrongContent
from hundredweight.transfer.queue import Failure, Item, ObjectRefused, TransferOptions, distinct_errors, read_options
from hundredweight.transfer.retry import RetryPolicy
from hundredweight.transfer.server import BatchFailed
from tests.transfer.faulty import (
    Announce,
    Corrupt,
    Cut,
    FaultyServer,
    Slow,
    Status,
    Unframed,
    WrongRange,
)
from tests.transfer.rig import Rig, item

DATA = bytes(range(256)) * 800


def only(failures: list[Failure]) -> Exception:
    assert len(failures) == 1
    return failures[0].error


def leave_part(rig: Rig, data: bytes, oid: str) -> None:
    rig.part(oid).parent.mkdir(parents=True, exist_ok=True)
    rig.part(oid).write_bytes(data)


def test_many_objects_arrive_in_batches(rig: Rig, faulty: FaultyServer) -> None:
    contents = [f"object {number}".encode() * (number + 1) for number in range(250)]
    for data in contents:
        faulty.add(data)
    assert rig.download(*(item(data, f"f{n}") for n, data in enumerate(contents))) == []
    assert sorted(oid for oid, _ in rig.store.ids()) == sorted(faulty.objects)
    assert len(faulty.seen("POST", "/batch")) <= 4
    assert list(Path(rig.store.incomplete).iterdir()) == []


def test_the_same_object_twice_moves_once_and_both_hear_of_it(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    assert rig.download(item(DATA, "a"), item(DATA, "b")) == []
    assert len(faulty.seen("GET")) == 1


def test_an_object_added_after_its_twin_is_done_is_told_at_once(rig: Rig, faulty: FaultyServer) -> None:
    from hundredweight.transfer.queue import TransferQueue
    from tests.transfer.rig import FAST, CountingMeter

    faulty.add(DATA)
    told: list[str] = []
    ready = threading.Event()

    def done(one: Item, _error: object) -> None:
        told.append(one.path)
        ready.set()

    with rig.open() as server, TransferQueue(server, "download", rig.store, FAST, CountingMeter(), done) as queue:
        queue.add(item(DATA, "a"))
        # The producer pauses: the batch goes out although the queue is open.
        assert ready.wait(5)
        queue.add(item(DATA, "b"))
        assert told == ["a", "b"]
        assert queue.wait() == []
    with pytest.raises(ValueError, match="closed"):
        queue.add(item(DATA, "c"))


def test_an_unknown_object_fails_alone(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    error = only(rig.download(item(DATA), item(b"nowhere", "b.bin")))
    assert isinstance(error, ObjectRefused)
    assert error.code == 404
    assert str(error).endswith("Object does not exist: [404] Object does not exist")
    assert rig.read(item(DATA).oid) == DATA


def test_legacy_links_are_actions(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.legacy_links = True
    assert rig.download(item(DATA)) == []


def test_the_empty_object_is_downloaded(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(b"")
    assert rig.download(item(b"")) == []


def test_a_part_is_continued(rig: Rig, faulty: FaultyServer) -> None:
    oid = faulty.add(DATA)
    leave_part(rig, DATA[:5000], oid)
    assert rig.download(item(DATA)) == []
    assert faulty.seen("GET")[0].headers["Range"] == f"bytes=5000-{len(DATA) - 1}"
    assert rig.read(oid) == DATA
    assert not rig.part(oid).exists()


def test_a_complete_part_needs_no_request(rig: Rig, faulty: FaultyServer) -> None:
    oid = faulty.add(DATA)
    leave_part(rig, DATA, oid)
    assert rig.download(item(DATA)) == []
    assert faulty.seen("GET") == []
    assert rig.read(oid) == DATA


@pytest.mark.parametrize("left", [DATA[:5000], b"wrong" * 1000, DATA + b"more", b"x" * len(DATA)])
def test_a_server_that_ignores_range_never_poisons_the_object(rig: Rig, faulty: FaultyServer, left: bytes) -> None:
    oid = faulty.add(DATA)
    faulty.ignores_range = True
    leave_part(rig, left, oid)
    assert rig.download(item(DATA)) == []
    assert rig.read(oid) == DATA


@pytest.mark.parametrize("left", [b"wrong" * 1000, b"x" * len(DATA), DATA + b"more"])
def test_a_damaged_part_is_dropped_and_the_object_fetched_anew(rig: Rig, faulty: FaultyServer, left: bytes) -> None:
    oid = faulty.add(DATA)
    leave_part(rig, left, oid)
    assert rig.download(item(DATA)) == []
    assert rig.read(oid) == DATA


def test_416_starts_over(rig: Rig, faulty: FaultyServer) -> None:
    oid = faulty.add(DATA)
    leave_part(rig, DATA[:5000], oid)
    faulty.get.append(Status(416))
    assert rig.download(item(DATA)) == []
    assert "Range" not in faulty.seen("GET")[1].headers
    assert rig.read(oid) == DATA


@pytest.mark.parametrize("start", [0, 4000, 6000])
def test_206_for_another_range_starts_over(rig: Rig, faulty: FaultyServer, start: int) -> None:
    oid = faulty.add(DATA)
    leave_part(rig, DATA[:5000], oid)
    faulty.get.append(WrongRange(start))
    assert rig.download(item(DATA)) == []
    assert rig.read(oid) == DATA


@pytest.mark.parametrize("fault", [Cut(70_000), Cut(70_000, reset=True), Unframed(70_000)])
def test_a_broken_body_is_continued_where_it_broke(rig: Rig, faulty: FaultyServer, fault: Cut | Unframed) -> None:
    oid = faulty.add(DATA)
    faulty.get.append(fault)
    assert rig.download(item(DATA)) == []
    assert rig.read(oid) == DATA
    second = faulty.seen("GET")[1].headers.get("Range", "")
    # A reset may discard what the kernel had not handed over yet.
    assert second == "bytes=70000-204799" or (isinstance(fault, Cut) and fault.reset)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("html", [False, True])
def test_passing_failures_are_tried_again(rig: Rig, faulty: FaultyServer, code: int, html: bool) -> None:
    faulty.add(DATA)
    faulty.get += [Status(code, html=html), Status(code, html=html)]
    assert rig.download(item(DATA)) == []


@pytest.mark.parametrize("code", [400, 401, 404, 409, 410, 413, 422, 501, 507, 509])
def test_lasting_failures_are_not_tried_again(rig: Rig, faulty: FaultyServer, code: int) -> None:
    oid = faulty.add(DATA)
    faulty.action_header = {"Authorization": "Basic dW5jaGFuZ2luZzph"}
    faulty.get.append(Status(code, "no way"))
    error = only(rig.download(item(DATA)))
    assert isinstance(error, HttpError)
    assert error.status == code
    assert "no way" in str(error)
    assert len(faulty.seen("GET")) == 1
    assert rig.store.size(Oid(oid)) == -1


def test_a_refused_signature_gets_one_fresh_action(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.get.append(Status(403, html=True))
    assert rig.download(item(DATA)) == []
    assert len(faulty.seen("POST", "/batch")) == 2
    faulty.objects.clear()
    faulty.add(DATA * 2)
    faulty.get += [Status(403), Status(403)]
    assert only(rig.download(item(DATA * 2))).status == 403  # type: ignore[attr-defined]


def test_html_is_not_shown(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.get.append(Status(404, html=True))
    error = only(rig.download(item(DATA)))
    assert "<" not in str(error)
    assert "Repository or object not found" in str(error)


def test_tries_end(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.get += [Status(503, "busy")] * 100
    error = only(rig.download(item(DATA), options=TransferOptions(retries=RetryPolicy(3, 0.01))))
    assert str(error) == "Fatal error: busy"
    assert len(faulty.seen("GET")) == 4


def test_retry_after_is_obeyed(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.get.append(Status(429, "slow down", {"Retry-After": "1"}))
    began = time.monotonic()
    assert rig.download(item(DATA)) == []
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("again", [False, True])
def test_wrong_bytes_never_land(rig: Rig, faulty: FaultyServer, again: bool) -> None:
    oid = faulty.add(DATA)
    if again:
        leave_part(rig, DATA[:5000], oid)
    faulty.get += [Corrupt()] * (1 + again)
    error = only(rig.download(item(DATA)))
    wrong = hashlib.sha256(bytes(255 - value for value in DATA)).hexdigest()
    assert isinstance(error, WrongContent)
    assert error.exit_code == EXIT_DAMAGED
    assert str(error) == f"expected OID {oid}, got {wrong} after {len(DATA)} bytes written"
    assert rig.store.size(Oid(oid)) == -1
    assert not rig.part(oid).exists()
    assert rig.download(item(DATA)) == []


@pytest.mark.parametrize("length", [1, len(DATA) - 1, len(DATA) + 1])
def test_another_length_is_an_error(rig: Rig, faulty: FaultyServer, length: int) -> None:
    oid = faulty.add(DATA)
    faulty.get.append(Announce(length))
    error = only(rig.download(item(DATA)))
    assert isinstance(error, WrongSize)
    assert (error.expected, error.got) == (len(DATA), length)
    assert rig.store.size(Oid(oid)) == -1


def test_more_bytes_than_wanted_are_not_written(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    wanted = Item(Oid(hashlib.sha256(DATA).hexdigest()), 1000, "short")
    assert isinstance(only(rig.download(wanted)), WrongSize)


def test_a_batch_answer_that_lies_about_sizes_is_not_believed(rig: Rig, faulty: FaultyServer) -> None:
    oid = faulty.add(DATA)
    faulty.sizes[oid] = 7
    assert rig.download(item(DATA)) == []
    assert rig.read(oid) == DATA


def test_a_negative_size_spoils_only_its_own_object(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    odd = faulty.add(b"odd")
    faulty.sizes[odd] = -1
    (failure,) = rig.download(item(DATA), item(b"odd", "b"))
    assert str(failure.error) == f'object "{odd}" has invalid size (got: -1)'


def test_an_encoded_answer_is_decoded(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.get.append(Status(200, raw=gzip.compress(DATA), headers={"Content-Encoding": "gzip"}))
    assert rig.download(item(DATA)) == []
    assert rig.read(item(DATA).oid) == DATA


def test_an_object_that_the_server_passes_over_fails(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    silent = faulty.add(b"silence")
    faulty.silent_about.add(silent)
    failures = rig.download(item(DATA), item(b"silence", "b"))
    assert [one.item.path for one in failures] == ["b"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status(404), "Repository or object not found"),
        (Status(403, "not yours"), "batch response: not yours"),
        (Status(501, html=True), "Not Implemented"),
        (Status(200, raw=b"{nonsense"), "Unable to parse HTTP response for POST"),
        (Status(200, raw=b"[]"), "expected an object"),
        (Status(200, raw=b'{"objects":{}}'), "expected an array"),
        (Status(200, html=True), 'Expected JSON type, got: "text/html; charset=utf-8"'),
    ],
)
def test_a_refused_batch_fails_all_with_one_error(rig: Rig, faulty: FaultyServer, status: Status, said: str) -> None:
    faulty.batch.append(status)
    failures = rig.download(item(b"one", "a"), item(b"two", "b"))
    assert len(failures) == 2
    (error,) = distinct_errors(failures)
    assert isinstance(error, BatchFailed)
    assert said in str(error)
    assert len(faulty.log) == 1


def test_another_hash_algorithm_is_refused(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.hash_algorithm = "sha512"
    assert str(only(rig.download(item(DATA)))) == "batch response: unsupported hash algorithm"
    faulty.hash_algorithm = None
    assert rig.download(item(DATA)) == []


def test_a_batch_that_is_too_large_is_split(rig: Rig, faulty: FaultyServer) -> None:
    contents = [str(number).encode() for number in range(20)]
    for data in contents:
        faulty.add(data)
    faulty.max_batch = 6
    assert rig.download(*(item(data, f"f{n}") for n, data in enumerate(contents))) == []
    asked = [len(json.loads(one.body)["objects"]) for one in faulty.seen("POST")]
    assert asked == [20, 10, 5, 5, 5, 5]


@pytest.mark.parametrize(("value", "size"), [("5000", 5000), ("50000", 10_000), ("0", 100), ("-3", 100)])
def test_the_size_of_batches_has_a_bound(value: str, size: int) -> None:
    """What no message may hold is not tried."""
    assert read_options(Config([("lfs.transfer.batchsize", value)])).batch_size == size


def test_a_single_object_that_is_too_large_fails(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.batch.append(Status(413, "over quota"))
    assert str(only(rig.download(item(DATA)))) == "batch response: over quota"


@pytest.mark.parametrize("code", [429, 502, 503])
def test_a_batch_call_is_tried_again(rig: Rig, faulty: FaultyServer, code: int) -> None:
    faulty.add(DATA)
    faulty.batch += [Status(code)] * 3
    assert rig.download(item(DATA)) == []
    assert len(faulty.seen("POST")) == 4


def test_a_batch_call_that_breaks_inside_gets_three_tries(rig: Rig, faulty: FaultyServer) -> None:
    faulty.batch += [Status(500)] * 10
    assert isinstance(only(rig.download(item(DATA))), BatchFailed)
    assert len(faulty.log) == 3


def test_an_expired_action_is_asked_for_again(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.expires_in.extend([-5, 2, 600])
    assert rig.download(item(DATA)) == []
    assert len(faulty.seen("POST", "/batch")) == 3
    assert len(faulty.seen("GET")) == 1


def test_a_silent_server_is_left(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.get += [Slow(3.0)] * 2
    rig.settings.append(("lfs.activitytimeout", "1"))
    error = only(rig.download(item(DATA), options=TransferOptions(retries=RetryPolicy(1, 0.01))))
    assert isinstance(error, ConnectionFailed)
    assert "does not answer" in str(error)


def test_nobody_there(rig: Rig) -> None:
    rig.settings = [("lfs.url", "http://127.0.0.1:9/lfs")]
    error = only(rig.download(item(DATA)))
    assert str(error) == 'batch response: Post "http://127.0.0.1:9/lfs/objects/batch": connection refused'


def test_no_server_at_all(rig: Rig) -> None:
    rig.settings = []
    error = only(rig.download(item(DATA)))
    assert str(error) == 'batch request: missing protocol: ""'


def test_another_process_with_the_part_is_left_alone(rig: Rig, faulty: FaultyServer) -> None:
    oid = faulty.add(DATA)
    leave_part(rig, DATA[:5000], oid)
    with PartFile(rig.store, Oid(oid), len(DATA)) as held:
        assert held.size == 5000
        assert rig.download(item(DATA)) == []
        assert "Range" not in faulty.seen("GET")[0].headers
        held.write(DATA[5000:])
        held.publish()
    assert rig.read(oid) == DATA
    assert list(Path(rig.store.incomplete).iterdir()) == []


def test_a_part_whose_owner_published_it_meanwhile_is_not_touched(rig: Rig, faulty: FaultyServer) -> None:
    """Between opening a part and locking it, another process may finish it: the descriptor then is the object itself."""
    oid = Oid(faulty.add(DATA))
    with PartFile(rig.store, oid, len(DATA)) as first:
        first.write(DATA)
        first.publish()
        with PartFile(rig.store, oid, len(DATA)) as second:
            assert second.size == 0
            second.write(b"unfinished")
    assert rig.read(oid) == DATA


def test_what_a_killed_process_left_is_continued(rig: Rig, faulty: FaultyServer, tmp_path: Path) -> None:
    data = os.urandom(1 << 20)
    oid = Oid(faulty.add(data))
    script = tmp_path / "hang.py"
    script.write_text(
        "import sys\n"
        "from hundredweight.store.loose import LooseStore\n"
        "from hundredweight.transfer.part import PartFile\n"
        "part = PartFile(LooseStore(sys.argv[1], mode=0o666), sys.argv[2], 1 << 20)\n"
        "part.write(sys.stdin.buffer.read())\n"
        "print('written', flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    command = [sys.executable, str(script), rig.store.root, oid]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(data[:700_000])
        process.stdin.close()
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert rig.download(item(data)) == []
    assert faulty.seen("GET")[0].headers["Range"].startswith("bytes=700000-")
    assert rig.read(oid) == data


def test_two_processes_at_once_end_with_one_whole_object(rig: Rig, faulty: FaultyServer) -> None:
    data = os.urandom(4 << 20)
    oid = faulty.add(data)
    results: list[list[Failure]] = []
    rigs = [Rig(rig.folder, rig.env, faulty.url) for _ in range(4)]
    threads = [threading.Thread(target=lambda one=one: results.append(one.download(item(data)))) for one in rigs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[]] * 4
    assert rig.read(oid) == data
    assert list(Path(rig.store.incomplete).iterdir()) == []


def test_leaving_early_abandons_what_waits(rig: Rig, faulty: FaultyServer) -> None:
    from hundredweight.transfer.queue import TransferQueue
    from tests.transfer.rig import FAST, CountingMeter

    faulty.batch.append(Slow(0.2))
    for number in range(300):
        faulty.add(str(number).encode())
    with rig.open() as server, TransferQueue(server, "download", rig.store, FAST, CountingMeter()) as queue:
        for number in range(300):
            queue.add(item(str(number).encode(), str(number)))
    assert len(faulty.seen("POST")) <= 1


def test_a_consumer_that_fails_is_not_lost(rig: Rig, faulty: FaultyServer) -> None:
    from hundredweight.transfer.queue import TransferQueue
    from tests.transfer.rig import FAST, CountingMeter

    faulty.add(DATA)

    def broken(_item: Item, _error: object) -> None:
        raise RuntimeError("consumer")

    with rig.open() as server, TransferQueue(server, "download", rig.store, FAST, CountingMeter(), broken) as queue:
        queue.add(item(DATA))
        with pytest.raises(RuntimeError, match="consumer"):
            queue.wait()


def interrupt_a_download(rig: Rig, faulty: FaultyServer) -> None:
    from hundredweight.transfer.queue import TransferQueue
    from tests.transfer.rig import FAST, CountingMeter

    with rig.open() as server, TransferQueue(server, "download", rig.store, FAST, CountingMeter()) as queue:
        queue.add(item(DATA))
        queue.close()
        while not faulty.seen("GET"):
            time.sleep(0.01)
        raise KeyboardInterrupt


def test_an_interrupt_does_not_wait_for_the_server(rig: Rig, faulty: FaultyServer) -> None:
    faulty.add(DATA)
    faulty.get.append(Slow(5.0))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupt_a_download(rig, faulty)
    assert time.monotonic() - began < 3


def test_leaving_stops_what_runs_and_keeps_what_came(rig: Rig, faulty: FaultyServer) -> None:
    from hundredweight.transfer.queue import TransferQueue
    from tests.transfer.rig import FAST, CountingMeter

    data = os.urandom(64 << 20)
    oid = faulty.add(data)
    meter = CountingMeter()
    with rig.open() as server, TransferQueue(server, "download", rig.store, FAST, meter) as queue:
        queue.add(item(data))
        queue.close()
        while not meter.moved.get("a.bin"):
            time.sleep(0.001)
    assert 0 < rig.part(oid).stat().st_size < len(data)
    assert rig.download(item(data)) == []
