"""The schema: what enters and leaves a ranker.

The schema is the single source of truth: data sources produce its columns, the ranker reads them, the signature of an
export names them, and the report lists them. This module does not import TensorFlow.

Each kind of missing value has one form, in training and in serving:

| missing | form |
|---|---|
| a categorical value, or an unused slot of a bag | ``-1`` for integers, ``""`` for strings |
| a number | NaN; the ranker uses the feature's ``default`` instead |
| a label | NaN |

A row whose labels are all NaN has no effect on training and metrics. Batches are padded with such rows.

The columns of a batch are the features, the labels, and the weights of the rows (``Task.example_weight``). A weight is
a number of 0 or more. A row of weight 0 has no effect on the task, as if it had no label.
"""

from __future__ import annotations

import dataclasses
import keyword
import re
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from .schema_checks import (
    check_bounds,
    check_choice,
    check_name,
    check_names_differ_in_more_than_case,
    check_unique_names,
    is_float32,
    replace_missing_bounds,
)

FeatureKind: TypeAlias = Literal["numerical", "categorical", "bag"]
TaskKind: TypeAlias = Literal["binary", "regression"]
Normalization: TypeAlias = Literal["standard", "log", "none"]
Combiner: TypeAlias = Literal["mean", "sum"]
MISSING_INTEGER = -1
MISSING_STRING = b""

# What TensorFlow accepts in the name of a variable.
_TABLE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_ENCODINGS = ("vocabulary", "vocabulary_size", "num_ids", "hash_buckets")


@dataclasses.dataclass(frozen=True)
class Feature:
    """A column that the ranker reads.

    A categorical feature or a bag needs exactly one of ``vocabulary``, ``vocabulary_size``, ``num_ids`` and
    ``hash_buckets``.

    Attributes:
      name: Name of the column and of the input in the serving signature: letters, digits and underscores, starting with
        a letter. Not ``self`` or a Python keyword such as ``class``; for such a column, set ``column``.
      kind: ``numerical``: a number or a vector of numbers. ``categorical``: an id or a string. ``bag``: several ids or
        strings in one row, such as a history.
      dtype: ``float32``, ``int64`` or ``string``. Empty: float32 for a numerical feature, int64 otherwise.
      width: Numerical: numbers per row. Bag: largest number of values per row. Categorical: 1.
      normalization: Numerical only. ``standard`` subtracts the mean and divides by the standard deviation. ``log`` does
        the same after ``sign(x) * log(1 + |x|)``, for counters with heavy tails. ``none`` does not change the number.
        Mean and standard deviation are computed from data and stored in the model.
      vocabulary: The known values, in order. All other values share one row of the embedding table.
      vocabulary_size: Number of values in the vocabulary, which holds the most frequent values of the data and is
        computed before training.
      num_ids: The values are integers from 0 to ``num_ids - 1``. All other values share one row.
      hash_buckets: Number of buckets into which the values are hashed. Use it for sets of ids that are large or keep
        growing.
      embedding_width: Categorical and bag only: number of columns of the embedding table.
      table: Features with the same table share its embeddings: letters, digits and ``_./-``. Empty: the feature has its
        own table, named like the feature.
      combiner: Bag only: ``mean`` or ``sum`` of the embeddings of the values that are present; zeros if there are none.
      column: Name of the column in your own log. Empty: the feature's name.
      default: Numerical only: the number, before normalization, that replaces a missing number. None: a missing number
        is a fault of the data.
      minimum: Numerical only: the smallest valid number, before normalization. A smaller number is a fault of the data;
        the ranker clips it to the minimum. None: no bound.
      maximum: Numerical only: the largest valid number; see ``minimum``.

    Raises:
      ValueError: If an argument is out of range, or does not fit the kind of feature.

    Example:
    >>> Feature("country", "categorical", dtype="string", hash_buckets=64).dtype
    'string'
    """

    name: str
    kind: FeatureKind
    dtype: Literal["", "float32", "int64", "string"] = ""
    width: int = 1
    normalization: Normalization = "standard"
    vocabulary: tuple[str | int, ...] = ()
    vocabulary_size: int = 0
    num_ids: int = 0
    hash_buckets: int = 0
    embedding_width: int = 16
    table: str = ""
    combiner: Combiner = "mean"
    column: str = ""
    default: float | None = None
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        check_name("feature", self.name)
        if is_reserved(self.name):
            raise ValueError(
                f"a feature cannot be named '{self.name}', because Python does not allow an exported model to have such an "
                f"input; use name: {self.name}_ and column: {self.log_column}"
            )
        subject = f"feature '{self.name}'"
        check_choice(f"{subject}: kind", self.kind, get_args(FeatureKind))
        dtypes = ("float32",) if self.kind == "numerical" else ("int64", "string")
        object.__setattr__(self, "dtype", self.dtype or dtypes[0])
        check_choice(f"{subject}: dtype of a {self.kind} feature", self.dtype, dtypes)
        check_choice(f"{subject}: normalization", self.normalization, get_args(Normalization))
        check_choice(f"{subject}: combiner", self.combiner, get_args(Combiner))
        if self.width < 1 or (self.kind == "categorical" and self.width != 1):
            expected = "1" if self.kind == "categorical" else "1 or more"
            raise ValueError(f"{subject}: width of a {self.kind} feature must be {expected}, got {self.width}")
        if self.kind == "numerical":
            if self.default is not None and not is_float32(self.default):
                raise ValueError(f"{subject}: default must be a finite number, got {self.default}")
            check_bounds(subject, self.minimum, self.maximum)
        else:
            self._check_encoding(subject)

    def _check_encoding(self, subject: str) -> None:
        """Checks what a categorical feature or a bag needs."""
        for name in ("default", "minimum", "maximum"):
            if getattr(self, name) is not None:
                raise ValueError(f"{subject}: {name} is allowed for numerical features only, got a {self.kind} feature")
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        if self.table and not _TABLE_NAME.fullmatch(self.table):
            raise ValueError(f"{subject}: table must consist of letters, digits and _ . / -, got {self.table!r}")
        encodings = [name for name in _ENCODINGS if getattr(self, name)]
        if len(encodings) != 1:
            raise ValueError(
                f"{subject}: expected exactly one of vocabulary, vocabulary_size, num_ids and hash_buckets, "
                f"got {' and '.join(encodings) or 'none of them'}"
            )
        for name, minimum in (("vocabulary_size", 0), ("num_ids", 0), ("hash_buckets", 0), ("embedding_width", 1)):
            if getattr(self, name) < minimum:
                raise ValueError(f"{subject}: {name} must be positive, got {getattr(self, name)}")
        if self.num_ids and self.dtype != "int64":
            raise ValueError(f"{subject}: num_ids needs dtype int64, got {self.dtype}")
        value_type = int if self.dtype == "int64" else str
        quotes = "; in YAML, put quotes around each value" if self.dtype == "string" else ""
        known = set()
        for value in self.vocabulary:
            if type(value) is not value_type:
                raise ValueError(
                    f"{subject}: a vocabulary for dtype {self.dtype} must contain {value_type.__name__} values, "
                    f"got {value!r}{quotes}"
                )
            if value in known:
                raise ValueError(f"{subject}: the vocabulary holds {value!r} twice")
            known.add(value)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row: ``()`` for a single value, ``(width,)`` for a vector or a bag."""
        return (self.width,) if self.kind == "bag" or self.width > 1 else ()

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest valid number; infinite if there is no bound."""
        return replace_missing_bounds(self.minimum, self.maximum)

    @property
    def log_column(self) -> str:
        """The column of the user's log that holds the feature."""
        return self.column or self.name

    @property
    def table_name(self) -> str:
        """The name of the embedding table that the feature reads."""
        return self.table or self.name


@dataclasses.dataclass(frozen=True)
class Task:
    """An outcome that the ranker predicts.

    Attributes:
      name: Name of the tower, of the output in the serving signature, and in metric keys: letters, digits and
        underscores, starting with a letter.
      kind: ``binary``: the label is 0 or 1, the loss is cross entropy and the output is a probability. ``regression``:
        the label is any number, the loss is squared error and the output is in the label's unit.
      label: Column that holds the label, float32, NaN where it is missing. Empty: the task's name.
      weight: Factor of this task's loss in the total loss.
      mask: Column of your own log that says which rows have a label: true, or a number other than 0. Empty: the rows in
        which ``label`` has a value.
      label_threshold: Binary only: the label is 1 if the column's number is above this threshold, else 0. For example,
        15 turns a delay in minutes into "late". None: the column holds the label itself.
      minimum: Regression only: the smallest valid label. A smaller one is a fault of the data. None: no bound.
      maximum: Regression only: the largest valid label; see ``minimum``.
      example_weight: Column of your own log with the weight of each row, 0 or more. It multiplies the row's loss of this
        task. Weights are relative: the loss and all metrics are weighted means over the rows with a label, so a row of
        weight 2 counts as two rows. Empty: all rows have the weight 1.

    Raises:
      ValueError: If an argument is out of range, or does not fit the kind of task.

    Example:
    >>> Task("late", "binary", label="arrival_delay", label_threshold=15.0).label_column
    'late.label'
    """

    name: str
    kind: TaskKind
    label: str = ""
    weight: float = 1.0
    mask: str = ""
    label_threshold: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    example_weight: str = ""

    def __post_init__(self) -> None:
        check_name("task", self.name)
        subject = f"task '{self.name}'"
        check_choice(f"{subject}: kind", self.kind, get_args(TaskKind))
        object.__setattr__(self, "label", self.label or self.name)
        if not (np.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"{subject}: weight must be a finite number above 0, got {self.weight}")
        if self.kind == "regression":
            if self.label_threshold is not None:
                raise ValueError(f"{subject}: label_threshold is allowed for binary tasks only, got a regression task")
            check_bounds(subject, self.minimum, self.maximum)
            return
        if self.label_threshold is not None and not np.isfinite(self.label_threshold):
            raise ValueError(f"{subject}: label_threshold must be a finite number, got {self.label_threshold}")
        if (self.minimum, self.maximum) != (None, None):
            raise ValueError(f"{subject}: minimum and maximum are allowed for regression tasks only")

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest valid number of the label's column; infinite if there is no bound."""
        if self.kind == "binary" and self.label_threshold is None:
            return 0.0, 1.0
        return replace_missing_bounds(self.minimum, self.maximum)

    @property
    def label_column(self) -> str:
        """The batch's column with the label: ``label``, or ``<name>.label`` if the label is derived from it."""
        return f"{self.name}.label" if self.has_derived_label else self.label

    @property
    def has_derived_label(self) -> bool:
        """Whether the label is derived from its column, by a mask, a threshold or a weight of 0."""
        return bool(self.mask or self.example_weight) or self.label_threshold is not None


@dataclasses.dataclass(frozen=True)
class Schema:
    """The features and the tasks of a ranker.

    Attributes:
      features: The features, in the order in which their encodings are concatenated.
      tasks: The tasks, in the order of the towers.

    Raises:
      ValueError: If there is no feature or no task, a name appears twice, a column has two of the roles feature, label and
        example weight, or features that share an embedding table differ in how they use it.

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
        check_unique_names("feature", [feature.name for feature in self.features])
        check_unique_names("task", [task.name for task in self.tasks])
        check_names_differ_in_more_than_case([feature.name for feature in self.features])
        self._check_labels()
        self._check_example_weights()
        first_of_table: dict[str, Feature] = {}
        for feature in self.features:
            if feature.kind == "numerical":
                continue
            first = first_of_table.setdefault(feature.table_name, feature)
            if _table_settings(first) != _table_settings(feature):
                raise ValueError(
                    f"features '{first.name}' and '{feature.name}' share the table '{feature.table_name}', so they must "
                    "agree in dtype, vocabulary, vocabulary_size, num_ids, hash_buckets and embedding_width"
                )

    def _check_labels(self) -> None:
        """Checks that no feature reads a label or has the name of a label's column."""
        leaks = {feature.log_column for feature in self.features} & {task.label for task in self.tasks}
        if leaks:
            raise ValueError(
                f"column '{min(leaks)}' is both a feature and a label, so the ranker would read what it predicts"
            )
        for feature in self.features:
            if feature.name in self.label_columns:
                raise ValueError(
                    f"feature '{feature.name}' has the name of a label's column, so a column of the batch would be both a "
                    f"feature and a label; give the feature another name, and keep column: {feature.log_column}"
                )

    def _check_example_weights(self) -> None:
        """Checks that no example weight is a feature or a label, or has the name of such a column."""
        labels = {*self.label_columns, *(task.label for task in self.tasks)}
        for task in self.tasks:
            weight = task.example_weight
            for feature in self.features:
                if weight and weight in (feature.name, feature.log_column):
                    hint = f"give the feature another name, and keep column: {feature.log_column}"
                    raise ValueError(
                        f"column '{weight}' is the example_weight of task '{task.name}' and "
                        + (
                            f"feature '{feature.name}'; the weight is unknown at serving time, so remove the feature"
                            if weight == feature.log_column
                            else f"the name of a feature; {hint}"
                        )
                    )
            if weight in labels:
                raise ValueError(
                    f"column '{weight}' is both a label and the example_weight of task '{task.name}'; copy it to a column "
                    "of its own in the log"
                )

    @property
    def example_weight_columns(self) -> tuple[str, ...]:
        """The columns of a batch with the weights of the rows, in the order of the tasks, without repetition."""
        return tuple(dict.fromkeys(task.example_weight for task in self.tasks if task.example_weight))

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The label columns of a batch, in the order of the tasks, without repetition."""
        return tuple(dict.fromkeys(task.label_column for task in self.tasks))

    @property
    def columns(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The dtype and the shape of one row of every column of a batch, by name: features, labels, example weights."""
        specs: dict[str, tuple[str, tuple[int, ...]]] = {f.name: (f.dtype, f.shape) for f in self.features}
        return specs | dict.fromkeys((*self.label_columns, *self.example_weight_columns), ("float32", ()))

    def to_dict(self) -> dict[str, Any]:
        """Returns the schema in plain types without default values, in the form of a YAML file."""
        return {
            "features": [_omit_defaults(feature) for feature in self.features],
            "tasks": [_omit_defaults(task) for task in self.tasks],
        }


def is_reserved(name: str) -> bool:
    """Returns whether a feature cannot have a name, because no Python function can have such an argument.

    ``tf.saved_model.load`` makes the inputs of a signature arguments of a Python method.

    Example:
    >>> is_reserved("class"), is_reserved("self"), is_reserved("class_")
    (True, True, False)
    """
    return keyword.iskeyword(name) or name == "self"


def _table_settings(feature: Feature) -> tuple[Any, ...]:
    return (feature.dtype, *(getattr(feature, name) for name in _ENCODINGS), feature.embedding_width)


def _omit_defaults(item: Feature | Task) -> dict[str, Any]:
    plain = {}
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if value != field.default:
            plain[field.name] = list(value) if isinstance(value, tuple) else value
    return plain
