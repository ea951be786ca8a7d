"""The training pipeline: its commands and their packages.

Each command is a module that runs as ``python -m steadyrank.pipeline.NAME``; ``--help`` lists its flags.

| command | what it does |
|---|---|
| :mod:`.train` | trains a ranker on a log and publishes it if it did not diverge |
| :mod:`.evaluate` | evaluates a run's newest checkpoint on days of a log |
| :mod:`.export` | exports a run's newest checkpoint as a SavedModel |
| :mod:`.report` | rewrites a run's report |
| :mod:`.replay` | repeats a bad step of a run with other rules and learning rates |
| :mod:`.describe` | proposes a schema for a log |
| :mod:`.convert` | converts a log between Parquet and TFRecord |
| :mod:`.input_service` | reads a log on other machines for a training job |

The packages, from the top layer down. Each package imports only packages of lower layers:

| package | what it holds |
|---|---|
| :mod:`.training` | one run: the loop, distribution, checkpoints, metrics |
| :mod:`.data` | logs and their batches |
| :mod:`.serving` | SavedModels, and the checks before a model is published |
| :mod:`.divergence` | the monitor that detects divergence |
| :mod:`.reporting` | the HTML report |
| :mod:`.config` | settings, presets and the command line |
"""
