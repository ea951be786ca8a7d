"""Metadata of a dataset's columns that TFDS stores outside the data files.

TFDS writes each row as one tf.Example. A feature inside a dictionary is named after both, such as ``user/age``. A
sequence of dictionaries becomes one list per key. A list of lists becomes two or more columns. Images and encoded
tensors become strings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


@dataclasses.dataclass(frozen=True)
class ColumnMetadata:
    """Metadata of a column.

    Attributes:
      is_list: Whether each row holds a list, even if no row has more than one value.
      num_classes: Number of classes, if the values are class indices from 0 on; otherwise 0.
      class_names: Names of the classes; empty if they have none.
      unsupported_reason: Why a ranker cannot read the column; empty if it can.
    """

    is_list: bool = False
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    unsupported_reason: str = ""


def describe_columns(features: tfds.features.FeaturesDict) -> dict[str, ColumnMetadata]:
    """Returns the metadata of each column of the dataset's tf.Examples.

    Args:
      features: ``builder.info.features``.
    """
    metadata_by_path = dict(_describe_leaves(features, features.get_serialized_info(), ""))
    columns = {}
    for column in features.tf_example_spec:
        # TFDS splits some features into several columns below the feature's path, such as row lengths and a shape.
        path = column
        while path not in metadata_by_path and "/" in path:
            path = path.rpartition("/")[0]
        columns[column] = metadata_by_path.get(path, ColumnMetadata())
    return columns


# TFDS has no common type for what the functions below take: a feature, or a nested mapping of them.
def _describe_leaves(feature: Any, serialized_info: Any, path: str) -> Iterator[tuple[str, ColumnMetadata]]:
    """Yields the path and the metadata of each feature that holds values; ``serialized_info`` says how TFDS writes them."""
    from tensorflow_datasets import features as kinds

    if isinstance(feature, kinds.FeaturesDict):
        for name, child in feature.items():
            yield from _describe_leaves(child, serialized_info[name], f"{path}/{name}" if path else name)
    elif isinstance(feature, kinds.Sequence) and not isinstance(feature, kinds.Video | kinds.Dataset):
        yield from _describe_leaves(feature.feature, serialized_info, path)
    else:
        yield path, _describe_leaf(feature, serialized_info, kinds)


def _describe_leaf(feature: Any, serialized_info: Any, kinds: Any) -> ColumnMetadata:
    media = {"images": kinds.Image, "videos": kinds.Video, "audio": kinds.Audio, "nested datasets": kinds.Dataset}
    content = next((words for words, kind in media.items() if isinstance(feature, kind)), "")
    if content:
        return ColumnMetadata(unsupported_reason=f"it holds {content}, which a ranker cannot read")
    if isinstance(serialized_info, dict) or serialized_info.np_dtype != feature.get_tensor_info().np_dtype:
        return ColumnMetadata(
            unsupported_reason="TFDS wrote it in an encoding that a ranker cannot read; prepare the dataset without the encoding"
        )
    dimensions = len(serialized_info.shape)
    if dimensions > 1:
        return ColumnMetadata(
            unsupported_reason=f"each row holds an array of {dimensions} dimensions; a ranker reads one"
        )
    is_list = dimensions == 1 and serialized_info.shape != (1,)
    if not isinstance(feature, kinds.ClassLabel) or not feature.num_classes:
        return ColumnMetadata(is_list)
    names = tuple(map(str, feature.names))
    # TFDS names classes by their numbers if the dataset's author gave no names.
    has_names = names != tuple(map(str, range(len(names))))
    return ColumnMetadata(is_list, feature.num_classes, names if has_names else ())
