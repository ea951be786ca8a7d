"""The sections of the page, one module each: sentences, tables and figures to HTML.

| module | section of the page |
|---|---|
| :mod:`.header` | title, verdict, what happened, what was trained and how good it is |
| :mod:`.narrative` | the sentences that say what happened |
| :mod:`.tasks` | the result of each task |
| :mod:`.metric_curves` | loss, AUC and RMSE by task |
| :mod:`.divergence` | incidents, spikes, and the publications around the first divergence |
| :mod:`.clipping` | clipping factors by layer |
| :mod:`.dead_units` | layers with many dead units |
| :mod:`.sharpness` | sharpness against the bound of the learning rate |
| :mod:`.data` | the log's days; with :mod:`.faulty_rows`, :mod:`.anomalies` and :mod:`.shift_map` |
| :mod:`.speed` | throughput, waiting for input, and advice against it |
| :mod:`.configuration` | all settings, and the footer |

:mod:`.run_figures` holds what the figures of a run share: the end of the step axis, the event marks and the legend.
Each section function returns an empty string if the run recorded nothing for it.
"""
