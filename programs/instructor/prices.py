"""Tokens and prices: how long a text is, and what a response costs in USD.

Prices are those that DSPy ships; nothing is fetched. Not covered: subscriptions, discounts and hosted tools, and a model's own tokenizer
(`count_tokens` goes by length).
"""

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # otherwise the first price asked for fetches a list from the network

from dspy.clients.costs import estimate_cost
from dspy.lm15 import Message, Request, Response, Usage

from ...signatures.routes import route
from ..config import InstructorSettings

BATCH = 0.5
"""What a call costs in a provider batch, as a share of its price: at OpenAI and at Anthropic half."""
CHARACTERS = 3.5  # characters a token; measured with cl100k on the instructor's prompts (3.6) and on programs of a strong model (3.4)


def count_tokens(text: str) -> int:
    """Tokens of a text, approximated by its length: within a tenth of cl100k on English and Python."""
    return round(len(text) / CHARACTERS)


def usd(settings: InstructorSettings, response: Response, request: Request | None = None, batched: bool | None = None) -> float | None:
    """What a response cost. None: no price is known, because the model is not listed or its server is at an address of one's own.
    `batched`: whether it came in a batch; None: as the settings say."""
    if settings.model == "offline":
        return 0.0
    if settings.api_base is not None:
        return None
    provider, name, _, _ = route(settings.model)
    price = estimate_cost(response, provider=provider, requested_model=name, request=request)[0]
    return price if price is None else price * (BATCH if (settings.batch if batched is None else batched) else 1)


def usd_of_calls(settings: InstructorSettings, calls: float, tokens_in: float, tokens_out: float) -> float | None:
    """What so many calls cost that share these tokens. Priced one by one, since long prompts have prices of their own."""
    usage = Usage(input_tokens=round(tokens_in / max(1, calls)), output_tokens=round(tokens_out / max(1, calls)))
    one = usd(settings, Response(None, route(settings.model).name, Message.assistant(""), finish_reason="stop", usage=usage))
    return None if one is None else one * calls
