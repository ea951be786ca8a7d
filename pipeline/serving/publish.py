"""Puts a ranker where a server finds it: complete, or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from pathlib import Path

import yaml
from tf_keras.export import ExportArchive

from ...models.ranker import MultitaskRanker
from .signatures import make_input_specs


def export_ranker(ranker: MultitaskRanker, export_dir: str | os.PathLike[str], version: int | None = None) -> Path:
    """Writes a SavedModel to ``export_dir/<version>/``.

    The model needs TensorFlow alone to load. Its signature ``serving_default`` takes the schema's features, raw and by
    name, any number of rows, and gives one output for each task, by name. The schema lies in
    ``assets.extra/schema.yaml``.

    A server that watches ``export_dir`` sees the version when it is complete: it is written beside its place, in a folder whose name
    is no version, and renamed.

    Args:
      ranker: The ranker.
      export_dir: Parent of the versions.
      version: A positive integer; servers serve the greatest. Default: the time in seconds, or one more than the greatest
        version that is there, if that is greater.

    Returns:
      The version's folder.

    Raises:
      ValueError: When the version is not a positive integer or is there already.
    """
    export_dir = Path(export_dir)
    there = [int(entry.name) for entry in export_dir.glob("*") if entry.name.isdigit()]
    if version is None:
        version = max([int(time.time()), *(1 + v for v in there)])
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"version must be a positive integer, got {version!r}")
    if version in there:
        raise ValueError(f"version {version} is in {export_dir} already; leave the version out to get a new one")
    export_dir.mkdir(parents=True, exist_ok=True)
    beside = export_dir / f".incomplete-{version}-{os.getpid()}"
    try:
        _save(ranker, beside)
        extra = beside / "assets.extra"
        extra.mkdir()
        # Not with allow_unicode: PyYAML then writes U+0085 and U+2028 as they are, and reads them as spaces.
        schema = yaml.safe_dump(ranker.schema.to_dict(), sort_keys=False)
        (extra / "schema.yaml").write_text(schema, encoding="utf-8")
        final = export_dir / str(version)
        os.rename(beside, final)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return final


def _save(ranker: MultitaskRanker, path: Path) -> None:
    # Keras's archive holds the forward pass and its variables; saving the model itself would add the training step,
    # the optimizer and Keras's own metadata. It also prints how to call the signature, which is in the README.
    archive = ExportArchive()
    archive.track(ranker)
    archive.add_endpoint("serving_default", ranker.call, input_signature=[make_input_specs(ranker.schema)])
    with contextlib.redirect_stdout(io.StringIO()):
        archive.write_out(str(path))
