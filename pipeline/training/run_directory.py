"""The folder of a run, ``model_dir``: its paths, and all files except for metrics and weights.

Importing this module does not import TensorFlow, so that a command can refuse a folder at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ...foundation.atomic_files import write_json, write_text
from ...foundation.formatting import pluralize
from ...foundation.run_terms import DayUse, RunStatus
from ..config import Config, UserError, load, read, to_plain, to_yaml
from ..config.paths import check_folder, expand_home

if TYPE_CHECKING:
    from ...models.schema import Schema
    from ..data.checks.checked_day import CheckedDay
    from .writers import Writer

# The settings that a resumed run may change, because they leave the rows and the steps as they are: where the log is,
# who reads it, and how many faults end the run.
_RESUMABLE = (
    "data.files.path",
    "data.files.schema",
    "data.files.max_invalid_share",
    "data.files.max_anomalous_share",
    "data.movielens.data_dir",
    "data.service",
)


class RunDirectory:
    """The paths and files of a run. Each write replaces the whole file, so a killed process leaves no partial file.

    Args:
      path: The ``model_dir``. ``~`` is the home folder.

    Attributes:
      path: The folder.
      config_file: The resolved configuration, ``config.yaml``.
      schema_file: The schema with its vocabularies, ``schema.yaml``.
      status_file: Status and step of the run, ``status.json``.
      divergence_file: Verdict and events, ``divergence.json``.
      report_file: The report, ``report.html``.
      log_file: The results of the log's checks, ``log.json``.
      quarantine: Faulty rows of the log, ``quarantine.jsonl``.
      train_metrics: The training metrics, ``metrics/train.jsonl``.
      evaluation_metrics: The evaluations, ``metrics/eval.jsonl``.
      tensorboard: Folder with the same metrics as TensorBoard events.
      checkpoints: Folder of the checkpoints.
      bundles: Folder of the first bad steps, for the command ``replay``.
      export: Folder of the versions of the SavedModel.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = expand_home(path)
        self.config_file = self.path / "config.yaml"
        self.schema_file = self.path / "schema.yaml"
        self.status_file = self.path / "status.json"
        self.divergence_file = self.path / "divergence.json"
        self.report_file = self.path / "report.html"
        self.log_file = self.path / "log.json"
        self.quarantine = self.path / "quarantine.jsonl"
        self.train_metrics = self.path / "metrics" / "train.jsonl"
        self.evaluation_metrics = self.path / "metrics" / "eval.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.bundles = self.path / "bundles"
        self.export = self.path / "export"

    def check(self, config: Config, resume: bool) -> None:
        """Checks that a run with this configuration can start or resume in this folder. Writes nothing.

        Raises:
          UserError: If the folder cannot be written. For a new run, if the folder is not empty. To resume, if the folder
            holds no run, or one with another configuration, or if the log is no longer in its place.
        """
        check_folder(f"--model_dir={self.path}", self.path)
        if resume:
            self._check_same(config)
            _check_log_exists(config)
        elif self.config_file.exists():
            status = self.read_status()
            state = f" ({status['status']} at step {status['step']})" if status else ""
            raise UserError(
                f"--model_dir={self.path} already holds a run{state}; continue it with --resume, or choose another folder"
            )
        elif self.path.exists() and any(self.path.iterdir()):
            raise UserError(f"--model_dir={self.path} must be a new or empty folder, but it holds other files")

    def read_config(self) -> Config:
        """Reads the configuration of the run in this folder.

        Raises:
          UserError: If the folder holds no run.
        """
        return load(str(self.find_config()))

    def find_config(self) -> Path:
        """Returns the configuration file of the run in this folder.

        Raises:
          UserError: If the folder holds no run.
        """
        if not self.config_file.exists():
            raise UserError(f"--model_dir={self.path} holds no run: it has no config.yaml; check the path")
        return self.config_file

    def claim(self, config: Config, schema: Schema) -> None:
        """Creates the folder if needed and writes the configuration and the schema, which mark the folder as taken.

        Raises:
          UserError: If the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.config_file, to_yaml(config))
            if not self.schema_file.exists():
                self._write_schema(schema)
        except OSError as error:
            raise UserError(f"--model_dir={self.path} cannot be written: {error.strerror}") from error

    def settle_schema(self, computed: Schema) -> Schema:
        """Fixes the vocabularies of the run's schema for the whole run.

        Args:
          computed: The schema with the vocabularies that this process computed from the log.

        Returns:
          The stored schema if its vocabularies are already fixed, with the bounds that ``computed`` adds. Otherwise
          ``computed``. ``schema.yaml`` holds the result.

        Raises:
          UserError: If the log's columns or tasks differ from the stored schema.
        """
        from ...models.schema import Schema

        stored = read(Schema, self.schema_file)
        same_tasks = [task.name for task in stored.tasks] == [task.name for task in computed.tasks]
        if stored.columns != computed.columns or not same_tasks:
            raise UserError(
                f"the log must have the columns and tasks of {self.schema_file}, as when the run began; restore the log's "
                "schema, or start a new run in another --model_dir"
            )
        if any(feature.vocabulary_size for feature in stored.features):
            self._write_schema(computed)
            return computed
        settled = _add_bounds(stored, computed)
        if settled != stored:
            self._write_schema(settled)
        return settled

    def _write_schema(self, schema: Schema) -> None:
        # PyYAML with allow_unicode=True would write U+0085 and U+2028 unescaped and read them back as spaces.
        write_text(self.schema_file, yaml.safe_dump(schema.to_dict(), sort_keys=False))

    @contextlib.contextmanager
    def open_writers(self, step: int) -> Iterator[tuple[Writer, Writer]]:
        """Opens the writers of the training metrics and of the evaluations.

        Args:
          step: The step from which the run continues. Lines of later steps are removed, because the run repeats these
            steps.
        """
        from .writers import JsonLinesWriter, TensorBoardWriter, Writers, rewind

        # The run repeats an evaluation at ``step``, which precedes training on the next batch, but not a publication at
        # ``step``.
        rewind(self.train_metrics, lambda line: line["step"] <= step)
        rewind(self.evaluation_metrics, lambda line: line["step"] < step)
        with (
            contextlib.closing(
                Writers([JsonLinesWriter(self.train_metrics), TensorBoardWriter(self.tensorboard / "train")])
            ) as train,
            contextlib.closing(
                Writers([JsonLinesWriter(self.evaluation_metrics), TensorBoardWriter(self.tensorboard / "eval")])
            ) as evaluation,
        ):
            yield train, evaluation

    def write_log(self, source: str, days: Sequence[CheckedDay], held_out: Collection[str]) -> None:
        """Replaces ``log.json``, which lists the result of the checks and the use of each day.

        Args:
          source: Where the log is.
          days: The checked days.
          held_out: Names of the held-out days.
        """
        entries = []
        for day in days:
            use: DayUse = "skipped" if day.skipped else "holdout" if day.name in held_out else "training"
            entries.append(day.to_dict() | {"use": use})
        write_json(self.log_file, {"source": source, "days": entries})

    def read_log(self) -> list[CheckedDay]:
        """Reads the checked days from ``log.json``; empty if the file does not exist."""
        from ..data.checks.checked_day import CheckedDay

        log = _read_json(self.log_file)
        return [] if log is None else [CheckedDay.from_dict(day) for day in log["days"]]

    def write_divergence(self, report: Mapping[str, Any]) -> None:
        """Replaces ``divergence.json``.

        Args:
          report: The verdict and the events; see :meth:`..divergence.DivergenceMonitor.to_dict`.
        """
        write_json(self.divergence_file, report)

    def read_divergence(self) -> dict[str, Any] | None:
        """Reads ``divergence.json``; None if the file does not exist."""
        return _read_json(self.divergence_file)

    def write_status(self, status: RunStatus, step: int, **details: Any) -> None:
        """Replaces ``status.json``."""
        write_json(self.status_file, {"status": status, "step": step} | details)

    def read_status(self) -> dict[str, Any]:
        """Reads ``status.json``; empty if the file does not exist."""
        status = _read_json(self.status_file)
        return {} if status is None else status

    def _check_same(self, config: Config) -> None:
        stored, given = (_flatten(to_plain(each)) for each in (self.read_config(), config))
        changed = [key for key in {**stored, **given} if stored.get(key) != given.get(key) and key not in _RESUMABLE]
        if changed:
            key = changed[0]
            others = f" (and {pluralize(len(changed) - 1, 'other setting')} differ)" if len(changed) > 1 else ""
            raise UserError(
                f"--resume: {key} must be {_to_text(stored.get(key))}, as in {self.config_file}, got "
                f"{_to_text(given.get(key))}{others}. A resumed run repeats the steps of one run without a break, so it may "
                f"only change {', '.join(_RESUMABLE)}; omit the setting, or start a new run in another --model_dir"
            )


def _add_bounds(stored: Schema, computed: Schema) -> Schema:
    """Returns the stored schema with the bounds of ``computed`` where it has none."""
    by_name = {feature.name: feature for feature in computed.features}
    features = tuple(
        dataclasses.replace(
            feature,
            minimum=by_name[feature.name].minimum if feature.minimum is None else feature.minimum,
            maximum=by_name[feature.name].maximum if feature.maximum is None else feature.maximum,
        )
        for feature in stored.features
    )
    return dataclasses.replace(stored, features=features)


def _check_log_exists(config: Config) -> None:
    path = config.data.files.path
    if config.data.source == "files" and path and "://" not in path and not Path(path).expanduser().exists():
        raise UserError(
            f"{path}: no such file or folder; if the log moved, add its new path: --config.data.files.path=NEW"
        )


def _to_text(value: Any) -> str:
    return "empty" if value in ("", [], None) else str(value)


def _read_json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the leaves of a nested mapping by dotted name."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
