"""One table, three writers."""

from errata.programs.report.markup import Figures, Markdown, Name
from errata.programs.report.tables import Table


def test_one_table_says_the_same_in_text_markdown_and_html():
    table = Table(["name", "rows", "%"], [[Name("a|`b`_"), 1400, Figures("5 [1, 9]", "worse")], ["w<i>de 漢", 7, "-"]], "Title", ["a note"])
    assert table.text().splitlines() == [
        "Title",
        "  name        rows          %",
        "  a|`b`_      1400   5 [1, 9]",
        "  w<i>de 漢      7          -",
        "  * a note",
    ]
    assert table.markdown().splitlines() == [
        "| name | rows | % |",
        "|---|---:|---:|",
        "| `a\\|'b'_` | 1400 | 5 [1, 9] |",
        "| w\\<i\\>de 漢 | 7 | - |",
    ]
    assert "<tr><td>a|`b`_<td>1,400<td><span class='worse'>5 [1, 9]</span>" in table.html()
    assert "<td>w&lt;i&gt;de 漢<td>7<td>-" in table.html()
    assert Markdown.escape("[a](b)") == "\\[a\\](b)"
