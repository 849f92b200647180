"""Fixtures that several files share."""

import os
import signal

import pytest

from errata.sandbox import open_sandbox
from errata.trainers.target import Target

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a background job ignores interrupts, and hands that down to what a test starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def sandbox():
    """A sandbox of one worker."""
    with open_sandbox(workers=1) as opened:
        yield opened


@pytest.fixture
def batches(monkeypatch) -> list[int]:
    """Sizes of the batches that targets are asked with."""
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
