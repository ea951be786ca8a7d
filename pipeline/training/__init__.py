"""One run, from a configuration to a published model.

:mod:`.job` reads from top to bottom and is the place to begin; it wires ``run_directory`` (what lies where), ``distribution``
(devices), ``build`` (ranker and optimizer), ``loop`` (day by day), ``checkpoints``, ``publisher`` and ``writers`` (metrics),
``progress`` (the terminal) and ``report``.
"""
