"""Finds the files of a prepared dataset from an address such as ``tfds://movielens/100k-ratings?split=train``."""

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
_SYNTAX = "tfds://NAME[/CONFIG][:VERSION][?split=train+test&data_dir=DIR]"
_PATTERN = re.compile(r"tfds://(\w+)(?:/([^/:?'\"\s]+))?(?::(\d+\.\d+\.\d+))?(?:\?(.*))?")
_OPTIONS = ("split", "data_dir")
_MAX_LISTED_NAMES = 8


@dataclasses.dataclass(frozen=True)
class PreparedDataset:
    """A dataset that TFDS prepared.

    Attributes:
      folder: The folder of its version.
      splits: The requested splits, in the requested order. Each has its name and its files in order; each file has the
        number of rows that TFDS wrote to it.
      columns: Metadata of each column.
    """

    folder: str
    splits: Sequence[tuple[str, Sequence[tuple[str, int]]]]
    columns: Mapping[str, ColumnMetadata]


@dataclasses.dataclass(frozen=True)
class _Address:
    """The parts of an address. A part that the address leaves out is empty."""

    text: str
    name: str
    config: str
    version: str
    split: str
    data_dir: str

    @property
    def dataset(self) -> str:
        """The name, config and version as TFDS writes them."""
        return self.name + (f"/{self.config}" if self.config else "") + (f":{self.version}" if self.version else "")


def find_dataset(address: str) -> PreparedDataset:
    """Finds a prepared dataset. Downloads nothing.

    Args:
      address: ``tfds://NAME[/CONFIG][:VERSION][?split=train+test&data_dir=DIR]``. Defaults: the newest prepared
        version, the only config, the only split, and TFDS's own data folder.

    Raises:
      UserError: If the address is malformed, the dataset is not prepared or damaged, its files are not TFRecord, or the
        address leaves out a config or a split and there are several.
    """
    parts = _parse_address(address)
    folder = _find_version_folder(parts)
    try:
        builder = load_builder(folder)
        split_sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
        columns = describe_columns(builder.info.features)
    except Exception as error:  # TFDS and the libraries under it raise errors of many types for a damaged description.
        raise UserError(
            f"{address}: cannot read the description in '{folder}' ({summarize_error(error)}). It is damaged or was not written by "
            "TFDS; prepare the dataset again, or name another folder with data_dir"
        ) from error
    file_format = builder.info.file_format.value
    if file_format != "tfrecord":
        raise UserError(
            f"{address}: expected TFRecord files, the default of TFDS, but '{folder}' holds {file_format}; prepare the dataset in "
            "another folder with download_and_prepare(file_format='tfrecord')"
        )
    splits = [(name, list_shards(builder, name)) for name in _choose_splits(parts, split_sizes)]
    return PreparedDataset(os.fspath(folder), splits, columns)


def _parse_address(address: str) -> _Address:
    match = _PATTERN.fullmatch(address)
    if not match:
        raise UserError(f"{address}: malformed address; expected {_SYNTAX}")
    name, config, version, query = match.groups("")
    options = dict(part.partition("=")[::2] for part in query.split("&")) if query else {}
    unknown = sorted(options.keys() - set(_OPTIONS))
    if unknown:
        raise UserError(f"{address}: unknown option '{unknown[0]}'; expected {_SYNTAX}")
    # Not parse_qs, which replaces + with a space.
    split, data_dir = (unquote(options.get(key, "")) for key in _OPTIONS)
    return _Address(address, name, config, version, split, data_dir)


def _find_version_folder(address: _Address) -> tfds.core.Path:
    """Returns the folder ``data_dir/name[/config]/version``."""
    root = resolve_data_dir(address.data_dir)
    if not root.is_dir():
        raise _not_prepared(address, root, "that folder does not exist")
    dataset_folder = root / address.name
    versions = {"": _list_versions(dataset_folder)}
    versions |= {name: _list_versions(dataset_folder / name) for name in _list_folders(dataset_folder)}
    versions = {config: numbers for config, numbers in versions.items() if numbers}
    if not versions:
        datasets = [name for name in _list_folders(root) if name != "downloads"]
        raise _not_prepared(address, root, f"found {_format_names(datasets, address.name) or 'no dataset'}")
    config = address.config
    if not config and "" not in versions:
        if len(versions) > 1:
            raise UserError(
                f"{address.text}: '{dataset_folder}' has the configs {_format_names(versions)}; name one of them: "
                f"tfds://{address.name}/CONFIG"
            )
        [config] = versions
    if config not in versions:
        configs = [name for name in versions if name]
        found = f"the configs {_format_names(configs, config)}" if configs else "no config"
        raise _not_prepared(address, root, f"found {found} of {address.name}")
    version = address.version or versions[config][-1]
    if version not in versions[config]:
        raise _not_prepared(address, root, f"found version {_format_names(versions[config])} of {address.name}")
    return dataset_folder / config / version


def _list_versions(folder: tfds.core.Path) -> list[str]:
    """Returns the prepared versions in a folder, the newest last."""
    from tensorflow_datasets.core.utils.version import list_all_versions

    return list(map(str, list_all_versions(folder)))


def _list_folders(folder: tfds.core.Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _choose_splits(address: _Address, split_sizes: Mapping[str, int]) -> list[str]:
    """Returns the names of the requested splits, in the requested order."""
    available = ", ".join(f"{name} ({rows:,} rows)" for name, rows in split_sizes.items()) or "no split"
    if not address.split:
        if len(split_sizes) != 1:
            raise UserError(
                f"{address.text}: the dataset has {available}; name one split, or several in the order of training with the "
                "held-out split last: split=train+test"
            )
        return list(split_sizes)
    names = [name.strip() for name in address.split.split("+")]
    for name in names:
        if "[" in name:
            raise UserError(
                f"{address.text}: '{name}' is a part of a split, which is not supported; name whole splits, and hold rows out with "
                "data.files.periods and data.holdout_days"
            )
        if name not in split_sizes:
            raise UserError(f"{address.text}: unknown split '{name}'; the dataset has {available}")
        if names.count(name) > 1:
            raise UserError(f"{address.text}: split '{name}' is named {names.count(name)} times; name each split once")
    return names


def _not_prepared(address: _Address, root: tfds.core.Path, problem: str) -> UserError:
    import tensorflow_datasets as tfds

    public_names = tfds.list_builders(with_community_datasets=False)
    if address.name in public_names:
        remedy = f"run {format_prepare_command(address.dataset, os.fspath(root))} on a machine with network access"
    else:
        similar = difflib.get_close_matches(address.name, public_names, n=3)
        remedy = f"TFDS has no dataset of that name{'; did you mean ' + ' or '.join(similar) if similar else ''}. Prepare your dataset in that folder"
    return UserError(
        f"{address.text}: expected '{address.dataset}' prepared in '{root}', but {problem}; {remedy}, or name another folder with "
        "data_dir"
    )


def _format_names(names: Iterable[str], similar_to: str = "") -> str:
    """Joins a few names, starting with the ones most similar to ``similar_to``."""
    names = list(names)
    similar = difflib.get_close_matches(similar_to, names, n=3, cutoff=0.5)
    ordered = similar + [name for name in names if name not in similar]
    return ", ".join(ordered[:_MAX_LISTED_NAMES]) + (" …" if len(ordered) > _MAX_LISTED_NAMES else "")
