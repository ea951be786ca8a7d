"""Finds settings that a user gave although another setting makes them useless.

Such a setting is a mistake that would otherwise stay unnoticed: ``data.files.path`` without ``data.source: files`` would
train on the simulated log.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .settings import Config
from .tree import join_path


@dataclasses.dataclass(frozen=True)
class _Condition:
    """What a setting or a section needs in order to have an effect.

    Attributes:
      path: The setting or the section.
      remedy: The other setting with the value that it needs.
      holds: Whether the configuration has this value.
    """

    path: str
    remedy: str
    holds: Callable[[Config], bool]


_CONDITIONS = (
    _Condition("data.simulated", "data.source=simulated", lambda c: c.data.source == "simulated"),
    _Condition("data.movielens", "data.source=movielens", lambda c: c.data.source == "movielens"),
    _Condition("data.files", "data.source=files", lambda c: c.data.source == "files"),
    _Condition("data.shuffle_rows", "data.shuffle=true", lambda c: c.data.shuffle),
    _Condition(
        "data.files.max_invalid_share", "data.files.on_invalid=skip", lambda c: c.data.files.on_invalid != "fail"
    ),
    _Condition(
        "data.files.max_anomalous_share",
        "data.files.on_anomalous_day=skip",
        lambda c: c.data.files.on_anomalous_day == "skip",
    ),
    _Condition("model.cross_projection", "model.cross_layers=2", lambda c: c.model.cross_layers > 0),
    _Condition("model.cross_layer_norm", "model.cross_layers=2", lambda c: c.model.cross_layers > 0),
    _Condition(
        "optimizer.exclude_from_clipping",
        "a rule that clips, such as optimizer.rule=clippy",
        lambda c: c.optimizer.rule != "none" or bool(c.optimizer.groups),
    ),
    _Condition(
        "training.sharpness_rows", "training.sharpness_every_steps=64", lambda c: c.training.sharpness_every_steps > 0
    ),
    *(
        _Condition(
            f"training.{name}", "training.on_divergence=rollback", lambda c: c.training.on_divergence == "rollback"
        )
        for name in ("max_rollbacks", "rollback_learning_rate_factor", "rollback_warmup_steps")
    ),
)
_SOURCES = ("simulated", "movielens", "files")


def find_unused(given: Mapping[str, Any], config: Config) -> Iterator[str]:
    """Yields one line for each setting that the user gave and that has no effect.

    A setting that has its default is ignored, except in the section of a source.

    Args:
      given: The settings that the user gave, as a tree.
      config: The resolved configuration.

    Example:
    >>> list(find_unused({"data": {"files": {"path": "log"}}}, Config()))
    ['data.files.path has no effect with data.source = simulated; set data.source=files, or omit it']
    """
    default = Config()
    for path in _iterate_paths(given):
        for condition in _CONDITIONS:
            is_section = condition.path.removeprefix("data.") in _SOURCES
            if not (path == condition.path or path.startswith(condition.path + ".")) or condition.holds(config):
                continue
            if is_section:
                yield f"{path} has no effect with data.source = {config.data.source}; set {condition.remedy}, or omit it"
            elif _get(config, path) != _get(default, path):
                yield f"{path} has no effect without {condition.remedy}; set this as well, or omit {path}"
            break


def select_source_settings(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of sources in a file that does not choose a source.

    A file that chooses one, such as the ``config.yaml`` of a run, may hold the other sections with their defaults.
    """
    data = plain.get("data") or {}
    return {} if "source" in data else {"data": {name: data[name] for name in _SOURCES if data.get(name)}}


def _iterate_paths(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        path = join_path(prefix, key)
        if isinstance(value, Mapping) and dataclasses.is_dataclass(_get(Config(), path)):
            yield from _iterate_paths(value, path)
        else:
            yield path


def _get(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config
