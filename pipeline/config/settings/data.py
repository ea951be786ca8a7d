"""The settings of the log: its source and how it is cut into steps."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ..fields import setting


@dataclasses.dataclass(frozen=True)
class Simulated:
    """The simulated log of a video platform (``data.source: simulated``).

    Attributes:
      days: Number of days.
      rows_per_day: Impressions per day.
      users: Number of users. Their activity follows a Zipf law.
      videos: Number of videos. Their popularity follows a Zipf law.
      seed: Seed of the platform and its log; independent of ``training.seed``.
      hazards: Planted faults, each as ``name@day`` or ``name@day*strength``, such as ``shift@5`` or ``viral@7*2``. Days
        count from 0. Names: ``shift``, ``new_feature``, ``heavy_labels``, ``viral``, ``corruption``.
    """

    days: int = setting(15, minimum=1)
    rows_per_day: int = setting(131_072, minimum=1)
    users: int = setting(5_000, minimum=1)
    videos: int = setting(2_000, minimum=1)
    seed: int = setting(0, minimum=0)
    hazards: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Movielens:
    """MovieLens through TensorFlow Datasets (``data.source: movielens``).

    Attributes:
      name: Name of the set of ratings in TFDS: ``100k-ratings``, ``1m-ratings``, ``latest-small-ratings`` …
      data_dir: Folder of prepared TFDS data. Empty: the default folder of TFDS. A set that is missing there is
        downloaded.
      periods: Number of "days" of equal length into which the ratings are cut, in order of time.
    """

    name: str = "100k-ratings"
    data_dir: str = ""
    periods: int = setting(20, minimum=1)


@dataclasses.dataclass(frozen=True)
class Files:
    """Your own log (``data.source: files``).

    Attributes:
      path: A Parquet or TFRecord file, a folder of such files, or a folder with one subfolder per day, named
        ``day=2026-11-01``, ``year=2026/month=11/day=1`` or similar. May start with ``s3://`` or ``gs://``. Also a
        dataset that TFDS has prepared: ``tfds://NAME[/CONFIG][:VERSION][?split=train+test&data_dir=DIR]``. Each named
        split is one day.
      schema: YAML file that names the features and the tasks.
      periods: Number of "days" of equal length into which the rows are cut, in their order, if there are no subfolders
        per day.
      day_keys: Keys of the subfolders ``key=value`` that name a day, from the longest unit of time to the shortest, such
        as ``batch`` or ``y,w``. Their values are ordered as dates or numbers, or by the numbers in them. Empty: dates
        and periods are recognized by their keys and values. ``none``: no folder is a day.
      on_invalid: What to do with a row that has non-finite numbers, or features or labels out of range. ``fail`` ends
        the run. ``skip`` leaves the row out, counts it and writes it to ``quarantine.jsonl``. ``clamp`` sets a number
        outside its bounds to the bound, counts it and writes it to ``quarantine.jsonl``; a row with any other fault is
        skipped.
      max_invalid_share: Largest share of a day's rows that may be skipped. Beyond it, the run fails.
      checked_rows_per_day: Approximate number of rows of each day that are sampled before the run, to compare the day
        with earlier days. 0: days are not checked.
      on_anomalous_day: What to do about a day that a check finds anomalous. ``warn`` reports it and trains on it,
        ``skip`` trains without it, ``fail`` ends the run before it begins. A day without rows and
        rows without a date also end the run, unless they are skipped.
      max_anomalous_share: Largest share of the days that may be skipped. Beyond it, the run fails.
    """

    path: str = ""
    schema: str = ""
    periods: int = setting(10, minimum=1)
    day_keys: tuple[str, ...] = ()
    on_invalid: Literal["fail", "skip", "clamp"] = "fail"
    max_invalid_share: float = setting(0.001, minimum=0, maximum=1)
    checked_rows_per_day: int = setting(32_768, minimum=0)
    on_anomalous_day: Literal["warn", "skip", "fail"] = "warn"
    max_anomalous_share: float = setting(0.1, minimum=0, maximum=1)


@dataclasses.dataclass(frozen=True)
class Data:
    """The log and how it is cut into steps.

    Attributes:
      source: Where the log comes from. ``files`` reads your own log.
      batch_size: Rows per training step, over all replicas.
      holdout_days: Number of days at the end of the log that are not used for training. The exported model is evaluated
        on them.
      passes: Number of training passes over each day before the next day.
      shuffle: Whether the rows are shuffled, differently in each pass.
      shuffle_rows: Number of rows that are shuffled together. They come from random blocks of the day. 0: each block is
        shuffled by itself and the blocks keep their order.
      statistics_rows: Number of training rows, from the start of the log, from which the normalization is computed. 0:
        all rows. A schema with ``vocabulary_size`` always reads all rows.
      leak_check_rows: Approximate number of training rows that are sampled before the run, to search for features that
        alone predict a label. 0: no search.
      service: ``host:port`` of the dispatcher of a tf.data service whose workers read the log; see ``python -m
        steadyrank.pipeline.input_service --help``. The batches stay the same. Empty: this process reads the log.
      simulated: Settings of the simulated log.
      movielens: Settings of MovieLens.
      files: Settings of your own log.
    """

    source: Literal["simulated", "movielens", "files"] = "simulated"
    batch_size: int = setting(1024, minimum=1)
    holdout_days: int = setting(1, minimum=0)
    passes: int = setting(1, minimum=1)
    shuffle: bool = True
    shuffle_rows: int = setting(0, minimum=0)
    statistics_rows: int = setting(16_384, minimum=0)
    leak_check_rows: int = setting(65_536, minimum=0)
    service: str = ""
    simulated: Simulated = Simulated()
    movielens: Movielens = Movielens()
    files: Files = Files()
