"""Sorts the files of a log into days by their folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from ...config.errors import UserError
from .folder_levels import NO_DAY_KEYS, Folder, TimeLevel, describe_values, find_time_levels, natural_key, parse_folder
from .splits import find_mixed_splits


@dataclasses.dataclass(frozen=True)
class DayFolders:
    """The files of a log by day. All paths are relative to the log.

    Attributes:
      days: The name and the files of each day, both in order. A log without folders of days is one day with an empty
        name.
      undated: The files whose date is missing, such as those in ``day=__HIVE_DEFAULT_PARTITION__``.
      partitions: For each file, the values of its folders ``key=value`` that are not part of its day, by key. None is a
        missing value.
    """

    days: Sequence[tuple[str, Sequence[str]]]
    undated: Sequence[str]
    partitions: Mapping[str, Mapping[str, str | None]]


def sort_into_days(files: Sequence[str], folders: Sequence[str], log: str, day_keys: Sequence[str] = ()) -> DayFolders:
    """Sorts files into days by the names of their folders.

    Numbers and dates are ordered by value, and files within a day by the numbers in their names.

    Args:
      files: The files of the log, relative to it.
      folders: All folders. A folder of a day without files makes an empty day, so that the day cannot go missing
        unnoticed.
      log: The path of the log, for errors.
      day_keys: See the setting ``data.files.day_keys``.

    Raises:
      UserError: If the folders are not clearly days or clearly something else, or if the log holds training and test
        data.

    Example:
    >>> sort_into_days(["day=10/a.parquet", "day=9/b.parquet", "day=9/a.parquet"], [], "log").days
    [('day=9', ['day=9/a.parquet', 'day=9/b.parquet']), ('day=10', ['day=10/a.parquet'])]
    """
    splits = find_mixed_splits(files)
    if splits and not day_keys:
        remedy = f"name one of them as data.files.path, such as {log.rstrip('/')}/{splits[0]}"
        if splits[0] in files:
            remedy = "move the files of each split into a folder of their own, and name one folder as data.files.path"
        raise UserError(
            f"{log} holds several splits of a data set ({', '.join(splits)}), and a run would train on all of them; {remedy}"
        )
    paths = {file: [parse_folder(name) for name in file.split("/")[:-1]] for file in files}
    folder_paths = _list_partition_folders(folders, paths.values())
    levels = find_time_levels([*paths.values(), *folder_paths], log, day_keys)
    partitions = {file: _read_partitions(path, levels) for file, path in paths.items()}
    files = sorted(files, key=natural_key)
    if not levels:
        if tuple(day_keys) != (NO_DAY_KEYS,):
            _check_no_partitions(list(paths.values()), log)
        return DayFolders([("", files)], [], partitions)
    places: dict[str, tuple[object, ...]] = {}
    by_name: dict[str, list[str]] = {}
    undated = []
    for file in files:
        if any(level.level >= len(paths[file]) for level in levels):
            raise UserError(
                f"{log}: some files are outside the folders of days, such as {file}; move them into a day, or name a "
                "single folder"
            )
        name, place = _locate(paths[file], levels)
        if place is None:
            undated.append(file)
        else:
            places[name] = place
            by_name.setdefault(name, []).append(file)
    for path in folder_paths:
        if all(level.level < len(path) for level in levels):
            name, place = _locate(path, levels)
            if place is not None:
                places.setdefault(name, place)
    _check_distinct(places, log)
    names = sorted(places, key=lambda name: places[name])
    return DayFolders([(name, by_name.get(name, [])) for name in names], undated, partitions)


def _list_partition_folders(folders: Sequence[str], paths: Iterable[Sequence[Folder]]) -> list[list[Folder]]:
    """Returns the folders ``key=value`` whose keys are those above the files; they may have no files."""
    shapes = {tuple(folder.key for folder in path[:depth]) for path in paths for depth in range(1, len(path) + 1)}
    parsed = [[parse_folder(name) for name in folder.split("/")] for folder in folders]
    return [path for path in parsed if path[-1].key is not None and tuple(folder.key for folder in path) in shapes]


def _locate(path: Sequence[Folder], levels: Sequence[TimeLevel]) -> tuple[str, tuple[object, ...] | None]:
    """Returns the name of a path's day and its place in time; None if the date is missing."""
    name = "/".join(path[index].name for index in sorted(level.level for level in levels))
    values = [path[level.level].value for level in levels]
    places = [None if value is None else level.order.get(value) for value, level in zip(values, levels, strict=True)]
    return name, None if None in places else tuple(places)


def _read_partitions(path: Sequence[Folder], levels: Sequence[TimeLevel]) -> dict[str, str | None]:
    day_levels = {level.level for level in levels}
    return {folder.key: folder.value for i, folder in enumerate(path) if folder.key and i not in day_levels}


def _check_no_partitions(paths: Sequence[Sequence[Folder]], log: str) -> None:
    """Raises a UserError if the files are divided by something that is not time."""
    for index in range(max(map(len, paths), default=0)):
        folders = [path[index] for path in paths if index < len(path) and path[index].key]
        if len({folder.name for folder in folders}) > 1:
            key = folders[0].key
            raise UserError(
                f"{log}: the folders of {key} ({describe_values(folders)}) are not days. If they follow each other in "
                f"time, set --config.data.files.day_keys={key}. If not, set --config.data.files.day_keys={NO_DAY_KEYS} to "
                "cut the rows into data.files.periods, or name one of the folders as data.files.path"
            )


def _check_distinct(places: Mapping[str, tuple[object, ...]], log: str) -> None:
    names: dict[tuple[object, ...], str] = {}
    for name, place in places.items():
        if place in names:
            raise UserError(f"{log}: {names[place]} and {name} are the same day; move their files into one folder")
        names[place] = name
