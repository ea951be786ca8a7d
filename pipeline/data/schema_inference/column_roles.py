"""What a column's name says about its role: a label, an outcome that may be a label, the weight of a row, or neither.

A wrong guess is expensive. A label that becomes a feature gives the ranker the answer, and a feature that becomes a task
trains a useless tower. So a column becomes a task only if its name can hardly mean anything else; a column that may be an
outcome becomes neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Role = Literal["label", "outcome", "weight", "other"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# Names that can only be labels, if the values are 0 and 1.
_LABEL_NAMES = _words(
    """
    label target click clicked clk like liked purchase purchased buy bought conversion converted survived
    """
)
_VERB_PREFIXES = _words("is has was did")

# What users do, and what it is worth. The name of an outcome ends with such a word, or with its measures.
_OUTCOMES = _words(
    """
    label labels target outcome click clicks clicked clk nonclk like likes liked dislike disliked hate share shared
    shares purchase purchases purchased buy bought order orders ordered conversion conversions convert converted
    conv install installs installed signup booking bookings booked watch watched watching view viewed play played
    dwell stay rating ratings stars reward survived churn churned fraud revenue gmv sales spend profit payout follow
    followed comment commented forward forwarded favorite favorited refund refunded returned skip skipped completed
    finished applied attribution exposed
    """
)
# What an item has, not what a user did: item_rating, market_share.
_ATTRIBUTES = _words("rating ratings stars sales likes share shares views")
_OWNERS = _words("item product movie video seller author market ad shop store merchant hotel prop brand")
# Outcomes by their whole name.
_WHOLE_NAMES = _words("behavior_type behaviour_type btag action_type event_type overall")
# Outcomes in some logs and features in others. Only the whole name counts, and only if there are two values.
_TWO_VALUED_OUTCOMES = _words("y class income response default visit subscribed exited stroke diabetes approved")
# Words that measure an outcome, after it: watch_time, purchase_amount.
_MEASURES = _words(
    """
    time times duration ratio seconds secs sec s ms minutes min mins hours amount value values price usd eur flag
    bool label timestamp ts at feedback
    """
)
# Words of a summary of earlier outcomes, which is a feature: avg_rating, click_count, days_since_install, last_click_time.
_SUMMARIES = _words(
    """
    num number count cnt counts n nb avg average mean median std sum total past prev previous last first hist
    history historical since before prior rate ctr cvr recent lifetime ever max pos position per day days week weeks
    month months hour hours year smoothed prob probability propensity predicted pred estimate bid
    """
)
_PLAIN_WEIGHTS = _words("weight weights wt")
_WEIGHT_NAME = re.compile(
    r"(?i)^(weights?|wt|fnlwgt|(.*_)?(sample|sampling|instance|example|row|case|importance|survey|person|ipw|ips)_?(weights?|wt))$"
)


def find_role(column: str) -> Role:
    """Returns what a column's name says about its role.

    | role | meaning |
    |---|---|
    | ``label`` | can hardly mean anything but a label, if the values are binary |
    | ``outcome`` | may be a label, or is recorded after the outcome |
    | ``weight`` | the weight of a row in the loss |
    | ``other`` | anything else, so usually a feature |

    Example:
    >>> find_role("label_like"), find_role("revenue"), find_role("sample_weight"), find_role("days_since_install")
    ('label', 'outcome', 'weight', 'other')
    """
    if _WEIGHT_NAME.match(column):
        return "weight"
    words = split_words(column)
    # label_1 is a label as much as label.
    words = words[:-1] if len(words) > 1 and words[-1].isdigit() and len(words[-1]) < 3 else words
    verb = words[1:] if words[:1] and words[0] in _VERB_PREFIXES else words
    if "_".join(verb) in _LABEL_NAMES or (len(words) > 1 and "label" in (words[0], words[-1])):
        return "label"
    return "outcome" if _is_outcome(words) else "other"


def is_certain_weight(column: str) -> bool:
    """Returns whether a column with the role ``weight`` can hardly be a feature; ``weight`` alone may be in kilograms.

    Example:
    >>> is_certain_weight("instance_weight"), is_certain_weight("weight")
    (True, False)
    """
    return column.lower() not in _PLAIN_WEIGHTS


def is_two_valued_outcome(column: str) -> bool:
    """Returns whether a column with two values is an outcome in many logs, by its whole name, such as ``income``."""
    return "_".join(split_words(column)) in _TWO_VALUED_OUTCOMES


def split_words(column: str) -> list[str]:
    """Splits a name into its words, in lower case.

    Example:
    >>> split_words("isClick"), split_words("Age (years)"), split_words("price_2")
    (['is', 'click'], ['age', 'years'], ['price', '2'])
    """
    return [word.lower() for word in _WORDS.findall(column)]


def _is_outcome(words: Sequence[str]) -> bool:
    """Returns whether the words end with an outcome, or with an outcome and its measures, and name no summary."""
    if "_".join(words) in _WHOLE_NAMES:
        return True
    while len(words) > 1 and words[-1] in _MEASURES and words[-2] != "target":
        words = words[:-1]
    if not words or words[-1] not in _OUTCOMES or (words[-1] in _ATTRIBUTES and _OWNERS.intersection(words)):
        return False
    return not any(word in _SUMMARIES or word.isdigit() for word in words)
