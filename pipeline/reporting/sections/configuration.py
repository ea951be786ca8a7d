"""The section with all settings, and the page's footer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..page_layout import escape, make_details, make_paragraph, make_section, make_table
from ..record import RunRecord
from ..report_text import format_plain


def make_configuration_section(run: RunRecord) -> str:
    """Makes the section. A setting is named as on the command line, without ``--config.``."""
    if not run.config:
        return make_section("Configuration", make_paragraph("The run recorded no configuration."))
    rows = [
        f'<tr><th scope="row"><code>{escape(name)}</code></th><td>{escape(value)}</td></tr>'
        for name, value in _flatten(run.config)
    ]
    return make_section("Configuration", make_details("All settings", make_table(["Setting", "Value"], rows, "config")))


def make_footer(run: RunRecord) -> str:
    """Makes the footer: when the run ended, and with which versions."""
    versions = run.status.get("versions")
    names = [f"{name} {version}" for name, version in versions.items()] if isinstance(versions, Mapping) else []
    lines = [str(run.status.get("time") or ""), ", ".join(names), "Made by steadyrank. This file loads nothing."]
    return f"<footer>{''.join(make_paragraph(line) for line in lines)}</footer>"


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{name}.")
        else:
            yield name, format_plain(value)
