"""Training rows as token ids and labels.

A row is made of the very text that the target is asked with, so that what it learns to continue is what it will be given. The labels
are the completion and the token that ends it, nothing else. Handing finished ids to TRL keeps its own preparation, which drops
rows without a count and trains on a cut context where a template renders a prompt alone differently, out of the way.
Does NOT cover: rows with images or tools, preference pairs.
"""

from collections.abc import Sequence
from os.path import commonprefix
from typing import Any, NamedTuple

from ..signatures.errors import TrainerError
from ..signatures.records import TrainRow, content_hash
from .target import encode, render

IGNORED = -100
"""Label of a token that is read and not learned."""


class Prepared(NamedTuple):
    """Rows ready for the trainer, and what became of those handed in."""

    columns: dict[str, list[list[int]]]
    """`input_ids` and `labels`, a list of ids for each kept row."""
    rows_in: int
    rows_truncated: int
    """Rows longer than the limit, kept or not."""
    rows_lost: int
    """Rows without a token left to learn; they are not kept."""

    @property
    def rows_kept(self) -> int:
        return len(self.columns["input_ids"])


def fingerprint(rows: Sequence[TrainRow]) -> str:
    """Content hash of what the rows teach, in their order: 16 hex digits."""
    return content_hash([[row.prompt, row.completion] for row in rows])


def prepare(
    rows: Sequence[TrainRow],
    tokenizer: Any,
    ends: Sequence[int],
    max_length: int | None,
    keep_end: bool = False,
    completion_only: bool = True,
) -> Prepared:
    """Tokenizes rows, cuts those above `max_length` tokens (at the end, or at the head with `keep_end`) and counts.

    `ends` are the ids that end an answer of this target. Raises TrainerError when there is none, for it would never stop.
    """
    if not ends:
        raise TrainerError("the target has no end token, so it could not learn to stop: name an eos_token in its tokenizer")
    columns: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    truncated = lost = 0
    for row in rows:
        ids, start = _encode(row, tokenizer, ends)
        labels = [IGNORED] * start + ids[start:] if completion_only else ids
        if max_length is not None and len(ids) > max_length:
            truncated += 1
            part = slice(-max_length, None) if keep_end else slice(max_length)
            ids, labels = ids[part], labels[part]
        if all(label == IGNORED for label in labels):
            lost += 1
            continue
        columns["input_ids"].append(ids)
        columns["labels"].append(labels)
    return Prepared(columns, len(rows), truncated, lost)


def _encode(row: TrainRow, tokenizer: Any, ends: Sequence[int]) -> tuple[list[int], int]:
    """Ids of prompt, completion and end token, and where the completion starts."""
    head = render(tokenizer, row.prompt)
    answer = "".join(message["content"] for message in row.completion)
    full = render(tokenizer, [*row.prompt, *row.completion], generate=False) if tokenizer.chat_template else ""
    if not full.startswith(head):  # some templates write an answer's turn otherwise than its opening
        full = head + answer
    prompt, ids = encode(tokenizer, [head, full])
    start = len(commonprefix([prompt, ids]))
    if start < len(prompt):  # tokens would merge across the border, which they never do when the target answers
        tail = tokenizer(full[len(head) :], add_special_tokens=False)["input_ids"]
        ids, start = prompt + tail, len(prompt)
    last = max((i for i in range(start, len(ids)) if ids[i] in ends), default=None)
    if last is None:
        return [*ids, tokenizer.eos_token_id if tokenizer.eos_token_id is not None else ends[0]], start
    return ids[: last + 1], start  # what a template writes after the end token is never generated
