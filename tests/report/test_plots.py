"""Plots draw what was measured, and say it in words too."""

import pytest

from errata.programs.report import plots


def test_plots_tell_in_words_what_they_draw_and_leave_out_what_was_not_measured():
    drawn = plots.intervals([plots.Line("arm <b>", [None, plots.Point(0.1, -0.1, 0.3, "+10 [-10, +30]")], "+10")], ["a", "b"], (-0.2, 0.4))
    assert drawn.count("<circle cx='") == 1
    assert "b: +10 [-10, +30]" in drawn
    assert "arm &lt;b&gt;" in drawn
    assert "class='zero' x1='33.33%'" in drawn


def test_an_axis_holds_every_interval():
    points = [plots.Point(0.12, 0.01, 0.27, ""), None, plots.Point(-0.03, -0.11, 0.02, "")]
    assert plots.around(points) == pytest.approx((-0.2, 0.3))
    assert plots.around([]) == (0.0, 0.1)
