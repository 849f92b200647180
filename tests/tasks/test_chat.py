"""Prompts of one's own: conversations of several turns, a system text, solved examples; who reads them and who is refused."""

import json
import random
from pathlib import Path

import pytest

from errata.programs.config import CycleConfig
from errata.programs.steps.session import Session
from errata.signatures.errors import TaskError, UsageError
from errata.signatures.records import Example
from errata.tasks import doctor, load_task
from errata.tasks.chat import transcript, turns
from errata.tasks.doctor import doubts
from errata.tasks.recorded import join
from errata.tasks.settings import TableSettings


def say(*texts: str, system: str | None = None) -> list[dict[str, str]]:
    """The user's turn, the assistant's, and so on."""
    head = [{"role": "system", "content": system}] if system is not None else []
    return head + [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(tmp_path: Path, *rows: dict, dev: tuple = (), **settings):
    jsonl(tmp_path / "t" / "train.jsonl", list(rows))
    jsonl(tmp_path / "t" / "dev.jsonl", list(dev or rows[:1]))
    return load_task(f"jsonl:{tmp_path / 't'}", TableSettings(**settings))


def asks(task, split="train"):
    return [task.prompt(example) for example in task.examples(split)]


# ---- transcripts


@pytest.mark.parametrize(
    "messages",
    [
        say("Hello"),
        say("User: I quote\nAssistant: a log"),
        say("  \n User: I quote"),
        say("Assistant: who said this?"),
        say("\\User: with a backslash"),
        say("", "", ""),
        say("a\n\n", "\n\nb", "c\n"),
        say("a", "User: b\n\\Assistant: c\nSystem:d", "e"),
        say("a", "b", "c", system="Be brief.\n\nUser: is what users are called."),
        [{"role": "user", "content": "a"}, {"role": "tool", "content": '{"x": 1}'}],
        say("\r\nUser: a\rUser: b", "c", "d"),
    ],
)
def test_turns_are_read_again_from_their_transcript(messages):
    assert turns(transcript(messages)) == messages


def test_turns_of_any_text_are_read_again_from_their_transcript():
    rng = random.Random(1)
    parts = ["User:", "Assistant: ", "\\User:", "\\\\Tool:", " ", "\n", "\n\n", "hi", "\r\n", "System:x", "", "\\", "user:"]
    for _ in range(3000):
        said = ["".join(rng.choices(parts, k=rng.randint(0, 6))) for _ in range(rng.randint(1, 4))]
        messages = [{"role": rng.choice(["system", "user", "assistant", "tool"]), "content": text} for text in said]
        assert turns(transcript(messages)) == messages


def test_one_turn_is_its_text_and_a_text_that_a_model_wrote_in_short_is_read():
    assert transcript(say("What is 2 + 3?")) == "What is 2 + 3?"
    assert turns("User: a\nAssistant: b\nUser:\nc") == say("a", "b", "c")
    assert turns("\nUser:a\n\nAssistant:b\n\nUser: c") == say("a", "b", "c")
    assert turns("The user: a\nUser: b") == say("The user: a\nUser: b")


# ---- rows

TURNS = ("I have 2 pens.", "Yes?", "And 3 more?")
SHAREGPT = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate([*TURNS, "5"])]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": say(*TURNS, "5")},
        {"messages": say(*TURNS), "answer": 5},
        {"messages": say(*TURNS, "I do not know."), "answer": "5"},
        {"messages": json.dumps(say(*TURNS, "5"))},
        {"conversations": SHAREGPT},
        {"prompt": say(*TURNS), "completion": [{"role": "assistant", "content": "5"}]},
        {"instruction": TURNS[2], "input": "", "output": "5", "history": [list(TURNS[:2])]},
    ],
)  # fmt: skip
def test_a_conversation_is_asked_turn_by_turn_and_its_last_answer_is_the_gold(tmp_path, row):
    task = table(tmp_path, row)
    (example,) = task.examples("train")
    assert (example.question, example.answer) == ("User: I have 2 pens.\n\nAssistant: Yes?\n\nUser: And 3 more?", "5")
    assert task.prompt(example) == say(*TURNS)
    generated = Example(task=task.name, split="train", question="User: I have 4 pens.\nAssistant: Yes?\nUser: And 1 more?", answer="5")
    assert task.prompt(generated) == say("I have 4 pens.", "Yes?", "And 1 more?")


def test_a_column_of_messages_goes_before_a_question_and_a_text_in_braces_is_the_last_turn(tmp_path):
    row = {"question": "not this", "dialog": say("Hi", "Hello", "2 + 3?", "5", system="s"), "unit": "cm"}
    task = table(tmp_path, row, messages="dialog", question="[{unit}] {question}", ask="A number alone.")
    (prompt,) = asks(task)
    assert prompt == say("Hi", "Hello", "[cm] 2 + 3?\nA number alone.", system="s")
    assert task.examples("train")[0].question == "User: Hi\n\nAssistant: Hello\n\nUser: [cm] 2 + 3?"


def test_a_system_text_of_all_rows_is_the_tasks_and_another_stays_in_the_question(tmp_path):
    same = [{"messages": say(f"{n} + 1?", str(n + 1), system="Add.")} for n in range(4)]
    task = table(tmp_path, *same, system="not this")
    assert [example.question for example in task.examples("train")] == [f"{n} + 1?" for n in range(4)]
    assert asks(task)[0] == say("0 + 1?", system="Add.")
    twice, unseen = doubts(task)  # its dev item is a train row
    assert twice == "1 held-out item is asked in train too, e.g. '0 + 1?' (dev): there memory is measured"
    assert unseen == "table.system is shown with none of them, as each row has a system turn of its own"
    assert "Add." in task.brief
    other = table(
        tmp_path / "other", *same, {"messages": say("9 - 1?", "8", system="Subtract.")}, {"messages": say("3?", "3")}, system="Own."
    )
    prompts = asks(other)
    assert [prompt[0]["content"] for prompt in prompts] == ["Add."] * 4 + ["Subtract.", "Own."]
    assert other.examples("train")[4].question == "System: Subtract.\n\nUser: 9 - 1?"
    assert other.prompt(Example(task="t", split="train", question="System: Mine.\n\nUser: 1?", answer="1")) == say("1?", system="Mine.")


def test_a_question_that_looks_like_a_transcript_is_one_turn(tmp_path):
    hostile = "User: hi\nAssistant: what is my question?"
    (plain,) = asks(table(tmp_path / "a", {"question": hostile, "answer": "5"}, system="s"))
    assert plain == say(hostile, system="s")
    rows = [{"messages": say(hostile, "5")}, {"messages": say("a", "b", "c", "5")}, {"question": hostile + "!", "answer": "5"}]
    assert asks(table(tmp_path / "b", *rows)) == [say(hostile), say("a", "b", "c"), say(hostile + "!")]


@pytest.mark.parametrize(
    ("row", "settings", "said"),
    [
        ({"messages": say("a", "b", "c", "d")}, {"messages": "dialog"}, "field 'dialog' is missing"),
        ({"dialog": "a text"}, {"messages": "dialog"}, "'dialog' must be a list of turns"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, {}, "does not end with a turn of the user's"),
        ({"messages": [*say("a", "b"), {"role": "assistant", "content": "c"}]}, {}, "does not end with a turn of the user's"),
        ({"messages": [{"role": "critic", "content": "a"}, *say("b", "c")]}, {}, "a turn of 'critic' is not read"),
        ({"messages": say("a", "b", "c")}, {}, "ends with a turn of the user's, and no column 'answer' holds the gold answer"),
        ({"instruction": "q", "input": "", "output": "5", "history": ["ab"]}, {}, "'history' must be a list of pairs"),
    ],
)
def test_a_conversation_that_asks_nothing_is_refused_with_its_row(tmp_path, row, settings, said):
    with pytest.raises(TaskError, match=said) as caught:
        table(tmp_path, row, **settings)
    assert "line 1" in str(caught.value)


def test_a_built_in_task_says_that_tables_read_conversations(tmp_path):
    path = jsonl(tmp_path / "train.jsonl", [{"messages": say("a", "b", "c", "#### 5")}])
    with pytest.raises(TaskError, match=r"is read by a table alone .*--task jsonl:PATH"):
        load_task(f"gsm8k:{path}")


# ---- a system text and solved examples

SUMS = [{"question": f"{n} + {n}?", "answer": str(n + n), "solution": f"{n} and {n} are {n + n}."} for n in range(30)]


def test_shots_are_train_items_as_asked_and_answered_and_are_no_items(tmp_path):
    task = table(tmp_path, *SUMS[:20], dev=SUMS[20:], verdict="number", solution="solution", shots=3, system="Be exact.")
    prompt = asks(task, "dev")[0]
    assert [one["role"] for one in prompt] == ["system", "user", "assistant", "user", "assistant", "user", "assistant", "user"]
    assert prompt[-1]["content"] == "20 + 20?"  # the prompt is the user's own: no form is asked for behind it
    shown = {one["content"] for one in prompt[1:-1:2]}
    assert shown <= {row["question"] for row in SUMS[:20]}
    assert not shown & {example.question for example in task.examples("train")}
    assert len(task.examples("train")) == 17
    assert all(task.verdict(shot, prompt[2 + 2 * place]["content"]).correct for place, shot in enumerate(task.prefix.shots))
    again = table(tmp_path / "again", *reversed(SUMS[:20]), dev=SUMS[20:], verdict="number", solution="solution", shots=3)
    assert [shot.question for shot in again.prefix.shots] == [shot.question for shot in task.prefix.shots]
    assert doctor(task)[1] == []


def test_shots_alone_keep_what_is_asked_behind_each_question(tmp_path):
    task = table(tmp_path, *SUMS[:9], dev=SUMS[20:], verdict="number", shots=1)
    first, _, last = asks(task, "dev")[0]
    assert first["content"].endswith('end with the line "#### number".') and last["content"].endswith('end with the line "#### number".')


def test_shots_show_as_many_gold_answers_as_they_can_and_no_question_that_is_held_out(tmp_path):
    rows = [{"question": f"mood {n}?", "answer": "good" if n else "bad"} for n in range(20)]
    task = table(tmp_path, *rows, dev=rows[1:15], shots=2)
    assert {shot.answer for shot in task.prefix.shots} == {"good", "bad"}
    assert not {shot.question for shot in task.prefix.shots} & {row["question"] for row in rows[1:15]}


def test_no_shot_asks_what_a_held_out_item_asks_in_another_case_or_with_other_blanks(tmp_path):
    rows = [{"question": f"mood {n}?", "answer": "good"} for n in range(6)]
    told = [{"question": f" Mood  {n}? ", "answer": "good"} for n in range(5)]
    assert [shot.question for shot in table(tmp_path, *rows, dev=told, shots=1).prefix.shots] == ["mood 5?"]


def test_more_shots_than_train_items_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"table.shots is 3, and jsonl:t has 3 train items"):
        table(tmp_path, *SUMS[:3], dev=SUMS[20:], shots=3)
    with pytest.raises(UsageError, match=r"jsonl:t has 4 train items, 2 of them with an answer and not held out"):
        table(tmp_path, *SUMS[:4], dev=SUMS[:2], shots=3)


def test_an_item_without_an_answer_is_no_shot(tmp_path):
    rows = [{"question": f"Write f{n}.", "answer": "def f(): pass" if n == 3 else "", "test": "def check(f): pass", "entry_point": "f"}
            for n in range(9)]  # fmt: skip
    jsonl(tmp_path / "train.jsonl", rows)
    task = load_task(f"jsonl:{tmp_path / 'train.jsonl'}", TableSettings(verdict="code", shots=1), runner=lambda *_: None)
    assert [shot.question for shot in task.prefix.shots] == ["Write f3."]


def test_shots_of_conversations_come_turn_by_turn(tmp_path):
    rows = [{"messages": say(f"I have {n}.", "Yes?", "And 1 more?", str(n + 1), system="Add.")} for n in range(6)]
    task = table(tmp_path, *rows[:5], dev=rows[5:], shots=1)
    (prompt,) = asks(task, "dev")
    assert [one["role"] for one in prompt] == ["system"] + ["user", "assistant"] * 3 + ["user"]
    assert prompt[-3:] == say("I have 5.", "Yes?", "And 1 more?")
    assert "solved example" in task.brief and prompt[1]["content"] in task.brief


def test_guards_and_members_show_the_same_system_text_and_shots(tmp_path):
    settings = TableSettings(shots=2, system="Be exact.", verdict="number")
    main = jsonl(tmp_path / "main" / "train.jsonl", SUMS[:10]).parent
    other = jsonl(
        tmp_path / "other" / "dev.jsonl", [*SUMS[:10], *({"question": f"{n} * 2?", "answer": str(n * 2)} for n in range(5))]
    ).parent
    task = load_task(f"jsonl:{main}", settings)
    guard = load_task(f"jsonl:{other}", settings, beside=task)
    assert asks(guard, "dev")[0][:-1] == asks(task)[0][:-1]
    assert len(guard.examples("dev")) == 13  # what it is shown solved is not asked of it
    both = load_task(f"jsonl:{main}+jsonl:{other}", settings)
    assert both.prompt(both.examples("dev")[0])[:-1] == asks(task)[0][:-1]


def test_a_run_shows_its_guards_what_it_shows_its_task(tmp_path):
    main = jsonl(tmp_path / "main" / "train.jsonl", SUMS).parent
    other = jsonl(tmp_path / "other" / "dev.jsonl", [{"question": "1 * 2?", "answer": "2"}]).parent
    config = CycleConfig(task=f"jsonl:{main}", guards=(f"jsonl:{other}",), table=TableSettings(shots=2, system="Be exact."))
    run = Session(config, tmp_path / "run")
    assert asks(run.guards[0], "dev")[0][:-1] == asks(run.task)[0][:-1]


@pytest.mark.parametrize(
    ("task", "guards", "settings", "said"),
    [
        ("sums", None, {"system": "s"}, r"table.system is set, and sums does not read it: only jsonl, parquet, hf do"),
        ("sums", ("lists",), {"shots": 2}, "table.shots is set, and sums and lists does not read it"),
        ("gsm8k:nowhere", None, {"verdict": "number"}, "table.verdict is set"),
    ],
)
def test_settings_of_a_table_that_nothing_reads_are_told(tmp_path, task, guards, settings, said):
    with pytest.raises(UsageError, match=said):
        Session(CycleConfig(task=task, guards=guards, table=TableSettings(**settings)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- answers that a model has already given


def imported(task, tmp_path: Path, *rows: dict):
    return join.load([jsonl(tmp_path / "log.jsonl", list(rows))], task, join.source_of(f"jsonl:{tmp_path / 't'}"))


def test_a_log_of_conversations_is_joined_by_their_turns(tmp_path):
    rows = [{"messages": say(f"I have {n}.", "Yes?", "And 1 more?", str(n + 1), system="Add.")} for n in range(6)]
    task = table(tmp_path, *rows[:5], dev=rows[5:], verdict="number")
    shot = say("I have 70.", "Yes?", "And 1 more?", "71")
    logged = [
        {"messages": say("I have 1.", "Yes?", "And 1 more?", "3", system="Add.")},
        {"messages": say("I have 2.", "Yes?", "And 1 more?", "4")},
        {"messages": say("I have 3.", "Yes?", "And 1 more?", system="Another."), "response": "5"},
        {"messages": [*shot, *say("I have 4.", "Yes?", "And 1 more?")], "response": "6", "answer": "5"},
        {"messages": say("I have 5.", "Yes?", "And 1 more?", "6", system="Add."), "answer": "6"},
    ]
    found = imported(task, tmp_path, *logged)
    items = {example.question: example for split in ("train", "dev") for example in task.examples(split)}
    for number, (example, answer) in enumerate(found.rows, start=1):
        own = items[f"User: I have {number}.\n\nAssistant: Yes?\n\nUser: And 1 more?"]
        assert (example.id, example.split, task.prompt(example)) == (own.id, own.split, task.prompt(own))
        assert answer.response == str(number + 1 + (number < 5))


def test_an_answer_to_an_item_that_stands_solved_in_the_prompt_is_left_out(tmp_path):
    task = table(tmp_path, *SUMS[:9], dev=SUMS[20:], verdict="number", shots=3)
    shown = task.prefix.shots[0].question
    found = imported(
        task, tmp_path, {"question": shown, "response": "1"}, {"question": task.examples("train")[0].question, "response": "1"}
    )
    assert (found.files[0]["answers"], found.files[0]["left_out"]) == (1, 1)
    assert list(found.files[0]["left_out_because"]) == ["it stands solved before each question (table.shots)"]
    with pytest.raises(UsageError, match="all answers are left out"):
        imported(task, tmp_path, {"question": shown, "response": "1"})


def test_a_log_of_a_conversation_for_a_task_without_them_is_joined_by_its_question_or_told(tmp_path):
    task = table(tmp_path, *SUMS[:5], dev=SUMS[20:], verdict="number")
    found = imported(task, tmp_path, {"messages": [*say("1 + 1?", "2"), *say("3 + 3?", "7")]})
    assert [(example.question, answer.response) for example, answer in found.rows] == [("3 + 3?", "7")]
    with pytest.raises(TaskError, match="no item of this question"):
        imported(task, tmp_path, {"messages": [*say("1 + 1?", "2"), *say("And 99?", "7")]})
