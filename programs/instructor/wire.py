"""What sends an instructor's requests: DSPy's own engines, over a transport whose replies are bounded.

With `api_base` every model is called by the OpenAI protocol, without LiteLLM. Not covered: attempts and their cost
(errata.programs.instructor.engine).
"""

import os
from collections.abc import Callable
from typing import Any

from dspy import lm15
from dspy.clients.engines import LiteLLMEngine, LM15Engine

from ...signatures.batches.waves import Waves
from ...signatures.errors import UsageError
from ...signatures.routes import route
from ...signatures.transport import Timed, Transport
from ..config import InstructorSettings

BATCHES = ("openai-chat", "anthropic")
"""Providers whose batches are spoken."""


Around = Callable[[Transport], Transport | Waves]


def wire(settings: InstructorSettings, timeout: float, around: Around = lambda transport: transport) -> tuple[Any, str]:
    """What sends each attempt, without retries or cache, and the model's name there. It is DSPy's own engine when that speaks the
    provider's protocol, or when `api_base` names a server that speaks OpenAI's; otherwise it is LiteLLM's. `around`: what stands before
    the transport. Raises UsageError for `batch` where there are none."""
    provider, name, native, env_key = route(settings.model)
    sent = settings.model
    prefix = settings.model.split("/", 1)[0].upper()
    base = settings.api_base or os.environ.get(f"{prefix}_API_BASE") or os.environ.get(f"{prefix}_BASE_URL")
    if settings.batch and not (settings.api_base or (native and provider in BATCHES)):
        able = "openai/... and anthropic/... can, and a server at instructor.api_base that has OpenAI's"
        raise UsageError(f"instructor {settings.model} takes no batches here: {able}; or set instructor.batch to false")
    if not native and settings.api_base:
        provider, sent, env_key = "openai-chat", f"openai/{name}", f"{prefix}_API_KEY"
    elif not native or (base and provider.startswith("azure")):
        # a server of one's own may need no key, but the protocol wants one
        own = {"api_base": base, "api_key": os.environ.get(f"{prefix}_API_KEY", "none")} if base else {}
        return Timed(LiteLLMEngine(timeout=timeout, **own), timeout), sent
    key = os.environ.get(env_key) if env_key else None
    config = lm15.RouterConfig(
        base_urls={provider: base} if base else None,
        api_keys={provider: key or "none"} if base is not None and env_key else None,
        transport=around(Transport(timeout, settings.width)),
    )
    return LM15Engine(config), sent
