"""Agreement between columns: similar numbers get similar encodings, and features of one id space share a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....models.schema import Feature
from ..files.arrow_arrays import flatten_lists, is_list
from .column_proposal import ColumnProposal
from .column_roles import split_words
from .id_encoding import choose_embedding_width, choose_hash_buckets
from .number_columns import Numbers, make_number_feature

# Columns of similar names are similar if the largest value of one is at most this many times that of the other.
_MAX_RANGE_RATIO = 4
# Two features have one id space if they share this many values and this share of the values that either has. Without a
# word in common, the share must be higher.
_MIN_SHARED_IDS, _MIN_OVERLAP, _MIN_OVERLAP_WITHOUT_NAME = 10, 0.3, 0.8
_GENERIC_WORDS = frozenset(
    [
        "id",
        "ids",
        "list",
        "lists",
        "hist",
        "history",
        "recent",
        "last",
        "past",
        "prev",
        "previous",
        "seq",
        "sequence",
        "session",
    ]
)
_HISTORY_WORDS = frozenset(
    ["hist", "history", "recent", "last", "past", "prev", "previous", "seq", "sequence", "session", "cart", "basket"]
)


def unify_number_encodings(proposals: Sequence[ColumnProposal], arrays: Mapping[str, pa.Array]) -> list[ColumnProposal]:
    """Makes a category numerical if a column with a similar name and range is numerical.

    ``price_1`` with 30 different values would be a category, and ``price_2`` with 40 a number.

    Args:
      proposals: The proposals for all columns.
      arrays: The values of each column in a plain type.
    """
    numbers = {
        p.name: column_numbers
        for p in proposals
        if p.feature and not is_list(arrays[p.name].type) and p.feature.dtype != "string"
        if (column_numbers := Numbers.from_array(arrays[p.name])) is not None
    }
    numerical = [p for p in proposals if p.name in numbers and _get_kind(p) == "numerical"]
    unified = []
    for proposal in proposals:
        column = numbers.get(proposal.name)
        if column is not None and _get_kind(proposal) == "categorical" and not column.is_id(proposal.name):
            similar = next((p.name for p in numerical if _are_similar(p.name, proposal.name, numbers)), "")
            if similar:
                feature = make_number_feature(proposal.name, column)
                summary = f"{proposal.summary}; a number, as the similar column {similar}"
                proposal = dataclasses.replace(proposal, feature=feature, summary=summary)
        unified.append(proposal)
    return unified


def share_tables(proposals: Sequence[ColumnProposal], arrays: Mapping[str, pa.Array]) -> list[ColumnProposal]:
    """Lets a bag share the table of the feature whose ids it holds, such as ``session_items`` that of ``item_id``.

    Args:
      proposals: The proposals for all columns.
      arrays: The values of each column in a plain type.
    """
    by_name = {p.name: p for p in proposals}
    ids = {p.name: _list_ids(arrays[p.name]) for p in proposals if p.feature and p.feature.kind != "numerical"}
    included = [p.name for p in proposals if p.name in ids and not p.is_excluded]
    singles = [name for name in included if _get_kind(by_name[name]) == "categorical"]
    bags = [name for name in included if _get_kind(by_name[name]) == "bag"]
    groups: dict[str, list[str]] = {}
    for bag in bags:
        # A bag without a single feature of its ids may still have them in common with another bag.
        others = [*singles, *bags[: bags.index(bag)]]
        owner = _find_owner(bag, others, ids, by_name)
        if owner:
            root = next((root for root, members in groups.items() if owner in members), owner)
            groups.setdefault(root, [root]).append(bag)
    for members in groups.values():
        union = np.unique(np.concatenate([ids[name] for name in members]))
        encoding = _choose_common_encoding([by_name[name].feature for name in members], union)
        owner_feature = by_name[members[0]].feature
        assert owner_feature is not None
        for name in members:
            feature = by_name[name].feature
            assert feature is not None
            table = "" if name == members[0] else owner_feature.name
            by_name[name] = dataclasses.replace(
                by_name[name], feature=dataclasses.replace(feature, table=table, **encoding)
            )
    return list(by_name.values())


def _get_kind(proposal: ColumnProposal) -> str:
    return proposal.feature.kind if proposal.feature else ""


def _are_similar(one: str, other: str, numbers: Mapping[str, Numbers]) -> bool:
    """Returns whether two names differ in one word, and the ranges are alike."""
    words, other_words = split_words(one), split_words(other)
    if len(words) < 2 or len(words) != len(other_words):
        return False
    if sum(a != b for a, b in zip(words, other_words, strict=True)) > 1:
        return False
    high, low = sorted((numbers[one].high, numbers[other].high), reverse=True)
    return numbers[one].low >= 0 and high <= _MAX_RANGE_RATIO * max(low, 1)


def _list_ids(array: pa.Array) -> np.ndarray:
    values = flatten_lists(array)[0] if is_list(array.type) else array
    return pc.unique(pc.drop_null(values)).to_numpy(zero_copy_only=False)


def _find_owner(
    bag: str, others: Sequence[str], ids: Mapping[str, np.ndarray], by_name: Mapping[str, ColumnProposal]
) -> str:
    """Returns the feature whose ids the bag holds; empty if there is none."""
    words = _name_words(bag)
    is_history = bool(_HISTORY_WORDS.intersection(split_words(bag)))
    best: list[tuple[bool, float, str]] = []
    for other in others:
        first, second = by_name[bag].feature, by_name[other].feature
        assert first is not None
        assert second is not None
        if first.dtype != second.dtype or _get_family(ids[bag]) != _get_family(ids[other]):
            continue
        shared = len(np.intersect1d(ids[bag], ids[other]))
        overlap = shared / len(np.union1d(ids[bag], ids[other]))
        has_name = bool(words & _name_words(other))
        # Ids from 0 on overlap by chance. Hashed ids and many strings do not.
        is_sparse = bool(first.hash_buckets or first.vocabulary_size) and bool(
            second.hash_buckets or second.vocabulary_size
        )
        is_likely = has_name or is_sparse or (is_history and overlap >= _MIN_OVERLAP_WITHOUT_NAME)
        smaller = min(len(ids[bag]), len(ids[other]))
        has_overlap = overlap >= _MIN_OVERLAP or shared >= 0.9 * smaller
        if shared >= _MIN_SHARED_IDS and has_overlap and is_likely:
            best.append((has_name, overlap, other))
    best.sort(key=lambda entry: entry[:2], reverse=True)
    # Two equally good owners: either could be wrong.
    is_clear = len(best) == 1 or (len(best) > 1 and best[0][:2] > best[1][:2])
    return best[0][2] if is_clear else ""


def _name_words(column: str) -> set[str]:
    return {word.removesuffix("s") for word in split_words(column)} - _GENERIC_WORDS


def _get_family(ids: np.ndarray) -> str:
    return "number" if ids.dtype.kind in "iufb" else "text"


def _choose_common_encoding(features: Sequence[Feature | None], ids: np.ndarray) -> dict[str, Any]:
    """Returns the encoding arguments of a table for several features."""
    used = [feature for feature in features if feature is not None]
    none: dict[str, Any] = {"vocabulary": (), "vocabulary_size": 0, "num_ids": 0, "hash_buckets": 0}
    none["embedding_width"] = choose_embedding_width(len(ids))
    if all(feature.num_ids for feature in used):
        return none | {"num_ids": max(feature.num_ids for feature in used)}
    if all(feature.vocabulary for feature in used):
        words = dict.fromkeys(word for feature in used for word in feature.vocabulary)
        return none | {"vocabulary": tuple(words)}
    if all(feature.vocabulary or feature.vocabulary_size for feature in used):
        sizes = [feature.vocabulary_size or len(feature.vocabulary) for feature in used]
        return none | {"vocabulary_size": max(*sizes, int(1.5 * len(ids)))}
    return none | {"hash_buckets": max(choose_hash_buckets(len(ids)), *(feature.hash_buckets for feature in used))}
