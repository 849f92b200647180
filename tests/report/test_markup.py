"""Whatever is put into markup or a template is escaped, and loses nothing."""

import re

import pytest
from jinja2 import UndefinedError
from pages import PAGE, filled

from errata.programs.report.markup import Figures, Html, Name, prose, python
from errata.programs.report.records import Change
from errata.programs.report.tables import Table


def test_text_put_into_markup_is_escaped_wherever_it_goes():
    bad = "<script>'\"&"
    for made in (
        Html("{}").format(bad),
        Html("").join([bad]),
        Html("") + bad,
        prose(bad),
        Table([bad], [[bad], [Name(bad)], [Figures(bad, "better")]]).html(),
        python(bad),
        filled("{% call fold(bad) %}{{ bad }}{% endcall %}{{ facts([(bad, bad)]) }}{{ note(bad) }}", bad=bad),
        filled("{% call section(bad, bad) %}{{ bad }}{% endcall %}", bad=bad),
        filled(PAGE, title=bad, body=bad),
    ):
        assert "<script" not in made
    assert "U+D800" in prose("\ud800")


def test_a_template_that_asks_for_what_is_not_there_fails():
    for template in ("{{ nothing }}", "{{ row.nothing }}"):
        with pytest.raises(UndefinedError):
            filled(template, row=Change)


def test_highlighting_loses_nothing_of_the_source():
    source = "\n\ndef draw(rng):\n\tx = '<b>' # \u00e9\n    return {1: \"'\"}  \n"
    assert Html(python(source)).striptags().split() == source.split()
    assert re.sub(r"<.*?>", "", python(source)).count("\n") == source.count("\n")
