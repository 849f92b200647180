"""How far new weights went from old ones, on what the old ones answered: forgetting follows that distance (arXiv 2509.04259).

Over the tokens of answers that the old weights gave, as the new ones would give them to the same prompts: KL(old || new), and the rise of
the cross-entropy, both means in nats per token. Texts are encoded anew, as they were kept.
Does NOT cover: targets at a server, which tells no distributions, and which answers are asked about (errata.programs.steps.gate).
"""

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch

from ..signatures.errors import TargetError, memory_ran_out
from ..signatures.records import Message
from .chat import answered, check_ids
from .settings import TargetSettings
from .target import Target, base_of

ROWS = 8
"""Answers that are read at once at most."""
LOGITS = 2**26
"""Logits of one model that are held at once at most: 256 MiB in float32."""
TOKENS = 64
"""Tokens whose distributions are compared at once."""


class Said(NamedTuple):
    """An answer of the old weights."""

    prompt: Sequence[Message]
    text: str
    ended: bool = True
    """Whether it ended by itself: then its end counts as a token too."""


class Moved(NamedTuple):
    """How far the new weights went on some answers."""

    tokens: int
    kl: float
    """KL(old || new), nats per token."""
    rise: float
    """Cross-entropy of the tokens under the new weights minus that under the old ones, nats per token."""


def moved(old: TargetSettings, new: TargetSettings, sets: Sequence[Sequence[Said]], held: int = LOGITS) -> list[Moved]:
    """How far the new weights went on each set of answers, with at most `held` logits of a model at once. Where they are an adapter on the
    old ones, one model is loaded, whose adapter is switched off for the old weights; else both are. Raises TargetError, also where memory
    runs out."""
    sides = _Sides(old, new, held)
    try:
        with torch.inference_mode():
            return [sides.moved(said) for said in sets]
    except (RuntimeError, MemoryError) as error:
        if not memory_ran_out(error):
            raise
        raise TargetError("memory ran out with the old and the new weights side by side") from None
    finally:
        sides.close()


class _Sides:
    """Old and new weights side by side."""

    def __init__(self, old: TargetSettings, new: TargetSettings, held: int):
        switched = bool(new.adapter) and not old.adapter and old.model == new.model
        self._new = Target.load(new, trainable=switched)
        self._old = self._new if switched else Target.load(old)
        self._off = self._new.model.disable_adapter if switched else nullcontext
        self._size: int = self._new.model.get_input_embeddings().weight.shape[0]
        self._held = held

    def close(self) -> None:
        self._old.close()
        self._new.close()

    def moved(self, said: Sequence[Said]) -> Moved:
        rows = sorted(self._encoded(said), key=lambda row: len(row[0]))
        kl = rise = 0.0
        tokens = sum(len(ids) - start for ids, start in rows)
        while rows:
            count = max(1, min(ROWS, self._held // (self._size * len(rows[-1][0]))))
            found = self._summed(rows[-count:])
            kl, rise = kl + found[0], rise + found[1]
            del rows[-count:]
        return Moved(tokens, kl / max(1, tokens), rise / max(1, tokens))

    def _encoded(self, said: Sequence[Said]) -> list[tuple[list[int], int]]:
        """Ids of prompt and answer, and where the answer starts; without answers that have no token."""
        target = self._new
        heads = [target.render(one.prompt) for one in said]
        texts = [head + one.text for head, one in zip(heads, said, strict=True)]
        found = zip(answered(target.tokenizer, heads, texts, target.ends), said, strict=True)
        rows = [(ids[: len(ids) - (not one.ended)][: target.context], start) for (ids, start), one in found]
        rows = [(ids, max(1, start)) for ids, start in rows if len(ids) > max(1, start)]
        check_ids(target.tokenizer, [ids for ids, _ in rows], self._size)
        return rows

    def _summed(self, rows: Sequence[tuple[list[int], int]]) -> tuple[float, float]:
        """The sums over all tokens of the answers. The distribution of a token stands at the place before it."""
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([row + [row[-1]] * (width - len(row)) for row, _ in rows], device=self._new.device)  # (B, S)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows], device=self._new.device)
        first, step = min(start for _, start in rows) - 1, max(1, self._held // (self._size * len(rows)))
        kl = rise = 0.0
        for begin in range(first, width - 1, step):
            places = torch.arange(begin, min(begin + step, width - 1), device=self._new.device)
            after = _logits(self._new.model, ids, mask, places)  # (B, T, V)
            with self._off():
                before = _logits(self._old.model, ids, mask, places)
            for place, (row, start) in enumerate(rows):
                low, high = max(start - 1, begin), min(len(row) - 1, begin + step)
                for at in range(low, high, TOKENS):
                    some = slice(at - begin, min(at + TOKENS, high) - begin)
                    was, now = (side[place, some].float().log_softmax(-1) for side in (before, after))
                    said = ids[place, at + 1 : min(at + TOKENS, high) + 1, None]
                    kl += float((was.exp() * (was - now)).sum(dtype=torch.float64))
                    rise += float((was - now).gather(-1, said).sum(dtype=torch.float64))
        return kl, rise


def _logits(model: Any, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """A model's logits at some places of each row alone, where it can tell these: (B, T, V)."""
    inner = base_of(model)
    kept = {"logits_to_keep": places} if "logits_to_keep" in inspect.signature(inner.forward).parameters else {}
    found = model(input_ids=ids, attention_mask=mask, use_cache=False, **kept).logits
    return found if kept else found[:, places]
