"""The pipeline: commands, and the rooms that they are made of.

The commands, each ``python -m steadyrank.pipeline.NAME --help``: ``train`` (the main job), ``evaluate``, ``export`` and
``report`` (on a run that is there), ``describe`` and ``convert`` (on a log of one's own).

The rooms, from the top: ``training`` (one run), ``data`` (logs to batches), ``serving`` (a ranker to a server), and on the
ground ``divergence``, ``reporting`` and ``config``, which know nothing of one another.
"""
