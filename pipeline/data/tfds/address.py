"""A dataset that TFDS has prepared, as a log: its address, its splits, and the files of each."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ...config.errors import UserError
from .features import ColumnMetadata, describe_columns
from .folder import format_prepare_command, list_shards, load_builder, resolve_data_dir, summarize_error

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

SCHEME = "tfds://"
_FORM = "tfds://NAME[/CONFIG][:VERSION][?split=train+test&data_dir=DIR]"
_ADDRESS = re.compile(r"tfds://(\w+)(?:/([^/:?'\"\s]+))?(?::(\d+\.\d+\.\d+))?(?:\?(.*))?")


@dataclasses.dataclass(frozen=True)
class PreparedDataset:
    """A prepared dataset.

    Attributes:
      folder: Of its version.
      splits: Those that were asked for, in that order: name, and files in their order, each with the rows that TFDS wrote.
      columns: What is known of them.
    """

    folder: str
    splits: Sequence[tuple[str, Sequence[tuple[str, int]]]]
    columns: Mapping[str, ColumnMetadata]


@dataclasses.dataclass(frozen=True)
class _Address:
    """An address, taken apart; what it leaves out is empty."""

    text: str
    name: str
    config: str
    version: str
    split: str
    data_dir: str

    @property
    def dataset(self) -> str:
        """As TFDS writes it."""
        return self.name + (f"/{self.config}" if self.config else "") + (f":{self.version}" if self.version else "")


def find_dataset(address: str) -> PreparedDataset:
    """Finds a prepared dataset; nothing is downloaded.

    Args:
      address: ``tfds://NAME[/CONFIG][:VERSION][?split=train+test&data_dir=DIR]``. Without a version the newest that is there,
        without a config or a split the only one, without a folder TFDS's own.

    Raises:
      UserError: When the address is none, the dataset is not there or damaged, or more is there than one.
    """
    wanted = _parsed(address)
    folder = _folder(wanted)
    try:
        builder = load_builder(folder)
        sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
        columns = describe_columns(builder.info.features)
    except Exception as error:  # Whatever TFDS and its parts raise on files that are not what they wrote.
        raise UserError(
            f"{address}: the description in '{folder}' cannot be read, the dataset is damaged or not TFDS's "
            f"({summarize_error(error)}); prepare it anew, or name another folder by data_dir"
        ) from error
    form = builder.info.file_format.value
    if form != "tfrecord":
        raise UserError(
            f"{address}: expected TFRecord files, TFDS's default, but '{folder}' holds {form}; prepare the dataset in another "
            "folder by download_and_prepare(file_format='tfrecord')"
        )
    splits = [(name, list_shards(builder, name)) for name in _splits(wanted, sizes)]
    return PreparedDataset(os.fspath(folder), splits, columns)


def _parsed(address: str) -> _Address:
    found = _ADDRESS.fullmatch(address)
    options = dict(part.partition("=")[::2] for part in found[4].split("&")) if found and found[4] else {}
    unknown = sorted(options.keys() - {"split", "data_dir"})
    if not found or unknown:
        wrong = f"got '{unknown[0]}'" if unknown else "which this is not"
        raise UserError(f"{address}: an address of a dataset has the form {_FORM}, {wrong}")
    # Not parse_qs, which takes a + for a space.
    split, data_dir = (unquote(options.get(key, "")) for key in ("split", "data_dir"))
    return _Address(address, found[1], found[2] or "", found[3] or "", split, data_dir)


def _folder(wanted: _Address) -> tfds.core.Path:
    """The folder of the version."""
    root = resolve_data_dir(wanted.data_dir)
    if not root.is_dir():
        raise _not_prepared(wanted, root, "there is no such folder")
    there = root / wanted.name
    versions = {"": _versions(there)} | {name: _versions(there / name) for name in _folders(there)}
    versions = {config: numbers for config, numbers in versions.items() if numbers}
    if not versions:
        datasets = [name for name in _folders(root) if name != "downloads"]
        raise _not_prepared(wanted, root, f"it holds {_list_names(datasets, wanted.name, 'no dataset')}")
    config = wanted.config
    if not config and "" not in versions:
        if len(versions) > 1:
            raise UserError(
                f"{wanted.text}: '{there}' holds {_list_names(versions, '', '')}; name one: tfds://{wanted.name}/CONFIG"
            )
        [config] = versions
    if config not in versions:
        configs = [name for name in versions if name]
        raise _not_prepared(wanted, root, f"of {wanted.name} it holds {_list_names(configs, config, 'no config')}")
    version = wanted.version or versions[config][-1]
    if version not in versions[config]:
        raise _not_prepared(wanted, root, f"of {wanted.name} it holds version {_list_names(versions[config], '', '')}")
    return there / config / version


def _versions(folder: tfds.core.Path) -> list[str]:
    """The versions in a folder, the newest last."""
    from tensorflow_datasets.core.utils.version import list_all_versions

    return list(map(str, list_all_versions(folder)))


def _folders(folder: tfds.core.Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _splits(wanted: _Address, sizes: Mapping[str, int]) -> list[str]:
    """The names of the splits that are wanted."""
    there = ", ".join(f"{name} ({rows:,} rows)" for name, rows in sizes.items())
    if not wanted.split:
        if len(sizes) != 1:
            raise UserError(
                f"{wanted.text}: the dataset has {there or 'no split'}; name one, or several in the order of training, the last held "
                "out: split=train+test"
            )
        return list(sizes)
    names = [name.strip() for name in wanted.split.split("+")]
    for name in names:
        if "[" in name:
            raise UserError(
                f"{wanted.text}: '{name}' is a part of a split, which is not supported; name whole splits, and hold rows out by "
                "data.files.periods and data.holdout_days"
            )
        if name not in sizes:
            raise UserError(f"{wanted.text}: there is no split '{name}'; the dataset has {there or 'none'}")
        if names.count(name) > 1:
            raise UserError(f"{wanted.text}: split '{name}' is named {names.count(name)} times; name each once")
    return names


def _not_prepared(wanted: _Address, root: tfds.core.Path, found: str) -> UserError:
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    if wanted.name in known:
        how = f"on a machine with network run {format_prepare_command(wanted.dataset, os.fspath(root))}"
    else:
        near = difflib.get_close_matches(wanted.name, known, n=3)
        how = f"TFDS itself has none of that name{', but ' + ', '.join(near) if near else ''}; prepare yours there"
    return UserError(
        f"{wanted.text}: expected '{wanted.dataset}' prepared in '{root}', but {found}; {how}, or name another folder by data_dir"
    )


def _list_names(names: Iterable[str], near: str, none: str) -> str:
    """A few names, those that look alike first."""
    names = list(names)
    alike = difflib.get_close_matches(near, names, n=3, cutoff=0.5)
    ordered = alike + [name for name in names if name not in alike]
    return ", ".join(ordered[:8]) + (" …" if len(ordered) > 8 else "") if ordered else none
