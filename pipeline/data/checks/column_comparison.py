"""One column of a day compared with the same column on the previous days."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ....foundation.formatting import format_percent
from ....foundation.signed_log import inverse_signed_log
from .checked_day import Anomaly
from .day_statistics import ColumnStatistics
from .tolerance import is_far, log_odds, median_distance

# The smallest relevant distances: of shares, of means in standard deviations, of log odds, and of logarithms of
# deviations.
_MIN_SHARE, _MIN_MEAN, _MIN_LOG_ODDS, _MIN_LOG_DEVIATION = 0.1, 0.5, math.log(2.0), math.log(4.0)

# A change of ids shows in their most frequent values. The check runs only if these values make up _MIN_FREQUENT_SHARE
# of a day. It compares them with the last _COMPARED_DAYS days, because ids come and go. It reports an anomaly if less
# than _MIN_REMAINING_SHARE of them remains.
_FREQUENT_VALUES, _MIN_FREQUENT_SHARE, _MIN_REMAINING_SHARE, _COMPARED_DAYS = 64, 0.1, 0.4, 7
# Tolerance of the remaining share, in median distances.
_REMAINING_SHARE_DISTANCES = 4.0


def compare_column(name: str, today: ColumnStatistics, previous: Sequence[ColumnStatistics]) -> Iterator[Anomaly]:
    """Yields the anomalies of a column.

    Args:
      name: The column's name.
      today: Its statistics on the day that is checked.
      previous: Its statistics on the previous days, the oldest first; at least one day.
    """
    missing = [day.missing for day in previous]
    if _is_share_far(today.missing, missing, today.rows):
        shares = _format_shares(today.missing, missing)
        yield Anomaly("missing_values", name, f"{name} is missing in {shares[0]} of the rows; {shares[1]}")
    if today.missing == 1:
        return
    if today.distinct:
        yield from _compare_ids(name, today, previous)
    else:
        yield from _compare_numbers(name, today, [day for day in previous if np.isfinite(day.mean)])


def format_days_before(count: int) -> str:
    """Formats the number of days that a day was compared with.

    Example:
    >>> format_days_before(1), format_days_before(5)
    ('the day before', 'the 5 days before')
    """
    return "the day before" if count == 1 else f"the {count:,} days before"


def _compare_ids(name: str, today: ColumnStatistics, previous: Sequence[ColumnStatistics]) -> Iterator[Anomaly]:
    if today.distinct == 1 and all(day.distinct > 1 for day in previous):
        text = f"{name} has the same value in every row; the day before had {previous[-1].distinct:,} different values"
        yield Anomaly("constant", name, text)
        return
    unknown = [day.unknown for day in previous if day.unknown is not None]
    if today.unknown is not None and unknown and _is_share_far(today.unknown, unknown, today.rows):
        shares = _format_shares(today.unknown, unknown)
        text = f"{shares[0]} of the values of {name} are not in the schema's vocabulary or id range; {shares[1]}"
        yield Anomaly("unknown_values", name, text)
    shares_before = [_remaining_share(day, previous[:index]) for index, day in enumerate(previous) if index]
    usual, distance = (float(np.median(shares_before)), median_distance(shares_before)) if shares_before else (1.0, 0.0)
    frequent_share, remaining_share = sum(_most_frequent(previous[-1]).values()), _remaining_share(today, previous)
    if (
        frequent_share >= _MIN_FREQUENT_SHARE
        and remaining_share < _MIN_REMAINING_SHARE * usual - _REMAINING_SHARE_DISTANCES * distance
    ):
        text = (
            f"the most frequent values of {name} so far make up {format_percent(remaining_share * frequent_share)} of the values; "
            f"on the day before they made up {format_percent(frequent_share)}"
        )
        yield Anomaly("unknown_values", name, text)


def _remaining_share(today: ColumnStatistics, previous: Sequence[ColumnStatistics]) -> float:
    """Computes the share of a previous day's frequent values that remains, for the previous day with the largest share.

    1 means that the frequent values are as frequent as on that day. 0 means that none of them occurs.
    """
    shares = [0.0]
    for day in previous[-_COMPARED_DAYS:]:
        frequent = _most_frequent(day)
        total = sum(frequent.values())
        shares.append(sum(today.top.get(value, 0.0) for value in frequent) / total if total else 1.0)
    return max(shares)


def _most_frequent(day: ColumnStatistics) -> dict[Any, float]:
    return dict(itertools.islice(day.top.items(), _FREQUENT_VALUES))


def _compare_numbers(name: str, today: ColumnStatistics, previous: Sequence[ColumnStatistics]) -> Iterator[Anomaly]:
    if not previous or not np.isfinite(today.mean):
        return
    means, deviations = [day.mean for day in previous], [day.deviation for day in previous]
    usual_mean, usual_deviation = float(np.median(means)), float(np.median(deviations))
    days = format_days_before(len(previous))
    if today.deviation == 0 and min(deviations) > 0:
        text = f"{name} is {_format_value(today.mean, today.is_log_scale)} in every row; on {days} it varied"
        yield Anomaly("constant", name, text)
    elif usual_deviation == 0:
        yield from _compare_with_constant(name, today, previous)
    elif _is_mean_far(today, previous) or _are_odds_far(today, previous):
        text = (
            f"the {'log-scale ' if today.is_log_scale else ''}mean of {name} is "
            f"{_format_value(today.mean, today.is_log_scale)}; {days} had {_format_value(usual_mean, today.is_log_scale)}"
        )
        yield Anomaly("shifted", name, text, round((today.mean - usual_mean) / usual_deviation, 1))
    elif today.deviation > 0:
        logarithms = [math.log(deviation) for deviation in deviations if deviation > 0]
        if logarithms and is_far(math.log(today.deviation), logarithms, _MIN_LOG_DEVIATION):
            text = (
                f"the standard deviation of {'the logarithm of ' if today.is_log_scale else ''}{name} is "
                f"{_format_value(today.deviation)}; {days} had {_format_value(usual_deviation)}"
            )
            yield Anomaly("shifted", name, text)


def _compare_with_constant(
    name: str, today: ColumnStatistics, previous: Sequence[ColumnStatistics]
) -> Iterator[Anomaly]:
    """Compares a column with previous days. On most of them, the column had a single value."""
    usual = float(np.median([day.mean for day in previous]))
    days = format_days_before(len(previous))
    if today.deviation > 0 and max(day.deviation for day in previous) == 0:
        text = f"{name} varies around {_format_value(today.mean)}; on {days} it was always {_format_value(usual)}"
        yield Anomaly("shifted", name, text)
    elif today.mean != usual and today.deviation == 0:
        text = (
            f"{name} is {_format_value(today.mean, today.is_log_scale)} in every row; "
            f"on {days} it was always {_format_value(usual, today.is_log_scale)}"
        )
        yield Anomaly("shifted", name, text)


def _is_mean_far(today: ColumnStatistics, previous: Sequence[ColumnStatistics]) -> bool:
    deviation = float(np.median([day.deviation for day in previous]))
    means = [day.mean / deviation for day in previous]
    return is_far(today.mean / deviation, means, _MIN_MEAN, 1 / math.sqrt(_count_values(today)))


def _are_odds_far(today: ColumnStatistics, previous: Sequence[ColumnStatistics]) -> bool:
    """Returns whether the odds of a binary column changed. For a rare event, a standard deviation is too coarse a unit."""
    means = [day.mean for day in previous]
    if not all(0 < mean < 1 for mean in (*means, today.mean)) or not all(map(_is_binary, (today, *previous))):
        return False
    usual = float(np.median(means))
    rarest = min(today.mean, 1 - today.mean, usual, 1 - usual)
    error = 1 / math.sqrt(_count_values(today) * rarest)
    return is_far(log_odds(today.mean), [log_odds(mean) for mean in means], _MIN_LOG_ODDS, error)


def _count_values(day: ColumnStatistics) -> float:
    return max(day.rows * (1 - day.missing), 1)


def _is_binary(day: ColumnStatistics) -> bool:
    """Returns whether mean and deviation are those of a column of zeros and ones."""
    return not day.is_log_scale and math.isclose(day.deviation**2, day.mean * (1 - day.mean), rel_tol=1e-3)


def _is_share_far(today: float, previous: Sequence[float], rows: int) -> bool:
    usual = float(np.median(previous))
    standard_error = math.sqrt(max(usual * (1 - usual), 1 / rows)) / math.sqrt(rows)
    return is_far(today, previous, _MIN_SHARE, standard_error)


def _format_shares(today: float, previous: Sequence[float]) -> tuple[str, str]:
    usual = format_percent(float(np.median(previous)))
    return format_percent(today), f"{format_days_before(len(previous))} had {usual}"


def _format_value(value: float, is_log_scale: bool = False) -> str:
    if is_log_scale:
        value = inverse_signed_log(value)
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
