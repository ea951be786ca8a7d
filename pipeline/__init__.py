"""The training pipeline: commands, and the packages that implement them.

Each command is a module that runs as ``python -m steadyrank.pipeline.NAME``; ``--help`` lists its flags.

| command | what it does |
|---|---|
| :mod:`.train` | trains a ranker on a log and publishes it if it did not diverge |
| :mod:`.evaluate` | evaluates a run's newest checkpoint on days of a log |
| :mod:`.export` | exports a run's newest checkpoint as a SavedModel |
| :mod:`.report` | writes a run's report again |
| :mod:`.replay` | repeats a bad step of a run with other rules and learning rates |
| :mod:`.describe` | proposes a schema for a log |
| :mod:`.convert` | converts a log between Parquet and TFRecord |
| :mod:`.input_service` | reads a log on other machines for a training job |

The packages, from the top floor down; each imports only packages below it:

| package | what it holds |
|---|---|
| :mod:`.training` | one run: the loop, distribution, checkpoints, metrics |
| :mod:`.data` | logs and batches |
| :mod:`.serving` | SavedModels, and the checks before a model is published |
| :mod:`.divergence` | the monitor that finds divergence |
| :mod:`.reporting` | the HTML report |
| :mod:`.config` | settings, presets and the command line |
"""
