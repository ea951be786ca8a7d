"""Checks a log before training: each day is compared with the days before it.

The checks catch what breaks a day as a whole: a missing column, a changed unit, renumbered ids, rows that were
delivered twice. Start with :func:`check_days`. It returns one :class:`CheckedDay` for each day of the log, with its
:class:`Anomaly` entries; ``data.files.on_anomalous_day`` decides whether the run warns, skips the day or stops.

| module | content |
|---|---|
| :mod:`.validation` | :func:`check_days`: the loop over the days, and the policy |
| :mod:`.checkable_log` | what the checks need from a log |
| :mod:`.checked_day` | the results: anomalies and checked days |
| :mod:`.day_statistics` | the statistics of each column of a day |
| :mod:`.comparison` | a day compared with the days before it |
| :mod:`.column_comparison` | one column compared with the days before |
| :mod:`.tolerance` | how far from the median a statistic may be |
| :mod:`.repeated_rows` | rows and row groups that occur twice |
| :mod:`.leaks` | features that alone predict a label |
| :mod:`.single_feature` | how well one feature orders the labels |
| :mod:`.feature_codes` | a feature's values as small integers |
"""

from .checkable_log import CheckableLog, RowGroup
from .checked_day import Anomaly, CheckedDay
from .validation import check_days

__all__ = ["Anomaly", "CheckableLog", "CheckedDay", "RowGroup", "check_days"]
