"""Tokens and prices: how long a text is, where a model name leads, and what a response costs in USD.

Prices are those that DSPy ships; nothing is fetched. Not covered: subscriptions, discounts and hosted tools, and a model's own tokenizer
(`count_tokens` goes by length).
"""

import os
from functools import lru_cache
from typing import NamedTuple

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # otherwise the first price asked for fetches a list from the network

from dspy.clients.costs import estimate_cost
from dspy.clients.engines import LM15Engine
from dspy.lm15 import Message, Request, Response, RouterConfig, UnknownModelError, UnsupportedFeatureError, Usage

from ..config import InstructorSettings

CHARACTERS = 3.5  # characters a token; measured with cl100k on the instructor's prompts (3.6) and on programs of a strong model (3.4)


def count_tokens(text: str) -> int:
    """Tokens of a text, approximated by its length: within a tenth of cl100k on English and Python."""
    return round(len(text) / CHARACTERS)


class Route(NamedTuple):
    """Where a model name leads."""

    provider: str
    name: str  # the model's name at the provider
    native: bool  # whether DSPy speaks the provider's protocol itself; otherwise LiteLLM does
    env_key: str | None  # the variable that the key is read from; None: no key is needed, or its variable is not known


@lru_cache
def route(model: str) -> Route:
    """The route of a model name as dspy.LM takes it; no network, no key."""
    try:
        resolved = LM15Engine(RouterConfig(env={})).resolve(model)
        return Route(resolved.provider, resolved.model, True, resolved.env_key)
    except (UnknownModelError, UnsupportedFeatureError):
        provider, _, name = model.partition("/")
        return Route(provider if name else "openai", name or provider, False, None)


def missing_key(settings: InstructorSettings) -> str:
    """The environment variable that the model's key is read from, where it is not set; empty: it is set, not needed, or not known."""
    prefix = settings.model.partition("/")[0].upper()
    if settings.model == "offline" or settings.api_base or {f"{prefix}_API_BASE", f"{prefix}_BASE_URL"} & os.environ.keys():
        return ""
    if route(settings.model).native:
        key = LM15Engine(RouterConfig(env=dict(os.environ))).resolve(settings.model).env_key or ""
        return "" if os.environ.get(key, "").strip() else key
    import litellm

    # several: a cloud, whose keys may lie elsewhere; another name that begins alike may be a second one of the same key
    wanted = litellm.validate_environment(settings.model)["missing_keys"]
    alike = any(name.startswith(wanted[0][:6]) and name.endswith(("KEY", "TOKEN")) for name in os.environ) if wanted else False
    return wanted[0] if len(wanted) == 1 and wanted[0].endswith("_KEY") and not alike else ""


def usd(settings: InstructorSettings, response: Response, request: Request | None = None) -> float | None:
    """What a response cost. None: no price is known, because the model is not listed or its server is at an address of one's own."""
    if settings.model == "offline":
        return 0.0
    if settings.api_base is not None:
        return None
    provider, name, _, _ = route(settings.model)
    return estimate_cost(response, provider=provider, requested_model=name, request=request)[0]


def usd_of_calls(settings: InstructorSettings, calls: float, tokens_in: float, tokens_out: float) -> float | None:
    """What so many calls cost that share these tokens. Priced one by one, since long prompts have prices of their own."""
    usage = Usage(input_tokens=round(tokens_in / max(1, calls)), output_tokens=round(tokens_out / max(1, calls)))
    one = usd(settings, Response(None, route(settings.model).name, Message.assistant(""), finish_reason="stop", usage=usage))
    return None if one is None else one * calls
