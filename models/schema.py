"""What enters and leaves a ranker.

The schema is the single source for that: data sources produce its columns, the ranker reads them, the export's signature
names them and the report lists them. Nothing here needs TensorFlow.

Missing values have one form each, the same in training and in serving:

* a categorical value or a place of a bag that is not there: ``-1`` for integers, ``""`` for strings;
* a number that is not there: NaN, for which the ranker takes the feature's ``default``;
* a label that is not there: NaN. A row whose labels are all NaN trains nothing and counts in no metric, which is also how
  batches are padded.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

FEATURE_KINDS = ("numerical", "categorical", "bag")
TASK_KINDS = ("binary", "regression")
NORMALIZATIONS = ("standard", "log", "none")
COMBINERS = ("mean", "sum")
MISSING_INTEGER = -1
MISSING_STRING = b""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Feature:
    """One column that the ranker reads.

    Attributes:
      name: The column's name, and its name in the serving signature: letters, digits and underscores.
      kind: ``numerical`` (one float or a vector of them), ``categorical`` (one id or string) or ``bag`` (several ids or
        strings in one row, such as a history).
      dtype: ``float32``, ``int64`` or ``string``. Empty: float32 for a numerical feature, int64 for the others.
      width: Floats a row of a numerical feature; most values a row of a bag. A categorical feature has width 1.
      normalization: Numerical only. ``standard`` subtracts the mean and divides by the standard deviation; ``log`` does
        so after ``sign(x) * log(1 + |x|)``, for heavy-tailed counters; ``none`` passes the raw value on. Mean and
        deviation are learned from data and live in the model.
      vocabulary: The known values, in order. Any other value shares one row of the embedding table.
      vocabulary_size: So many of the most frequent values in the data become the vocabulary, before training.
      num_ids: The values are integers from 0 to ``num_ids - 1``. Any other value shares one row.
      hash_buckets: The values are hashed into this many buckets. For sets of ids that are large or open.
      embedding_width: Columns of the embedding table. Categorical and bag only.
      table: Features that name the same table share its embeddings. Empty: a table of its own, called as the feature.
      combiner: Bag only: ``mean`` or ``sum`` of the embeddings of the values that are there; zeros when none is.
      column: The column of the user's own log that holds it. Empty: the feature's name.
      default: Numerical only: the value, before any normalisation, that the ranker takes where there is none. None: a missing
        number is a fault of the data.
      minimum: Numerical only: the least value, before any normalisation. What is below is a fault of the data; the ranker
        itself takes it for the bound. None: no bound.
      maximum: Likewise the greatest.
    """

    name: str
    kind: str
    dtype: str = ""
    width: int = 1
    normalization: str = "standard"
    vocabulary: tuple[str | int, ...] = ()
    vocabulary_size: int = 0
    num_ids: int = 0
    hash_buckets: int = 0
    embedding_width: int = 16
    table: str = ""
    combiner: str = "mean"
    column: str = ""
    default: float | None = None
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        _check_name("feature", self.name)
        _check_choice(f"feature '{self.name}': kind", self.kind, FEATURE_KINDS)
        allowed = ("float32",) if self.kind == "numerical" else ("int64", "string")
        object.__setattr__(self, "dtype", self.dtype or allowed[0])
        _check_choice(f"feature '{self.name}': dtype of a {self.kind} feature", self.dtype, allowed)
        _check_choice(f"feature '{self.name}': normalization", self.normalization, NORMALIZATIONS)
        _check_choice(f"feature '{self.name}': combiner", self.combiner, COMBINERS)
        if self.width < 1 or (self.kind == "categorical" and self.width != 1):
            expected = "1" if self.kind == "categorical" else "1 or more"
            raise ValueError(
                f"feature '{self.name}': width of a {self.kind} feature must be {expected}, got {self.width}"
            )
        if self.default is not None and (self.kind != "numerical" or not np.isfinite(self.default)):
            raise ValueError(
                f"feature '{self.name}': default must be a finite number and stands with numerical features only, "
                f"got {self.default} for a {self.kind} one"
            )
        if self.kind != "numerical" and (self.minimum, self.maximum) != (None, None):
            raise ValueError(f"feature '{self.name}': minimum and maximum stand with numerical features only")
        _check_bounds(f"feature '{self.name}'", self.minimum, self.maximum)
        if self.kind == "numerical":
            return
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        given = [n for n in ("vocabulary", "vocabulary_size", "num_ids", "hash_buckets") if getattr(self, n)]
        if len(given) != 1:
            raise ValueError(
                f"feature '{self.name}': expected exactly one of vocabulary, vocabulary_size, num_ids and "
                "hash_buckets, "
                f"got {' and '.join(given) or 'none of them'}"
            )
        numbers = ("vocabulary_size", "num_ids", "hash_buckets", "embedding_width")
        wrong_number = next((n for n in numbers if getattr(self, n) < (n == "embedding_width")), None)
        if wrong_number:
            raise ValueError(
                f"feature '{self.name}': {wrong_number} must be positive, got {getattr(self, wrong_number)}"
            )
        if self.num_ids and self.dtype != "int64":
            raise ValueError(f"feature '{self.name}': num_ids needs dtype int64, got {self.dtype}")
        wanted = int if self.dtype == "int64" else str
        wrong = [v for v in self.vocabulary if type(v) is not wanted]
        if wrong:
            raise ValueError(
                f"feature '{self.name}': a vocabulary for dtype {self.dtype} holds {wanted.__name__} values, "
                f"got {wrong[0]!r}"
            )
        if len(set(self.vocabulary)) != len(self.vocabulary):
            twice = next(v for i, v in enumerate(self.vocabulary) if v in self.vocabulary[:i])
            raise ValueError(f"feature '{self.name}': the vocabulary holds {twice!r} twice")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row: ``()`` for a single value, ``(width,)`` for a vector or a bag."""
        return (self.width,) if self.kind == "bag" or self.width > 1 else ()

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value of a numerical feature, infinite where there is no bound."""
        return _bounds(self.minimum, self.maximum)

    @property
    def log_column(self) -> str:
        """The column of a user's log that holds it."""
        return self.column or self.name

    @property
    def table_name(self) -> str:
        """Name of the embedding table that this feature reads."""
        return self.table or self.name


@dataclasses.dataclass(frozen=True)
class Task:
    """One thing that the ranker predicts.

    Attributes:
      name: Name of the tower, of the output and in the metric keys: letters, digits and underscores.
      kind: ``binary`` (label 0 or 1, cross entropy, the output is a probability) or ``regression`` (label any number,
        squared error, the output is in the label's unit).
      label: The column that holds the label, float32, NaN where it is missing. Empty: the task's name.
      weight: Factor of this task's loss in the sum.
      mask: A column of the user's own log that says in which rows there is a label: true, or a number other than 0. Empty:
        wherever ``label`` has a value.
      label_threshold: Binary only: the label is 1 where the column holds a number above this, else 0: a long watch from seconds, a like from
        stars. None: the column holds the label itself.
      minimum: Regression only: the least label; what is below is a fault of the data. None: no bound.
      maximum: Likewise the greatest.
    """

    name: str
    kind: str
    label: str = ""
    weight: float = 1.0
    mask: str = ""
    label_threshold: float | None = None
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        _check_name("task", self.name)
        _check_choice(f"task '{self.name}': kind", self.kind, TASK_KINDS)
        object.__setattr__(self, "label", self.label or self.name)
        if not (np.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"task '{self.name}': weight must be a finite number above 0, got {self.weight}")
        if self.label_threshold is not None and (self.kind != "binary" or not np.isfinite(self.label_threshold)):
            raise ValueError(
                f"task '{self.name}': label_threshold must be a finite number and stands with binary tasks only, got {self.label_threshold} for a "
                f"{self.kind} one"
            )
        if self.kind == "binary" and (self.minimum, self.maximum) != (None, None):
            raise ValueError(f"task '{self.name}': minimum and maximum stand with regression tasks only")
        _check_bounds(f"task '{self.name}'", self.minimum, self.maximum)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest number of the label's column, infinite where there is no bound."""
        return (
            (0.0, 1.0)
            if self.kind == "binary" and self.label_threshold is None
            else _bounds(self.minimum, self.maximum)
        )

    @property
    def label_column(self) -> str:
        """The column of a batch that holds the label: ``label``, or one of its own where it is made of that."""
        return f"{self.name}.label" if self.has_derived_label else self.label

    @property
    def has_derived_label(self) -> bool:
        """Whether the label is not the column itself, but made of it: by a mask, or of what is above a number."""
        return bool(self.mask) or self.label_threshold is not None


@dataclasses.dataclass(frozen=True)
class Schema:
    """The features and the tasks of a ranker, each name once.

    Attributes:
      features: In the order in which their encodings are concatenated.
      tasks: In the order of the towers.

    Example:
    >>> schema = Schema(
    ...     features=(Feature("age", "numerical"), Feature("country", "categorical", dtype="string", hash_buckets=64)),
    ...     tasks=(Task("click", "binary"),),
    ... )
    >>> schema.label_columns
    ('click',)
    """

    features: tuple[Feature, ...]
    tasks: tuple[Task, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        object.__setattr__(self, "tasks", tuple(self.tasks))
        for what, items in (("feature", self.features), ("task", self.tasks)):
            names = [item.name for item in items]
            if not names:
                raise ValueError(f"a schema needs at least one {what}, got none")
            twice = next((n for n in names if names.count(n) > 1), None)
            if twice:
                raise ValueError(f"two {what}s are called '{twice}'; each name may stand once")
        leaks = {f.log_column for f in self.features} & {task.label for task in self.tasks}
        leaks |= {f.name for f in self.features} & set(self.label_columns)
        if leaks:
            raise ValueError(
                f"column '{min(leaks)}' is both a feature and a label: the ranker would read what it predicts"
            )
        tables: dict[str, Feature] = {}
        for feature in self.features:
            if feature.kind == "numerical":
                continue
            first = tables.setdefault(feature.table_name, feature)
            if _table_of(first) != _table_of(feature):
                raise ValueError(
                    f"features '{first.name}' and '{feature.name}' share the table '{feature.table_name}' and must agree "
                    "in dtype, vocabulary, vocabulary_size, num_ids, hash_buckets and embedding_width"
                )

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that hold labels, in the order of the tasks, each once."""
        return tuple(dict.fromkeys(task.label_column for task in self.tasks))

    @property
    def columns(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Every column of a batch: name -> (dtype, shape of one row); features first, then labels."""
        specs = {f.name: (f.dtype, f.shape) for f in self.features}
        return specs | dict.fromkeys(self.label_columns, ("float32", ()))

    def to_dict(self) -> dict[str, Any]:
        """The schema in plain types, without what is at its default: what a YAML file holds."""
        return {
            "features": [_without_defaults(feature) for feature in self.features],
            "tasks": [_without_defaults(task) for task in self.tasks],
        }


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"a {what}'s name must be letters, digits and underscores, a letter first, got {name!r}")


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, got {value!r}")


def _check_bounds(what: str, minimum: float | None, maximum: float | None) -> None:
    for bound in (minimum, maximum):
        if bound is not None and not np.isfinite(bound):
            raise ValueError(f"{what}: a bound must be a finite number, got {bound}")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValueError(f"{what}: minimum must not be above maximum, got {minimum} and {maximum}")


def _bounds(minimum: float | None, maximum: float | None) -> tuple[float, float]:
    return -np.inf if minimum is None else minimum, np.inf if maximum is None else maximum


def _table_of(feature: Feature) -> tuple:
    return (
        feature.dtype,
        feature.vocabulary,
        feature.vocabulary_size,
        feature.num_ids,
        feature.hash_buckets,
        feature.embedding_width,
    )


def _without_defaults(item: Feature | Task) -> dict[str, Any]:
    plain = {}
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if value != field.default:
            plain[field.name] = list(value) if isinstance(value, tuple) else value
    return plain
