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
class Known:
    """What is known of a column.

    Attributes:
      lists: Whether a row holds a list, even where none has more than one value.
      classes: How many classes its numbers stand for, from 0 on; 0 where they stand for none.
      names: The classes' names; empty where they have none.
      why_not: Why a ranker cannot read it; empty where it can.
    """

    lists: bool = False
    classes: int = 0
    names: tuple[str, ...] = ()
    why_not: str = ""


def known_columns(features: tfds.features.FeaturesDict) -> dict[str, Known]:
    """Each column of the tf.Examples, and what is known of it."""
    by_path = dict(_leaves(features, features.get_serialized_info(), ""))
    columns = {}
    for column in features.tf_example_spec:
        # What TFDS takes apart lies beneath the feature: its lengths, its shape.
        path = column
        while path not in by_path and "/" in path:
            path = path.rpartition("/")[0]
        columns[column] = by_path.get(path, Known())
    return columns


def _leaves(feature: Any, info: Any, path: str) -> Iterator[tuple[str, Known]]:
    """The features that hold values, by their paths. ``info`` says how TFDS writes them."""
    from tensorflow_datasets import features as kinds

    if isinstance(feature, kinds.FeaturesDict):
        for name, each in feature.items():
            yield from _leaves(each, info[name], f"{path}/{name}" if path else name)
    elif isinstance(feature, kinds.Sequence) and not isinstance(feature, kinds.Video | kinds.Dataset):
        yield from _leaves(feature.feature, info, path)
    else:
        yield path, _known(feature, info, kinds)


def _known(feature: Any, info: Any, kinds: Any) -> Known:
    others = {"a picture": kinds.Image, "a video": kinds.Video, "sound": kinds.Audio, "a dataset": kinds.Dataset}
    what = next((words for words, kind in others.items() if isinstance(feature, kind)), "")
    if what:
        return Known(why_not=f"it is {what}, which no ranker reads")
    if isinstance(info, dict) or info.np_dtype != feature.get_tensor_info().np_dtype:
        return Known(why_not="TFDS wrote it in an encoding that no ranker reads; prepare the dataset without one")
    if len(info.shape) > 1:
        return Known(why_not=f"each row holds an array of {len(info.shape)} dimensions, of which a ranker reads one")
    lists = len(info.shape) == 1 and info.shape != (1,)
    if not isinstance(feature, kinds.ClassLabel) or not feature.num_classes:
        return Known(lists)
    names = tuple(map(str, feature.names))
    return Known(lists, feature.num_classes, () if names == tuple(map(str, range(len(names)))) else names)
