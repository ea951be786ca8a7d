"""One run, from a configuration to a published model.

Start with :func:`.job.run_job`, which reads from top to bottom. It uses the modules in this order:

| module | what it does |
|---|---|
| :mod:`.run_directory` | reads and writes the files in ``model_dir`` |
| :mod:`.distribution` | makes the distribution strategy and the input of its workers |
| :mod:`.schedule` | orders days, passes and batches |
| :mod:`.run_state` | holds the position of the run, shared by the loop and its callbacks |
| :mod:`.failures` | records a failure in ``status.json`` |
| :mod:`.progress`, :mod:`.headline`, :mod:`.event_printer` | print to the terminal |
| :mod:`.build` | makes the ranker and its optimizer |
| :mod:`.checkpoints`, :mod:`.checkpoint_callback` | save and restore the run |
| :mod:`.plain_path` | a path that TensorFlow does not misread as a pattern |
| :mod:`.loop`, :mod:`.evaluation` | train and evaluate, day by day |
| :mod:`.preemption` | listens for SIGTERM |
| :mod:`.publisher`, :mod:`.writers` | publish the metrics |
| :mod:`.curvature` | measures sharpness and the conflict between tasks |
| :mod:`.report` | writes the report |

Two modules serve other commands: :mod:`.restore` restores the ranker of a finished run, and :mod:`.replay` repeats a
bad step.

Importing this package does not import TensorFlow.
"""

__all__: list[str] = []
