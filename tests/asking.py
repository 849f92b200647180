"""An instructor at a loopback server, for tests: how it is opened, asked in threads, and scripted."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from openai_server import Reply

from errata.programs.config import InstructorSettings
from errata.programs.instructor.engine import Patience, open_instructor

FAST = Patience(attempts=4, first=0.01, most=5.0)


GOOD = Reply("[[ ## answer ## ]]\nblue\n\n[[ ## completed ## ]]")


def opened(server, ledger=None, stage="teach", timeout=30.0, **settings):
    fields = {"model": "openai/loopback", "api_base": server.url} | settings
    return open_instructor(InstructorSettings(**fields), ledger, stage, timeout, FAST)


def total(ledger):
    return ledger.document()["total"]


def in_threads(work, items, width):
    """Results and errors of work(item), `width` at a time."""

    def caught(item):
        try:
            return work(item)
        except Exception as error:
            return error

    with ThreadPoolExecutor(width) as pool:
        return [future.result() for future in [pool.submit(copy_context().run, caught, item) for item in items]]


def first(*replies):
    """A script: these replies in turn, the last one for ever."""
    return lambda body, number: replies[min(number, len(replies) - 1)]
