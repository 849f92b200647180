"""The carrying of a run directory: what is finished arrives whole, what was paid for arrives at once, and nothing is written elsewhere."""

import pytest

from errata.programs.run import layout
from errata.programs.run.directory import Stage
from errata.programs.run.ledger import Answer, Ledger
from errata.programs.studies import carry
from errata.programs.studies.carry import Piece, Sender, put
from errata.signatures.errors import RunError
from errata.signatures.records import Rejection

ROW = Rejection(of="a", kind="sample", check="x", reason="y" * 50)
ANSWER = Answer("text", "stop", 1, 1, True, 0.5)


@pytest.fixture
def ends(tmp_path):
    """A run directory that is worked on, and where it is carried to."""
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    return tmp_path / "there", tmp_path / "here"


def stage(run, name, *rows):
    made = Stage(run / name)
    made.finish({"attempts.jsonl": rows or [ROW]})
    return made


def carried(sender, here, **options):
    """Carry what is new; the names of the files that arrived, in order."""
    names = []
    for piece in sender.pieces(**options):
        put(here, piece)
        names.append(piece.name)
    return list(dict.fromkeys(names))


def files(run):
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_run_arrives_as_it_is_in_pieces_of_a_bounded_size(ends, monkeypatch):
    there, here = ends
    monkeypatch.setattr(carry, "SIZE", 100)
    stage(there, "round-1/mine", *[ROW] * 9)
    training = there / "round-1/train"
    (training / "weights").mkdir(parents=True)
    (training / "weights/model.safetensors").write_bytes(bytes(range(256)) * 3)
    (training / "weights/empty").touch()
    (training / "manifest.json").write_text("{}")
    with Ledger(there) as ledger:
        for number in range(5):
            ledger.keep("teach", f"k{number}", ANSWER)
    (there / "compared.json").write_text("{}")
    pieces = list(Sender(there, "compared.json").pieces())
    assert all(len(piece.data) <= 100 or (piece.appended and piece.data.count(b"\n") == 1) for piece in pieces)
    for piece in pieces:
        put(here, piece)
    assert files(here) == files(there)
    names = list(dict.fromkeys(piece.name for piece in pieces))
    assert names[0] == "answers.jsonl"
    assert names[-1] == "compared.json"
    assert names.index("round-1/train/weights/model.safetensors") < names.index("round-1/train/manifest.json")


def test_batches_under_way_arrive_before_all_stages_as_they_are_written_and_are_found_there(ends):
    there, here = ends
    sender = Sender(there)
    stage(there, "round-1/mine")
    with Ledger(there) as ledger:
        ledger.batches.begin("one", ["a", "b"])
        assert carried(sender, here)[0] == "batches.jsonl"
        ledger.batches.made("one", "id-1")
        assert [piece.appended for piece in Sender(there).pieces() if piece.name == "batches.jsonl"] == [True]
        assert carried(sender, here) == ["batches.jsonl"]
        with Ledger(here) as arrived:
            assert arrived.batches.sent == ledger.batches.sent and arrived.batches.holds == {"a": "one", "b": "one"}


def test_paid_answers_arrive_as_they_are_written_and_no_line_twice(ends):
    there, here = ends
    sender = Sender(there)
    with Ledger(there) as ledger:
        for number in range(3):
            ledger.keep("teach", f"k{number}", ANSWER)
            assert carried(sender, here) == ["answers.jsonl"]
            assert Ledger(here).answers == number + 1
            assert carried(sender, here) == []
    assert (here / "answers.jsonl").read_bytes() == (there / "answers.jsonl").read_bytes()


def test_a_line_that_a_kill_cut_is_carried_neither_there_nor_back(ends, tmp_path):
    there, here = ends
    (there / "answers.jsonl").write_bytes(b'{"a":1}\n{"b"')
    sender = Sender(there)
    carried(sender, here)
    assert (here / "answers.jsonl").read_bytes() == b'{"a":1}\n'
    (there / "answers.jsonl").write_bytes(b'{"a":1}\n{"c":2}\n')
    (here / "answers.jsonl").write_bytes(b'{"a":1}\n{"half')  # a kill while it was written
    carried(sender, here)
    assert (here / "answers.jsonl").read_bytes() == b'{"a":1}\n{"c":2}\n'


def test_rows_of_a_stage_under_way_go_with_it_and_are_dropped_when_it_is_done(ends):
    there, here = ends
    sender, made = Sender(there), Stage(there / "evaluate/w/sums-dev")

    def produce(missing):
        for item in missing:
            yield item, ROW.model_copy(update={"of": item})
            carried(sender, here)

    rows = made.collect("attempts.jsonl", ["a", "b"], str, produce, Rejection)
    part = here / "evaluate/w/sums-dev/attempts.jsonl.part"
    assert part.read_bytes().count(b"\n") == 2
    assert not Stage(part.parent).done
    made.finish({"attempts.jsonl": rows})
    carried(sender, here)
    assert files(here) == files(there)
    assert not part.exists()


def test_a_stage_counts_for_nothing_until_all_of_it_is_there(ends):
    there, here = ends
    stage(there, "round-1/mine")
    for piece in Sender(there).pieces():
        assert not Stage(here / "round-1/mine").done
        put(here, piece)
    assert Stage(here / "round-1/mine").read("attempts.jsonl", Rejection) == [ROW]


def test_a_training_under_way_stays_where_it_is_and_a_finished_one_comes_without_what_it_needed_on_the_way(ends):
    there, here = ends
    out = layout.training(there, 1)
    for name in ("checkpoints/checkpoint-1/model.safetensors", "rows/given.jsonl", "weights/model.safetensors", "train.log", "job.json"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    sender = Sender(there)
    assert carried(sender, here) == []
    (out / "manifest.json").write_text("{}")
    assert carried(sender, here) == ["round-1/train/train.log", "round-1/train/weights/model.safetensors", "round-1/train/manifest.json"]


def test_the_log_of_a_training_that_failed_comes_at_the_end(ends):
    there, here = ends
    (there / "round-1/train").mkdir(parents=True)
    (there / "round-1/train/train.log").write_text("why")
    sender = Sender(there)
    assert carried(sender, here) == []
    assert carried(sender, here, over=True) == ["round-1/train/train.log"]


def test_what_the_other_end_knows_is_not_carried_back(ends):
    there, here = ends
    stage(here, "round-1/mine")
    with Ledger(here) as ledger:
        ledger.keep("teach", "k", ANSWER)
    carried(Sender(here), there)
    sender = Sender(there)
    sender.seen()
    assert carried(sender, here) == []
    stage(there, "round-1/teach")
    with Ledger(there) as ledger:
        ledger.keep("teach", "l", ANSWER)
    assert carried(sender, here) == [
        "answers.jsonl",
        "round-1/teach/attempts.jsonl",
        "round-1/teach/manifest.json",
        "ledger.json",
    ]
    assert files(here) == files(there)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/./x",
        "a//x",
        "",
        ".",
        "lock",
        "a\\b",
        "a\0b",
        "x.tmp",
        "link/x",
        "own",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_written(ends, tmp_path, name):
    there, here = ends
    (here / "link").symlink_to(there)
    (here / "own").symlink_to(there / "x")
    before = files(tmp_path)
    for appended in (True, False):
        with pytest.raises(RunError) as caught:
            put(here, Piece(name, 0, b"x\n", not appended, appended))
        assert "\n" not in str(caught.value)
    assert files(tmp_path) == before


def test_pieces_that_do_not_follow_each_other_are_refused(ends):
    _, here = ends
    put(here, Piece("answers.jsonl", 0, b"1\n2\n", False, True))
    for offset in (0, 2, 6):
        with pytest.raises(RunError, match="holds 4 bytes"):
            put(here, Piece("answers.jsonl", offset, b"3\n", False, True))
    with pytest.raises(RunError, match="holds 0 bytes"):
        put(here, Piece("a/b", 5, b"x", True, False))
    assert files(here) == {"answers.jsonl": b"1\n2\n"}


def test_a_file_that_was_cut_off_is_carried_anew(ends):
    there, here = ends
    stage(there, "round-1/mine")
    put(here, Piece("round-1/mine/attempts.jsonl", 0, b"half", False, False))
    carried(Sender(there), here)
    assert files(here) == files(there)
