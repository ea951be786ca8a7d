"""The record of a run in plain types, and the readers of its files."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from ...foundation.json_values import from_json_value


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """The data of a run's report.

    Any key may be missing and any list may be empty. The page then omits the corresponding parts.

    Attributes:
      title: The page's title.
      config: The resolved configuration, nested dicts of plain values.
      status: ``status.json``: ``status`` (see :data:`~.run_terms.RunStatus`), ``step``, ``seconds``, ``export`` (path
        of the SavedModel, or None), ``message``, ``input_wait_fraction`` (0 to 1, over all training), ``skipped`` and
        ``clamped`` (number of the log's rows by reason), ``skipped_rows``, ``leaks`` (sentences), and for the footer ``versions`` (by name)
        and ``time`` (text).
      divergence: ``divergence.json``: ``verdict`` (see :data:`~.run_terms.Verdict`) and ``events``, dicts of
        ``step``, ``kind``, ``task`` (empty or None for the whole run), ``layer``, ``feature``, ``evidence`` (text) and
        ``values`` (numbers by name). The page describes the kinds of :data:`~.run_terms.EventKind` in words
        and lists any other kind as recorded.
      train: Lines of ``metrics/train.jsonl``, in the order written: ``step``, ``loss``, ``loss/<task>``,
        ``auc/<task>``, ``rmse/<task>``, ``clipping_factor/<layer>`` and ``clipped_steps/<layer>`` (smallest factor and
        number of clipped steps since the previous line), ``examples_per_second``, ``input_wait_fraction`` (0 to 1),
        ``learning_rate``, ``skipped_examples``, ``day``. If the monitor watched every step, also ``loss_max``,
        ``loss_max/<task>`` (largest loss of a single step), ``loss_max_step``, ``dead_units/<layer>`` (0 to 1),
        ``norm/gradient/<layer>`` and ``norm/update/<layer>``; now and then ``sharpness`` and
        ``sharpness_preconditioned``.
      evaluation: Lines of ``metrics/eval.jsonl``: ``step``, ``day``, ``kind`` (``progressive``: a day before it is
        trained on; ``holdout``: a day that is never trained on), ``rows``, ``loss``, ``loss/<task>``, ``auc/<task>``,
        ``rmse/<task>``, ``rmse_of_mean/<task>`` (RMSE of predicting the labels' mean), and for a simulated log
        ``ceiling/auc/<task>`` and ``ceiling/rmse/<task>`` (result of the best possible ranker).
      tasks: Dicts of ``name``, ``kind`` (``binary`` or ``regression``), ``weight`` (factor in the loss) and ``label``
        (the column of the label; the task's name if left out).
      log: ``log.json``: ``source`` and ``days``, dicts of ``name``, ``rows``, ``files``, ``use`` (see
        :data:`~.run_terms.DayUse`), ``statistics`` (by column: ``missing`` (0 to 1), and ``mean`` and ``deviation`` or
        ``distinct``) and ``anomalies``, dicts of ``check``, ``column`` (empty for the whole day), ``text`` and, for
        some checks, ``score`` (in standard deviations). Empty if the log was not checked.

    Example:
    >>> RunRecord("demo", divergence={"events": [{"step": 3, "kind": "spike"}]}).events
    [{'step': 3, 'kind': 'spike'}]
    """

    title: str
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    status: dict[str, Any] = dataclasses.field(default_factory=dict)
    divergence: dict[str, Any] = dataclasses.field(default_factory=dict)
    train: Sequence[dict[str, Any]] = ()
    evaluation: Sequence[dict[str, Any]] = ()
    tasks: Sequence[dict[str, Any]] = ()
    log: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of ``divergence.json``, in the order recorded."""
        return [event for event in self.divergence.get("events") or [] if isinstance(event, dict)]

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks."""
        return [str(task.get("name", "")) for task in self.tasks]


def read_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads a file of one JSON object per line, such as ``metrics/train.jsonl``.

    The strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` become floats. A missing file has no lines. The function
    skips an incomplete last line, which a running or killed process can leave. If a resumed run has appended a complete
    object to an incomplete line, the function reads the complete object.

    Args:
      path: The file.

    Raises:
      ValueError: If a line other than the last is not a JSON object.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            texts = [text.strip() for text in file]
    except FileNotFoundError:
        return []
    lines = []
    for number, text in enumerate(texts, start=1):
        if not text:
            continue
        # The objects are flat, so the last opening brace starts a complete object.
        line = _parse_object(text) or _parse_object(text[max(text.rfind("{"), 0) :])
        if line is not None:
            lines.append({key: from_json_value(value) for key, value in line.items()})
        elif number < len(texts):
            raise ValueError(
                f"{os.fspath(path)}, line {number}: expected a JSON object, got {text[:40]!r}; delete that line and run the "
                "command again"
            )
    return lines


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a file of one JSON object, such as ``log.json``; strings become floats as in :func:`read_lines`.

    Returns an empty dict if the file is missing or invalid, because the report does not require it.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return from_json_value(_parse_object(file.read()) or {})
    except (OSError, RecursionError):
        return {}


def _parse_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
