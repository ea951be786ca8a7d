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
from .id_encoding import choose_embedding_width, choose_hash_buckets, has_id_name
from .number_columns import Numbers, make_number_feature

# Columns of similar names are similar if the largest value of one is at most this many times that of the other.
_MAX_RANGE_RATIO = 4
# Two features have one id space if they share this many values and this share of the values that either has. Without a
# word in common, the share must be higher.
_MIN_SHARED_IDS, _MIN_OVERLAP, _MIN_OVERLAP_WITHOUT_NAME = 10, 0.3, 0.8
_HISTORY_WORDS = frozenset(
    (
        *(
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
            "cart",
            "basket",
        ),
        *("seen", "viewed", "clicked", "watched", "bought", "purchased", "liked", "played"),
    )
)
_GENERIC_WORDS = _HISTORY_WORDS | {"id", "ids", "list"}


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
    """Lets features of one id space share a table, such as ``item_id``, ``last_item_id`` and ``session_items``.

    Args:
      proposals: The proposals for all columns.
      arrays: The values of each column in a plain type.
    """
    by_name = {p.name: p for p in proposals}
    ids = {p.name: _list_ids(arrays[p.name]) for p in proposals if p.feature and p.feature.kind != "numerical"}
    included = [p.name for p in proposals if p.name in ids and not p.is_excluded]
    # The table belongs to a single id rather than to a bag of them.
    included.sort(key=lambda name: _get_kind(by_name[name]) == "bag")
    root_of: dict[str, str] = {}
    for place, name in enumerate(included):
        root_of[name] = _find_root(name, {other: root_of[other] for other in included[:place]}, ids, by_name)
    for root in dict.fromkeys(root_of.values()):
        members = [name for name in included if root_of[name] == root]
        if len(members) > 1:
            _share_table(members, ids, by_name)
    return list(by_name.values())


def _share_table(members: Sequence[str], ids: Mapping[str, np.ndarray], by_name: dict[str, ColumnProposal]) -> None:
    """Gives features the table of the first one."""
    features = [feature for name in members if (feature := by_name[name].feature) is not None]
    encoding = _choose_common_encoding(features, np.unique(np.concatenate([ids[name] for name in members])))
    for name, feature in zip(members, features, strict=True):
        table = "" if name == members[0] else features[0].name
        by_name[name] = dataclasses.replace(
            by_name[name], feature=dataclasses.replace(feature, table=table, **encoding)
        )


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


def _find_root(
    name: str, root_of: Mapping[str, str], ids: Mapping[str, np.ndarray], by_name: Mapping[str, ColumnProposal]
) -> str:
    """Returns the first feature of the group whose ids a feature holds; the feature itself if there is none."""
    matches = [
        (has_name, overlap, root)
        for other, root in root_of.items()
        for has_name, overlap in _match(name, other, ids, by_name)
    ]
    best = max((match[:2] for match in matches), default=None)
    roots = {root for *match, root in matches if tuple(match) == best}
    # Two equally good groups: either could be wrong.
    return roots.pop() if len(roots) == 1 else name


def _match(
    name: str, other: str, ids: Mapping[str, np.ndarray], by_name: Mapping[str, ColumnProposal]
) -> list[tuple[bool, float]]:
    """Returns whether the names match and the share of common ids, if two features have one id space; else nothing."""
    first, second = by_name[name].feature, by_name[other].feature
    assert first is not None
    assert second is not None
    if first.dtype != second.dtype or _get_family(ids[name]) != _get_family(ids[other]):
        return []
    shared = len(np.intersect1d(ids[name], ids[other]))
    overlap = shared / len(np.union1d(ids[name], ids[other]))
    has_name = bool(_name_words(name)) and _name_words(name) == _name_words(other)
    if first.kind == "categorical":
        is_likely = has_name and has_id_name(name) and has_id_name(other)
    else:
        # Ids from 0 on overlap by chance. Hashed ids and many strings do not.
        is_sparse = all(feature.hash_buckets or feature.vocabulary_size for feature in (first, second))
        is_history = bool(_HISTORY_WORDS.intersection(split_words(name)))
        is_likely = has_name or is_sparse or (is_history and overlap >= _MIN_OVERLAP_WITHOUT_NAME)
    smaller = min(len(ids[name]), len(ids[other]))
    has_overlap = overlap >= _MIN_OVERLAP or shared >= 0.9 * smaller
    return [(has_name, overlap)] if shared >= _MIN_SHARED_IDS and has_overlap and is_likely else []


def _name_words(column: str) -> set[str]:
    return {word.removesuffix("s") for word in split_words(column)} - _GENERIC_WORDS


def _get_family(ids: np.ndarray) -> str:
    return "number" if ids.dtype.kind in "iufb" else "text"


def _choose_common_encoding(used: Sequence[Feature], ids: np.ndarray) -> dict[str, Any]:
    """Returns the encoding arguments of a table for several features."""
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
