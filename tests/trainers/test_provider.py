"""The target behind DSPy: batches of concurrent calls, what a request may ask, and trainings through DSPy's own optimizers."""

import asyncio
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import dspy
import models
import pytest
from dspy import lm15
from dspy.utils.exceptions import LMError, LMUnsupportedFeatureError
from safetensors.torch import load_file

from errata.programs import PlainAdapter, target_lm, weights_of
from errata.programs.module import metric, trainset
from errata.signatures.errors import TargetError, TrainerError, UsageError
from errata.tasks import load_task
from errata.trainers import provider
from errata.trainers.chat import encode
from errata.trainers.provider import TargetEngine, TargetJob, train_rows, train_settings
from errata.trainers.settings import TargetSettings
from errata.trainers.target import Target

QUESTIONS = [f"Tom has {n} apples and buys {n + 3} more. How many?" for n in range(8)]
FOR_EVER = 600.0
"""A window that no test outlives: only a full batch, or a close, ends the wait."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return models.make("llama", tmp_path_factory.mktemp("models") / "llama")


def plainly(folder, question, **options):
    target = Target.load(TargetSettings(model=str(folder)))
    ((_, completion),) = target.generate([[{"role": "user", "content": question}]], **options)
    return completion


def waiting(engine, count):
    while len(engine.waiting) < count:
        time.sleep(0.01)


# ---------------------------------------------------------------- answers


def test_calls_of_several_threads_are_answered_in_few_batches_each_with_its_own_answer(folder, batches):
    lm = target_lm(str(folder), TargetEngine(FOR_EVER, width=4), max_tokens=20)
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda question: lm(question)[0], QUESTIONS))
    assert batches == [4, 4]
    assert said == [plainly(folder, question, max_new_tokens=20).text for question in QUESTIONS]
    assert len(set(said)) == 8


def test_a_lone_call_waits_for_nobody(folder, batches):
    lm = target_lm(str(folder), max_tokens=5)
    assert len(lm(QUESTIONS[0])) == 1
    assert batches == [1]


def test_asynchronous_calls_share_a_batch_too(folder, batches):
    lm = target_lm(str(folder), TargetEngine(FOR_EVER, width=4), max_tokens=20)

    async def ask():
        return await asyncio.gather(*(lm.acall(question) for question in QUESTIONS[:4]))

    said = [texts[0] for texts in asyncio.run(ask())]
    assert batches == [4]
    assert said == [plainly(folder, question, max_new_tokens=20).text for question in QUESTIONS[:4]]


def test_an_error_of_the_batch_reaches_every_caller(folder, monkeypatch):
    lm = target_lm(str(folder), TargetEngine(FOR_EVER, width=4))

    def fail(self, prompts, **options):
        raise TargetError("memory ran out")

    monkeypatch.setattr(Target, "generate", fail)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(lm, question) for question in QUESTIONS[:4]]
    for call in calls:
        assert isinstance(call.exception(), LMError)
        assert isinstance(call.exception().__cause__, TargetError)


def test_closing_wakes_those_who_wait_and_the_next_call_loads_again(folder):
    engine = TargetEngine(FOR_EVER, width=4)
    lm = target_lm(str(folder), engine, max_tokens=5)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(lm, question) for question in QUESTIONS[:2]]
        waiting(engine, 2)
        lm.kill()
    for call in calls:
        assert "closed before it answered" in str(call.exception())
    engine.width = 1
    assert lm(QUESTIONS[0])


def test_a_conversation_that_the_template_refuses_fails_alone(tmp_path):
    lm = target_lm(str(models.make("mistral", tmp_path / "mistral")), TargetEngine(FOR_EVER, width=2))

    def ask(*roles):
        return lm(lm15.Request(lm.model, tuple(lm15.Message(role, (lm15.TextPart("7"),)) for role in roles)))

    with ThreadPoolExecutor(2) as pool:
        bad, good = pool.submit(ask, "user", "user"), pool.submit(ask, "user")
    assert "chat template refuses" in str(bad.exception())
    assert good.result().usage.output_tokens


def test_candidates_differ_and_are_the_same_in_another_process_order_and_batch(folder):
    def sample(questions, **engine):
        lm = target_lm(str(folder), TargetEngine(**engine), max_tokens=20, temperature=1.0)
        with ThreadPoolExecutor(4) as pool:
            return dict(zip(questions, pool.map(lambda question: lm(question, n=3), questions), strict=True))

    together, apart = sample(QUESTIONS[:4]), sample(QUESTIONS[3::-1], window=0.0, width=1)
    assert together == apart
    assert all(len(set(candidates)) == 3 for candidates in together.values())


def test_a_response_counts_tokens_and_tells_what_cut_it(folder):
    lm = target_lm(str(folder), max_tokens=12)
    whole = plainly(folder, QUESTIONS[0], max_new_tokens=12)
    request = lm15.Request(lm.model, (lm15.Message.user(QUESTIONS[0]),), config=lm15.Config(max_tokens=12))
    response = lm(request)
    target = Target.load(TargetSettings(model=str(folder)))
    asked = len(encode(target.tokenizer, [target.render([{"role": "user", "content": QUESTIONS[0]}])])[0])
    assert (response.finish_reason, response.usage.input_tokens, response.usage.output_tokens) == (whole.finish, asked, whole.tokens)
    assert response.finish_reason == "length"
    stop = whole.text[len(whole.text) // 2 :][:3]
    (said,) = lm(QUESTIONS[0], stop=[stop])
    assert said == whole.text[: whole.text.find(stop)]


@pytest.mark.parametrize("asked", [{"top_p": 0.9}, {"logprobs": True}, {"response_format": {"type": "json_object"}}])
def test_what_a_target_cannot_do_is_refused_and_not_left_out(folder, asked):
    with pytest.raises(LMUnsupportedFeatureError, match="a local target does not know"):
        target_lm(str(folder))(QUESTIONS[0], **asked)


def test_an_lm_does_not_answer_from_weights_that_are_not_those_of_its_name(tmp_path):
    lm = target_lm(str(models.make("llama", tmp_path / "m")))
    models.make("llama", tmp_path / "m", seed=1)
    with pytest.raises(LMError, match="changed"):
        lm(QUESTIONS[0])
    assert target_lm(str(tmp_path / "m")).model != lm.model


def test_lms_of_one_model_that_answer_in_other_ways_have_names_of_their_own(folder):
    engine = TargetEngine()
    lms = [target_lm(TargetSettings(model=str(folder), **more), engine) for more in ({}, {"stop_loops": True}, {"dtype": "bfloat16"})]
    assert len({lm.model for lm in lms}) == 3 and len({weights_of(lm.model) for lm in lms}) == 1 and weights_of(lms[0].model)
    assert all(lm(QUESTIONS[0]) for lm in lms)


def test_a_saved_program_answers_with_its_target_and_a_copied_one_shares_it(folder, tmp_path):
    program = dspy.Predict("question -> answer")
    program.set_lm(target_lm(str(folder), max_tokens=20))
    program.save(tmp_path / "program.json")
    loaded = dspy.Predict("question -> answer")
    loaded.load(tmp_path / "program.json", allow_unsafe_lm_state=True)
    with dspy.context(adapter=PlainAdapter()):
        said = program(question=QUESTIONS[1]).answer
        assert said == loaded(question=QUESTIONS[1]).answer == plainly(folder, QUESTIONS[1], max_new_tokens=20).text.strip()
    assert program.deepcopy().lm.engine is program.lm.engine


# ---------------------------------------------------------------- training data and settings


def test_rows_of_both_formats_teach_what_the_lm_will_be_asked():
    chat = {"messages": [{"role": "user", "content": "2+2"}, {"role": "assistant", "content": "4"}]}
    (one,), (two,) = train_rows([chat], "chat"), train_rows([{"prompt": "2+2", "completion": "4"}], "completion")
    assert (one.prompt, one.completion) == (two.prompt, two.completion)
    demos = [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"}]
    (row,) = train_rows([{"messages": [*demos, *chat["messages"]]}], None)
    assert [message["content"] for message in row.prompt] == ["1+1", "2", "2+2"]


@pytest.mark.parametrize(
    ("data", "form", "error"),
    [
        ([{"messages": []}], "chat", TrainerError),
        ([{"messages": [{"role": "user", "content": "4"}]}], "chat", TrainerError),
        ([{"messages": [{"role": "user", "content": "4"}, {"role": "assistant", "content": None}]}], "chat", TrainerError),
        ([{"prompt": "2+2"}], "completion", TrainerError),
        ([], "grpo_chat", UsageError),
    ],
)
def test_data_of_another_format_is_refused_in_one_line(data, form, error):
    with pytest.raises(error) as raised:
        train_rows(data, form)
    assert "\n" not in str(raised.value)


def test_train_kwargs_are_fields_of_errata_or_of_trl_and_others_are_refused_with_the_nearest_name(tmp_path):
    settings, seed, out = train_settings({"epochs": 1, "num_train_epochs": 2, "seed": 3, "output_dir": tmp_path, "sft": {"packing": False}})
    assert (settings.epochs, settings.sft, seed, out) == (1, {"num_train_epochs": 2, "packing": False}, 3, tmp_path)
    with pytest.raises(UsageError, match=r"num_train_epoch is not a field.*did you mean num_train_epochs"):
        train_settings({"num_train_epoch": 2})
    with pytest.raises(UsageError, match="epochs = -1"):
        train_settings({"epochs": -1})
    with pytest.raises(UsageError, match="stages is of stages that follow rows"):
        train_settings({"stages": ["sft", "grpo"]})
    with pytest.raises(UsageError, match="eos_token cannot be set"):
        train_settings({"eos_token": "x"})


def test_a_training_that_cannot_be_done_is_the_jobs_result_and_its_status(folder):
    lm = target_lm(str(folder))
    job = lm.finetune([], "chat", {"epoch": 2})
    with pytest.raises(UsageError, match="epoch is not a field"):
        raise job.result()
    assert job.status() == "failed"


def test_an_interrupted_wait_for_a_training_ends_the_training(monkeypatch):
    job = TargetJob()

    def interrupt(self, timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupt)
    with pytest.raises(KeyboardInterrupt):
        job.result()
    assert job.stop.is_set()


# ---------------------------------------------------------------- DSPy's optimizers

ANSWER = "#### 7"
KWARGS = {"epochs": 20, "learning_rate": 3e-3, "batch_size": 8, "blend": 1.0, "save_steps": 500}


class Sevens:
    """A teacher that gives the same answer to everything."""

    def complete(self, request):
        usage = lm15.Usage(input_tokens=1, output_tokens=1)
        return lm15.Response(None, request.model, lm15.Message.assistant([lm15.TextPart(ANSWER)]), "stop", usage)

    def __deepcopy__(self, memo):
        return self


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """A student on `tiny` and its teacher."""
    monkeypatch.setenv("DSPY_FINETUNEDIR", str(tmp_path))
    student, teacher = dspy.Predict("question -> answer"), dspy.Predict("question -> answer")
    student.set_lm(target_lm("tiny", max_tokens=60))
    teacher.set_lm(dspy.LM("local/sevens", engine=Sevens(), cache=False))
    return student, teacher


def items(count):
    task = load_task("sums")
    return trainset(task, task.examples("train", count))


def test_bootstrap_finetune_trains_the_target_and_the_program_answers_from_the_new_weights(programs, tmp_path, monkeypatch):
    # the child process, which imports for seconds, is that of test_sft and of the slow tests below
    monkeypatch.setattr(provider, "train", partial(provider.train, in_process=True))
    student, teacher = programs
    before = student.lm
    data = items(8)
    with dspy.context(adapter=PlainAdapter()):
        assert ANSWER not in [student(**item.inputs()).answer for item in data]
        optimizer = dspy.BootstrapFinetune(metric=lambda *_: True, adapter=PlainAdapter(), train_kwargs=KWARGS, num_threads=2)
        trained = optimizer.compile(student, trainset=data, teacher=teacher)
        assert [trained(**item.inputs()).answer for item in data] == [ANSWER] * 8
    assert trained.lm.model.startswith("local/tiny@")
    assert weights_of(trained.lm.model) not in ("", weights_of(before.model))
    (weights,) = tmp_path.glob("tiny-*/weights/model.safetensors")
    changed, base = load_file(weights), load_file(Path(provider.__file__).parent / "tiny/model.safetensors")
    assert all((changed[name] != base[name]).any() for name in base)
    # the base still answers as it did
    assert before.model in before.engine.models
    assert before(data[0].question)[0] == plainly("tiny", data[0].question, max_new_tokens=60).text


@pytest.mark.slow
def test_better_together_trains_prompts_and_weights(programs):
    student, _ = programs
    task = load_task("sums")
    with dspy.context(adapter=PlainAdapter()):
        optimizer = dspy.BetterTogether(
            metric=metric(task),
            p=dspy.BootstrapFewShot(metric=metric(task), max_bootstrapped_demos=1, max_labeled_demos=0),
            w=dspy.BootstrapFinetune(
                metric=lambda *_: True, adapter=PlainAdapter(), train_kwargs=KWARGS, num_threads=2, exclude_demos=True
            ),
        )
        best = optimizer.compile(student, trainset=items(12), valset=items(4), strategy="p -> w", num_threads=2)
    strategies = {found["strategy"]: found["program"] for found in best.candidate_programs}
    assert set(strategies) == {"", "p", "p -> w"}
    assert not best.flag_compilation_error_occurred
    assert strategies["p -> w"].lm.model != strategies[""].lm.model
    with dspy.context(adapter=PlainAdapter()):
        assert best(**items(1)[0].inputs()).answer


@pytest.mark.slow
def test_a_cancelled_training_ends_its_process_and_says_so(programs, caplog):
    student, _ = programs
    rows = [{"prompt": f"{n}", "completion": f"{n}"} for n in range(64)]
    with caplog.at_level(logging.CRITICAL):
        job = student.lm.finetune(rows, "completion", {"epochs": 10_000})
        assert job.status() in ("pending", "running")
        while not job.progress:
            time.sleep(0.1)
        assert job.status() == "running"
        assert job.cancel()
        with pytest.raises(TrainerError, match="was stopped"):
            raise job.result()
    assert job.status() == "cancelled"
    assert not job.cancel()
