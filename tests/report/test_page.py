"""The pages of a report: what they show, and that nothing in a text of a model becomes markup, a link or a script."""

import html.parser
import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fake_run import fake_run
from pages import HOSTILE, PAGE, filled

from errata.programs import report
from errata.programs.report.markup import Html
from errata.programs.report.trace import Lineage, clearest, excerpt
from errata.programs.run import layout
from errata.signatures.errors import RunError
from errata.signatures.records import Rejection, TrainRow

TAGS = {
    *[
        "html",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "h3",
        "p",
        "b",
        "nav",
        "a",
        "section",
        "div",
        "span",
        "details",
        "summary",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "pre",
        "code",
        "dl",
        "dt",
        "dd",
    ],
    *["ul", "li", "figure", "figcaption", "svg", "line", "rect", "circle", "text"],
}
ATTRIBUTES = {
    *[
        "lang",
        "charset",
        "name",
        "content",
        "http-equiv",
        "class",
        "id",
        "href",
        "open",
        "dir",
        "tabindex",
        "aria-hidden",
        "height",
        "width",
        "x",
        "y",
        "cx",
        "cy",
        "r",
        "x1",
        "x2",
        "y1",
        "y2",
    ],
    *["stroke", "stroke-width", "stroke-dasharray", "fill", "text-anchor"],
}


class Seen(html.parser.HTMLParser):
    """Every tag and attribute of a page, and what links lead to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.links = set(), set(), set()
        self.title = re.search("<title>(.*?)</title>", text)[1]
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value for name, value in attrs if name == "href"}


def test_the_page_of_many_benchmarks_folds_its_skills_and_stays_small(several):
    page_ = (several[0] / "report.html").read_text()
    assert len(page_) < 2_000_000
    assert page_.count("<details open") == 0
    for n in range(7):
        assert f"bench{n} test: " in page_


def test_pages_show_no_object_of_the_program(several, hostile):
    for path, _ in (several, hostile):
        assert not re.search(r"object at 0x|built-in method|&lt;function|&lt;bound", (path / "report.html").read_text())


def test_the_page_of_one_benchmark_shows_its_skills(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a", "b"]}, rounds=1)
    report.write(path)
    assert "<details open class=paper><summary>t test: 2 skills" in (path / "report.html").read_text()


def test_a_page_of_hostile_texts_holds_no_tag_attribute_or_link_but_ours(hostile):
    seen = Seen((hostile[0] / "report.html").read_text())
    assert seen.tags <= TAGS
    assert seen.attributes <= ATTRIBUTES
    assert all(link.startswith("#") for link in seen.links)


def test_unseen_characters_are_shown_by_their_number(hostile):
    page_ = (hostile[0] / "report.html").read_bytes().decode()
    for shown in ("U+2028", "U+202E", "U+200F", "U+001B", "U+0000"):
        assert f"<span class=unseen>{shown}</span>" in page_
    assert not set("\u2028\u202e\u200f\x1b\x00") & set(page_)


def test_the_drill_down_leads_from_the_error_to_the_items(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1)
    result = report.write(path)
    page_ = (path / "report.html").read_text().split("id='lineage'")[1]
    taught = json.loads((path / "round-1/teach/taught.jsonl").open().readline())
    sample = json.loads((path / "round-1/assemble/samples.jsonl").open().readline())
    ways = [
        taught["failure_ids"][0],
        taught["diagnosis"]["id"],
        taught["program"]["id"],
        sample["id"],
        result.evaluations["t test"].fixed[0],
    ]
    places = [page_.index(f"<code>{name}</code>") for name in ways]
    assert places == sorted(places)
    assert "<b class='k'>def</b>" in page_


def test_the_clearest_way_goes_from_an_error_to_a_fixed_item_that_failed_alike(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["fixed", "fell"]}, rounds=1)
    result = report.write(path)
    lineage = Lineage(path)
    way = clearest(result, lineage)
    assert [one.error.example.skill for one in lineage.lessons] == ["fixed", "fell"]
    assert way.lesson.error.example.skill == way.fixed[0].example.skill == "fixed"
    assert [one.verdict.correct for one in way.fixed] == [False, True]
    drawn = (path / "report.html").read_text().split("id='way'")[1].split("</section>")[0]
    texts = [way.lesson.error.example.question, "it subtracts", "def", "3 rows drawn from it"]
    places = [drawn.index(text) for text in [*texts, way.fixed[0].example.question]]
    assert places == sorted(places)
    assert drawn.count("<svg class='arrow") == 5


def test_where_no_item_was_fixed_the_way_says_so(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a", "b"]}, rounds=1, accepted=False)
    assert clearest(report.write(path), Lineage(path)).fixed is None
    page = (path / "report.html").read_text()
    assert "No held-out question of this kind was fixed" in page
    assert "The new weights were not kept: they did not do better." in page


def test_what_did_not_move_is_told_in_one_line_and_without_a_change(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a", "b", "c", "d", "e", "f"]}, rounds=1, items=6)
    report.write(path)
    skills = (path / "report.html").read_text().split("id='skills'")[1].split("</section>")[0]
    assert "3 did not move by an item: a 100.0, c 100.0, e 100.0 %" in skills
    assert skills.count("100.0 → 0.0 (") == 3 and "(+0.0)" not in skills


def test_of_weights_that_were_not_kept_a_benchmark_is_drawn_once(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a", "b"]}, rounds=1, accepted=False)
    report.write(path)
    page = (path / "report.html").read_text()
    benchmarks = page.split("id='benchmarks'")[1].split("</section>")[0]
    first, _, dev = benchmarks.partition("What the last training would have changed, on dev")
    assert "these weights: 50.0" in first and "before: 50.0" not in first and "Items fixed and broken" not in page
    assert "before: 50.0" in dev and "all of dev" in dev


def test_kinds_of_errors_are_drawn_by_size_before_and_after_and_programs_without_rows_take_one_line(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a", "b", "c"]}, rounds=1)
    stage, samples = layout.step(path, 1, "assemble"), layout.samples(path, 1)
    read = {name: stage.read(name, kind) for name, kind in ((layout.REJECTIONS, Rejection), (layout.ROWS, TrainRow))}
    read |= {layout.SAMPLES: [row for row in samples if row.program_id != samples[0].program_id]}
    stage.finish(read | {layout.LIBRARY: layout.standings(path, 1)}, **stage.facts())
    result = report.write(path)
    errors = (path / "report.html").read_text().split("id='errors'")[1].split("</section>")[0]
    assert [one.rows for one in result.rounds[0].masses] == [0, 3, 3]
    assert errors.count("<td>0.8<td>0.2<td>1<td>3<td>") == 2
    assert "1 program of 1 skill gave no rows." in (path / "report.md").read_text()


def test_a_file_of_patterns_that_is_badly_edited_stops_no_report(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1)
    (path / layout.PATTERNS).write_text("patterns: [{name: a, name: b")
    assert report.write(path).rounds[0].patterns[0].skill == "it subtracts"
    (path / layout.CHOSEN).write_text('{"patterns": 1}')
    with pytest.raises(RunError, match=r"chosen.json is damaged; `errata cycle --run .*` writes it again"):
        report.write(path)


def test_errors_are_drawn_by_the_names_of_their_patterns_and_beside_it_by_diagnosed_skill(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a", "b", "c"]}, rounds=1)
    result = report.write(path)
    (found,) = result.rounds[0].patterns
    assert (found.skill, found.errors, found.rows, found.before.mass, found.after.mass) == ("it subtracts", 3, 9, 2.25, 0.75)
    errors = (path / "report.html").read_text().split("id='errors'")[1].split("</section>")[0]
    assert "<h3>Round 1, by pattern</h3>" in errors and "2.2 → 0.8 of 3" in errors
    assert "<td>adds 0" in errors
    assert "| `it subtracts` | 3 | 2.2 | 0.8 | 3 | 9 |" in (path / "report.md").read_text()


def test_the_markdown_report_tells_the_way_the_rounds_and_the_trainings(several, practised):
    text = (several[0] / "report.md").read_text()
    assert text.index("6. Held out, now right: ") > text.index("3. Diagnosis: it subtracts Skill: adds") > text.index("1. Asked: ")
    assert "| benchmark | start | round 1 | round 2 | round 3 |" in text
    assert re.search(r"\| `bench1 dev` \|( \d+\.\d \|){3} \(\d+\.\d\) \|", text)
    trained = (practised[0] / "report.md").read_text().split("## Training")[1]
    assert "| 1, grpo | KL to the start, nats a token | 0.001 | 0.012 |" in trained
    assert "| 1, sft | loss | 0.96 | 0.52 |" in trained and "| 1, grpo | loss |" not in trained


def test_an_excerpt_of_a_program_shows_what_it_asks():
    filler = "def help_{0}():\n    return {0}\n"
    source = "TEXT = '{a} apples?'\nTABLE = {'a': 1}\n" + "".join(filler.format(n) for n in range(20))
    source += "def make(a):\n    assert TABLE\n    return {'question': TEXT.format(a=a)}\n"
    shown, left = excerpt(source)
    assert shown == "TEXT = '{a} apples?'\n\ndef make(a):\n    assert TABLE\n    return {'question': TEXT.format(a=a)}"
    assert left == len(source.splitlines()) - 4
    assert excerpt("def make():\n    pass\n") == ("def make():\n    pass", 0)


@pytest.mark.parametrize("name", ["report", "view"])
def test_pictures_of_the_pages_are_as_wide_as_a_screen_and_small(name):
    data = (Path(__file__).resolve().parents[2] / f"docs/pictures/{name}.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) < 300_000
    assert int.from_bytes(data[16:20]) == 1400


def test_markdown_reads_nothing_that_a_model_wrote(hostile):
    text = (hostile[0] / "report.md").read_text()
    outside = re.sub(r"\\.", "", re.sub(r"`[^`\n]*`", "", text))
    assert "<" not in outside
    assert "](" not in outside
    assert "\u202e" not in text


# ---- in a browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --virtual-time-budget=3000 --dump-dom"
)


@pytest.fixture
def asked():
    """The paths that a browser asked of a server at `asked.place`."""

    class Asked(list):
        place = ""

    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        asked.place = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield asked
        server.shutdown()


def opened(text, folder):
    """The page as a browser has it after its scripts ran, as HTML."""
    (folder / "page.html").write_text(text, encoding="utf-8")
    command = [CHROMIUM, *QUIET.split(), f"--user-data-dir={folder / 'profile'}", (folder / "page.html").as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
def test_a_browser_runs_nothing_and_asks_for_nothing_on_a_page_of_hostile_texts(tmp_path, asked):
    bad = HOSTILE.replace("127.0.0.1:9", asked.place)
    path = fake_run(tmp_path / "run", {"t": ["one", "two"]}, {"g": ["x"]}, rounds=1, text=bad)
    report.write(path)
    text = (path / "report.html").read_text()
    seen = Seen(opened(text.replace("<details", "<details open"), tmp_path))
    assert asked == []
    assert "owned" not in seen.title
    assert seen.tags <= TAGS | {"head"}
    # the policy alone would have stopped what is escaped; without it the texts do run and do ask, so this test can fail
    raw = re.sub("<meta http-equiv=refresh.*?>", "", bad)
    guarded = filled(PAGE, title="kept", body=Html(raw))
    assert "<title>owned" not in opened(guarded, tmp_path)
    assert asked == []
    unguarded = guarded.replace("default-src", "x-default-src").replace("base-uri", "x-base-uri")
    assert "<title>owned" in opened(unguarded, tmp_path)
    assert asked
