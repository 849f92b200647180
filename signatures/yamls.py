"""YAML as configs and flags hold it: plain values alone, and no more of them than a config can have use for."""

from typing import Any

import yaml

NO_YAML = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What PyYAML raises for invalid text: its own errors, and errors of Python for values that do not fit their tag (`!!bool x`)."""
NODES = 10_000
"""Most values of a text, each alias followed."""


def read_yaml(text: str) -> Any:
    """The value of YAML text. A few aliases of aliases stand for more than any machine holds: they are counted before they are followed."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if _nodes(node, {}) > NODES:
            raise yaml.YAMLError(f"its aliases stand for more than {NODES:,} values, or hold themselves; write out what is meant")
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _nodes(node: yaml.Node | None, sizes: dict[yaml.Node, int]) -> int:
    """Values below a node, each as often as it stands there; more than NODES where it stands below itself."""
    if isinstance(node, yaml.CollectionNode) and node not in sizes:
        sizes[node] = NODES + 1  # until it is known
        inner = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        sizes[node] = 1 + sum(_nodes(part, sizes) for part in inner)
    return sizes.get(node, 1) if node else 0
