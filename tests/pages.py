"""Texts that try to break out of a page, and a page of one line to put them into."""

from errata.programs.report.markup import Html, environment

HOSTILE = (
    "</pre></td></summary></details></style></title><script>document.title='owned'</script><img src=http://127.0.0.1:9/x "
    "onerror=\"document.title='owned'\"><svg onload=\"document.title='owned'\"><style>@import 'http://127.0.0.1:9/y';*{display:none}</style>"
    "<iframe src=javascript:alert(1)></iframe><base href=http://127.0.0.1:9/><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>"
    "\"' onmouseover='alert(1)' ]]><!-- {0} {{7*7}} %s \u2028 \u202egnp.exe\u202c \u200f \x1b[31m \x00 "
    + "x" * 5000
    + " ` | [a](http://127.0.0.1:9/z) **b**\n"
)


def filled(template, **values):
    """A page of one line, filled."""
    return environment(Html).from_string("{% from 'parts.html.j2' import fold, page, section, facts, note %}" + template).render(values)


PAGE = "{% call page(title) %}{{ body }}{% endcall %}"
