"""Files that are never half written, and JSON that every reader understands."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replaces a file of JSON, see :func:`write_text`."""
    write_text(path, json.dumps(jsonable(value), indent=1) + "\n")


def jsonable(value: Any) -> Any:
    """Plain types that JSON has; numbers that it has not become the strings "NaN", "Infinity" and "-Infinity"."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")


def write_text(path: Path, text: str) -> None:
    """Replaces a file at once: whoever reads it finds the old or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that the rename stays within one file system and is atomic.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
