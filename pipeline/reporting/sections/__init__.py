"""The sections of the page, one module each: combine text, tables and figures as HTML.

| module | section of the page |
|---|---|
| :mod:`.header` | title, verdict, narrative, training and quality |
| :mod:`.narrative` | the sentences about the run's events |
| :mod:`.tasks` | the result of each task |
| :mod:`.metric_curves` | loss, AUC and RMSE by task |
| :mod:`.divergence` | incidents, spikes, and the publications around the first divergence |
| :mod:`.clipping` | clipping factors by layer |
| :mod:`.dead_units` | layers with many dead units |
| :mod:`.sharpness` | sharpness compared with the stability bound |
| :mod:`.data` | the log's days; with :mod:`.faulty_rows`, :mod:`.anomalies` and :mod:`.shift_map` |
| :mod:`.speed` | throughput, waiting for input, and advice |
| :mod:`.configuration` | all settings, and the footer |

:mod:`.run_figures` provides the common parts of a run's figures: the end of the step axis, the event marks and the
legend. Most section functions return an empty string if the run recorded no data for the section.
"""
