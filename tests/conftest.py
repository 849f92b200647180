"""Fixtures that several files share."""

import gc
import os
import signal
import sys

import pytest

from errata.sandbox import open_sandbox

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a background job ignores interrupts, and hands that down to what a test starts
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What is compiled is kept, also where the environment says otherwise: the rewritten asserts of 150 files cost each process of several
# 5 seconds, and Errata's own modules each process that a test starts a quarter of one.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

gc.disable()  # while tests are collected: what is loaded then stays

FIRST = (
    "test_kinds", "test_cycle", "test_sft", "test_optimize", "test_house", "test_golden", "test_served", "test_vllm", "test_target",
    "test_compare", "test_grpo", "test_engine", "test_ledger", "test_odd_models", "test_provider", "test_estimate", "test_tiny",
)  # fmt: skip
"""Files that take longest: begun first, so that no process of several works on one alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST)

    items.sort(key=place)


@pytest.fixture(autouse=True, scope="module")
def loaded() -> None:
    """What is loaded by now is no garbage. TRL asks for a collection again and again: a quarter of a second each beside all libraries."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module")
def sandbox():
    """A sandbox of one worker."""
    with open_sandbox(workers=1) as opened:
        yield opened


@pytest.fixture
def batches(monkeypatch) -> list[int]:
    """Sizes of the batches that targets are asked with."""
    from errata.trainers.target import Target  # torch, which the process that hands out the tests does without

    sizes: list[int] = []
    generate = Target.generate

    def counted(self, prompts, **options):
        sizes.append(len(prompts))
        return generate(self, prompts, **options)

    monkeypatch.setattr(Target, "generate", counted)
    return sizes


@pytest.fixture
def no_keys(monkeypatch) -> None:
    """No key and no address of a provider stands in the environment."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")):
            monkeypatch.delenv(name)
