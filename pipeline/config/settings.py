"""The typed configuration of a run: every setting, its unit and its default.

A configuration is checked as a whole when it is made and never changes after. Its YAML form is the same tree of names;
see :mod:`.presets` for whole configurations by name and :mod:`.flags` for the command line.
"""

from __future__ import annotations

import dataclasses
import math
import re

SOURCES = ("simulated", "movielens", "files")
ON_INVALID = ("fail", "skip", "clamp")
ON_ANOMALOUS_DAY = ("warn", "skip", "fail")
RULES = ("none", "gc", "agc", "lamb", "clippy", "adagc")
# What may share one factor under a rule, and whether the rule may scale the gradient or the step.
_GRANULARITIES: dict[str, tuple[str, ...]] = {
    "gc": ("variable", "global"),
    "agc": ("variable", "unit"),
    "clippy": ("variable", "row"),
}
_ORDERED = ("gc", "agc", "adagc")
STRATEGIES = ("one_device", "mirrored")
ON_DIVERGENCE = ("stop", "rollback", "observe")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True)
class Simulated:
    """The simulated log of a video platform (``data.source: simulated``).

    Attributes:
      days: Days in the log.
      rows_per_day: Impressions a day.
      users: Users of the platform; their activity follows a Zipf law.
      videos: Videos of the platform; their popularity follows a Zipf law.
      seed: Seed of the platform and of its log; independent of the run's own seed.
      hazards: What goes wrong, as ``name@day`` or ``name@day*strength``: ``shift@5``, ``viral@7*2``. The days count from
        0. Names: ``shift``, ``new_feature``, ``heavy_labels``, ``viral``, ``corruption``.
    """

    days: int = 15
    rows_per_day: int = 131_072
    users: int = 5_000
    videos: int = 2_000
    seed: int = 0
    hazards: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Movielens:
    """MovieLens through TensorFlow Datasets (``data.source: movielens``).

    Attributes:
      name: The ratings of the family, as TFDS calls them: ``100k-ratings``, ``1m-ratings``, ``latest-small-ratings`` …
      data_dir: Folder of prepared TFDS data. Empty: TFDS's own default. What is not there is downloaded.
      periods: The ratings, in the order of time, are cut into this many "days" of equal length.
    """

    name: str = "100k-ratings"
    data_dir: str = ""
    periods: int = 20


@dataclasses.dataclass(frozen=True)
class Files:
    """A log of one's own (``data.source: files``).

    Attributes:
      path: A file of Parquet or TFRecord, a folder of them, or a folder with a folder for each day, called
        ``day=2026-11-01`` or alike; also ``s3://...`` or ``gs://...``; or a dataset that TFDS has prepared,
        ``tfds://NAME[/CONFIG][:VERSION][?split=train+test&data_dir=DIR]``, each split a day where several are named.
      schema: YAML file that says which columns are features and which are labels, and of what kind.
      periods: Without folders for the days, the rows in their order are cut into so many "days" of equal length.
      on_invalid: What is done with a row that has numbers that are not finite, or features or labels out of range: ``fail``;
        ``skip``: it trains nothing, is counted, and is written to the run's ``quarantine.jsonl``; or ``clamp``: numbers
        beyond a bound are put to it, counted and written there, and a row that has other faults is skipped.
      max_invalid_share: Most rows of a day that may be skipped, as a share; beyond it the run fails.
      checked_rows_per_day: About how many rows of each day are looked at before the run, to hold them against those of the days
        before; 0: no day is checked.
      on_anomalous_day: What is done about a day on which a check found something: ``warn`` says so and trains on it, ``skip`` trains
        without it, ``fail`` ends the run before it begins. A day without rows ends it as well, unless it is skipped.
      max_anomalous_share: Most days that may be left out, as a share; beyond it the run fails.
    """

    path: str = ""
    schema: str = ""
    periods: int = 10
    on_invalid: str = "fail"
    max_invalid_share: float = 0.001
    checked_rows_per_day: int = 32_768
    on_anomalous_day: str = "warn"
    max_anomalous_share: float = 0.1


@dataclasses.dataclass(frozen=True)
class Data:
    """Where the log comes from and how it is cut.

    Attributes:
      source: ``simulated``, ``movielens`` or ``files``.
      batch_size: Rows of one training step, over all replicas.
      holdout_days: Last days that are never trained on; the exported model is judged on them.
      passes: How often each day is trained on before the next.
      shuffle: Whether the rows are permuted, a new permutation for each pass.
      shuffle_rows: Rows that are permuted together: of random blocks of the day, until there are so many. 0: each block by
        itself, in the order of the log.
      statistics_rows: The first rows that are trained on, from which the normalisation is learned. 0: all, which is also what
        a schema that wants vocabularies takes.
      service: ``host:port`` of the dispatcher of a tf.data service, whose workers then read the log; see
        ``python -m steadyrank.pipeline.input_service --help``. The batches stay the same. Empty: this process reads it.
      simulated: Settings of the simulated log.
      movielens: Settings of MovieLens.
      files: Settings of a log of one's own.
    """

    source: str = "simulated"
    batch_size: int = 1024
    holdout_days: int = 1
    passes: int = 1
    shuffle: bool = True
    shuffle_rows: int = 0
    statistics_rows: int = 16_384
    service: str = ""
    simulated: Simulated = Simulated()
    movielens: Movielens = Movielens()
    files: Files = Files()


@dataclasses.dataclass(frozen=True)
class Model:
    """The ranker.

    Attributes:
      shared_units: Widths of the shared bottom's layers, from the input upwards.
      cross_layers: Layers of the DCN-v2 in front of the shared bottom; 0 for none.
      cross_projection: Rank of the DCN-v2's weight matrices; 0 for full rank.
      cross_layer_norm: Whether a layer normalisation stands in front of the DCN-v2.
      tower_units: Widths of the hidden layers of each task's tower.
      l2: Factor of the squared weights of the shared bottom, the cross layers and the towers in the loss.
      precision: Keras's dtype policy: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``.
    """

    shared_units: tuple[int, ...] = (256, 256)
    cross_layers: int = 0
    cross_projection: int = 0
    cross_layer_norm: bool = True
    tower_units: tuple[int, ...] = (64,)
    l2: float = 0.0
    precision: str = "float32"


@dataclasses.dataclass(frozen=True)
class Group:
    """A rule of its own for some variables (``optimizer.groups``, a list in a YAML file).

    Attributes:
      pattern: A regular expression that is searched in the variables' names, such as ``tower_`` or ``shared/layer_0``.
        The first group that matches a variable holds for it; a group must match one.
      rule: As ``optimizer.rule``.
      threshold: As ``optimizer.threshold``.
      variable_relative_threshold: Clippy's lambda_rel.
      absolute_threshold: Clippy's lambda_abs.
      per: As ``optimizer.per``.
      order: As ``optimizer.order``.
    """

    pattern: str
    rule: str = "clippy"
    threshold: float | None = None
    variable_relative_threshold: float = 0.5
    absolute_threshold: float = 1e-2
    per: str = ""
    order: str = ""


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Adagrad and the rule that bounds its steps. The names are those of the optimizer's own arguments.

    Attributes:
      rule: ``none`` (plain Adagrad), ``gc``, ``agc``, ``lamb``, ``clippy`` or ``adagc``.
      learning_rate: Rate after the warm-up.
      warmup_steps: Steps over which the rate rises in a straight line from 0 to ``learning_rate``.
      final_learning_rate_factor: Share of the rate that is left at the end of the run, to which it falls in a straight line from the
        beginning on; 1 for a constant rate, which is what a run that will be continued day by day wants.
      initial_accumulator_value: Start of Adagrad's accumulators.
      threshold: Largest norm of the gradient (gc, usual value 1), largest ratio of its norm to the weights' (agc, 0.01) or to
        its moving average (adagc, 1.05). null: the usual value.
      variable_relative_threshold: Clippy's lambda_rel.
      absolute_threshold: Clippy's lambda_abs.
      per: What shares one factor: ``variable``; ``row`` (clippy), ``unit`` (agc) or ``global`` (gc). Empty: ``variable``.
      order: Whether the rule scales the gradient ``before`` the accumulator or the step ``after`` it (gc, agc, adagc).
        Empty: as published.
      groups: Rules of their own for some variables.
      exclude_from_clipping: Regular expressions; a variable whose name matches one is not clipped.
      max_skipped_steps: Steps in a row that may be skipped because a gradient was not finite; after one more the run ends
        as diverged.
      explain: Whether factors, norms and the coordinates that bind are recorded by layer.
    """

    rule: str = "clippy"
    learning_rate: float = 0.5
    warmup_steps: int = 100
    final_learning_rate_factor: float = 1.0
    initial_accumulator_value: float = 0.1
    threshold: float | None = None
    variable_relative_threshold: float = 0.5
    absolute_threshold: float = 1e-2
    per: str = ""
    order: str = ""
    groups: tuple[Group, ...] = ()
    exclude_from_clipping: tuple[str, ...] = ("embeddings",)
    max_skipped_steps: int = 20
    explain: bool = True


@dataclasses.dataclass(frozen=True)
class Training:
    """One run.

    Attributes:
      seed: Seed of the initial weights and of the order of the rows.
      strategy: ``one_device`` or ``mirrored``.
      replicas: Devices of the mirrored strategy; 0 for all there are. On a machine without accelerators the CPU is
        split into this many logical devices.
      steps_per_execution: Training steps that run without returning to Python.
      publish_every_steps: Steps between two lines of metrics; a multiple of ``steps_per_execution``.
      checkpoint_every_steps: Steps between two checkpoints within a day; a multiple of ``steps_per_execution``. There is
        always one at the end of a day.
      evaluation_rows: Most rows of a day that are evaluated before it is trained on; 0 for all.
      sharpness_every_steps: Steps between two measurements of how steep the loss bends and how the tasks' gradients go together;
        0 for none.
      sharpness_rows: Rows of the batch that it is measured on.
      on_divergence: What happens when a run fully diverges: ``stop`` ends it there, ``rollback`` goes back to the newest
        healthy checkpoint and on from the next batch with a smaller rate, ``observe`` does nothing.
      max_rollbacks: Most rollbacks of a run, restarts included.
      rollback_learning_rate_factor: What each leaves of the learning rate.
      rollback_warmup_steps: Steps in which the rate rises again after one.
    """

    seed: int = 0
    strategy: str = "one_device"
    replicas: int = 0
    steps_per_execution: int = 16
    publish_every_steps: int = 32
    checkpoint_every_steps: int = 1024
    evaluation_rows: int = 0
    sharpness_every_steps: int = 0
    sharpness_rows: int = 256
    on_divergence: str = "stop"
    max_rollbacks: int = 3
    rollback_learning_rate_factor: float = 0.5
    rollback_warmup_steps: int = 100


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run. ``Config()`` is the ``demo`` preset's starting point and valid by itself.

    Raises:
      ValueError: When the values contradict one another; the message names the setting, what was expected and what came.
    """

    data: Data = Data()
    model: Model = Model()
    optimizer: Optimizer = Optimizer()
    training: Training = Training()

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ValueError(problem)


def _problems(config: Config):
    """Yields every contradiction, as one line each."""
    data, model, optimizer, training = config.data, config.model, config.optimizer, config.training

    def one_of(name, value, choices):
        if value not in choices:
            yield f"{name} must be one of {', '.join(choices)}, got '{value}'"

    def at_least(lowest, **values):
        for name, value in values.items():
            if not value >= lowest or not math.isfinite(value):
                yield f"{name.replace('__', '.')} must be a finite number, {lowest} or more, got {value}"

    yield from one_of("data.source", data.source, SOURCES)
    yield from one_of("data.files.on_invalid", data.files.on_invalid, ON_INVALID)
    yield from one_of("data.files.on_anomalous_day", data.files.on_anomalous_day, ON_ANOMALOUS_DAY)
    for name, share in (
        ("max_invalid_share", data.files.max_invalid_share),
        ("max_anomalous_share", data.files.max_anomalous_share),
    ):
        if not 0 <= share <= 1:
            yield f"data.files.{name} must be between 0 and 1, got {share}"
    yield from one_of("model.precision", model.precision, PRECISIONS)
    yield from one_of("training.strategy", training.strategy, STRATEGIES)
    yield from one_of("training.on_divergence", training.on_divergence, ON_DIVERGENCE)
    if not 0 < training.rollback_learning_rate_factor <= 1:
        yield f"training.rollback_learning_rate_factor must be above 0 and at most 1, got {training.rollback_learning_rate_factor}"
    yield from at_least(
        1,
        data__batch_size=data.batch_size,
        data__passes=data.passes,
        data__files__periods=data.files.periods,
        data__simulated__rows_per_day=data.simulated.rows_per_day,
        data__simulated__users=data.simulated.users,
        data__simulated__videos=data.simulated.videos,
        training__steps_per_execution=training.steps_per_execution,
        training__publish_every_steps=training.publish_every_steps,
        training__sharpness_rows=training.sharpness_rows,
        training__checkpoint_every_steps=training.checkpoint_every_steps,
    )
    yield from at_least(
        0,
        data__holdout_days=data.holdout_days,
        data__shuffle_rows=data.shuffle_rows,
        data__statistics_rows=data.statistics_rows,
        data__files__checked_rows_per_day=data.files.checked_rows_per_day,
        data__simulated__seed=data.simulated.seed,
        model__cross_layers=model.cross_layers,
        model__cross_projection=model.cross_projection,
        model__l2=model.l2,
        optimizer__warmup_steps=optimizer.warmup_steps,
        optimizer__learning_rate=optimizer.learning_rate,
        optimizer__initial_accumulator_value=optimizer.initial_accumulator_value,
        optimizer__final_learning_rate_factor=optimizer.final_learning_rate_factor,
        optimizer__max_skipped_steps=optimizer.max_skipped_steps,
        training__seed=training.seed,
        training__replicas=training.replicas,
        training__max_rollbacks=training.max_rollbacks,
        training__sharpness_every_steps=training.sharpness_every_steps,
        training__rollback_warmup_steps=training.rollback_warmup_steps,
        training__evaluation_rows=training.evaluation_rows,
    )
    for name, units in (("model.shared_units", model.shared_units), ("model.tower_units", model.tower_units)):
        if any(width < 1 for width in units):
            yield f"{name} must hold widths of 1 or more, got {list(units)}"
    groups = [(f"optimizer.groups[{i}]", group) for i, group in enumerate(optimizer.groups)]
    named: list[tuple[str, Optimizer | Group]] = [("optimizer", optimizer), *groups]
    for name, rule in named:
        yield from one_of(f"{name}.rule", rule.rule, RULES)
        yield from one_of(f"{name}.per", rule.per or "variable", _GRANULARITIES.get(rule.rule, ("variable",)))
        orders = ("before", "after") if rule.rule in _ORDERED else ("",)
        yield from one_of(f"{name}.order", rule.order, ("", *orders))
        numbers = {
            "threshold": 0 if rule.threshold is None else rule.threshold,
            "variable_relative_threshold": rule.variable_relative_threshold,
            "absolute_threshold": rule.absolute_threshold,
        }
        yield from at_least(0, **{f"{name}.{field}": number for field, number in numbers.items()})
    patterns = [("optimizer.exclude_from_clipping", pattern) for pattern in optimizer.exclude_from_clipping]
    patterns += [(f"optimizer.groups[{i}].pattern", group.pattern) for i, group in enumerate(optimizer.groups)]
    for name, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"{name} must hold regular expressions, got {pattern!r}: {error}"
    # Of files it is known only once they are looked at.
    where, days = {
        "simulated": ("data.simulated.days", data.simulated.days),
        "movielens": ("data.movielens.periods", data.movielens.periods),
    }.get(data.source, ("", math.inf))
    if days < data.holdout_days + 1:
        yield (
            f"{where} must be at least data.holdout_days + 1 = {data.holdout_days + 1}, so that a day is left to train "
            f"on, got {days}"
        )
    for name, every in (
        ("publish_every_steps", training.publish_every_steps),
        ("checkpoint_every_steps", training.checkpoint_every_steps),
    ):
        if every % training.steps_per_execution:
            yield (
                f"training.{name} must be a multiple of training.steps_per_execution = {training.steps_per_execution}, "
                f"got {every}"
            )
    if training.strategy == "one_device" and training.replicas > 1:
        yield f"training.replicas = {training.replicas} needs training.strategy = mirrored, got '{training.strategy}'"
    if training.replicas and data.batch_size % training.replicas:
        yield f"data.batch_size must be a multiple of training.replicas = {training.replicas}, got {data.batch_size}"
