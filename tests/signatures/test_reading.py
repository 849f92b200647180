"""An instructor's answer is read in every dress in which models give it; what can be read in two ways is not read, and why is told."""

import json
import time

import pytest

from errata.signatures.reading import read_answer
from errata.signatures.teach import DiagnoseError, DiagnoseErrors, SolveQuestions, WriteProgram

FIELDS = {"evidence": "14", "verdict": "error", "misconception": "adds", "skill": "loss after a product", "teach": "vary the loss"}


def marked(name):
    return f"[[ ## {name} ## ]]"


def told(header=marked, behind="\n", fields=FIELDS, end="completed", between="\n\n"):
    """An answer with these headers."""
    return between.join([f"{header(name)}{behind}{value}" for name, value in fields.items()] + ([header(end)] if end else []))


MIDDLE = {"evidence": "14", "confidence": "high", "verdict": "error", "notes": "n", "misconception": "adds"}
FORMS = {
    "as asked": told(),
    "without an end": told(end=None),
    "indented": told(lambda n: "  " + marked(n)),
    "behind a tab": told(lambda n: "\t" + marked(n)),
    "bold": told(lambda n: f"**{marked(n)}**"),
    "as code": told(lambda n: f"`{marked(n)}`"),
    "quoted": told(lambda n: f"> {marked(n)}"),
    "in a list": told(lambda n: f"- {marked(n)}"),
    "as a heading": told(lambda n: f"### {marked(n)}"),
    "with a colon": told(lambda n: f"{marked(n)}:"),
    "on one line": told(behind=" "),
    "without a blank": told(behind="", between=""),
    "next header on the line": told(between=""),
    "capitals": told(lambda n: marked(n.upper())),
    "a capital": told(lambda n: marked(n.title())),
    "escaped": told(lambda n: rf"\[\[ ## {n} ## \]\]"),
    "without blanks": told(lambda n: f"[[##{n}##]]"),
    "one bracket": told(lambda n: f"[ ## {n} ## ]"),
    "no brackets": told(lambda n: f"## {n} ##"),
    "no hashes": told(lambda n: f"[[ {n} ]]"),
    "no end of the header": told(lambda n: f"[[ ## {n} ##"),
    "no beginning of the header": told(lambda n: f"## {n} ## ]]"),
    "markdown heading": told(lambda n: f"## {n.title()}"),
    "markdown heading, colon": told(lambda n: f"### {n}:"),
    "bold label": told(lambda n: f"**{n.title()}:**", behind=" "),
    "bold label, colon behind": told(lambda n: f"**{n.title()}**:", behind=" "),
    "bold heading": told(lambda n: f"### **{n.title()}**"),
    "behind a sign without width": told(lambda n: "\u200b" + marked(n)),
    "bold line": told(lambda n: f"**{n}**"),
    "label": told(lambda n: f"{n.title()}:", behind=" ", between="\n"),
    "wide colon": told(lambda n: f"{n}：", behind="", between="\n"),
    "numbered labels": "\n".join(f"{number}. {name}: {value}" for number, (name, value) in enumerate(FIELDS.items(), 1)),
    "list of labels": "\n".join(f"- **{name}**: {value}" for name, value in FIELDS.items()),
    "fence around all": "```\n" + told() + "\n```",
    "fence with a language": "```text\n" + told() + "\n```",
    "words around": "Sure! Here is my answer.\n\n" + told() + "\n\nHope it helps!",
    "JSON": json.dumps(FIELDS),
    "JSON in a fence": "```json\n" + json.dumps(FIELDS, indent=1) + "\n```",
    "JSON between words": "Here: " + json.dumps(FIELDS) + " done",
    "JSON inside": json.dumps({"answer": FIELDS}),
    "JSON with capitals": json.dumps({name.title(): value for name, value in FIELDS.items()}),
    "JSON lists": json.dumps({name: [value] for name, value in FIELDS.items()}),
    "JSON with a comma too much": json.dumps(FIELDS)[:-1] + ",}",
    "JSON behind another": json.dumps({"thought": "x"}) + "\n" + json.dumps(FIELDS),
    "JSON of a call": json.dumps({"name": "final", "arguments": FIELDS}),
    "as Python writes it": repr(FIELDS),
    "YAML": "\n".join(f"{name}: {value}" for name, value in FIELDS.items()),
    "YAML in a fence": "```yaml\n" + "\n".join(f"{name}: {value}" for name, value in FIELDS.items()) + "\n```",
    "blanks of a page": told(lambda n: f"[[\u00a0##\u00a0{n}\u00a0##\u00a0]]"),
    "tags": "\n".join(f"<{name}>{value}</{name}>" for name, value in FIELDS.items()),
    "tags inside": "<answer>\n"
    + "\n".join(f"<{name.title()}>\n{value}\n</{name.title()}>" for name, value in FIELDS.items())
    + "</answer>",
    "a field that nobody asked for": told(fields=FIELDS | {"confidence": "0.9"}),
    "such fields between": told(fields=MIDDLE | {"skill": "loss after a product", "teach": "vary the loss"}),
    "lines of Windows": told().replace("\n", "\r\n"),
    "another order": told(fields=dict(reversed(FIELDS.items()))),
    "twice the same": told() + "\n\n" + told(),
    "the form first": told(fields={name: f"{{{name}}}" for name in FIELDS}) + "\n\n" + told(),
    "begun twice": "[[ ## evidence ## ]]\nhm\n\n" + told(),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_fields_are_read_in_every_dress(text):
    assert read_answer(DiagnoseError, text) == FIELDS


def test_a_header_that_is_named_within_a_text_stays_a_part_of_it():
    fields = FIELDS | {"teach": "as under [[ ## skill ## ]] above"}
    assert read_answer(DiagnoseError, told(fields=fields)) == fields


ERROR = (
    "error",
    "`error`",
    "**error**",
    "Error.",
    "ERROR",
    '"error"',
    "Verdict: error",
    "error - because the model adds",
    "error — it adds",
    "error: the model adds",
    "error (the model adds)",
    "error, since it adds",
    "error because it adds",
    "The verdict is error.",
    "The verdict is **error**.",
    "It is an error.",
    "This is an error.",
    "['error']",
    "[error]",
    "{error}",
    "<error>",
    "error\nThe model adds.",
    "error\n\n**Confidence:** high",
    "'error'",
    "“error”",
    "my final verdict: error",
    "```\nerror\n```",
    "```error```",
    "- error",
    "error!",
    "error ✅",
    "✅ error",
    "$error$",
    "verdict = error",
    "error; the reference is right and not ambiguous",
    "error.\nNot ambiguous.",
    "error_",
    "Error: none",
    "\\boxed{error}",
    "The verdict is: `error`",
    "1. error",
    "(a) error",
    "err\u200bor",
    "ｅｒｒｏｒ",
    "```text\nerror\n```",
    "I'd say error",
    "It's an error.",
)
NO_VERDICT = (
    "Literal[error]",
    "\\text{error}",
    "error or ambiguous",
    "error / ambiguous",
    "error, ambiguous",
    "error|reference_wrong|ambiguous",
    "`error` | `ambiguous`",
    "error\nambiguous",
    "error (or ambiguous)",
    "error and reference_wrong",
    "error (ambiguous)",
    "not an error",
    "no error",
    "There is an error in the reference",
    "maybe error",
    "",
    "wrong",
    "errors",
    "The response is wrong",
    "it is an error in the reference",
    "error-free",
    "erroneous",
    "ambiguous / error",
    "error?",
    "Ambiguous?",
    "(a) error (b) ambiguous",
)


def verdict(text):
    return read_answer(DiagnoseError, told(fields=FIELDS | {"verdict": text}))["verdict"]


@pytest.mark.parametrize("text", ERROR)
def test_a_verdict_is_read_in_every_dress(text):
    assert verdict(text) == "error"


@pytest.mark.parametrize("text", ["reference_wrong", "reference wrong", "Reference-Wrong", "REFERENCE_WRONG.", "reference\\_wrong"])
def test_a_verdict_of_two_words_is_read_with_any_sign_between(text):
    assert verdict(text) == "reference_wrong"


@pytest.mark.parametrize("text", NO_VERDICT)
def test_what_names_no_verdict_or_several_is_not_read(text):
    with pytest.raises(ValueError, match="where one of error, reference_wrong, ambiguous alone is wanted"):
        verdict(text)


def test_two_answers_with_different_verdicts_are_not_read():
    with pytest.raises(ValueError, match="verdict is given several times: ambiguous, error"):
        read_answer(DiagnoseError, told() + "\n\n" + told(fields=FIELDS | {"verdict": "ambiguous"}))


@pytest.mark.parametrize("text", ["", "I think it is an error.", "```\n```", "{}", "[[ ## completed ## ]]", '{"a": 1}'])
def test_an_answer_without_fields_is_told_as_such(text):
    with pytest.raises(ValueError, match=r"no field was found in it, such as \[\[ ## evidence ## \]\]"):
        read_answer(DiagnoseError, text)


def test_the_fields_that_an_answer_lacks_are_named():
    with pytest.raises(ValueError, match=r"it has no \[\[ ## skill ## \]\], \[\[ ## teach ## \]\]"):
        read_answer(DiagnoseError, told(fields={name: FIELDS[name] for name in ("evidence", "verdict", "misconception")}))


PROGRAM = 'def draw(rng, level):\n    return {}\n\n\ndef make():\n    """x\n    ```\n    y\n    ```\n    """\n    return {}'
FENCED = f"```python\n{PROGRAM}\n```"
HEADS = "[[ ## refusal ## ]]\n\n[[ ## program ## ]]\n"
PROGRAMS = {
    "as asked": f"{HEADS}{FENCED}\n\n[[ ## completed ## ]]",
    "without the field before": f"[[ ## program ## ]]\n{FENCED}",
    "without a fence": f"{HEADS}{PROGRAM}\n\n[[ ## completed ## ]]",
    "between words": f"{HEADS}Here it is:\n{FENCED}\nIt works.\n\n[[ ## completed ## ]]",
    "behind the end": f"{HEADS}\n[[ ## completed ## ]]\n{FENCED}",
    "alone": FENCED,
    "alone between words": f"Here is the program.\n\n{FENCED}\nDone.",
    "fence without an end": f"{HEADS}```python\n{PROGRAM}\n",
    "tildes": f"{HEADS}~~~python\n{PROGRAM}\n~~~",
    "fence around all": f"```\n{HEADS}{PROGRAM}\n\n[[ ## completed ## ]]\n```",
    "fence around all and another": f"```\n{HEADS}{FENCED}\n\n[[ ## completed ## ]]\n```",
    "labels": f"**Refusal:** none\n\n**Program:**\n{FENCED}",
    "JSON": json.dumps({"refusal": "", "program": PROGRAM}),
    "JSON and fences": "```json\n" + json.dumps({"refusal": None, "program": FENCED}) + "\n```",
    "tags": f"<refusal></refusal><program>\n{PROGRAM}\n</program>",
    "a heading": f"{HEADS}### Program\n\n{FENCED}",
    "a heading that is a comment": f"{HEADS}# sums.py\n\n{FENCED}",
    "words that begin like code": f"{HEADS}from the error's own numbers:\n\n{FENCED}",
    "two parts": HEADS + FENCED.replace("def make", "```\nand\n```python\ndef make"),
}


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_is_read_wherever_it_stands(text):
    assert read_answer(WriteProgram, text)["program"].code.split() == PROGRAM.split()


def test_a_program_that_quotes_a_fence_and_does_not_compile_stays_whole():
    broken = 'TEXT = """\n```\na plain text\n```\n"""\ndef make(:\n    pass'
    assert read_answer(WriteProgram, HEADS + broken)["program"].code == broken


def test_two_programs_are_not_read_and_a_refusal_needs_none():
    with pytest.raises(ValueError, match="program holds 2 programs that define the same names"):
        read_answer(WriteProgram, f"{HEADS}{FENCED}\nor\n{FENCED}")
    answer = read_answer(WriteProgram, "[[ ## refusal ## ]]\nfacts only\n\n[[ ## program ## ]]\n")
    assert (answer["refusal"], answer["program"].code) == ("facts only", "")


LISTS = {
    '["a", "b"]': ["a", "b"],
    "['a', 'b']": ["a", "b"],
    "a, b": ["a", "b"],
    "- a\n- b": ["a", "b"],
    "1. a\n2. b": ["a", "b"],
    "(1) a\n(2) b": ["a", "b"],
    "a\nb": ["a", "b"],
    "[a, b]": ["a", "b"],
    "[\n  a,\n  b\n]": ["a", "b"],
    '```json\n["a", "b"]\n```': ["a", "b"],
    "a": ["a"],
    "": [],
    "[]": [],
    "[1, 2.5]": ["1", "2.5"],
    "1,000, 5": ["1,000", "5"],
    'Here they are: ["a", "b"]': ["a", "b"],
    '**["a", "b"]**': ["a", "b"],
    '{"1": "a", "2": "b"}': ["a", "b"],
    '{"items": ["a", "b"]}': ["a", "b"],
    '[{"question": 1, "answer": "a"}, {"question": 2, "answer": "b"}]': ["a", "b"],
    '[{"id": 1, "answer": "a"}, {"answer": "b", "number": 2}]': ["a", "b"],
    '[{"id": "a"}, {"id": "b", "reason": "alike"}]': ["a", "b"],
    '[{"id": "a", "city": "b"}, {"answer": "a"}]': ['{"id": "a", "city": "b"}', '{"answer": "a"}'],
    "- (1): a\n- (2): b": ["a", "b"],
    "a (1, 2), b": ["a (1", "2)", "b"],
}


@pytest.mark.parametrize(("text", "items"), LISTS.items())
def test_a_list_is_read_in_every_form(text, items):
    assert read_answer(SolveQuestions, f"[[ ## reasoning ## ]]\nr\n[[ ## answers ## ]]\n{text}")["answers"] == items
    assert read_answer(DiagnoseErrors, told(fields=FIELDS | {"members": text}))["members"] == items


HOSTILE = {
    "headers": lambda n: "[[ ## verdict ## ]]\n" * n,
    "headers on a line": lambda n: "[[ ## verdict ## ]] error or " * n,
    "half headers": lambda n: "[[ ##" * n,
    "brackets": lambda n: "[" * n,
    "braces": lambda n: "{" * n,
    "hashes": lambda n: "#" * n,
    "blanks": lambda n: " " * n + "[[",
    "backticks": lambda n: "```\n" * n,
    "labels": lambda n: "verdict:\n" * n,
    "labels in fences": lambda n: "```\nverdict:\n" * n,
    "bold words": lambda n: "**verdict** " * n,
    "tags": lambda n: "<verdict>" * n,
    "stars": lambda n: "*_" * n,
    "JSON": lambda n: '{"a":' * n,
    "JSON without an end": lambda n: '{"verdict":"error",' * n,
    "answers": lambda n: told() * (n // 50),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_reading_takes_time_in_proportion_to_the_text(text):
    def seconds(n):
        begun = time.process_time()
        for signature in (DiagnoseError, WriteProgram):
            try:
                read_answer(signature, text(n))
            except ValueError:
                pass
        return time.process_time() - begun

    assert seconds(16_000) < 12 * min(seconds(4_000), seconds(4_000)) + 0.2
