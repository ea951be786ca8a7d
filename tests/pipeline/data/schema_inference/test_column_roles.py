"""Roles by name: columns of public datasets, and names that only look like labels."""

from __future__ import annotations

import pytest

from steadyrank.pipeline.data.schema_inference.column_roles import find_role, is_two_valued_outcome, split_words

ROLES = {
    # Criteo, Avazu, Taobao, Ali-CCP, KuaiRand, Tenrec, Titanic, Santander, HIGGS, Outbrain.
    "label": """
        label Label label_1 label_like label_click like_label session_label target TARGET click clicked clk is_click isClick
        is_like like purchase buy conversion converted survived Survived bought is_purchased has_clicked
    """,
    # MovieLens, KuaiRec, KuaiRand, Amazon, Expedia, Criteo attribution, Taobao, Yelp, telecommunication churn.
    "outcome": """
        revenue rating user_rating review_rating overall stars watch_time watch_ratio play_duration play_time_ms
        minutes_watched dwell_time comment_stay_time is_follow long_view booking_bool click_bool gross_bookings_usd
        attribution conversion_timestamp time_to_click behavior_type churn Churn isFraud purchase_amount order_value sales
        spend is_installed nonclk reward
    """,
    "weight": "weight weights sample_weight instance_weight example_weight SampleWeight fnlwgt",
    "other": """
        is_subscriber days_since_install axis_x age Age hour banner_pos C1 I1 site_id device_type video_duration duration_ms
        is_rand capital_gain body_weight item_weight weight_kg hours_per_week fare pclass click_count like_count
        share_count ctr historical_ctr avg_rating item_rating prop_starrating last_click_time time_since_last_click
        num_clicks_7d clicks_7d click_pos click_nb cost order_hour_of_day order_id install_date target_audience target_price
        market_share item_sales comment_length sales_region is_new is_weekend followers bid_price propensity_score
        liked_genres viewed_items timestamp displaying_item watch_count completion_rate play_type list_price
        subscription_type class_weight_hint prelabeled clickbait_words
    """,
}


@pytest.mark.parametrize(("name", "role"), [(name, role) for role, names in ROLES.items() for name in names.split()])
def test_a_name_has_a_role(name, role):
    assert find_role(name) == role


@pytest.mark.parametrize("name", ["y", "income", "Class", "response", "default"])
def test_some_names_are_outcomes_if_there_are_two_values(name):
    assert is_two_valued_outcome(name)
    assert find_role(name) == "other"
    assert not is_two_valued_outcome(f"user_{name}")


def test_names_are_split_into_words():
    assert split_words("userID2_maxPrice (EUR)") == ["user", "id", "2", "max", "price", "eur"]
