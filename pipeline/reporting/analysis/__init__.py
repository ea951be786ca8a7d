"""The analysis of a run's record: computes numbers, but no text and no figures.

| module | what it computes |
|---|---|
| :mod:`.numbers` | safe conversion of recorded values |
| :mod:`.series` | metrics over the training step |
| :mod:`.reductions` | shortened and sliced series, for the figures |
| :mod:`.scores` | the result of each task, relative to chance and the ceiling |
| :mod:`.incidents` | events, grouped into incidents |
| :mod:`.run_history` | incidents, spikes, clipping and gradients of a whole run |
| :mod:`.incident_context` | the publications around an incident |
| :mod:`.input_wait` | how long training waited for input |
| :mod:`.log_days` | the days of a log and their anomalies |
| :mod:`.column_shifts` | the shifts of the columns of a log |

Start with :func:`.run_history.read_history`.
"""
