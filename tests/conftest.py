"""Fixtures that several files share."""

import signal

import pytest

from errata.sandbox import open_sandbox
from errata.signatures.errors import SandboxError

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a background job ignores interrupts, and hands that down to what a test starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def sandbox():
    """One worker, of the backend that works here."""
    with open_sandbox(workers=1) as opened:
        yield opened


@pytest.fixture(scope="module", params=["wasi", "linux"])
def each_backend(request):
    """Each backend in turn, where it can exist, with as many workers as the module's WORKERS says."""
    try:
        opened = open_sandbox(request.module.WORKERS, request.param)
    except SandboxError as error:
        pytest.skip(f"no {request.param} backend here: {error}")
    with opened:
        yield opened
