"""A comparison on a cluster: its runs come back as they would have been made here, whatever dies, and no key travels."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from shutil import copytree, rmtree

import pytest
from nodes import nodes

from errata.programs.cycle import Cycle
from errata.programs.run.cluster import SeatLost, open_cluster
from errata.programs.run.directory import Stage
from errata.programs.run.ledger import Answer, Ledger
from errata.programs.studies import compare, compare_cluster
from errata.programs.studies.compare import VANILLA, Cell, Comparison
from errata.programs.studies.compare_cluster import LINES, work_on_cluster
from errata.signatures.errors import BudgetReached, RunError, TrainerError
from errata.signatures.records import Rejection
from errata.trainers.weights import TINY

ROW = Rejection(of="", kind="sample", check="x", reason="y")
SECRET = "sk-nobody-may-see-this"


class Seat:
    """A desk in this process: what goes there and comes back is bytes, which are kept, and it dies when it is told to."""

    def __init__(self, cluster, kind, args):
        self.cluster = cluster
        self.desk = kind(*self._through(args))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, method, *args, going):
        going()
        found = self._through(getattr(self.desk, method)(*self._through(args)))
        if method == "news" and self.cluster.dies(found):
            raise SeatLost("NodeDiedError")
        return found

    def _through(self, value):
        data = pickle.dumps(value)
        self.cluster.travelled.append(data)
        return pickle.loads(data)


class Cluster:
    """Three places of one machine."""

    def __init__(self):
        self.travelled, self.taken, self.gpus = [], [], 0
        self.dies = lambda news: False

    def places(self, work, setup, cpus=1.0, gpus=0.0):
        return int(min(has / wanted for has, wanted in ((3, cpus), (self.gpus, gpus)) if wanted))

    def seat(self, kind, *args, cpus, gpus):
        self.taken.append((cpus, gpus))
        return Seat(self, kind, args)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    (tmp_path / "nodes").mkdir()
    monkeypatch.setattr(compare, "WAIT", 0.01)
    monkeypatch.setattr(compare_cluster, "LOOK", 0.01)
    monkeypatch.setattr(compare_cluster, "PATIENCE", 0.05)
    monkeypatch.setattr(compare_cluster, "here", lambda: "node n1")
    monkeypatch.setattr(compare_cluster, "gettempdir", lambda: str(tmp_path / "nodes"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nodes"))
    monkeypatch.chdir(tmp_path)
    return Cluster()


@pytest.fixture
def two():
    return Comparison(arms={"A": {"generate.strategy": "LearnFromError"}, "B": {"generate.strategy": "Uniform"}}, seeds=(0, 1))


STAGES = ("round-1/mine", "round-1/teach", "round-1/train")


class Runs:
    """Stands for run_cell: a run of three stages and a paid answer before each."""

    def __init__(self, monkeypatch, between=lambda cell, stage: None):
        self.asked, self.began, self.between = [], [], between
        monkeypatch.setattr(compare_cluster, "run_cell", self)

    def __call__(self, comparison, cell, out, say, require):
        path = out / cell.name
        self.began.append(cell)
        with Cycle(comparison.config(*cell), path, say) as loop:
            for name in STAGES[:1] if cell.arm == VANILLA else STAGES:
                with loop.ledger.asking(f"{cell.name} {name}") as known:
                    if known is None:
                        self.asked.append((cell, name))
                        loop.ledger.keep("teach", f"{cell.name} {name}", Answer("x", "stop", 1, 1, True, 0.1))
                self.between(cell, name)
                if not (stage := Stage(path / name)).done:
                    stage.finish({"rows.jsonl": [ROW.model_copy(update={"of": cell.name})]})
                    say(f"{cell.name}: {name} done")
            (path / compare.DONE).write_text("{}")


def files(out):
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.endswith("/lock")}


def test_runs_come_back_whole_and_nothing_is_left_on_the_nodes(cluster, two, tmp_path, monkeypatch):
    runs, said = Runs(monkeypatch), []
    work_on_cluster(two, tmp_path / "out", cluster, None, said.append)
    assert sorted(runs.began) == sorted(compare.cells(two))
    for seed in two.seeds:
        assert all(runs.began.index(Cell(VANILLA, seed)) < runs.began.index(Cell(arm, seed)) for arm in two.arms)
        # what was measured once is lent
        rows = Stage(tmp_path / f"out/A-{seed}/round-1/mine").read("rows.jsonl", Rejection)
        assert [row.of for row in rows] == [f"vanilla-{seed}"]
    assert all(Ledger(tmp_path / "out" / cell.name).answers == (1 if cell.arm == VANILLA else 3) for cell in compare.cells(two))
    assert {"A-0: on node n1", "A-0: round-1/train done"} <= set(said)
    assert list((tmp_path / "nodes").iterdir()) == []


def test_a_run_whose_node_dies_goes_on_elsewhere_from_what_came_back(cluster, two, tmp_path, monkeypatch):
    Runs(monkeypatch)
    work_on_cluster(two, tmp_path / "whole", cluster, None, lambda line: None)
    reached, dead, again = threading.Event(), threading.Event(), count()

    def between(cell, stage):
        if cell == Cell("A", 0) and stage == "round-1/train" and not dead.is_set():
            reached.set()
            dead.wait(30)
            raise SystemExit  # the dead do nothing more

    def dies(news):
        if reached.is_set() and not dead.is_set() and not news.pieces and next(again):
            dead.set()
            return True
        return False

    runs, said = Runs(monkeypatch, between), []
    cluster.dies = dies
    one = two.model_copy(update={"arms": {"A": two.arms["A"]}, "seeds": (0,)})
    work_on_cluster(one, tmp_path / "out", cluster, None, said.append)
    assert "A-0: its node was lost (NodeDiedError); it is begun elsewhere, from what came back" in said
    assert runs.began == [Cell(VANILLA, 0), Cell("A", 0), Cell("A", 0)]
    # what was paid for is not asked for twice, what was done is not done twice
    assert len(runs.asked) == len(set(runs.asked)) == 4
    assert said.count("A-0: round-1/teach done") == 1
    assert files(tmp_path / "out/A-0") == files(tmp_path / "whole/A-0")


def test_a_run_that_loses_every_node_is_set_aside_and_the_others_are_done(cluster, two, tmp_path, monkeypatch):
    stuck = threading.Event()

    def between(cell, stage):
        if cell == Cell("B", 1) and stage == "round-1/teach":
            stuck.set()
            raise SystemExit

    Runs(monkeypatch, between)
    cluster.dies = lambda news: "the run ended" if news.failure and "SystemExit" in news.failure[1] else False
    said = []
    with pytest.raises(RunError, match=r"1 of 6 runs are not done; B-1: its node was lost 3 times, and nothing more came back \(NodeDied"):
        work_on_cluster(two, tmp_path / "out", cluster, None, said.append)
    assert stuck.is_set()
    assert sum(compare.is_done(tmp_path / "out", cell) for cell in compare.cells(two)) == 5
    assert sum("B-1 failed" in line for line in said) == 1


def test_a_run_that_fails_is_told_once_with_the_paths_of_the_user_and_the_node(cluster, two, tmp_path, monkeypatch):
    def run(comparison, cell, out, say, require):
        path = out / cell.name
        path.mkdir(exist_ok=True)
        if cell == Cell("A", 1):
            Stage(path / "round-1/teach").finish({"rows.jsonl": [ROW]})
            (path / "round-1/train").mkdir()
            (path / "round-1/train/train.log").write_text("why")
            raise TrainerError(f"training failed (log: {path}/round-1/train/train.log)")
        (path / compare.DONE).write_text("{}")

    monkeypatch.setattr(compare_cluster, "run_cell", run)
    said, out = [], tmp_path / "out"
    with pytest.raises(RunError, match="1 of 6 runs are not done"):
        work_on_cluster(two, out, cluster, None, said.append)
    told = [line for line in said if "failed" in line]
    assert told == [f"A-1 failed: training failed (log: {out}/A-1/round-1/train/train.log) (on node n1)"]
    assert (out / "A-1/round-1/train/train.log").read_text() == "why"


def test_a_reached_cap_lets_what_is_under_way_end_and_begins_nothing_more(cluster, two, tmp_path, monkeypatch):
    def cap(cell, stage):
        if cell == Cell("A", 0):
            raise BudgetReached("the cap of 3 calls is reached")

    runs = Runs(monkeypatch, cap)
    with pytest.raises(BudgetReached, match="A-0: the cap of 3 calls is reached"):
        work_on_cluster(two, tmp_path / "out", cluster, 1, lambda line: None)
    assert runs.began == [Cell(VANILLA, 0), Cell("A", 0)]
    assert Ledger(tmp_path / "out/A-0").answers == 1


def test_a_fault_of_ours_keeps_its_traceback_and_ends_all(cluster, two, tmp_path, monkeypatch):
    def fault(cell, stage):
        raise KeyError("oops")

    Runs(monkeypatch, fault)
    with pytest.raises(RuntimeError, match=r"(?s)on node n1:\nTraceback.*KeyError: 'oops'"):
        work_on_cluster(two, tmp_path / "out", cluster, None, lambda line: None)


def test_two_commands_on_one_folder_never_do_the_same_run(cluster, two, tmp_path, monkeypatch):
    runs = Runs(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(work_on_cluster, two, tmp_path / "out", cluster, None, lambda line: None) for _ in range(2)]
        for one in both:
            one.result()
    assert sorted(runs.began) == sorted(compare.cells(two))


@pytest.mark.parametrize(
    ("gpus", "train", "target", "taken"),
    [
        (0, {}, {}, (1, 0)),
        (4, {}, {}, (1, 1)),
        (4, {"devices": 2}, {}, (1, 2)),
        (4, {"device": "cpu"}, {"device": "cpu"}, (1, 0)),
        (0, {"devices": 2, "device": "cpu"}, {}, (2, 0)),
    ],
)
def test_a_run_takes_the_gpus_of_its_training_or_cpus_where_there_are_none(cluster, tmp_path, monkeypatch, gpus, train, target, taken):
    Runs(monkeypatch)
    cluster.gpus = gpus
    base = {"train": train | {"stages": ["sft"]}, "target": target}
    comparison = Comparison(base=base, arms={"A": {}}, seeds=(0,))
    compare.begin(comparison, tmp_path / "out", elsewhere=True)  # here there are none
    work_on_cluster(comparison, tmp_path / "out", cluster, None, lambda line: None)
    assert cluster.taken == [taken] * 2


ITEM = '{{"question": "What is {} + 1?", "answer": "{}"}}\n'
PAID = {"base": {"instructor": {"model": "openai/gpt-5-mini"}}, "arms": {"A": {}}, "seeds": (0,)}


def test_no_key_travels(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    original = Runs(monkeypatch)

    def run(comparison, cell, out, say, require):
        original(comparison, cell, out, say, require)
        say("done")

    monkeypatch.setattr(compare_cluster, "run_cell", run)
    work_on_cluster(Comparison(**PAID), tmp_path / "out", cluster, None, lambda line: None)
    assert len(cluster.travelled) > 10
    assert not any(SECRET.encode() in data for data in cluster.travelled)


def test_a_node_without_a_key_is_named_in_one_line(cluster, no_keys, tmp_path, monkeypatch):
    monkeypatch.setattr(compare_cluster, "run_cell", lambda *args: compare.run_cell(*args))
    monkeypatch.setattr(compare, "mine", lambda loop, number: None)
    monkeypatch.setattr(Cycle, "scores", lambda *_: None)
    said = []
    compare.begin(Comparison(**PAID), tmp_path / "out", elsewhere=True)  # here no key is needed
    with pytest.raises(RunError):
        work_on_cluster(Comparison(**PAID), tmp_path / "out", cluster, None, said.append)
    (told,) = [line for line in said if "failed" in line]
    assert told.startswith("A-0 failed: instructor openai/gpt-5-mini needs a key in OPENAI_API_KEY, which is not set: ")
    assert told.endswith("(on node n1; a node has the keys that were in the environment of its `ray start`)")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda folder: (folder / "test.jsonl").write_text(ITEM.format(4, 5)), "the data of task jsonl:data are not those of the machine"),
        (lambda folder: (folder / "model/config.json").write_text("{}"), "/model are not those of the machine"),
        (rmtree, "no such file"),
    ],
)
def test_a_node_with_other_data_or_weights_or_none_is_named_in_one_line(cluster, tmp_path, monkeypatch, change, reason):
    monkeypatch.setattr(compare_cluster, "run_cell", lambda *args: compare.run_cell(*args))
    folder = tmp_path / "data"
    folder.mkdir()
    for number, split in enumerate(("train", "dev", "test")):
        (folder / f"{split}.jsonl").write_text(ITEM.format(number, number + 1))
    copytree(TINY, folder / "model")
    base = {"task": f"jsonl:{folder}", "target": {"model": str(folder / "model")}}
    comparison = Comparison(base=base, arms={"A": {}}, seeds=(0,))
    compare.begin(comparison, tmp_path / "out", elsewhere=True)
    begin = compare_cluster.Desk.begin

    def elsewhere(desk, where):
        change(folder)
        begin(desk, where)

    monkeypatch.setattr(compare_cluster.Desk, "begin", elsewhere)
    said = []
    with pytest.raises(RunError):
        work_on_cluster(comparison, tmp_path / "out", cluster, None, said.append)
    (told,) = [line for line in said if "failed" in line]
    assert reason in told
    assert told.endswith("(on node n1)")
    assert not (tmp_path / "out/vanilla-0").exists()


def test_progress_of_a_node_comes_without_a_flood(cluster, tmp_path, monkeypatch):
    def run(comparison, cell, out, say, require):
        for number in range(1_000):
            say(f"{number} " + "x" * 10_000)
        (out / cell.name / compare.DONE).write_text("{}")

    monkeypatch.setattr(compare_cluster, "run_cell", run)
    said, began = [], time.monotonic()
    work_on_cluster(Comparison(arms={"A": {}}, seeds=(0,)), tmp_path / "out", cluster, 1, said.append)
    seconds = time.monotonic() - began
    assert any(line.startswith("999 ") for line in said)
    assert max(map(len, said)) <= compare_cluster.LENGTH
    assert len(said) <= LINES * (2 + seconds / compare_cluster.LOOK)


# ---- on a real cluster

FILE = """
base:
  items: {train: 60, dev: 12, test: 12}
  generate: {failures: 3, rows: 12, probe: 2}
  train: {stages: [sft], steps: 2}
arms: {Error: {generate.strategy: LearnFromError}}
seeds: [0, 1]
in_process: true
"""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # as Ray sets it: sums of floats may hang on it


def command(path, out, *more):
    return [sys.executable, "-m", "errata.cli", "compare", str(path), "--out", str(out), *more]


def differences(mine, theirs):
    """The files of two comparisons that are not in both with the same bytes, but for seconds, and for the pages, which tell them."""
    first, second = files(mine), files(theirs)
    told = {name for name in first | second if name.endswith("seconds.json") or name.startswith("comparison.")}
    assert len(first) > 100
    return sorted(name for name in (first | second).keys() - told if first.get(name) != second.get(name))


@pytest.fixture(scope="module")
def three():
    with nodes() as found:
        yield found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The comparison's file, and what it is on one machine."""
    folder = tmp_path_factory.mktemp("alone")
    path = folder / "small.yaml"
    path.write_text(FILE)
    done = subprocess.run(command(path, folder / "out"), env=os.environ | ONE_THREAD, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path, folder / "out"


@pytest.mark.slow  # a process that loads torch for each of four runs
@pytest.mark.timeout(1800)
def test_a_comparison_whose_node_is_killed_ends_as_on_one_machine(alone, three, tmp_path):
    path, whole = alone
    comparison, out, said, killed = compare.load(path), tmp_path / "out", [], []

    def kill(line):
        """End the node of the first arm that was taught, unless it is the one that holds the cluster together."""
        said.append(line)
        for seed in comparison.seeds:
            if not killed and line.startswith(f"Error-{seed}: round 1: teach: 3 failures"):
                on = next(one for one in said if one.startswith(f"Error-{seed}: on node")).split("(")[1].strip(")")
                killed.extend(three.kill(node.node_id) for node in [*three.cluster.worker_nodes] if node.node_id.startswith(on))

    compare.begin(comparison, out, elsewhere=True)
    with open_cluster(three.address, said.append) as cluster:
        work_on_cluster(comparison, out, cluster, None, kill)
    assert len(killed) == 1
    assert sum("its node was lost" in line for line in said) == 1
    assert differences(out, whole) == []


@pytest.mark.slow  # a process that loads torch for each of four runs
@pytest.mark.timeout(1800)
def test_a_command_that_is_killed_leaves_its_nodes_free_and_goes_on_with_a_cluster_and_without(alone, three, tmp_path):
    path, whole = alone
    out = tmp_path / "out"
    with subprocess.Popen(command(path, out, "--cluster", three.address), stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "round 1: assemble" in line:
                break
        process.send_signal(signal.SIGKILL)
    with open_cluster(three.address, lambda line: None):
        import ray

        deadline = time.monotonic() + 60
        while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"] and time.monotonic() < deadline:
            time.sleep(0.2)
        assert ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"]
    done = subprocess.run(command(path, out), env=os.environ | ONE_THREAD, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "vanilla-0: evaluate" not in done.stderr
    assert differences(out, whole) == []
