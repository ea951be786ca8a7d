from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from steadyrank.models import Feature
from steadyrank.pipeline.data.schema_inference.column_proposal import ColumnProposal
from steadyrank.pipeline.data.schema_inference.list_columns import propose_list_column
from steadyrank.pipeline.data.schema_inference.number_columns import propose_number_column
from steadyrank.pipeline.data.schema_inference.plain_types import to_plain
from steadyrank.pipeline.data.schema_inference.similar_columns import share_tables, unify_number_encodings
from steadyrank.pipeline.data.schema_inference.text_columns import propose_text_column

RNG = np.random.default_rng(0)


def propose(columns: dict) -> tuple[list[ColumnProposal], dict[str, pa.Array]]:
    arrays = {name: to_plain(pa.array(values)) for name, values in columns.items()}
    proposals = []
    for name, array in arrays.items():
        kind = array.type
        is_list, is_text = pa.types.is_large_list(kind), pa.types.is_large_binary(kind)
        rule = propose_list_column if is_list else propose_text_column if is_text else propose_number_column
        proposals.append(rule(name, array, ""))
    return proposals, arrays


def unify(columns: dict) -> list[str]:
    return [proposal.feature.kind for proposal in unify_number_encodings(*propose(columns))]


def share(columns: dict) -> dict[str, Feature]:
    return {proposal.name: proposal.feature for proposal in share_tables(*propose(columns))}


@pytest.mark.parametrize("names", [("price_1", "price_2"), ("price1", "price2"), ("min_price", "max_price")])
def test_similar_numbers_get_one_kind(names):
    few, many = np.arange(1, 25), np.arange(1, 60)
    assert unify({names[0]: few, names[1]: many}) == ["numerical", "numerical"]
    assert unify({names[1]: many, names[0]: few}) == ["numerical", "numerical"]
    assert unify({names[0]: few, names[1]: few}) == ["categorical", "categorical"]


def test_other_numbers_keep_their_kind():
    few, many = np.arange(1, 25), np.arange(1, 60)
    assert unify({"price": few, "weekday": many}) == ["categorical", "numerical"]
    assert unify({"price_1": few, "price_2": many * 100}) == ["categorical", "numerical"]
    assert unify({"item_id_1": few, "item_id_2": many}) == ["categorical", "categorical"]


def pick(ids: np.ndarray, rows: int = 400) -> list[list]:
    return [RNG.choice(ids, 3).tolist() for _ in range(rows)]


def test_a_bag_shares_the_table_of_its_ids():
    ids = RNG.integers(10**6, 10**9, 200)
    features = share(
        {"item_id": RNG.choice(ids, 400), "user_id": RNG.integers(10**6, 10**9, 400), "session_items": pick(ids)}
    )
    assert [features[name].table for name in features] == ["", "", "item_id"]
    assert features["item_id"].hash_buckets == features["session_items"].hash_buckets
    assert features["item_id"].embedding_width == features["session_items"].embedding_width


def test_the_values_alone_decide_for_large_ids_and_strings():
    words = np.array([f"w{i}" for i in range(300)])
    features = share(
        {
            "product": RNG.choice(words, 900),
            "viewed": pick(words),
            "other": pick(np.array([f"o{i}" for i in range(300)])),
        }
    )
    assert [features[name].table for name in features] == ["", "product", ""]
    assert features["product"].vocabulary_size == features["viewed"].vocabulary_size > 0


def test_small_ids_need_a_common_word_or_equal_values():
    features = share(
        {"item_id": RNG.integers(0, 200, 2000), "items_seen": pick(np.arange(150)), "tags": pick(np.arange(150))}
    )
    assert [features[name].table for name in features] == ["", "item_id", ""]
    assert features["item_id"].num_ids == features["items_seen"].num_ids == 200
    history = share(
        {
            "item_id": RNG.integers(0, 200, 2000),
            "user_id": RNG.integers(0, 900, 2000),
            "history": pick(np.arange(200), 2000),
        }
    )
    assert history["history"].table == "item_id"
    unclear = share(
        {
            "item_id": RNG.integers(0, 200, 2000),
            "user_id": RNG.integers(0, 200, 2000),
            "history": pick(np.arange(200), 2000),
        }
    )
    assert unclear["history"].table == ""


def test_two_bags_of_the_same_ids_share_a_table():
    ids = RNG.integers(10**6, 10**9, 200)
    features = share({"clicked_items": pick(ids), "bought_items": pick(ids)})
    assert [features[name].table for name in features] == ["", "clicked_items"]


def test_single_ids_of_one_space_and_their_history_share_a_table():
    ids = RNG.integers(10**6, 10**9, 100)
    columns = {"history": pick(ids), "item_id": RNG.choice(ids, 900), "last_item_id": RNG.choice(ids, 900)}
    features = share(columns | {"user_id": RNG.integers(10**6, 10**9, 900)})
    assert [features[name].table for name in features] == ["item_id", "", "item_id", ""]


def test_small_ids_of_other_things_have_tables_of_their_own():
    columns = {"item_category_id": RNG.integers(0, 20, 900), "item_brand_id": RNG.integers(0, 24, 900)}
    columns |= {"item_tags": pick(np.arange(20)), "user_id": RNG.integers(0, 30, 900)}
    assert [feature.table for feature in share(columns).values()] == ["", "", "", ""]
