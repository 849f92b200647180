"""Labels and JSON documents taught from train rows alone: what is recombined is right, is of train, and says what it is."""

import json
import os
import random
import re
import subprocess
import sys

import dspy
import pytest
import recombined

from errata.programs.instructor.offline import offline_lm, reach
from errata.programs.instructor.offline.recombine import ORIGIN, extract, label
from errata.programs.instructor.offline.recombine.rows import Rows
from errata.programs.samples.calculations import Unreadable
from errata.programs.samples.checks import prove
from errata.sandbox import Limits
from errata.signatures.records import Attempt, Example, Failure, SampleProgram
from errata.signatures.teach import DiagnoseContrast, WriteForContrast, WriteForErrors, contract
from errata.tasks import load_task
from errata.tasks.settings import TableSettings

TEACHERS = {"label": label, "json": extract}
SETS = {"intents": recombined.intents, "tickets": recombined.tickets, "orders": recombined.orders}


def program(rows, item, response="", careful=False):
    write = TEACHERS[item.kind].write
    return write(Rows(lambda: rows), item.question, f"#### {item.answer}", response, "e1", "a skill", careful, False)


def drawn(source, count=200):
    """Rows of a program as (question, answer), the anchor's first."""
    space = {}
    exec(source, space)
    params = [space["ANCHORS"]["e1"], *(space["draw"](random.Random(seed), 1 + seed % 5) for seed in range(count))]
    return [(row["question"], row["answer"]) for row in (space["make"](**json.loads(json.dumps(one))) for one in params)]


def table(tmp_path, rows, verdict):
    """The rows as the train items of a task in a folder, with two of them as dev."""
    for split, some in (("train", rows), ("dev", rows[:2])):
        lines = [json.dumps({"question": row.question, "answer": row.answer}) for row in some]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    return load_task(f"jsonl:{tmp_path}", TableSettings(verdict=verdict))


@pytest.mark.parametrize("name", SETS)
def test_a_program_rebuilds_its_error_and_passes_every_check(tmp_path, sandbox, name):
    rows = SETS[name](150)
    task = table(tmp_path, rows, rows[0].kind)
    items = {item.question: item for item in task.examples("train")}
    other = next(row.answer for row in rows if row.answer != rows[0].answer)
    for row, response in ((rows[0], other), (rows[1], "")):
        item = items[row.question]
        attempt = Attempt(example=item, response=response, verdict=task.verdict(item, response))
        source = program(list(items.values()), item, response).replace("'e1'", repr(Failure(attempt=attempt).id))
        made = SampleProgram(diagnosis_id="d", source=source, anchors=(Failure(attempt=attempt).id,), kind=item.kind, task=task.name)
        assert prove(made, [Failure(attempt=attempt)], task, sandbox, Limits()) is None
        assert drawn(program(rows, row))[0][0] == row.question


def test_what_tells_a_label_stays_with_it_and_what_tells_none_is_exchanged():
    rows = recombined.tickets(200)
    known = {re.sub(r"\\\{\w+\\\}", r"\\S+", re.escape(text)): name for name, texts in recombined.TICKETS.items() for text in texts}
    beside = set()
    for question, answer in drawn(program(rows, rows[0], "billing" if rows[0].answer != "billing" else "refund")):
        assert {name for pattern, name in known.items() if re.search(pattern, question)} == {answer}, question
        beside |= {(idle, answer) for idle in recombined.IDLE if idle.partition("{")[0] in question}
    assert len(beside) > 10  # idle sentences stand beside several labels
    assert len({question for question, _ in drawn(program(rows, rows[0]))}) > 150


def test_the_beginnings_of_short_texts_are_exchanged_where_rows_have_them_before_the_same_word():
    rows = recombined.intents(150)
    questions = {question for question, _ in drawn(program(rows, rows[0]))}
    fresh = questions - {row.question for row in rows}
    assert len(fresh) > 20
    heads = "|".join(filter(None, recombined.ASKS))
    bare = {re.sub(rf"^(?:{heads}) ", "", text) for text in fresh}
    assert bare & {re.sub(rf"^(?:{heads}) ", "", row.question) for row in rows}


def test_wrong_is_the_label_that_the_model_gave_and_none_on_other_labels():
    rows = recombined.tickets(150)
    row = next(row for row in rows if row.answer == "billing")
    space = {}
    exec(program(rows, row, "Label: refund"), space)
    assert space["wrong"](**space["ANCHORS"]["e1"]) == "refund"
    assert space["wrong"](["..."], "shipping") is None and space["wrong"](["..."], "refund") is None
    assert "def wrong" not in program(rows, row, "I do not know") and "def wrong" not in program(rows, row, "refund", careful=True)


def read_order(text):
    """An order of tests/recombined.py read by hand, without the embedded instructor."""
    items = re.findall(r"\b(a|one|two|three|4|five|12) (?:(red|blue) )?(mug|pen|lamp|chair|notebook|box)(?:es|s)?\b", text)
    (day,) = [iso for said, iso in recombined.DAYS.items() if said in text]
    (name,) = [name for name in recombined.NAMES if re.search(rf"\b{name}\b", text)]
    (town,) = [town for town in recombined.TOWNS if town in text]
    return {
        "customer": name,
        "items": [{"thing": thing, "count": recombined.COUNTS[number], "color": color or None} for number, color, thing in items],
        "ship": {"to": town, "by": day, "express": "fast" in text},
    }


def test_a_document_says_what_its_text_says_whatever_was_put_in():
    rows = recombined.orders(150)
    lengths = set()
    for row in rows[:5]:
        for question, answer in drawn(program(rows, row)):
            assert answer == read_order(question), question
            lengths.add(len(answer["items"]))
    assert lengths == {1, 2, 3}


def test_a_list_inside_a_list_stays_whole():
    rows = [
        recombined.json_row(f"{name} bakes {one} with {a} and {b}", {"cook": name, "cakes": [{"name": one, "with": [a, b]}]})
        for name in ("Ann", "Omar", "Mei") for one in ("pie", "tart") for a in ("figs", "nuts") for b in ("cream", "honey")
    ]  # fmt: skip
    for question, answer in drawn(program(rows, rows[0])):
        (cake,) = answer["cakes"]
        assert question == f"{answer['cook']} bakes {cake['name']} with {' and '.join(cake['with'])}"


PRICES = {"pen": 2, "mug": 5, "lamp": 30}
KINDS = {"apple": "fruit", "pear": "fruit", "leek": "vegetable", "kale": "vegetable"}
BEYOND = {
    "a sum": ([(f"{n} {thing}s please, order {n + 17}", {"thing": thing, "total": n * price + n}) for n in range(3, 9)
               for thing, price in PRICES.items()], "does not say its total"),
    "two places": ([(f"table {n}, seats {n}", {"table": n}) for n in range(2, 9)], "not clear where the text says its table"),
    "no object": ([(f"{n} cups", n) for n in range(2, 9)], "neither an object nor a list"),
    "a misspelt name": ([(f"{name} comes", {"who": name}) for name in recombined.NAMES]
                       + [("Omra comes", {"who": "Omar"})], "does not say its who"),
}  # fmt: skip


@pytest.mark.parametrize("name", BEYOND)
def test_a_document_that_its_text_does_not_say_is_refused_with_the_reason(name):
    pairs, reason = BEYOND[name]
    rows = [recombined.json_row(*pair) for pair in pairs]
    with pytest.raises(Unreadable, match=reason):
        program(rows, rows[-1])


def test_a_value_that_another_settles_goes_with_it():
    rows = [
        recombined.json_row(f"{name} buys {count} {thing}s", {"who": name, "thing": thing, "kind": kind, "count": count})
        for name in ("Ann", "Omar") for count in (2, 7) for thing, kind in KINDS.items()
    ]  # fmt: skip
    for row in rows[:4]:
        for _, answer in drawn(program(rows, row)):
            assert answer["kind"] == KINDS[answer["thing"]]


def test_a_label_of_few_rows_is_refused_and_so_is_a_task_of_no_rows():
    rows = [*recombined.tickets(60), recombined.label_row("tickets", "What is your address?", "rare")]
    with pytest.raises(Unreadable, match="1 train rows have the label 'rare', 4 are needed"):
        program(rows, rows[-1])
    with pytest.raises(Unreadable, match="none of this task were handed over"):
        program([], rows[0])
    assert "none of this task were handed" in label.diagnose(Rows(), rows[0].question, "billing", "refund").misconception


def test_conversations_are_not_taken_apart():
    rows = [row.model_copy(update={"meta": {"messages": [{"role": "user", "content": row.question}]}}) for row in recombined.tickets(60)]
    with pytest.raises(Unreadable, match="conversations"):
        program(rows, rows[0])


def test_held_out_rows_are_never_recombined():
    rows = recombined.tickets(60)
    secret = [row.model_copy(update={"question": f"Zebra! {row.question}", "split": split}) for row in rows for split in ("dev", "test")]
    assert "Zebra" not in program([*rows, *secret], rows[0])
    with pytest.raises(Unreadable):
        program(secret, secret[0])


def test_diagnosis_and_program_say_that_they_rest_on_no_understanding():
    for rows, response in ((recombined.tickets(60), "shipping"), (recombined.orders(40), '{"customer": "Zoe", "items": []}')):
        row = next(row for row in rows if row.answer != response)
        found = TEACHERS[row.kind].diagnose(Rows(lambda rows=rows: rows), row.question, row.answer, response)
        assert ORIGIN in found.teach and ORIGIN in program(rows, row, response).partition('"""\n')[0]
        assert found.skill == (f"{row.answer} against shipping" if row.kind == "label" else "read customer and items.*.color from a text")


def test_a_diagnosis_names_the_fields_that_are_wrong():
    row = recombined.orders(40)[0]
    document = json.loads(row.answer)
    response = json.dumps(document | {"customer": "Zoe"})
    found = extract.diagnose(Rows(lambda: [row]), row.question, row.answer, f"```json\n{response}\n```")
    assert found.skill == "read customer from a text"
    assert f'customer is "{document["customer"]}", it gives "Zoe"' in found.misconception


@pytest.mark.parametrize("kind", TEACHERS)
def test_the_instructor_answers_about_its_rows_which_it_reads_once(kind):
    rows, reads = (recombined.tickets(60) if kind == "label" else recombined.orders(40)), []

    def load():
        reads.append(1)
        return rows

    item = {"task": "t", "question": rows[0].question, "reference": rows[0].answer, "response": "(empty)"}
    told = {"contract": contract(kind), "failure_id": "e1", "skill": "s", "misconception": "m", "teach": "t", "boundary": ""}
    lm = offline_lm(load)
    assert not reads
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
        found = dspy.Predict(DiagnoseContrast)(**item, solved=f"Question: {rows[1].question}\nResponse: {rows[1].answer}")
        assert found.verdict == "error" and found.boundary and ORIGIN in found.teach
        written = dspy.Predict(WriteForContrast)(**item, **told, solved=f"Question: {rows[1].question}\nResponse: {rows[1].answer}")
        assert written.refusal == "" and drawn(written.program.code)[0][0] == rows[0].question
        several = "\n\n".join(
            f"{place}. id e{place}\nQuestion: {row.question}\nReference: {row.answer}\nResponse: (empty)"
            for place, row in enumerate(rows[:3], 1)
        )
        shared = {name: told[name] for name in ("contract", "skill", "misconception", "teach")}
        together = dspy.Predict(WriteForErrors)(task="t", failures=several, **shared)
        assert drawn(together.program.code)[0][0] == rows[0].question
    assert len(reads) == 1


def test_what_can_be_taught_is_counted_with_the_commonest_reason(tmp_path):
    rows = [*recombined.orders(30), recombined.json_row("Somebody wants it.", {"customer": "Ann"})]
    task = table(tmp_path, rows, "json")
    found = reach(task, task.examples("train"))
    assert (found.taught, found.items) == (30, 31) and not found.refusal
    assert found.told == (
        f"the embedded instructor can teach 30 of 31 train items of {task.name}; 1 not, as the text does not say its customer, "
        '"Ann", as such'
    )


def test_a_task_of_which_nothing_can_be_taught_is_refused_with_another_instructor(tmp_path):
    rows = [Example(task="t", split="train", question=f"Who is number {place}?", answer=f"Queen {'I' * place}") for place in range(1, 9)]
    task = table(tmp_path, rows, "exact")
    found = reach(task, task.examples("train"))
    assert found.taught == 0 and "none of 8 train items" in found.refusal and "--instructor openai/" in found.refusal


def test_what_is_said_of_an_error_is_the_same_in_every_process():
    """The words of a set come in an order that each process draws anew."""
    code = "import recombined; print(recombined.said())"
    paths = os.pathsep.join(sys.path)
    found = [
        subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": seed}, capture_output=True)
        for seed in ("1", "2", "3")
    ]
    assert [one.returncode for one in found] == [0, 0, 0], found[0].stderr
    assert found[0].stdout == found[1].stdout == found[2].stdout
    assert len(found[0].stdout) > 1000
