"""Formulas, file helpers and terms that several packages share. Imports no other package of steadyrank.

| module | what it holds |
|---|---|
| :mod:`.atomic_files` | files and folders that appear complete or not at all |
| :mod:`.json_values` | JSON with NaN and infinity as strings |
| :mod:`.metric_key` | ``loss/click``: a metric's kind and its subject |
| :mod:`.run_terms` | the terms that a run writes to its files: verdicts, health, status, kinds of events |
| :mod:`.formatting` | durations, percentages, counts and error messages as text |
| :mod:`.auc` | the area under the ROC curve |
| :mod:`.constant_baseline` | the loss of the best constant prediction |
| :mod:`.signed_log` | the signed logarithm and its inverse |
| :mod:`.moments` | running mean and standard deviation |

No module here imports TensorFlow. A formula that must also run inside a graph takes the functions that it needs as an
argument.
"""
