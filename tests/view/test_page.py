"""The page of `errata view`: what it holds, what a browser makes of it, and that no text of a model becomes markup or runs."""

import json
import re

import pytest
from browser import Browser, needs_chromium
from fake_run import attempt, fake_run
from filelock import FileLock
from pages import HOSTILE

from errata.programs.run import layout
from errata.programs.run.directory import Stage
from errata.programs.stats import counts
from errata.programs.view import sources
from errata.programs.view.diff import diff
from errata.programs.view.page import View, safe, written
from errata.programs.view.show import show
from errata.signatures.errors import ErrataError, UsageError
from errata.signatures.records import Attempt


def data(text):
    """What stands in a page."""
    (inside,) = re.findall(r"<script type=application/json id=data>(.*?)</script>", text, re.DOTALL)
    return json.loads(inside)


def made(*names, out=None, serve=False):
    told = []
    show([str(name) for name in names], out, serve, lambda document, text: told.append((document, text)))
    return told[0]


def test_the_page_lies_in_the_run_and_holds_each_item_with_the_answers_of_all_weights(plain):
    document, text = made(plain)
    assert document == {"items": 164, "sides": [f"{plain}@given", f"{plain}@1", f"{plain}@2"], "page": str(plain / "view.html")}
    assert text.endswith(f"\npage: {plain}/view.html")
    found = data((plain / "view.html").read_text())
    assert [side["label"] for side in found["sides"]] == ["weights as given", "round 1, accepted", "round 2, not accepted"]
    assert found["benchmarks"] == [["g", "test"], ["t", "test"], ["g", "dev"], ["t", "dev"], ["t", "train"]]
    dev = [item for item in found["items"] if item[1] == 3]
    assert len(dev) == 40
    rows = {row.example.id: row for stage in layout.evaluations(plain, "w1") for row in stage.rows(layout.ATTEMPTS, Attempt)}
    for name, _, skill, flags, (question, gold, _, answers) in dev:
        row = rows[name]
        assert (question, gold, found["skills"][skill]) == (row.example.question, row.example.answer, row.example.skill)
        assert answers[1] == [row.response, row.verdict.extracted, row.verdict.reason, ""]
        assert flags[1] == ("r" if row.verdict.correct else "w")


def test_an_error_leads_to_its_program_and_rows_and_they_lead_back(plain):
    found = data(written(View([str(plain)])).decode())
    for one in found["lessons"][:2]:
        (item,) = [item for item in found["items"] if item[0] == one["items"][0]]
        assert found["benchmarks"][item[1]] == ["t", "train"]
        assert one["skills"] == [f"t\n{found['skills'][item[2]]}"]
        assert one["misconception"] == "it subtracts"
        assert "def make(a, b)" in one["source"]
        assert one["drawn"] == 3 == len(one["rows"])
    (refused,) = [one for one in found["lessons"] if one["round"] == 1 and not one["source"]]
    assert refused["refusals"] == [["anchored", "no"]]


def test_runs_side_by_side_are_matched_by_item_and_their_programs_keep_apart(plain, tmp_path):
    other = fake_run(tmp_path / "other", {"t": ["adds", "halves"]}, {"g": ["x"]}, rounds=1)
    found = data(written(View([f"{plain}@given", str(other)])).decode())
    assert [side["label"] for side in found["sides"]] == [
        f"{plain}: weights as given",
        f"{other}: weights as given",
        f"{other}: round 1, accepted",
    ]
    assert all(item[3][0] == item[3][1] for item in found["items"] if item[3][0] and item[3][1])
    assert len({one["id"] for one in found["lessons"]}) == len(found["lessons"])
    assert {one["run"] for one in found["lessons"]} == {str(plain), str(other)}


def test_what_two_names_mean_is_shown_once(plain):
    found = data(written(View([str(plain), f"{plain}@given"])).decode())
    assert len(found["sides"]) == 3
    assert sum(item[3][0] is not None for item in found["items"]) == 162


def test_a_log_whose_ids_differ_is_matched_by_what_its_items_say(plain, tmp_path):
    rows = [row for stage in layout.evaluations(plain, "w0") for row in stage.rows(layout.ATTEMPTS, Attempt) if row.example.task == "t"]
    log = tmp_path / "log.jsonl"
    lines = [{"question": row.example.question, "answer": " 4 ", "response": "4", "correct": True} for row in rows]
    log.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {**lines[0], "question": "Another?"}]))
    found = data(written(View([f"{plain}@given", str(log)])).decode())
    assert sum(item[3][0] is not None and item[3][1] == "r" for item in found["items"]) == len(rows)
    assert [item[4][0] for item in found["items"] if item[3][0] is None] == ["Another?"]


def test_sides_are_compared_as_errata_diff_compares_them(plain):
    view = View([str(plain)])
    a, b = (sources.one(f"{plain}@{name}") for name in ("given", "1"))
    change = diff(a, b, "dev").benchmarks["t"].change
    found = {tuple(view.head()["benchmarks"][row[0]]): row[1:] for row in view.compared()["0-1"]}
    assert found["t", "dev"][0] == change.pairs
    assert found["t", "dev"][4:6] == [change.fixed, change.broken]
    assert found["t", "dev"][3] == f"{100 * change.difference:+.1f} [{100 * change.low:+.0f}, {100 * change.high:+.0f}]"


def test_an_item_that_was_answered_twice_stands_there_twice(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["adds"]}, rounds=1, items=2)
    rows = [attempt("t", "test", 1, "adds", right, "w9") for right in (True, False)]
    Stage(path / "evaluate/w9/t-test").finish({"attempts.jsonl": rows}, **counts(rows))
    found = data(written(View([f"{path}@w9"])).decode())
    assert [(item[0].partition("-")[2], item[3]) for item in found["items"]] == [("", ["r"]), ("2", ["w"])]


def test_another_answer_to_an_item_is_no_further_item_of_the_comparison(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["adds"]}, rounds=1, items=2)
    for weights, right in (("w8", False), ("w9", True)):
        rows = [attempt("t", "test", 1, "adds", right, weights) for _ in range(9)]
        Stage(path / f"evaluate/{weights}/t-test").finish({"attempts.jsonl": rows}, **counts(rows))
    view = View([f"{path}@w8", f"{path}@w9"])
    ((_, pairs, *_, fixed, broken, chance, sure),) = view.compared()["0-1"]
    assert len(view.items) == 9 and (pairs, fixed, broken, sure) == (1, 1, 0, "same")
    assert chance == "p = 1"


def test_json_in_a_page_ends_no_element_and_no_line():
    value = ["</script><!--", "<script>", "\u2028\u2029&", HOSTILE]
    text = safe(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == value


def test_another_file_is_not_written_over_and_a_page_is(plain, tmp_path):
    mine = tmp_path / "notes.html"
    mine.write_text("<!doctype html>\n<html lang=en>mine")
    with pytest.raises(UsageError, match="no page of `errata view`; it is not written over"):
        made(plain, out=mine)
    assert mine.read_text().endswith("mine")
    made(plain, out=tmp_path / "new" / "view.html")
    made(plain, out=tmp_path / "new" / "view.html")
    with pytest.raises(UsageError, match="is a folder; name the page"):
        made(plain, out=tmp_path)


def test_a_run_that_is_worked_on_says_so_and_what_is_there_already(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["adds"]}, rounds=1)
    (path / "result.json").unlink()
    with FileLock(path / "lock"):
        (note,) = View([str(path)]).notes()
    assert note["now"]
    assert note["text"].startswith(f"{path} is running now: round 1 of 1: gate done")
    (note,) = View([str(path)]).notes()
    assert (note["now"], note["text"]) == (False, f"{path} has not come to its end: round 1 of 1: gate done.")


def test_nothing_answered_yet_is_told_in_one_line(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["adds"]}, rounds=1)
    for folder in ("evaluate", "round-1"):
        (path / folder).rename(tmp_path / folder)
    with pytest.raises(ErrataError, match="no finished answers yet; `errata cycle"):
        made(path)
    with (
        FileLock(path / "lock"),
        pytest.raises(ErrataError, match="no finished answers yet; a process is working on it now: give the same"),
    ):
        made(path)


# ---- in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def shown(browser, plain):
    made(plain)
    browser.look(1400)
    browser.open((plain / "view.html").as_uri())
    return browser


@needs_chromium
def test_filters_show_what_they_say_and_the_address_restores_item_and_filter(shown, plain):
    shown.run("go({ after: 2 })")
    assert shown.text("#count") == "162 of 164 items"  # two were asked of neither side that is compared
    shown.run("go({ after: data.after })")
    assert shown.text("#count") == "164 items"
    shown.run("document.querySelector('[data-show=fixed]').click()")
    before, after = (
        {row.example.id for stage in layout.evaluations(plain, name) for row in stage.rows(layout.ATTEMPTS, Attempt) if row.verdict.correct}
        for name in ("w0", "w1")
    )
    asked = {row.example.id for stage in layout.evaluations(plain, "w1") for row in stage.rows(layout.ATTEMPTS, Attempt)}
    names = shown.run("[...document.querySelectorAll('#items a')].map((link) => link.dataset.item)")
    assert set(names) == (after - before) & asked
    shown.press("j", "j")
    address, chosen = shown.run("location.href"), shown.text("#detail .place code")
    assert chosen == names[1]
    shown.open("about:blank")
    shown.open(address)
    assert shown.text("#detail .place code") == names[1]
    assert shown.text("#count") == f"{len(names)} of 164 items"
    assert shown.run("document.querySelector('[aria-pressed=true]').dataset.show") == "fixed"
    assert shown.errors() == []


@needs_chromium
def test_the_keys_search_step_and_help(shown):
    shown.press("/")
    assert shown.run("document.activeElement.id") == "search"
    for key in "TEST 7 halves":
        shown.press(key)
    shown.wait("state.q === 'TEST 7 halves'")
    found = shown.run("found.map((place) => data.items[place])")
    texts = [json.dumps([item, "halves" if item[2] == shown.run("data.skills.indexOf('halves')") else ""]) for item in found]
    assert 0 < len(found) < 40
    assert all("7" in text and "test" in text and "halves" in text for text in texts)
    shown.press("Escape", "j")
    first = shown.text("#detail pre")
    assert first == found[0][4][0]
    shown.press("j", "k")
    assert shown.text("#detail pre") == first
    shown.press("?")
    assert shown.run("document.getElementById('help').open")
    shown.press("Escape")
    shown.press("x")
    shown.wait("document.getElementById('count').innerText === '164 items'")


@needs_chromium
def test_differences_are_marked_and_an_item_leads_to_its_program_and_back(shown):
    shown.run("go({ show: 'fixed', after: 1 })")
    shown.press("j")
    marked = shown.run("[...document.querySelectorAll('mark')].map((mark) => mark.textContent)")
    assert marked == ["5", "4"]
    shown.run("go({ show: 'wrong', bench: '5' })")
    shown.press("l", "j")
    item = shown.text("#detail .place code")
    assert "it subtracts" in shown.text(".lesson")
    shown.run("document.querySelector('.lesson a').click()")
    shown.wait("document.querySelector('#detail pre.code')?.innerText.includes('def make(a, b)')")
    assert "3 rows drawn from it" in shown.text("#detail")
    shown.run("document.querySelector('#detail .links a').click()")
    shown.wait(f"document.querySelector('#detail .place code').innerText === {json.dumps(item)}")
    assert shown.errors() == []


@needs_chromium
def test_hostile_texts_stay_texts_in_a_browser(browser, hostile):
    made(hostile)
    browser.open((hostile / "view.html").as_uri())
    del browser.events[:]
    count = browser.run("found.length")
    tags = set()
    for _ in range(count):
        browser.press("j")
        tags |= set(browser.run("[...document.querySelectorAll('*')].map((node) => node.localName)"))
    assert "<script>document.title='owned'</script>" in browser.text("#detail")
    assert "U+202E" in browser.text("#detail")
    browser.run("go({ lesson: data.lessons[0].id, item: '' })")
    tags |= set(browser.run("[...document.querySelectorAll('*')].map((node) => node.localName)"))
    assert not tags & {"img", "iframe", "base", "svg", "object", "embed"}
    assert browser.run("document.querySelectorAll('script, style, meta, title').length") == 2 + 1 + 4 + 1
    assert "owned" not in browser.run("document.title")[:20]
    assert [one for one in browser.events if one["method"] == "Network.requestWillBeSent"] == []
    assert browser.errors() == []
    # markup that came in all the same would not run: the policy allows the page's own script alone
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = 1\">')")
    browser.run("document.body.append(Object.assign(document.createElement('script'), { textContent: 'document.title = 1' }))")
    browser.wait("true")
    assert browser.run("document.title") != "1"
    assert any("Content Security Policy" in json.dumps(one) for one in browser.errors())
