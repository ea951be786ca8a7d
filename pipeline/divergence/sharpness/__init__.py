"""The curvature of the loss, and conflicts between tasks, for any Keras model on TensorFlow.

The *sharpness* is the largest eigenvalue of the loss's Hessian H. On a quadratic loss, gradient descent with learning rate eta is
stable up to ``eta = 2 / sharpness``. Full-batch training drifts up to that bound and stays there (Cohen et al., *Gradient Descent on
Neural Networks Typically Occurs at the Edge of Stability*, 2021). Adagrad's step is ``eta * P g`` with ``P = diag(1 / sqrt(G +
epsilon))``, so its bound is that of the *preconditioned* sharpness, the largest eigenvalue of ``P H`` (Cohen et al., *Adaptive
Gradient Methods at the Edge of Stability*, 2022).

The *conflict* of tasks is how far their gradients over shared variables point in different directions.

Nothing here trains, and weights stay as they are. But the loss is computed as it is: a metric or a moving average that it updates is
updated, and with dropout it is the loss under one mask. It is computed outside of any replica; under a strategy, with the first
replica's variables.

| name | use |
|---|---|
| :class:`.SharpnessProbe`, :func:`.compute_sharpness` | measure the sharpness, again and again or once |
| :func:`.find_adagrad_accumulators` | G, for the preconditioned sharpness |
| :class:`.ConflictProbe`, :func:`.compute_conflict` | measure the conflict, from losses or from gradients |
| :func:`.find_shared_variables` | the variables that tasks share |
"""

from .accumulators import find_adagrad_accumulators
from .conflict import ConflictProbe, GradientConflict, compute_conflict
from .shared_variables import find_shared_variables
from .sharpness_probe import Sharpness, SharpnessProbe, compute_sharpness

__all__ = [
    "ConflictProbe",
    "GradientConflict",
    "Sharpness",
    "SharpnessProbe",
    "compute_conflict",
    "compute_sharpness",
    "find_adagrad_accumulators",
    "find_shared_variables",
]
