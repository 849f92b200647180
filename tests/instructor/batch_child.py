"""For test_batch: forks a process for each line of its input, [url, folder, model, n], that asks 12 questions in batches and, where n is
not 0, kills itself once n answers are kept. It prints the process id, then the exit code."""

import json
import os
import sys
from pathlib import Path

from errata.programs.config import InstructorSettings
from errata.programs.instructor.engine import open_instructor
from errata.programs.run.ledger import Ledger
from errata.signatures.batches import waves
from errata.signatures.calls import in_flight

waves.QUIET, waves.FIRST, waves.TICK = 0.1, 0.02, 0.01


class Dying(Ledger):
    """Killed once so many answers are kept."""

    left = 0

    def keep(self, *kept):
        with self._lock:
            super().keep(*kept)
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), 9)


def main(url, folder, model, dies):
    with Dying(Path(folder)) as ledger:
        ledger.left = int(dies)
        lm = open_instructor(InstructorSettings(model=model, api_base=url, batch=True), ledger, "teach")
        list(in_flight(lm, [f"question {number}" for number in range(12)], 12))


for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            main(*json.loads(line))
        finally:
            sys.stderr.flush()
            os._exit(1 if sys.exc_info()[0] else 0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
