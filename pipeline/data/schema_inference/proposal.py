"""Looks at a log's columns and proposes a schema for them, with the statistics that led to it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....models.schema import Feature, Schema, Task
from ..files import layout
from ..files.arrow_columns import is_list, is_number, is_text, to_single_array
from ..files.readers import read_sample
from ..tfds.features import ColumnMetadata

# Values of a vocabulary, ids that are counted from 0, places of a bag, and buckets of a hash.
_MOST_WORDS, _MOST_LEARNED, _MOST_IDS, _MOST_PLACES, _MOST_BUCKETS = 100, 10_000, 1000, 50, 1 << 20
# Names of columns that people predict, and of those that are ids although they are numbers.
_LABEL = re.compile(
    r"(?i)^(label|target|y)\d*$|click|like|share|purchas|bought|conver|install|watch|rating|reward|outcome|is_|survived"
)
_ID = re.compile(r"(?i)(^|_)(id|key|code|zip|hash|no)\d*$|id\d*$")
_TIME = re.compile(r"(?i)(^|[^a-z])(time|date|datetime|ts|at)([^a-z]|$)|timestamp")
_SAMPLE_PARTS = 4
# Of classes, in a comment.
_MOST_NAMES = 20


@dataclasses.dataclass(frozen=True)
class Column:
    """One column, and what becomes of it.

    Attributes:
      name: In the log.
      seen: What was seen, in words.
      feature: The feature that is proposed; None for a column that is left out or a label.
      task: The task that is proposed; None for any other.
      why_not: Why it is neither.
    """

    name: str
    seen: str
    feature: Feature | None = None
    task: Task | None = None
    why_not: str = ""


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What is proposed for a log.

    Attributes:
      days, rows: Of the log; ``days`` are names.
      looked_at: Rows that the statistics are from.
      columns: In the order of the log.
    """

    days: Sequence[str]
    rows: int
    looked_at: int
    columns: Sequence[Column]

    @property
    def schema(self) -> Schema:
        """The schema.

        Raises:
          ValueError: When there is no feature or no task.
        """
        return Schema(
            tuple(column.feature for column in self.columns if column.feature),
            tuple(column.task for column in self.columns if column.task),
        )


def propose(path: str, labels: Sequence[str] = (), rows: int = 200_000) -> Proposal:
    """Looks at parts of a log from its beginning, middle and end.

    Args:
      path: See :func:`.layout.find_layout`.
      labels: Columns that are to be predicted. None: those whose name and values look like it.
      rows: About how many rows are looked at.

    Raises:
      UserError: When there is no log, or it cannot be read.
    """
    found = layout.find_layout(path)
    total, sample = read_sample(found, rows, _SAMPLE_PARTS)
    columns = [
        _column(name, sample.column(name), labels, found.column_metadata.get(name, ColumnMetadata()))
        for name in sample.column_names
    ]
    return Proposal([name for name, _ in found.days], total, sample.num_rows, columns)


def _column(name: str, column: pa.ChunkedArray, labels: Sequence[str], known: ColumnMetadata) -> Column:
    if known.why_unsupported:
        return Column(name, f"in the files: {column.type}", why_not=known.why_unsupported)
    # What has more than two classes is no label that a ranker predicts, whatever its name.
    proposed = _from_values(name, column, labels, guess=not labels and known.num_classes <= 2)
    return _of_classes(proposed, known) if known.num_classes else proposed


def _of_classes(column: Column, known: ColumnMetadata) -> Column:
    """The same, with the number of classes that is known, and their names."""
    names = ", ".join(f"{i} {_printable(name)}" for i, name in enumerate(known.class_names[:_MOST_NAMES]))
    names += ", …" if len(known.class_names) > _MOST_NAMES else ""
    seen = f"one of {known.num_classes:,} classes{': ' if names else ''}{names}; {column.seen}"
    given = column.feature
    if given is None:
        return dataclasses.replace(column, seen=seen)
    kind = given.kind if given.kind == "bag" else "categorical"
    feature = Feature(
        given.name,
        kind,
        width=given.width if kind == "bag" else 1,
        num_ids=known.num_classes,
        embedding_width=_width(known.num_classes),
        column=given.column,
    )
    return dataclasses.replace(column, seen=seen, feature=feature)


def _from_values(name: str, column: pa.ChunkedArray, labels: Sequence[str], guess: bool) -> Column:
    given = to_single_array(column)
    kind = given.type
    if pa.types.is_dictionary(kind):
        given, kind = given.dictionary_decode(), kind.value_type
    missing = given.null_count / max(len(given), 1)
    gaps = f", {missing:.1%} missing" if missing else ""
    wanted = name in labels
    if given.null_count == len(given):
        return Column(name, "all missing", why_not="it has no value")
    if is_number(kind):
        return _numbers(name, given, gaps, wanted, guess)
    if is_text(kind):
        return _strings(name, given, gaps)
    if is_list(kind):
        return _lists(name, given, gaps)
    return Column(name, str(kind), why_not=f"{kind} is no kind that a ranker reads; turn it into numbers or strings")


def _numbers(name: str, given: pa.Array, gaps: str, wanted: bool, guess: bool) -> Column:
    whole = pa.types.is_integer(given.type) or pa.types.is_boolean(given.type)
    if pa.types.is_boolean(given.type):
        given = pc.cast(given, pa.int8())
    values = pc.cast(pc.drop_null(given), pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Column(name, "no finite value", why_not="it has no finite value")
    low, middle, high = np.quantile(finite, [0, 0.5, 1])
    distinct = len(np.unique(finite))
    broken = 1 - finite.size / values.size
    gaps += f", {broken:.2%} not finite" if broken else ""
    seen = f"{'whole numbers' if whole else 'numbers'} {low:g} to {high:g}, median {middle:g}, {distinct:,} different{gaps}"
    binary = distinct == 2 and low == 0 and high == 1
    if wanted or (guess and _LABEL.search(name) and (binary or not whole or distinct <= 20)):
        share = (
            f", {finite.mean():.2%} are 1" if binary else f", mean {finite.mean():.4g}, deviation {finite.std():.4g}"
        )
        weight = 1.0 if binary else float(f"{1 / max(float(finite.var()), 1e-6):.1g}")
        label = "" if _safe(name) == name else name
        return Column(
            name, seen + share, task=Task(_safe(name), "binary" if binary else "regression", label=label, weight=weight)
        )
    if distinct == 1:
        return Column(name, seen, why_not="it is always the same")
    if _TIME.search(name) and low > 1e6:
        return Column(name, seen, why_not="it is a time: those that are served come after all that were learned")
    if whole and distinct == values.size > 1000 and (high - low + 1 == distinct or np.mean(np.diff(values) == 1) > 0.9):
        return Column(name, seen, why_not="it numbers the rows")
    named = _named(name)
    is_id = whole and (_ID.search(name) or (distinct > 0.5 * finite.size and high > 10_000))
    if is_id and low >= 0 and high < _MOST_IDS:
        return Column(
            name, seen, Feature(kind="categorical", num_ids=int(high) + 1, embedding_width=_width(distinct), **named)
        )
    if is_id:
        return Column(
            name,
            seen,
            Feature(kind="categorical", hash_buckets=_buckets(distinct), embedding_width=_width(distinct), **named),
        )
    if whole and low >= 0 and distinct <= 32 and high < 100:
        return Column(
            name, seen, Feature(kind="categorical", num_ids=int(high) + 1, embedding_width=_width(distinct), **named)
        )
    # A counter: its largest values would be all that its mean and deviation tell of.
    tail = low >= 0 and high > 20 * max(middle, float(finite.mean()) / 5, 1e-9)
    return Column(
        name,
        seen,
        Feature(
            kind="numerical",
            normalization="log" if tail else "standard",
            default=float(f"{middle:.4g}") if given.null_count or np.isnan(values).any() else None,
            **named,
        ),
    )


def _strings(name: str, given: pa.Array, gaps: str) -> Column:
    words, counts = _counted(given)
    longest = max(map(len, words))
    seen = f"strings, {len(words):,} different, up to {longest} long{gaps}"
    if len(words) == 1:
        return Column(name, seen, why_not="it is always the same")
    if len(words) > 0.9 * (len(given) - given.null_count) and len(words) > 1000:
        return Column(name, seen, why_not="it is different in almost every row")
    named = _named(name)
    return Column(
        name,
        seen,
        Feature(
            kind="categorical",
            dtype="string",
            embedding_width=_width(len(words)),
            **_known(words, counts, name),
            **named,
        ),
    )


def _lists(name: str, given: pa.Array, gaps: str) -> Column:
    lengths = pc.drop_null(pc.list_value_length(given)).to_numpy(zero_copy_only=False)
    values = pc.drop_null(given.flatten())
    kind = values.type
    seen = f"lists of {kind}, {lengths.min()} to {lengths.max()} long, median {np.median(lengths):g}{gaps}"
    named = _named(name)
    if not len(values):
        return Column(name, seen, why_not="its lists are empty")
    if pa.types.is_floating(kind) and lengths.min() == lengths.max():
        default = 0.0 if given.null_count else None
        return Column(name, seen, Feature(kind="numerical", width=int(lengths[0]), default=default, **named))
    width = int(min(max(np.quantile(lengths, 0.99), 1), _MOST_PLACES))
    if pa.types.is_integer(kind):
        numbers = values.to_numpy(zero_copy_only=False)
        distinct, low, high = len(np.unique(numbers)), int(numbers.min()), int(numbers.max())
        seen += f"; {distinct:,} different values, {low} to {high}"
        ids: dict[str, Any] = (
            {"num_ids": high + 1} if low >= 0 and high < _MOST_IDS else {"hash_buckets": _buckets(distinct)}
        )
        return Column(name, seen, Feature(kind="bag", width=width, embedding_width=_width(distinct), **ids, **named))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        words, counts = _counted(values)
        seen += f"; {len(words):,} different values"
        known = _known(words, counts, name)
        return Column(
            name,
            seen,
            Feature(kind="bag", dtype="string", width=width, embedding_width=_width(len(words)), **known, **named),
        )
    return Column(name, seen, why_not=f"lists of {kind} of different lengths are no kind that a ranker reads")


def _counted(given: pa.Array) -> tuple[list[str], np.ndarray]:
    """The values, the most frequent first, and how often each stands there."""
    # As bytes: not every writer keeps to UTF-8.
    counted = pc.value_counts(pc.cast(pc.drop_null(given), pa.large_binary()))
    pairs = [
        (v.decode("utf-8", "replace"), n)
        for v, n in zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    ]
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    return [word for word, _ in pairs], np.array([count for _, count in pairs])


def _known(words: Sequence[str], counts: np.ndarray, name: str) -> dict[str, Any]:
    """A vocabulary, where the values are few and come again; one that is learned, where they are more; else buckets of a hash."""
    # Values that were seen once tell of others that were not seen at all.
    if not _ID.search(name) and len(words) <= _MOST_WORDS and (counts == 1).sum() <= 0.1 * len(words):
        return {"vocabulary": tuple(word for word in words if word)}
    if not _ID.search(name) and len(words) <= _MOST_LEARNED:
        # With room for what was not seen.
        return {"vocabulary_size": int(float(f"{1.5 * len(words):.1g}"))}
    return {"hash_buckets": _buckets(len(words))}


def _buckets(distinct: int) -> int:
    """A power of two, with room for as many again."""
    return int(min(max(1 << (2 * distinct).bit_length(), 16), _MOST_BUCKETS))


def _width(distinct: int) -> int:
    """Columns of an embedding table: more values have more to tell."""
    return 4 if distinct <= 10 else 8 if distinct <= 1000 else 16


def _printable(text: str) -> str:
    """On one line, so that it can stand in a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _named(name: str) -> dict[str, Any]:
    return {"name": _safe(name), "column": "" if _safe(name) == name else name}


def _safe(name: str) -> str:
    """A name of letters, digits and underscores."""
    safe = re.sub(r"\W", "_", name, flags=re.ASCII)
    return safe if re.match(r"[A-Za-z]", safe) else f"x_{safe}"
