"""Answers that cannot be used are asked for again with a note, and kept with their text when that does not help."""

import dspy
import pytest
from asking import GOOD, first, opened, total
from openai_server import OpenAIServer, Reply, fault

from errata.programs.instructor.chat import REASKS, UnusableAnswer, instructed_by, rejection
from errata.programs.run.ledger import Ledger
from errata.signatures.teach import DiagnoseError

pytestmark = pytest.mark.usefixtures("no_keys")


UNUSABLE = {
    "unreadable": (Reply("I think it is blue."), "readable", "I think it is blue."),
    "empty": (Reply(""), "readable", ""),
    "null": (Reply(None), "readable", ""),
    "cut": (Reply(GOOD.text, finish="length"), "truncated", "blue"),
    "refused": (Reply(None, refusal="I will not."), "refused", "I will not."),
    "filtered": (Reply("", finish="content_filter"), "refused", ""),
    "filtered with 400": (fault(400, "The prompt was filtered", "content_filter"), "refused", "The prompt was filtered"),
}


@pytest.mark.parametrize(("reply", "check", "text"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_answer_that_cannot_be_used_is_asked_for_again_with_a_note(reply, check, text):
    with OpenAIServer(first(reply, GOOD)) as server, Ledger(None) as ledger, instructed_by(opened(server, ledger)):
        assert dspy.Predict("question -> answer")(question="sky?").answer == "blue"
        assert total(ledger)["calls"] == 2
    note = server.seen[1].body["messages"]
    assert note[:-2] == server.seen[0].body["messages"]
    assert text in note[-2]["content"]
    assert {"readable": "could not be read", "truncated": "was cut", "refused": "declined"}[check] in note[-1]["content"]
    assert "[[ ## answer ## ]]" in note[-1]["content"]


@pytest.mark.parametrize(("reply", "check", "text"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_answer_that_stays_unusable_is_kept_with_its_text(reply, check, text):
    with OpenAIServer(first(reply)) as server, Ledger(None) as ledger, instructed_by(opened(server, ledger)):
        with pytest.raises(UnusableAnswer) as caught:
            dspy.Predict("question -> answer")(question="sky?")
        assert len(server.seen) == total(ledger)["calls"] == 1 + REASKS
    kept = rejection("parent", caught.value)
    assert (kept.of, kept.check) == ("parent", check)
    assert text in kept.reason


def test_a_refusal_is_still_one_when_it_is_read_from_the_file(tmp_path):
    with OpenAIServer(first(Reply(None, refusal="I will not."))) as server:
        for _ in range(2):
            with Ledger(tmp_path) as ledger, instructed_by(opened(server, ledger)), pytest.raises(UnusableAnswer) as caught:
                dspy.Predict("question -> answer")(question="sky?")
            assert caught.value.check == "refused"
            assert "I will not." in str(caught.value)
        assert len(server.seen) == 2


def test_a_question_that_is_too_long_is_refused_alone():
    script = first(fault(400, "8192 tokens at most", "context_length_exceeded"), GOOD)
    with OpenAIServer(script) as server, instructed_by(opened(server)):
        ask = dspy.Predict("question -> answer")
        with pytest.raises(UnusableAnswer) as caught:
            ask(question="sky?")
        assert caught.value.check == "too_long"
        assert ask(question="sea?").answer == "blue"
        assert len(server.seen) == 2


DIAGNOSIS = """[[ ## evidence ## ]]
14

[[ ## verdict ## ]]
error

[[ ## misconception ## ]]
adds

[[ ## skill ## ]]
loss

[[ ## teach ## ]]
vary

[[ ## completed ## ]]"""
THOUGHTS = {
    "a header": f"<think>\n[[ ## verdict ## ]]\nambiguous\n</think>\n{DIAGNOSIS}",
    "a whole answer": f"<think>\n{DIAGNOSIS.replace('error', 'ambiguous')}\n</think>\n{DIAGNOSIS}",
    "a closing tag alone": f"[[ ## verdict ## ]]\nambiguous?\n</think>\n\n{DIAGNOSIS}",
    "another tag": f"<thinking>\n[[ ## verdict ## ]]\nambiguous\n</thinking>\n{DIAGNOSIS}",
    "Mistral": f"[THINK]\n[[ ## verdict ## ]]\nambiguous\n[/THINK]\n{DIAGNOSIS}",
    "channels": f"<|channel|>analysis<|message|>[[ ## verdict ## ]] no<|end|><|start|>assistant<|channel|>final<|message|>{DIAGNOSIS}",
}


def diagnose():
    return dspy.Predict(DiagnoseError)(task="sums", question="?", reference="10", response="14")


@pytest.mark.parametrize("text", THOUGHTS.values(), ids=THOUGHTS)
def test_a_header_inside_a_thought_never_wins(text):
    with OpenAIServer(first(Reply(text))) as server, instructed_by(opened(server)):
        assert diagnose().verdict == "error"
        assert len(server.seen) == 1


CUT = {
    "no end": Reply(f"<think>\n{DIAGNOSIS}"),
    "no end, cut": Reply("<think>\nfirst", finish="length"),
    "thought apart": Reply(body=b'{"choices": [{"message": {"content": null, "reasoning_content": "hm"}, "finish_reason": "length"}]}'),
}


@pytest.mark.parametrize("reply", CUT.values(), ids=CUT)
def test_an_answer_that_is_cut_inside_its_reasoning_says_what_to_raise(reply):
    with OpenAIServer(first(reply)) as server, instructed_by(opened(server)):
        with pytest.raises(UnusableAnswer, match=r"cut inside its reasoning: raise instructor\.max_tokens") as caught:
            diagnose()
        assert caught.value.check == "truncated"
        assert len(server.seen) == 1 + REASKS
        assert "Think and write less" in server.seen[1].last


def test_an_answer_that_cannot_be_read_is_asked_for_again_with_what_was_not_read():
    with OpenAIServer(first(Reply(DIAGNOSIS.replace("error", "error or ambiguous")), Reply(DIAGNOSIS))) as server:
        with instructed_by(opened(server)):
            assert diagnose().verdict == "error"
        assert "could not be read: verdict is 'error or ambiguous', where one of error" in server.seen[1].last
