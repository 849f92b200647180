"""One table with three writers: text for the terminal, Markdown, and HTML.

A cell is a figure, our own words (`Figures`), a name that data, a config or a model brought along (`Name`), or any other text; each writer
makes safe what could be read as markup. The first column names its row and stands to the left, the others stand to the right.

What is not here: how figures are put in words (errata.programs.report.figures).
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from .markup import Html, Markdown, join, named, plain


@dataclass(frozen=True)
class Table:
    """A head, rows of as many cells, and what is said under them."""

    head: Sequence[object]
    rows: Sequence[Sequence[object]]
    title: str = ""
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Lines of equal width for the terminal: the title, the table, each column as wide as it needs, and the notes."""
        cells = [[plain(cell, 120 if place else 40) for place, cell in enumerate(row)] for row in (self.head, *self.rows)]
        widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
        lines = [self.title] if self.title else []
        for row in cells:
            fills = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
            others = (fill + cell for fill, cell in zip(fills[1:], row[1:], strict=True))
            lines.append("  " + "   ".join([row[0] + fills[0], *others]).rstrip())
        return "\n".join([*lines, *(f"  * {plain(note, 1000)}" for note in self.notes)])

    def markdown(self) -> Markdown:
        """The table alone: a page has its own places for title and notes."""
        lines = [_line(self.head), f"|---|{'---:|' * (len(self.head) - 1)}", *map(_line, self.rows)]
        return Markdown("\n".join(lines))

    def html(self) -> Html:
        """The table alone; it scrolls by itself where the screen is narrow."""
        top = join((Html("<th>{}").format(named(cell)) for cell in self.head), "")
        lines = join(Html("<tr>{}").format(join((Html("<td>{}").format(_shown(cell)) for cell in row), "")) for row in self.rows)
        return Html("<div class=wide tabindex=0><table><thead><tr>{}<tbody>{}</table></div>").format(top, lines)


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(Markdown.escape, cells))} |"


def _shown(cell: object) -> object:
    return f"{cell:,}" if isinstance(cell, int) else named(cell)


def _width(text: str) -> int:
    """Columns of a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
