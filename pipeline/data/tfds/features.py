"""What TFDS knows of the columns of a dataset and the files alone do not tell.

TFDS writes a row as one tf.Example. A feature within a dictionary has the names of both, as ``user/age``; a sequence of
dictionaries is a list in each of them; a list of lists becomes two columns or more; pictures and encoded tensors are strings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


@dataclasses.dataclass(frozen=True)
class ColumnMetadata:
    """What is known of a column.

    Attributes:
      is_list: Whether a row holds a list, even where none has more than one value.
      num_classes: How many classes its numbers stand for, from 0 on; 0 where they stand for none.
      class_names: The classes' names; empty where they have none.
      why_unsupported: Why a ranker cannot read it; empty where it can.
    """

    is_list: bool = False
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    why_unsupported: str = ""


def describe_columns(features: tfds.features.FeaturesDict) -> dict[str, ColumnMetadata]:
    """Each column of the tf.Examples, and what is known of it."""
    by_path = dict(_leaves(features, features.get_serialized_info(), ""))
    columns = {}
    for column in features.tf_example_spec:
        # What TFDS takes apart lies beneath the feature: its lengths, its shape.
        path = column
        while path not in by_path and "/" in path:
            path = path.rpartition("/")[0]
        columns[column] = by_path.get(path, ColumnMetadata())
    return columns


def _leaves(feature: Any, info: Any, path: str) -> Iterator[tuple[str, ColumnMetadata]]:
    """The features that hold values, by their paths. ``info`` says how TFDS writes them."""
    from tensorflow_datasets import features as kinds

    if isinstance(feature, kinds.FeaturesDict):
        for name, each in feature.items():
            yield from _leaves(each, info[name], f"{path}/{name}" if path else name)
    elif isinstance(feature, kinds.Sequence) and not isinstance(feature, kinds.Video | kinds.Dataset):
        yield from _leaves(feature.feature, info, path)
    else:
        yield path, _known(feature, info, kinds)


def _known(feature: Any, info: Any, kinds: Any) -> ColumnMetadata:
    others = {"a picture": kinds.Image, "a video": kinds.Video, "sound": kinds.Audio, "a dataset": kinds.Dataset}
    what = next((words for words, kind in others.items() if isinstance(feature, kind)), "")
    if what:
        return ColumnMetadata(why_unsupported=f"it is {what}, which no ranker reads")
    if isinstance(info, dict) or info.np_dtype != feature.get_tensor_info().np_dtype:
        return ColumnMetadata(
            why_unsupported="TFDS wrote it in an encoding that no ranker reads; prepare the dataset without one"
        )
    if len(info.shape) > 1:
        return ColumnMetadata(
            why_unsupported=f"each row holds an array of {len(info.shape)} dimensions, of which a ranker reads one"
        )
    lists = len(info.shape) == 1 and info.shape != (1,)
    if not isinstance(feature, kinds.ClassLabel) or not feature.num_classes:
        return ColumnMetadata(lists)
    names = tuple(map(str, feature.names))
    return ColumnMetadata(lists, feature.num_classes, () if names == tuple(map(str, range(len(names)))) else names)
