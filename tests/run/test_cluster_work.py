"""What is protected: targets and programs on a cluster give what one machine gives, row by row, whatever dies; no key goes with them."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from fake_vllm import fake, gone, starts
from golden import hashes
from harnesses import CALL, REPEAT
from nodes import nodes

from errata.programs.config import load_config
from errata.programs.cycle import Cycle
from errata.programs.run import cluster_target
from errata.programs.run.cluster import open_cluster
from errata.programs.run.cluster_sandbox import ClusterSandbox
from errata.programs.run.cluster_target import ClusterTarget, together
from errata.sandbox import Job, Limits
from errata.signatures.errors import ClusterError, SandboxError
from errata.trainers import open_target
from errata.trainers.settings import TargetSettings
from errata.trainers.weights import TINY

slow = pytest.mark.slow  # a cluster of three nodes takes some ten seconds to be up, and each loads torch


def user(text):
    return [{"role": "user", "content": text}]


def test_prompts_go_in_their_order_and_those_of_the_same_letters_together():
    prompts = [user(text) for text in ("a", "b", " a", "c", "b", "a\n")]
    assert together(prompts, None, False, 3) == [[0, 1], [2, 3], [4, 5]]
    assert together(prompts, None, True, 6) == [[0, 2, 5], [1, 4], [3]]
    assert together(prompts, ["", "x", "", "", "y", ""], True, 6) == [[0, 2, 5], [1], [3], [4]]
    assert together([], None, True, 3) == []


def test_no_chunk_holds_more_prompts_than_are_soon_done_again():
    chunks = together([user(str(n)) for n in range(2000)], None, False, 1)
    assert [len(chunk) for chunk in chunks] == [512, 512, 512, 464]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def three(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))  # of the nodes: what is sent to them lies there
        (cache / "errata").mkdir(mode=0o700)
        for compiled in (Path("~/.cache").expanduser() / "errata").glob("guest-*"):
            (cache / "errata" / compiled.name).hardlink_to(compiled)
        with nodes() as found:
            patch.undo()
            yield found


@pytest.fixture(scope="module")
def lines():
    return []


@pytest.fixture(scope="module")
def cluster(three, lines):
    with open_cluster(three.address, lines.append) as found:
        yield found


QUESTIONS = [user(f"Ann has {n} apples and buys {n % 7} more. How many apples has Ann now?") for n in range(40)]
TWICE = [*QUESTIONS[:6], *QUESTIONS[:3], *QUESTIONS[:6]]
BEGUN = ["", "There", ""] * 5


@pytest.fixture(scope="module")
def alone():
    """What one machine answers."""
    target = open_target(TargetSettings())
    rows = {
        "greedy": dict(target.generate(QUESTIONS, max_new_tokens=24)),
        "sampled": dict(target.generate(TWICE, max_new_tokens=24, temperature=1.0, seed=3, begun=BEGUN)),
    }
    target.close()
    return {name: {index: row._replace(ids=()) for index, row in found.items()} for name, found in rows.items()}


@slow
def test_answers_are_those_of_one_machine_row_by_row(cluster, alone):
    target = ClusterTarget(cluster, TargetSettings())
    assert target.hash == open_target(TargetSettings()).hash
    shares = []
    target.on_share = shares.append
    assert dict(target.generate(QUESTIONS, max_new_tokens=24)) == alone["greedy"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert dict(target.generate(TWICE, max_new_tokens=24, temperature=1.0, seed=3, begun=BEGUN)) == alone["sampled"]
    assert len({row.text for row in alone["sampled"].values()}) > 6
    assert list(target.generate([], max_new_tokens=24)) == []


@slow
def test_nodes_ask_vllm_of_their_own_and_leave_none(three, cluster, tmp_path):
    env = tmp_path / "env"
    target = ClusterTarget(cluster, TargetSettings(api_base="auto", vllm_python=fake(env, delay=0.5)))
    with closing(target.generate(QUESTIONS * 5, max_new_tokens=8)) as found:
        rows = [next(found)]
        three.kill(three.add())
        rows += found
    assert sorted(index for index, _ in rows) == list(range(200))
    assert {row.text for _, row in rows} == {"7\n#### 7"}
    assert len(starts(env)) >= 2
    target.close()
    assert gone(env, 30)


@slow
def test_nodes_without_the_vllm_that_is_named_are_left_out_with_the_cause(cluster, tmp_path, lines):
    target = ClusterTarget(cluster, TargetSettings(api_base="auto", vllm_python=fake(tmp_path / "env", has=False)))
    with pytest.raises(ClusterError, match="has no vLLM; make an environment for it"):
        list(target.generate(QUESTIONS[:2], max_new_tokens=8))


@slow
def test_a_node_that_dies_while_it_answers_changes_no_answer(three, cluster, lines, alone):
    name = three.add()
    cluster.nodes(again=True)
    seen = []
    for index, row in ClusterTarget(cluster, TargetSettings()).generate(QUESTIONS, max_new_tokens=24):
        if not seen:
            three.kill(name)
        seen.append((index, row))
    assert sorted(seen) == sorted(alone["greedy"].items())


@slow
def test_weights_that_a_node_does_not_have_are_sent_to_it(cluster, alone, tmp_path):
    folder = shutil.copytree(TINY, tmp_path / "model")
    target = ClusterTarget(cluster, TargetSettings(model=str(folder)))
    folder.rename(tmp_path / "elsewhere")
    assert dict(target.generate(QUESTIONS, max_new_tokens=24)) == alone["greedy"]


@slow
def test_a_model_that_no_node_has_ends_in_one_line(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_target, "SHIPPED", 0)
    folder = shutil.copytree(TINY, tmp_path / "model")
    target = ClusterTarget(cluster, TargetSettings(model=str(folder)))
    folder.rename(tmp_path / "elsewhere")
    wanted = rf"can do the work: no model folder at {folder}: .*; put the same folder there, or name the model by its hub id$"
    with pytest.raises(ClusterError, match=wanted):
        list(target.generate(QUESTIONS, max_new_tokens=24))


@slow
def test_a_model_of_other_weights_under_the_same_path_is_not_asked(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_target, "SHIPPED", 0)
    folder = shutil.copytree(TINY, tmp_path / "model")
    target = ClusterTarget(cluster, TargetSettings(model=str(folder)))
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text().replace("{", '{"changed": true, ', 1))
    with pytest.raises(ClusterError, match=rf"{folder} has other weights there \(\w{{16}}, not {target.hash}\)"):
        list(target.generate(QUESTIONS, max_new_tokens=24))


@slow
def test_no_key_is_in_what_is_sent_to_nodes(cluster, monkeypatch, sandbox):
    from ray import cloudpickle
    from ray._private.serialization import SerializationContext

    keys = ("sk-of-the-instructor-1234", "sk-of-the-server-5678")
    monkeypatch.setenv("OPENAI_API_KEY", keys[0])
    monkeypatch.setenv("MY_KEY", keys[1])
    sent = []
    serialize = SerializationContext.serialize
    monkeypatch.setattr(SerializationContext, "serialize", lambda self, value: sent.append(repr(value)) or serialize(self, value))
    with open_cluster("auto", lambda line: None) as again:  # this process stays in the cluster that it is in
        list(ClusterTarget(again, TargetSettings(api_key_env="MY_KEY")).generate(QUESTIONS[:2], max_new_tokens=4))
        assert ClusterSandbox(again).run("def f(): return 1", CALL).rows == (1,)
        sent.append(repr(cloudpickle.dumps(again.carrier)))
    assert "Ann has 1 apples" in "".join(sent)
    assert "def f(): return 1" in "".join(sent)
    assert not [key for key in keys if key in "".join(sent)]


# ---- programs


PROGRAMS = [
    ("def f(): return [1.5, -0.0, 10**40, 'é\\n', None, True, {'a': [1]}]", CALL, None),
    ("def f(): return [1][2]", CALL, None),
    ("def f():\n    while True: pass", CALL, None),
    ("x = (", CALL, None),
    *((f"def f(): return {n}", REPEAT, n) for n in range(20)),
]
JOBS = [Job(source, harness, payload, Limits(seconds=0.5)) for source, harness, payload in PROGRAMS]


def told(run):
    return run.model_copy(update={"seconds": 0.0})


@slow
def test_programs_run_as_on_one_machine_in_their_order(cluster, sandbox):
    there = ClusterSandbox(cluster)
    wanted = [told(run) for run in sandbox.map(JOBS)]
    assert [told(run) for run in there.map(iter(JOBS))] == wanted
    assert told(there.run(*PROGRAMS[0])) == wanted[0]
    with pytest.raises(ValueError, match="Out of range float"):
        there.run("def f(): return 1", CALL, float("nan"))
    with pytest.raises(TypeError, match="not JSON serializable"):
        there.run("def f(): return 1", CALL, {1})
    there.close()
    with pytest.raises(SandboxError, match="is closed"):
        there.run(*PROGRAMS[0])


@slow
def test_a_node_that_dies_while_programs_run_changes_no_row(three, cluster, sandbox):
    name = three.add()
    cluster.nodes(again=True)
    jobs = [Job(f"import time\ndef f(): return {n}", REPEAT, n) for n in range(120)]
    seen = []
    for run in ClusterSandbox(cluster).map(jobs):
        seen.append(run)
        if len(seen) == 40:
            three.kill(name)
    assert [run.rows for run in seen] == [(n,) * n for n in range(120)]


@slow
def test_a_whole_generate_with_a_killed_node_leaves_the_files_of_one_machine(three, cluster, tmp_path, monkeypatch):
    name, killed, through = three.add(), [], ClusterSandbox.map

    def dying(self, jobs):
        for run in through(self, jobs):
            yield run
            if not killed:
                killed.append(three.kill(name))

    monkeypatch.setattr(ClusterSandbox, "map", dying)
    small = {"items.train": 60, "items.dev": 20, "items.test": 20, "generate.failures": 4, "generate.rows": 40}
    with Cycle(load_config(None, small), tmp_path / "here", print) as loop:
        loop.run("assemble")
    with Cycle(load_config(None, small | {"cluster": three.address}), tmp_path / "there", print) as loop:
        loop.run("assemble")
    assert killed == [name]
    files = hashes(tmp_path / "here")
    assert len(files) > 10
    assert hashes(tmp_path / "there") == files
