"""Turns: so many at a time, one that needs it all alone, nobody overtaken."""

from __future__ import annotations

import threading
import time

from hundredweight.store.turns import Turns


def test_so_many_have_a_turn_at_a_time() -> None:
    turns = Turns(2)
    assert turns.acquire()
    assert turns.acquire(0)
    assert not turns.acquire(0)
    turns.release()
    assert turns.acquire(0)


def test_who_wants_it_alone_waits_for_all_and_keeps_all_out() -> None:
    turns = Turns(2)
    assert turns.acquire()
    assert not turns.acquire(0.02, alone=True)
    turns.release()
    assert turns.acquire(0, alone=True)
    assert not turns.acquire(0)
    turns.release(alone=True)
    assert turns.acquire(0)
    assert turns.acquire(0)


def test_nobody_overtakes_who_waits_for_all() -> None:
    turns = Turns(2)
    order: list[str] = []
    assert turns.acquire()

    def work(name: str, alone: bool) -> None:
        assert turns.acquire(10, alone=alone)
        order.append(name)
        turns.release(alone=alone)

    threads = [threading.Thread(target=work, args=("all", True)), threading.Thread(target=work, args=("one", False))]
    for number, thread in enumerate(threads, 1):
        thread.start()
        while len(turns._waiting) < number:
            time.sleep(0.001)
    turns.release()
    for thread in threads:
        thread.join()
    assert order == ["all", "one"]
