"""Probes: measure signals inside the training step of any Keras model, without changes to the model.

:class:`~.probes.Probes` wraps a model's ``train_step`` and, while a step runs, its loss, optimizers and layers. During
tracing, the wrappers add scalars to the graph of the step, and a :class:`~..signal_recorder.SignalRecorder` accumulates
their statistics. :class:`~.train_function.MonitoredTrainFunction` lets Keras's ``fit`` take such steps. Probes support
Keras 2, and Keras 3 with the TensorFlow backend.

| signal | meaning | measured for |
|---|---|---|
| ``loss`` | loss of the batch | all models |
| ``loss/<task>`` | loss of the task | several outputs |
| ``logged_loss``, ``logged_loss/<task>``, ``logged_value/<entry>`` | the losses, or else all numbers, in the results of ``train_step``; see :mod:`.logged_losses` | models whose step computes its loss itself |
| ``normalized_loss``, ``normalized_loss/<task>`` | the loss divided by the loss of the best constant prediction on the same rows | cross-entropy and squared error |
| ``prediction_loss``, ``constant_loss`` (and ``/<task>``) | the numerator and the denominator of the normalized loss | cross-entropy and squared error |
| ``calibration``, ``calibration/<task>`` | mean prediction divided by mean label | cross-entropy and squared error |
| ``auc``, ``auc/<task>`` | AUC of the batch's rows | binary tasks |
| ``feature/<name>``, ``spread/<name>``, ``missing/<name>`` | mean, deviation and missing values of an input; see :mod:`.input_features` | all models |
| ``activation/<layer>`` | mean output; not finite if any value of the output is not finite | layers that compute something, except for a convolution with a bias and no activation |
| ``dead_units/<layer>`` | share of the units that are 0 in all rows of the batch | layers with a ReLU |
| ``gradient``, ``learning_rate`` | gradient norm over all variables (sampled rows of large matrices), and the learning rate | monitors that save bad steps |
| ``gradient/<layer>``, ``parameter/<layer>`` | norms before the step | optimizers that do not explain their steps |

A *task* is an output of the model and has its name. In a model with one output, the task has an empty name.

A model can have two optional attributes:

- ``on_step_metrics``, a function or None. The model calls it in ``train_step``, before the optimizer, with a mapping from signal to
  scalar, which replaces the measurements of the outputs. ``examples/<task>`` in the mapping is the number of labeled
  rows.
- ``feature_names``: the names of the features, if the batch contains other columns as well.
"""

from .probes import Probes
from .train_function import MonitoredTrainFunction

__all__ = ["MonitoredTrainFunction", "Probes"]
