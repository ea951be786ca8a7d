"""Probes: measure inside the training step of any Keras model, without the model's help.

:class:`~.probes.Probes` wraps a model's ``train_step``, loss, optimizer and layers. While a step is traced, the wrappers add scalars
to its graph, and a :class:`~..signal_recorder.SignalRecorder` keeps them until they are read. This works in Keras 2, and in Keras 3
on TensorFlow.

| signal | meaning | measured for |
|---|---|---|
| ``loss`` | loss of the batch | all models |
| ``loss/<task>`` | loss of the task | several outputs |
| ``normalized_loss``, ``normalized_loss/<task>`` | the loss divided by that of the best constant prediction on the same rows | cross-entropy and squared error |
| ``calibration``, ``calibration/<task>`` | mean prediction divided by mean label | likewise |
| ``auc``, ``auc/<task>`` | AUC of the batch's rows | binary tasks |
| ``feature/<name>``, ``spread/<name>``, ``missing/<name>`` | mean, deviation and missing values of an input; see :mod:`.input_features` | all models |
| ``activation/<layer>`` | mean output; not finite if any value of the output is not | layers that compute something |
| ``dead_units/<layer>`` | share of the units that are 0 in all rows of the batch | layers with a ReLU |
| ``gradient``, ``learning_rate`` | norm over all variables (of large matrices over some rows), and the rate | models whose bad steps are saved |
| ``gradient/<layer>``, ``parameter/<layer>`` | norms before the step | optimizers that do not explain their steps |

A *task* is an output of the model, by its name. The task of a model with one output has no name.

A model may help:

- ``on_step_metrics``, a function or None: the model calls it in ``train_step``, before the optimizer, with a mapping from signal to scalar.
  It replaces the measurements of the outputs. ``examples/<task>`` in it is the number of rows with a label.
- ``feature_names``: the names of the features, if the batch holds other columns too.
"""

from .probes import Probes

__all__ = ["Probes"]
