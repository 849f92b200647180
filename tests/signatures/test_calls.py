"""How many calls to one server are under way: a fixed number, or one that grows until the server says stop; how answers are waited for."""

import _thread
import threading
import time
from contextlib import ExitStack

import pytest

from errata.signatures import calls
from errata.signatures.calls import CEILING, START, Slots


def rounds(slots, count, seconds=lambda limit: 1.0):
    """So many times as many answers as there may be calls, all slots busy."""
    with ExitStack() as under_way:
        for _ in range(count):
            for _ in range(int(slots.limit)):
                while slots.busy < int(slots.limit):
                    under_way.enter_context(slots)
                slots.answered(seconds(slots.limit), 400)


def test_a_number_that_grows_doubles_each_round_until_its_ceiling():
    slots = Slots(None)
    rounds(slots, 1)
    assert slots.limit == 2 * START
    rounds(slots, 6)
    assert slots.limit == CEILING


def test_it_halves_once_for_calls_that_were_refused_together_and_grows_slowly_then():
    slots = Slots(None)
    rounds(slots, 3)
    before, began = slots.limit, time.monotonic()
    for _ in range(20):
        slots.refused(began)
    assert slots.limit == before // 2
    rounds(slots, 1)
    assert before // 2 + 0.9 < slots.limit < before // 2 + 1.1
    for _ in range(20):
        slots.refused(time.monotonic())
    assert slots.limit == 1
    assert "halved" in slots.told


def test_it_stays_where_answers_take_twice_as_long_as_at_best():
    """Of a server that works on 20 calls at a time: more of them only wait longer."""
    slots = Slots(None)
    rounds(slots, 40, lambda limit: max(1.0, limit / 20))
    assert 20 <= slots.limit <= 45


def test_slow_answers_alone_never_take_it_below_where_it_began():
    slots = Slots(None)
    rounds(slots, 2)
    rounds(slots, 5, lambda limit: 1000.0)
    assert slots.limit == START


def test_a_number_that_nothing_holds_back_does_not_grow():
    slots = Slots(None)
    for _ in range(100):
        with slots:
            slots.answered(1.0, 100)
    assert slots.limit == START


@pytest.mark.parametrize("width", [1, 8])
def test_a_fixed_number_stays(width):
    slots = Slots(width)
    for _ in range(width):
        slots.__enter__()
        slots.answered(1.0, 1)
        slots.refused(time.monotonic())
    assert (slots.limit, slots.told) == (width, "")


def test_an_interrupt_that_no_wait_notices_ends_the_work_all_the_same(monkeypatch):
    """`interrupt_main` is a signal that wakes no lock, as one that comes just before the wait for it begins."""
    monkeypatch.setattr(calls, "_LOOK", 0.1)
    answered = threading.Event()
    late = threading.Timer(0.3, _thread.interrupt_main)
    late.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(calls.in_flight(lambda item: answered.wait(60), range(2), 2))
        assert not answered.is_set()
    finally:
        late.cancel()
        answered.set()


def test_all_that_is_in_flight_is_given_once_however_often_the_wait_begins_anew(monkeypatch):
    monkeypatch.setattr(calls, "_LOOK", 0.01)
    assert sorted(calls.in_flight(lambda item: time.sleep(0.02 * (item % 3)) or item, range(20), 4)) == [(n, n) for n in range(20)]
