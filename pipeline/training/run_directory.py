"""The folder of one run: what lies where, and that nothing in it is ever half written."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ...foundation.atomic_files import write_json, write_text
from ...foundation.run_terms import DayUse
from ...models.schema import Schema
from ..config import Config, UserError, load, read, to_plain, to_yaml
from ..data.checks.checked_day import CheckedDay
from .writers import JsonLinesWriter, TensorBoardWriter, Writer, Writers, rewind


class RunDirectory:
    """Paths and files of a run.

    Args:
      path: The ``model_dir``.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.schema_file = self.path / "schema.yaml"
        self.bundles = self.path / "bundles"
        self.quarantine = self.path / "quarantine.jsonl"
        self.log_file = self.path / "log.json"
        self.status_file = self.path / "status.json"
        self.divergence_file = self.path / "divergence.json"
        self.report_file = self.path / "report.html"
        self.checkpoints = self.path / "checkpoints"
        self.export = self.path / "export"
        self.tensorboard = self.path / "tensorboard"
        self.train_metrics = self.path / "metrics" / "train.jsonl"
        self.evaluation_metrics = self.path / "metrics" / "eval.jsonl"

    def check(self, config: Config, resume: bool) -> None:
        """Checks that a run of this configuration can start here, or go on; touches nothing.

        Raises:
          UserError: When the folder holds something that the run would mix with, or, to resume, no run or one of another
            configuration.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"--model_dir={self.path} must be a folder, but it is a file")
        if resume:
            self._check_same(config)
        elif self.config_file.exists():
            status = self.read_status()
            state = f" ({status['status']} at step {status['step']})" if status else ""
            raise UserError(
                f"--model_dir={self.path} holds a run already{state}; go on with it by --resume, or name another folder"
            )
        elif self.path.exists() and any(self.path.iterdir()):
            raise UserError(f"--model_dir={self.path} must be an empty or a new folder, but it holds other files")

    def read_config(self) -> Config:
        """The configuration of the run that is here.

        Raises:
          UserError: When there is none.
        """
        if not self.config_file.exists():
            raise UserError(
                f"--model_dir={self.path} holds no run to go on with or to look at: config.yaml is missing there"
            )
        return load(str(self.config_file))

    def claim(self, config: Config, schema: Schema) -> None:
        """Makes the folder this run's: writes the resolved configuration and the schema there, before anything else.

        Raises:
          UserError: When the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.config_file, to_yaml(config))
            if not self.schema_file.exists():
                self._write_schema(schema)
        except OSError as error:
            raise UserError(f"--model_dir={self.path} cannot be written: {error.strerror}") from error

    def settled_schema(self, learned: Schema) -> Schema:
        """The run's schema with its vocabularies: those that it began with, or, at its beginning, the learned ones.

        Raises:
          UserError: When the log has other columns than the run began with.
        """
        held = read(Schema, self.schema_file)
        if held.columns != learned.columns or [task.name for task in held.tasks] != [t.name for t in learned.tasks]:
            raise UserError(f"the log's schema is not that of {self.schema_file}, with which the run began")
        if any(feature.vocabulary_size for feature in held.features):
            self._write_schema(learned)
            return learned
        return held

    def _write_schema(self, schema: Schema) -> None:
        # Not with allow_unicode: PyYAML then writes U+0085 and U+2028 as they are, and reads them as spaces.
        write_text(self.schema_file, yaml.safe_dump(schema.to_dict(), sort_keys=False))

    @contextlib.contextmanager
    def open_writers(self, step: int) -> Iterator[tuple[Writer, Writer]]:
        """Writers of the training metrics and of the evaluations, for a run that stands at ``step``.

        What an earlier process wrote after that step is dropped: it will be written again.
        """
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
        """Replaces log.json: what the checks of a log's days found, and what is done with each."""
        entries = []
        for day in days:
            use: DayUse = "skipped" if day.skipped else "holdout" if day.name in held_out else "training"
            entries.append(day.to_dict() | {"use": use})
        write_json(self.log_file, {"source": source, "days": entries})

    def read_log(self) -> list[CheckedDay]:
        """What the checks found before; nothing when there is no log.json."""
        if not self.log_file.exists():
            return []
        return [CheckedDay.from_dict(day) for day in json.loads(self.log_file.read_text(encoding="utf-8"))["days"]]

    def write_status(self, status: str, step: int, **details: Any) -> None:
        """Replaces status.json."""
        write_json(self.status_file, {"status": status, "step": step} | details)

    def read_status(self) -> dict[str, Any]:
        """What status.json holds; empty when it is not there."""
        if not self.status_file.exists():
            return {}
        return json.loads(self.status_file.read_text(encoding="utf-8"))

    def _check_same(self, config: Config) -> None:
        held = _flat(to_plain(self.read_config()))
        for key, wanted in _flat(to_plain(config)).items():
            if held[key] != wanted:
                raise UserError(
                    f"--resume: the run in {self.path} has {key} = {held[key]}, the command line asks for {wanted}; "
                    "leave --config out to go on as it began"
                )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
