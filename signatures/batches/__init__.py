"""Requests in provider batches, at half the price: `forms` speaks with the providers, `waves` gathers, waits and hands out."""

from dataclasses import dataclass


@dataclass
class Sent:
    """A batch as it is written down."""

    at: float
    """When it was begun, seconds since 1970."""
    keys: tuple[str, ...]
    batch: str | None = None
    """The provider's id; None: it may have been made, and nobody wrote its id down."""
