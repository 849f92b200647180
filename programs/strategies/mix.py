"""Several strategies in one: each failure goes to one of them, by shares."""

from collections.abc import Sequence

import dspy

from ...signatures.errors import UsageError
from ...signatures.records import Example, Failure, TeachingResult
from ...tasks import Task
from .strategy import Strategy
from .write import Prove


class Mix(Strategy):
    """Gives failures, and the rows of items that are trained on as they are, to its members. The id of a failure alone decides which member
    it goes to: it is the same in every run, and shares are kept on the average."""

    def __init__(self, members: Sequence[Strategy], shares: Sequence[float] | None = None):
        """`shares`: one a member, in any unit; None: equal shares. Raises UsageError for invalid shares, and for members that are taught
        from different sources."""
        dspy.Module.__init__(self)
        self.members = list(members)
        shares = [1.0] * len(self.members) if shares is None else list(shares)
        if not self.members or len(shares) != len(self.members) or min(shares) < 0 or not sum(shares):
            raise UsageError(f"Mix takes one share, 0 or more, for each of its {len(self.members)} members, not {shares}")
        self.shares = [share / sum(shares) for share in shares]
        sources = {member.source for member in self.members} - {"none"}
        if len(sources) > 1:
            held = ", ".join(f"{type(member).__name__} ({member.source})" for member in members)
            raise UsageError(f"Mix takes members that are all taught from errors, or all from train items: {held}")
        self.source = sources.pop() if sources else "none"
        self.contrasts = max(member.contrasts for member in self.members)

    def member(self, failure: str) -> Strategy:
        """The member that the failure with this id goes to."""
        place = int(failure, 16) / 16 ** len(failure)
        for member, share in zip(self.members, self.shares, strict=True):
            place -= share
            if place < 0:
                return member
        return self.members[-1]

    def groups(self, failures: Sequence[Failure]) -> list[tuple[Failure, ...]]:
        return [group for member in self.members for group in member.groups([one for one in failures if self.member(one.id) is member])]

    def forward(self, failures: Sequence[Failure], brief: str, prove: Prove) -> TeachingResult:
        """By the member whose group it is."""
        return self.member(failures[0].id)(failures=failures, brief=brief, prove=prove)

    def derive(self, taught: Sequence[TeachingResult], prove: Prove) -> list[TeachingResult]:
        rows = []
        for member in self.members:
            rows += member.derive([row for row in taught if self.member(row.failure_ids[0]) is member], prove)
        return rows

    def items(self, task: Task, mined: Sequence[Example], count: int, seed: int) -> list[Example]:
        rows = []
        for place, (member, share) in enumerate(zip(self.members, self.shares, strict=True)):
            mine = round(share * count)
            rows += member.items(task, mined, mine, seed + place)[:mine]
        return rows
