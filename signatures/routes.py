"""Where the name of an instructor's model leads, and the variable that its key is read from. No network.

Does NOT cover: what sends a request there (errata.programs.instructor.wire).
"""

import os
from functools import lru_cache
from typing import NamedTuple

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # otherwise LiteLLM fetches a list of prices from the network

from dspy.clients.engines import LM15Engine
from dspy.lm15 import RouterConfig, UnknownModelError, UnsupportedFeatureError

from .errors import UsageError, did_you_mean


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


def missing_key(model: str, api_base: str | None) -> str:
    """The environment variable that the model's key is read from, where it is not set; empty: it is set, not needed, or not known.

    Raises UsageError for a name that leads to no provider."""
    prefix = model.partition("/")[0].upper()
    if model == "offline" or api_base or {f"{prefix}_API_BASE", f"{prefix}_BASE_URL"} & os.environ.keys():
        return ""
    if route(model).native:
        key = LM15Engine(RouterConfig(env=dict(os.environ))).resolve(model).env_key or ""
        return "" if os.environ.get(key, "").strip() else key
    import litellm

    litellm.suppress_debug_info = True
    try:
        litellm.get_llm_provider(model)
    except litellm.BadRequestError:
        example = "name it as PROVIDER/MODEL, e.g. openai/gpt-5-mini, or offline, which is embedded"
        raise UsageError(f"no provider of instructors has {model!r}: {example}{did_you_mean(model, ['offline'])}") from None
    # several: a cloud, whose keys may lie elsewhere; another name that begins alike may be a second one of the same key
    wanted = litellm.validate_environment(model)["missing_keys"]
    alike = any(name.startswith(wanted[0][:6]) and name.endswith(("KEY", "TOKEN")) for name in os.environ) if wanted else False
    return wanted[0] if len(wanted) == 1 and wanted[0].endswith("_KEY") and not alike else ""
