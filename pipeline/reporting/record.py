"""What a report is made from: the record of one run, in plain types."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from ...foundation.json_values import from_json_value


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """Everything that the report of a run says. Any key of any dict may be missing, and any list may be empty.

    Attributes:
      title: The page's title.
      config: The resolved configuration, nested dicts of plain values.
      status: ``status.json``: ``status`` (``running``, ``done``, ``diverged``, ``preempted`` or ``failed``), ``step``,
        ``seconds``, ``export`` (path of the SavedModel, or None), ``message``, ``input_wait_fraction`` (0 to 1, of all
        training), ``skipped`` and ``clamped`` (reason -> rows of the log); if known, ``versions`` (name -> version) and
        ``time`` (text), which the footer shows.
      divergence: ``divergence.json``: ``verdict`` (``healthy``, ``micro`` or ``full``) and ``events``, dicts of ``step``,
        ``kind``, ``task`` ("" or None: the whole run), ``layer`` and ``evidence``; the kinds that :mod:`.incidents` knows are
        told in words, any other as a remark.
      train: Lines of ``metrics/train.jsonl``, in the order written: ``step``, ``loss``, ``loss/<task>``, ``auc/<task>``,
        ``rmse/<task>``, ``clipping_factor/<layer>`` and ``clipped_steps/<layer>`` (the smallest factor and the number of
        clipped steps since the line before), ``examples_per_second``, ``input_wait_fraction`` (0 to 1), ``learning_rate``,
        ``skipped_examples``, ``day``;
        where every step is watched also ``loss_max`` and ``loss_max/<task>`` (the largest of a single step) with
        ``loss_max_step``, ``dead_units/<layer>`` (0 to 1), ``norm/gradient/<layer>`` and ``norm/update/<layer>``; now and
        then ``sharpness`` and ``sharpness_preconditioned``.
      evaluation: Lines of ``metrics/eval.jsonl``: ``step``, ``day``, ``kind`` (``progressive``: a day before it is
        trained on; ``holdout``: a day never trained on), ``rows``, ``loss``, ``loss/<task>``, ``auc/<task>``,
        ``rmse/<task>``, ``rmse_of_mean/<task>`` (the RMSE of predicting the mean of the labels), and for a simulated log
        ``ceiling/auc/<task>`` and ``ceiling/rmse/<task>`` (what the best possible ranker reaches).
      tasks: Dicts of ``name``, ``kind`` (``binary`` or ``regression``), ``weight`` (its factor in the loss) and ``label``
        (the column that holds its label; without it, the one called like the task).
      log: ``log.json``, what the log was like, day by day: ``source`` and ``days``, dicts of ``name``, ``rows``, ``files``,
        ``use`` (``training``, ``holdout`` or ``skipped``), ``statistics`` (column -> ``missing`` (0 to 1) with ``mean`` and
        ``deviation``, or with ``distinct``) and ``anomalies``, dicts of ``check``, ``column`` ("": the whole day), ``text``
        and, where there is one, ``score`` (how many usual deviations). Empty for a log that nobody looked at.
    """

    title: str
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    status: dict[str, Any] = dataclasses.field(default_factory=dict)
    divergence: dict[str, Any] = dataclasses.field(default_factory=dict)
    train: Sequence[dict[str, Any]] = ()
    evaluation: Sequence[dict[str, Any]] = ()
    tasks: Sequence[dict[str, Any]] = ()
    log: dict[str, Any] = dataclasses.field(default_factory=dict)


def read_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads a file of one JSON object a line, such as ``metrics/train.jsonl``.

    The strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` become floats. A file that is not there has no lines: its
    run ended before the first was written. A last line that was torn, because the writer was killed or is writing, is
    left out; so is a torn beginning to which a resumed run attached its first line.

    Raises:
      ValueError: When a line other than the last is not an object.
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
        # The lines are flat, so the last brace begins the object that is whole.
        line = _parsed(text) or _parsed(text[max(text.rfind("{"), 0) :])
        if line is not None:
            lines.append({key: from_json_value(value) for key, value in line.items()})
        elif number < len(texts):
            raise ValueError(
                f"{os.fspath(path)}, line {number}: expected one JSON object, got {text[:40]!r}; delete that line and "
                "run the command again"
            )
    return lines


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a file of one JSON object, such as ``log.json``; strings that stand for numbers become floats, as in lines.

    A file that is not there, or holds anything else, gives an empty dict: a report says what is known, and needs none of it.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return from_json_value(_parsed(file.read()) or {})
    except (OSError, RecursionError):
        return {}


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
