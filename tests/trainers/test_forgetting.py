"""How far weights went: what is measured is the KL and the cross-entropy of the old answers, in whatever pieces it is computed."""

from pathlib import Path

import models
import pytest
import torch

from errata.trainers.forgetting import Said, moved
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.sft import train
from errata.trainers.target import Target

ROWS = models.sums(24)
SAID = [Said(row.prompt, row.completion[0]["content"]) for row in ROWS[:11]]
QUICK = TrainSettings(epochs=2, batch_size=8, learning_rate=5e-3, blend=1.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: models.make(kind, root / kind) for kind in ("llama", "qwen2", "mistral", "plain")}


@pytest.fixture(scope="module")
def old(folders) -> TargetSettings:
    return TargetSettings(model=str(folders["llama"]))


@pytest.fixture(scope="module")
def trained(old, tmp_path_factory) -> dict[str, TargetSettings]:
    """By method: weights that were trained on other rows than the answers."""
    found = {}
    for method, name in (("full", "model"), ("lora", "adapter")):
        out = tmp_path_factory.mktemp(method) / "out"
        train(ROWS[12:], old, QUICK.model_copy(update={"method": method}), out, in_process=True)
        found[method] = old.model_copy(update={name: str(out / "weights")})
    return found


@pytest.fixture(params=["full", "lora"])
def new(request, trained) -> TargetSettings:
    return trained[request.param]


def directly(old: TargetSettings, new: TargetSettings, said: list[Said]) -> tuple[int, float, float]:
    """Tokens, KL and the rise of cross-entropy, one whole answer after the other, as they are defined."""
    kl, rise, tokens = 0.0, 0.0, 0
    sides = [Target.load(settings) for settings in (old, new)]
    for one in said:
        head = sides[0].render(one.prompt)
        add = sides[0].tokenizer.chat_template is None
        start = len(sides[0].tokenizer(head, add_special_tokens=add)["input_ids"])
        ids = sides[0].tokenizer(head + one.text, add_special_tokens=add)["input_ids"]
        ids += [sides[0].tokenizer.eos_token_id] * one.ended
        with torch.no_grad():
            was, now = (side.model(torch.tensor([ids])).logits[0, start - 1 : -1].double().log_softmax(-1) for side in sides)
        answer = torch.tensor(ids[start:])
        kl += float(torch.nn.functional.kl_div(now, was, log_target=True, reduction="sum"))
        rise += float((was - now).gather(1, answer[:, None]).sum())
        tokens += len(answer)
    return tokens, kl / tokens, rise / tokens


def test_weights_are_not_away_from_themselves(old):
    (found,) = moved(old, old, [SAID])
    assert found == (found.tokens, 0.0, 0.0)
    assert found.tokens > 5 * len(SAID)


def test_after_a_training_both_figures_are_those_of_a_direct_computation(old, new):
    (found,) = moved(old, new, [SAID])
    assert found.kl > 0.01
    assert found == pytest.approx(directly(old, new, SAID), rel=1e-3)


def test_figures_do_not_depend_on_the_pieces_in_which_they_are_computed(old, new):
    whole, alone = moved(old, new, [SAID, SAID[3:4]])
    for held in (1, 9_000, 100_000):  # one place of one answer at once, some of them, a few answers
        assert moved(old, new, [SAID, SAID[3:4]], held) == [pytest.approx(whole, rel=1e-4), pytest.approx(alone, rel=1e-4)]


def test_an_adapter_that_was_trained_on_is_measured_against_what_it_was(old, trained, tmp_path):
    new = trained["lora"]
    train(ROWS, new, QUICK, tmp_path / "out", in_process=True)
    further = old.model_copy(update={"adapter": str(tmp_path / "out" / "weights")})
    assert moved(new, further, [SAID])[0] == pytest.approx(directly(new, further, SAID), rel=1e-3)
    assert moved(old, further, [SAID])[0] == pytest.approx(directly(old, further, SAID), rel=1e-3)


@pytest.mark.parametrize("kind", ["qwen2", "mistral", "plain"])
def test_answers_are_encoded_as_the_target_gave_them(folders, kind, tmp_path):
    settings = TargetSettings(model=str(folders[kind]))
    other = TargetSettings(model=str(models.make(kind, tmp_path / "other", seed=1)))
    target = Target.load(settings)
    given = dict(target.generate([row.prompt for row in ROWS[:4]], max_new_tokens=12))
    said = [Said(ROWS[place].prompt, one.text, one.finish == "stop") for place, one in given.items()]
    (found,) = moved(settings, other, [said])
    assert found == pytest.approx(directly(settings, other, said), rel=1e-3)


def test_an_answer_that_was_cut_has_no_end_token(old):
    ended, cut = moved(old, old, [SAID[:3], [one._replace(ended=False) for one in SAID[:3]]])
    assert ended.tokens - cut.tokens == 3


def test_an_answer_is_read_as_far_as_the_context_goes_and_an_empty_one_not_at_all(old):
    long = Said(ROWS[0].prompt, "7 + 7 = 14 " * 200)
    found, none, empty = moved(old, old, [[long], [Said(ROWS[0].prompt, "", ended=False)], []])
    assert 100 < found.tokens < 256
    assert none == empty == (0, 0.0, 0.0)
