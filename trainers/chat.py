"""Conversations as text and as token ids: a prompt as the target is asked with it, a row as it learns it, and the answer that comes back.

A row is made of the very text that the target is asked with; the labels are the completion and the token that ends it. TRL is given
finished ids, because its own preparation drops rows without a count and cuts some contexts.
Does NOT cover: rows with images, prompts of a served target (its server renders them).
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from jinja2.exceptions import TemplateError

from ..signatures.errors import TargetError, TrainerError, first_line
from ..signatures.records import ContextRow, Message, Pair, TrainRow
from .settings import Job

R = TypeVar("R", TrainRow, Pair, ContextRow)
Prompts = Sequence[Sequence[Message]]
IGNORED = -100
"""Label of a token that is read and not learned."""
AT_ONCE = 1000
"""Rows that are held in memory while they become tokens; a fast tokenizer spreads them over the cores."""
# Some templates write the day; always the same one, so that a run continued tomorrow asks with the same prompts.
_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"


class Completion(NamedTuple):
    """One answer."""

    text: str
    """Without the prompt and without special tokens."""
    finish: str
    """`stop`, `length` when the token limit or the model's context cut it, `loop` (`target.stop_loops`), or `refused`."""
    tokens: int
    """New tokens, the end token included."""
    ids: tuple[int, ...] = ()
    """These tokens, where the model is in this process."""
    fault: str = ""
    """Why there is no answer: what the server said that refused the question (`finish` is then `refused`)."""


Answers = Iterator[tuple[int, Completion]]
"""(index of the prompt, its completion), in no fixed order."""


class AnyTarget(Protocol):
    """What answers prompts: a model in this process (`Target`) or at servers (`ServedTarget`)."""

    hash: str
    """Content hash of all that decides the answers; keys every cache."""
    on_share: Callable[[float], None]
    """Told, after each batch, the share of the work of `generate` that is done."""

    def generate(
        self, prompts: Prompts, *, max_new_tokens: int, temperature: float = 0.0, seed: int = 0, begun: Sequence[str] | None = None
    ) -> Answers:
        """Yields answers as they finish. Greedy at temperature 0.

        `begun` holds the beginning of each answer; the completion's text has it too, its tokens are the new ones. A sampled text depends
        on (weights, prompt, beginning, how often both came before, seed), not on batch or order. A prompt that fills the context alone
        gets an empty completion with finish `length`. Raises TargetError.
        """
        ...

    def close(self) -> None: ...


def render(tokenizer: Any, messages: Sequence[Message], generate: bool = True) -> str:
    """The text of a conversation by the model's own chat template, with the opening of the answer when `generate`.

    A template that refuses or drops the system role gets the system text at the head of the first user turn. One that does not show tools
    (the first message, of the role `tools`) has them in the system text, and one that does not show what a tool gave back (the role `tool`)
    has it as a turn of the user's. Without a template: the contents, with a blank line after each. Raises TargetError when the template
    refuses the conversation, or drops turns of it.
    """
    head = list(messages[:1]) if messages and messages[0]["role"] == "tools" else []
    tools, messages = tools_apart(messages)
    template = template_of(tokenizer, bool(tools))
    if tools and not (template and _shows_tools(tokenizer, template)):
        head, tools, messages = [], [], tools_told(tools, messages)
    if not template:
        return "".join(f"{message['content']}\n\n" for message in messages)
    system = messages[0]["content"].strip() if messages and messages[0]["role"] == "system" else ""
    results = [one["content"].strip() for one in messages if one["role"] == "tool"]
    try:
        text = _applied(tokenizer, _DATE + template, messages, generate, tools)
        if any(tool["function"]["name"] not in text for tool in tools):
            return render(tokenizer, tools_told(tools, messages), generate)
        if not all(one in text or json.dumps(one)[1:-1] in text for one in results):
            return render(tokenizer, [*head, *_results_told(messages)], generate)
        if not system or text.count(system) > sum(message["content"].count(system) for message in messages[1:]):
            return text
    except _REFUSALS as error:
        if results:
            return render(tokenizer, [*head, *_results_told(messages)], generate)
        if not system:
            raise TargetError(f"the target's chat template refuses the conversation: {first_line(error)}") from None
    first, *rest = messages[1:] or [{"role": "user", "content": ""}]
    first = {"role": first["role"], "content": f"{system}\n\n{first['content']}".strip()}
    return render(tokenizer, [*head, first, *rest], generate)


def own_system(tokenizer: Any) -> str:
    """What the chat template says as system text where a conversation has none; empty where it says nothing."""
    text, user = "Errata", {"role": "user", "content": "?"}
    try:
        without, given = render(tokenizer, [user]), render(tokenizer, [{"role": "system", "content": text}, user])
    except TargetError:  # told when the target is asked
        return ""
    found = re.fullmatch("(.+)".join(map(re.escape, given.split(text, 1))), without, re.DOTALL)
    return found[1] if found else ""


def tools_apart(messages: Sequence[Message]) -> tuple[list[dict[str, Any]], list[Message]]:
    """The tools of a prompt, in OpenAI's form, and its messages without them."""
    first = messages[:1]
    return (json.loads(first[0]["content"]), list(messages[1:])) if first and first[0]["role"] == "tools" else ([], list(messages))


def tools_told(tools: Sequence[dict[str, Any]], messages: Sequence[Message]) -> list[Message]:
    """The messages with the tools in the system text, as NousResearch's Hermes models are told of them."""
    if not tools:
        return list(messages)
    text = _TOOLS.format("\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools))
    system, rest = (messages[0]["content"], messages[1:]) if messages and messages[0]["role"] == "system" else ("", messages)
    return [{"role": "system", "content": f"{system}\n\n{text}".strip()}, *rest]


def _results_told(messages: Sequence[Message]) -> list[Message]:
    """What tools gave back as turns of the user's, in the form that Qwen's templates write."""
    said = "<tool_response>\n{}\n</tool_response>"
    return [{"role": "user", "content": said.format(one["content"])} if one["role"] == "tool" else one for one in messages]


_TOOLS = """You may call one or more of these functions to help with what the user asks:
<tools>
{}
</tools>
For each call write a JSON object with the function's name and its arguments within <tool_call></tool_call>:
<tool_call>
{{"name": <name of the function>, "arguments": <object of arguments>}}
</tool_call>"""


def _shows_tools(tokenizer: Any, template: str) -> bool:
    """Whether a template writes the tools: the name of one may stand in the user's words."""
    probe = {
        "type": "function",
        "function": {"name": "errata_probe", "description": "", "parameters": {"type": "object", "properties": {}}},
    }
    try:
        return "errata_probe" in _applied(tokenizer, _DATE + template, _PROBES[:1], True, [probe])
    except _REFUSALS:
        return False


_REFUSALS = (TemplateError, TypeError, ValueError, KeyError, AttributeError)
"""What a template raises that does not take a conversation, or the form of its contents."""
_PROBES: list[Message] = [
    {"role": "user", "content": "Errata"}, {"role": "assistant", "content": "Corrige"}, {"role": "user", "content": "Addenda"}
]  # fmt: skip


def template_of(tokenizer: Any, tools: bool = False) -> str | None:
    """The chat template, of several the one named default, or tool_use for `tools`; None: there is none. Raises TargetError when none of
    several is the default."""
    templates = tokenizer.chat_template
    if not isinstance(templates, dict):
        return templates
    if tools and "tool_use" in templates:
        return templates["tool_use"]
    if len(templates) > 1 and "default" not in templates:
        names = ", ".join(sorted(templates))
        raise TargetError(f"the target has the chat templates {names}, and none is called default: rename the one to use in its folder")
    return templates.get("default") or next(iter(templates.values()), None)


def _applied(tokenizer: Any, template: str, messages: Sequence[Message], generate: bool, tools: Sequence[dict[str, Any]] = ()) -> str:
    """The rendered conversation. Contents are sent as parts, as models of several media want them, where plain ones are dropped."""

    def apply(given: Sequence[Message], parts: bool, generate: bool = True) -> tuple[str, bool]:
        """The text, and whether the words of the user and of earlier answers are in it."""
        asked = given[:-1] if given[-1]["role"] == "assistant" else given
        said = [message["content"].strip() for message in asked if message["role"] in ("user", "assistant")]
        sent = [message | {"content": [{"type": "text", "text": message["content"]}]} for message in given] if parts else list(given)
        text = tokenizer.apply_chat_template(
            sent, tools=list(tools) or None, chat_template=template, tokenize=False, add_generation_prompt=generate
        )
        return text, all(one in text for one in said) and not (parts and "'type': 'text'" in text)

    refusal: Exception | None = None
    several = any(message["role"] == "assistant" for message in messages[:-1])
    probe = _PROBES if several else _PROBES[:1]
    for parts in (False, True):
        try:
            text, kept = apply(messages, parts, generate)
            if kept or apply(probe, parts)[1]:  # a template may change words and keep them
                return text
        except _REFUSALS as error:
            refusal = refusal or error
    drops = "turns that stand before the last one" if several else "the user's text"
    raise refusal or TargetError(f"the target's chat template drops {drops}: mend the chat_template in its folder, or take it out")


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of rendered texts. A chat template writes its own BOS; plain text gets the tokenizer's."""
    if not texts:
        return []
    plain = not tokenizer.chat_template
    ids = tokenizer(list(texts), add_special_tokens=plain, return_attention_mask=False)["input_ids"]
    if plain and tokenizer.eos_token_id is not None:  # some tokenizers close every text; a prompt must stay open
        ids = [row[:-1] if len(row) > 1 and row[-1] == tokenizer.eos_token_id else row for row in ids]
    return ids


def check_ids(tokenizer: Any, rows: Iterable[Sequence[int]], size: int) -> None:
    """Raises TargetError for a token that the `size` embeddings of a model do not hold."""
    last = max((token for row in rows for token in row), default=0)
    if last >= size:
        what = f"a text holds the token {tokenizer.convert_ids_to_tokens(last)!r} with the id {last}, and the target has {size} embeddings"
        raise TargetError(
            f"{what}: save the model after model.resize_token_embeddings(len(tokenizer)), or take the token out of its tokenizer"
        )


def end_tokens(tokenizer: Any, config: Any, generation_config: Any) -> list[int]:
    """Ids that end an answer: of the generation config, the config and the tokenizer, without repeats."""
    found: list[int] = []
    for ids in (generation_config and generation_config.eos_token_id, config.get_text_config().eos_token_id, tokenizer.eos_token_id):
        found += ids if isinstance(ids, list) else [] if ids is None else [ids]
    return list(dict.fromkeys(found))


def read_rows(path: Path, record: type[R] = TrainRow) -> Iterator[R]:  # type: ignore[assignment]
    """The rows of a file of JSON lines, one at a time. Raises TrainerError for a file or line that cannot be read."""
    again = f"delete {path.parent} and give the same command again, which makes the rows anew"
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield record.model_validate_json(line)
                except ValueError:
                    raise TrainerError(f"{path} line {number} is not a training row: {again}") from None
    except OSError as error:
        raise TrainerError(f"the training rows at {path} cannot be read ({error.strerror}): {again}") from None


def fingerprint(rows: Iterable[TrainRow | Pair | ContextRow]) -> str:
    """Content hash of what the rows teach, in their order: 16 hex digits, those of `content_hash` of one list, which is never held."""
    digest = hashlib.sha256(b"[")
    for number, row in enumerate(rows):
        text = json.dumps(row.taught, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digest.update(b"," * (number > 0) + text.encode("utf-8", "surrogatepass"))
    digest.update(b"]")
    return digest.hexdigest()[:16]


def given_rows(job: Job, record: type[R]) -> Iterator[R]:
    """The job's rows, one at a time. Raises TrainerError where they are no longer those that it was made for."""
    if fingerprint(read_rows(job.rows, record)) != job.data:
        raise TrainerError(f"{job.rows} was changed while the training started: give the same command again")
    return read_rows(job.rows, record)


def encoded(
    rows: Iterable[TrainRow], tokenizer: Any, ends: Sequence[int], limit: int | None, counts: Counter[str], sft: Mapping[str, Any]
) -> Iterator[dict[str, list[int]]]:
    """`input_ids` and `labels` of one row after another, cut to `limit` tokens as TRL's settings `sft` say.

    Counts `rows`, `truncated` (longer than the limit, kept or not) and `lost` (no token left to learn, not kept), and keeps the tokens of
    the `longest` kept row. `ends` are the ids that end an answer of this target. Raises TrainerError when there are none, for it would
    never stop.
    """
    rows = iter(rows)
    while part := list(islice(rows, AT_ONCE)):
        for ids, start in with_ends(part, tokenizer, ends):
            labels = ids if sft.get("completion_only_loss") is False else [IGNORED] * start + ids[start:]
            counts["rows"] += 1
            if limit is not None and len(ids) > limit:
                counts["truncated"] += 1
                kept = slice(-limit, None) if sft.get("truncation_mode") == "keep_end" else slice(limit)
                ids, labels = ids[kept], labels[kept]
            if all(label == IGNORED for label in labels):
                counts["lost"] += 1
            else:
                counts["longest"] = max(counts["longest"], len(ids))
                yield {"input_ids": ids, "labels": labels}


def with_ends(rows: Sequence[TrainRow], tokenizer: Any, ends: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Of each row: ids of prompt, completion and end token, and where the completion starts. Rows with one prompt start alike."""
    if not ends:
        raise TrainerError("the target has no end token, so it could not learn to stop: name an eos_token in its tokenizer")
    heads = [render(tokenizer, row.prompt) for row in rows]
    texts = []
    for row, head in zip(rows, heads, strict=True):
        text = render(tokenizer, [*row.prompt, *row.completion], generate=False) if tokenizer.chat_template else ""
        # some templates write an answer's turn otherwise than its opening
        texts.append(text if text.startswith(head) else head + "".join(message["content"] for message in row.completion))
    yield from answered(tokenizer, heads, texts, ends)


def answered(tokenizer: Any, heads: Sequence[str], texts: Sequence[str], ends: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Of each rendered prompt, and the text that begins with it: ids of prompt, answer and end token, and where the answer starts."""
    for head, text, prompt, ids in zip(heads, texts, encode(tokenizer, heads), encode(tokenizer, texts), strict=True):
        start = len(commonprefix([prompt, ids]))
        if start < len(prompt):  # tokens would merge across the border, which they never do when the target answers
            ids, start = prompt + tokenizer(text[len(head) :], add_special_tokens=False)["input_ids"], len(prompt)
        last = max((i for i in range(start, len(ids)) if ids[i] in ends), default=None)
        if last is None:
            ids = [*ids, tokenizer.eos_token_id if tokenizer.eos_token_id in ends else ends[0]]
        else:
            ids = ids[: last + 1]  # what a template writes after the end token is never generated
        yield ids, start


LEAST, TIMES = 8, 8
"""An answer loops when a block stands again and again at its end: tokens of the shortest block, and how often it stands one behind the
other. A shorter block counts when several of it make one; a loop that changes as it goes on does not."""
_PIECE = re.compile(r"\w+|\W")


def loop_end(tokens: Sequence[int]) -> int | None:
    """How many of the tokens stand when a block first does so TIMES times at their end; None: it never does. It hangs on the tokens alone,
    and not on when it is asked."""
    import numpy as np

    ids, found = np.asarray(tokens), []
    for size in range(LEAST, len(ids) // TIMES + 1):
        differ = np.flatnonzero(ids[size:] != ids[:-size])
        edges = np.concatenate(([-1], differ, [len(ids) - size]))  # between two of them each token is the one `size` before
        long = np.flatnonzero(np.diff(edges) > (TIMES - 1) * size)
        found += [int(edges[long[0]]) + 1 + TIMES * size] if long.size else []
    return min(found, default=None)


def loops(text: str) -> bool:
    """Whether a text ends in a loop, by its words and signs; its last words may be cut off."""
    pieces = _PIECE.findall(text)[-2000:]
    if len(pieces) < LEAST * TIMES:
        return False
    numbers = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    ids = [numbers[piece] for piece in pieces]
    return any(ids[-TIMES * size + size :] == ids[-TIMES * size : -size] for size in range(LEAST, len(ids) // TIMES + 1))
