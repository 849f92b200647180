"""Drawing: a limit that is broken once, as on a busy machine, costs a proven program no row."""

import pytest

from errata.programs.samples.draw import draw_rows, drawn, draws
from errata.sandbox import Limits
from errata.signatures.records import ProgramRun, SampleProgram

PROGRAM = SampleProgram(diagnosis_id="d", source="", anchors=("f",), task="sums")


class Slow:
    """A sandbox in which the first `times` runs break a limit."""

    def __init__(self, times):
        self.times = times

    def run(self, source, harness, payload, limits):
        if (times := self.times) > 0:
            self.times = times - 1
            return ProgramRun(outcome="timeout", error="longer than 10 s")
        rows = [{"question": f"q{index}", "solution": "s", "answer": "1"} for _, index, _ in payload["draws"]]
        return ProgramRun(outcome="ok", rows=rows)

    def map(self, jobs):
        return (self.run(job.source, job.harness, job.payload, job.limits) for job in jobs)


@pytest.mark.parametrize(("times", "rows"), [(0, 3), (1, 3), (2, 0)])
def test_a_limit_that_is_broken_once_costs_no_row(times, rows):
    assert len(draw_rows(Slow(times), Limits(), PROGRAM, draws(0, (1, 2), 0, 3))) == rows


def test_of_many_programs_the_one_that_broke_a_limit_is_drawn_from_again_in_its_place():
    wanted = [(PROGRAM, draws(0, (1,), start, 2)) for start in (0, 2)]
    found = list(drawn(Slow(1), Limits(), wanted))
    assert [[row.example.question for row in rows] for rows in found] == [["q0", "q1"], ["q2", "q3"]]
