"""Tokens, prices and routes: a known price is summed and capped, an unknown one is never 0."""

import pytest
from asking import first, opened, total
from openai_server import OpenAIServer, Reply

from errata.programs.config import Budget
from errata.programs.instructor.prices import count_tokens
from errata.programs.run.ledger import Ledger, Sums
from errata.signatures.errors import BudgetReached, UsageError
from errata.signatures.routes import missing_key, route

pytestmark = pytest.mark.usefixtures("no_keys")


def test_known_prices_are_summed_and_capped(monkeypatch):
    def words(tokens):
        return " ".join(["word"] * tokens)

    with OpenAIServer(first(Reply(words(1000)))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-anything-at-all")
        settings = {"model": "openai/gpt-4o-mini", "api_base": None}
        with Ledger(None, Budget(max_cost=0.0015)) as ledger:
            lm = opened(server, ledger, **settings)
            assert lm(words(2000))
            assert total(ledger)["usd"] == pytest.approx(2000 * 0.15e-6 + 1000 * 0.6e-6)  # OpenAI's list price of July 2024
            lm(words(2001))
            with pytest.raises(BudgetReached, match="--max-cost"):
                lm(words(2002))


def test_a_reply_without_counted_tokens_is_priced_by_its_length_and_capped(monkeypatch):
    with OpenAIServer(lambda body, number: Reply("x" * 3500, usage=number > 0)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-anything-at-all")
        with Ledger(None, Budget(max_cost=0.0005)) as ledger:
            lm = opened(server, ledger, model="openai/gpt-4o-mini", api_base=None)
            assert lm("y" * 700)
            assert total(ledger)["usd"] == pytest.approx(200 * 0.15e-6 + 1000 * 0.6e-6)
            with pytest.raises(BudgetReached, match="--max-cost"):
                lm("another")


def test_a_cost_that_is_not_known_is_unknown_and_cannot_be_capped():
    with OpenAIServer(first(Reply("fine"))) as server:
        with Ledger(None) as ledger:
            opened(server, ledger)("hi")
            assert total(ledger)["usd"] == "unknown"
        with pytest.raises(UsageError, match="the price of instructor openai/loopback is not known"):
            opened(server, Ledger(None, Budget(max_cost=1.0)))
    assert (Sums(usd=None) + Sums(usd=1.0)).usd is None


def test_tokens_that_a_server_does_not_report_are_approximated_and_marked():
    with OpenAIServer(first(Reply("x" * 350, usage=False))) as server, Ledger(None) as ledger:
        opened(server, ledger)("y" * 700)
        assert (total(ledger)["tokens_in"], total(ledger)["tokens_out"], total(ledger)["approximated"]) == (200, 100, 1)


def test_tokens_are_counted_by_length():
    assert count_tokens("x" * 3500) == 1000


def test_routes_of_known_spellings():
    assert route("openai/gpt-4o-mini")[:3] == ("openai-chat", "gpt-4o-mini", True)
    assert route("together_ai/a/b")[:3] == ("together_ai", "a/b", False)


@pytest.mark.usefixtures("no_keys")
@pytest.mark.parametrize(
    ("model", "env", "missing"),
    [
        ("offline", {}, ""),
        ("openai/gpt-5-mini", {}, "OPENAI_API_KEY"),
        ("openai/gpt-5-mini", {"OPENAI_API_KEY": " "}, "OPENAI_API_KEY"),
        ("openai/gpt-5-mini", {"OPENAI_API_KEY": "x"}, ""),
        ("openai/gpt-5-mini", {"OPENAI_BASE_URL": "http://localhost:1/v1"}, ""),
        ("anthropic/claude-sonnet-4-5", {}, "ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-pro", {}, "GEMINI_API_KEY"),
        ("ollama/llama3", {}, ""),
        ("mistral/large", {}, "MISTRAL_API_KEY"),
        ("mistral/large", {"MISTRAL_API_KEY": "x"}, ""),
        ("together_ai/x", {"TOGETHER_API_KEY": "x"}, ""),
        ("bedrock/x", {}, ""),
        ("hosted_vllm/x", {}, ""),
    ],
)
def test_a_missing_key_is_named_by_its_variable(model, env, missing, monkeypatch):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert missing_key(model, None) == missing
    assert missing_key(model, "http://localhost:1/v1") == ""


@pytest.mark.parametrize("model", ["gpt4o", "oflline", "nowhere/model", ""])
def test_a_name_that_leads_to_no_provider_is_refused_in_one_plain_line(model, capfd):
    with pytest.raises(UsageError, match=r"name it as PROVIDER/MODEL.*openai/gpt-5-mini, or offline") as refused:
        missing_key(model, None)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")
