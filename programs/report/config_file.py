"""A config as files: a commented YAML file of it (`errata init`), and the page of all fields (docs/config.md)."""

import textwrap

from ..config import CycleConfig, fields, groups, inline, settings, value_of


def commented(config: CycleConfig) -> str:
    """A YAML file of this config that load_config reads back: each field under its documentation, commented out when at its default.

    `#name: value` is a field at its default, `# text` is documentation.
    """
    chosen, _ = settings(config)
    lines = [
        "# What `errata cycle --config FILE` reads. A line that begins with `#name:` stands at its default: take the # away to set it.",
        "# Flags and --set win over this file.",
    ]
    group = ""
    for name, field in fields():
        parent, _, leaf = name.rpartition(".")
        if parent != group:
            group = parent
            lines += ["", *_comment(groups(CycleConfig)[group].__doc__, ""), f"{group}:"]
        if name in ("generate.state_hash", "generate.library_hash"):  # filled in by the run
            continue
        indent = "  " if parent else ""
        value = f"{indent}{'' if name in chosen else '#'}{leaf}: {inline(value_of(config, name))}"
        lines += ["", *_comment(field.description, indent), value]
    return "\n".join(lines) + "\n"


def _comment(text: str | None, indent: str) -> list[str]:
    text, sign = " ".join((text or "").split()), f"{indent}# "
    return textwrap.wrap(text, 110, initial_indent=sign, subsequent_indent=sign, break_on_hyphens=False)


def describe() -> list[str]:
    """Every field as a line of Markdown: name, default, documentation."""
    return [f"- `{name}` ({inline(field.get_default())}): {' '.join((field.description or '').split())}" for name, field in fields()]


def page() -> str:
    """docs/config.md."""
    head = "One YAML file, as `errata init` writes it; flags and `--set name=value` win over it. Each field with its default:"
    return "\n".join(["# Config", "", head, "", *describe()]) + "\n"
