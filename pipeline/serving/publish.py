"""Writes a ranker as a SavedModel, so that a server sees it complete or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import time
from pathlib import Path

import tensorflow as tf
import yaml
from tf_keras.export import ExportArchive

from ...foundation.atomic_files import new_folder
from ...models.ranker import MultitaskRanker
from .signatures import make_input_specs, strip_null_bytes


def export_ranker(ranker: MultitaskRanker, export_dir: str | os.PathLike[str], version: int | None = None) -> Path:
    """Writes a SavedModel to ``export_dir/<version>/``.

    TensorFlow alone can load the model. Its signature ``serving_default`` takes the schema's raw features by name, for
    any number of rows, and returns one output per task by name. ``assets.extra/schema.yaml`` holds the schema.

    A server that watches ``export_dir`` sees a version only when it is complete: the model is written to the folder
    ``.incomplete-<version>-<pid>``, which no server mistakes for a version, flushed to disk and renamed.

    Args:
      ranker: The ranker.
      export_dir: Folder that holds the versions; created if needed.
      version: A positive integer; servers use the largest. Default: the time in seconds, or the largest existing
        version plus one if that is larger.

    Returns:
      The version's folder.

    Raises:
      ValueError: If the version is not a positive integer or already exists.
      OSError: If the folder cannot be written. No part of the version remains.
    """
    export_dir = Path(export_dir)
    existing = [int(entry.name) for entry in export_dir.glob("*") if entry.name.isdigit()]
    if version is None:
        version = max([int(time.time()), *(1 + old for old in existing)])
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"version must be a positive integer, got {version!r}")
    if version in existing:
        raise ValueError(f"version {version} already exists in {export_dir}; leave version out to get a new one")
    final = export_dir / str(version)
    with new_folder(final, f".incomplete-{version}-{os.getpid()}") as folder:
        _save_model(ranker, folder)
        extra = folder / "assets.extra"
        extra.mkdir()
        # Without allow_unicode: PyYAML would write U+0085 and U+2028 unescaped and read them back as spaces.
        schema = yaml.safe_dump(ranker.schema.to_dict(), sort_keys=False)
        (extra / "schema.yaml").write_text(schema, encoding="utf-8")
    return final


def _save_model(ranker: MultitaskRanker, folder: Path) -> None:
    # Keras's archive contains only the forward pass and its variables. Saving the model itself would add the training
    # step, the optimizer and Keras's metadata.
    archive = ExportArchive()
    archive.track(ranker)

    def serve(columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return ranker.call(strip_null_bytes(columns))

    archive.add_endpoint("serving_default", serve, input_signature=[make_input_specs(ranker.schema)])
    # Suppresses the usage hints that the archive prints.
    with contextlib.redirect_stdout(io.StringIO()):
        archive.write_out(str(folder))
