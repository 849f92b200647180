"""Rows of a file: what is read is what was written, in any order, and holding many holds little."""

import gc
import json
import tracemalloc

import pytest

from errata.signatures.records import Attempt, Example, Rejection, Verdict
from errata.signatures.rows import Rows, grouped, reader, spooled, unique, where

META = {"pair": [1, 2.5], "big": 10**30, "none": None, "half": float("inf"), "inner": {"a": [True]}}


def example(number, **more):
    return Example(task="t", split="train", question=f"question {number} \u2028 \n end", answer=str(number), **more)


def attempt(number, **more):
    verdict = Verdict(correct=number % 3 == 0, extracted=str(number), reason="right")
    return Attempt(example=example(number), response="said", verdict=verdict, target="w", **more)


def written(path, rows):
    path.write_bytes(b"".join(row.model_dump_json().encode() + b"\n" for row in rows))
    return Rows.of_lines(path.open("rb"), reader(type(rows[0])))


def test_records_of_a_spool_are_those_that_were_added_with_the_very_types_of_their_values():
    records = [example(1, meta=META), example(2, kind="choice", skill="s")]
    rows = spooled(records)
    assert list(rows) == records
    assert [type(one) for one in rows[0].meta.values()] == [list, int, type(None), float, dict]
    assert [row.model_dump_json() for row in rows] == [record.model_dump_json() for record in records]


def test_attempts_of_a_file_are_those_of_a_full_validation(tmp_path):
    fields = Verdict(correct=None, extracted=None, reason="r", answer="a", fields={"x": True}, judge="lm", again=False)
    kinds = [attempt(1), attempt(2, tokens=7, finish="length"), attempt(3).model_copy(update={"verdict": fields})]
    kinds.append(attempt(4).model_copy(update={"example": example(4, kind="code", meta={"test": "x", "big": 10**30})}))
    rows = written(tmp_path / "rows", kinds)
    for row, line in zip(rows, rows.lines(), strict=True):
        known = Attempt.model_validate_json(line)
        assert row == known
        assert row.id == known.id and row.example.id == known.example.id and row.verdict.id == known.verdict.id
        assert row.model_dump_json() == known.model_dump_json() and row.model_dump() == known.model_dump()
        changed, same = (one.model_copy(update={"target": "other"}) for one in (row, known))
        assert changed == same and changed.id == same.id != row.id


@pytest.mark.parametrize("line", [b"{}", b'{"example": 1}', b"[1]", b"7", b'{"example": {}, "verdict": {}}', b"{"])
def test_a_line_that_is_no_attempt_is_refused(line):
    with pytest.raises(ValueError):
        reader(Attempt)(line)


def test_a_line_with_an_unknown_or_a_missing_field_is_refused():
    whole = attempt(1).model_dump(mode="json")
    for other in (whole | {"more": 1}, {name: value for name, value in whole.items() if name != "response"}):
        with pytest.raises(ValueError):
            reader(Attempt)(json.dumps(other).encode())


def test_rows_are_picked_in_any_order_as_of_a_list(tmp_path):
    known = [Rejection(of=str(number % 4), kind="sample", check="x", reason=str(number)) for number in range(10)]
    rows = written(tmp_path / "rows", known)
    assert rows[-1] == known[-1] and list(rows[2:7:2]) == known[2:7:2] and list(rows[::-1]) == known[::-1]
    assert list(rows[::-1].at([0, 0, 3])) == [known[9], known[9], known[6]]
    even = lambda row: int(row.reason) % 2 == 0  # noqa: E731
    for held in (rows, known):
        assert list(where(held, even)) == known[::2]
        assert {name: list(some) for name, some in grouped(held, lambda row: row.of).items()} == {str(n): known[n::4] for n in range(4)}
        assert [row.reason for row in unique(held, lambda row: row.of)] == ["8", "9", "6", "7"]
    with pytest.raises(IndexError):
        rows[10]


def test_rows_that_nobody_else_holds_are_read_to_their_end(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b"1\n2\n3\n")
    read = iter(Rows.of_lines(path.open("rb"), int))
    gc.collect()
    assert list(read) == [1, 2, 3]


def test_of_many_rows_16_bytes_each_are_held():
    few = [example(number) for number in range(50)]
    tracemalloc.start()
    try:
        rows = spooled(few[number % 50] for number in range(50_000))
        assert tracemalloc.get_traced_memory()[0] < 50_000 * 16
        assert sum(1 for _ in rows) == 50_000
        assert tracemalloc.get_traced_memory()[1] < 50_000 * 40  # a record is over 1,000
    finally:
        tracemalloc.stop()


def test_rows_of_which_nothing_but_their_iterator_is_held_are_read_to_the_end(tmp_path):
    known = [example(number) for number in range(3)]
    (tmp_path / "other").write_text("x" * 10_000)
    rows = iter(spooled(known))
    with (tmp_path / "other").open("rb"):  # takes the number of a file that was closed too early
        assert list(rows) == known
