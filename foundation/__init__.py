"""Formulas, file helpers and terms that several packages share; the bottom floor of the house.

| module | what it holds |
|---|---|
| :mod:`.atomic_files` | files and folders that appear complete or not at all |
| :mod:`.json_values` | JSON for values that JSON has no number for: NaN and infinity |
| :mod:`.metric_key` | ``loss/click``: a metric's kind and its subject |
| :mod:`.run_terms` | the closed sets of words that a run writes: verdict, health, status, event kind |
| :mod:`.formatting` | durations, percentages, counts and error messages as text |
| :mod:`.auc` | the area under the ROC curve |
| :mod:`.constant_baseline` | the loss of the best constant prediction |
| :mod:`.signed_log` | the signed logarithm and its inverse |
| :mod:`.moments` | running mean and standard deviation |

Nothing here imports TensorFlow. A formula that must also run inside a graph takes the namespace or the function that it
needs as an argument.
"""
