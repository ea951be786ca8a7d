"""The curvature of the loss, and conflicts between tasks, for any Keras model on TensorFlow.

The *sharpness* is the largest eigenvalue of the loss's Hessian H. On a quadratic loss, gradient descent with learning
rate eta is stable up to ``eta = 2 / sharpness``. Full-batch training drifts up to that bound and stays there (Cohen et
al., *Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability*, 2021). Adagrad's step is ``eta * P
g`` with ``P = diag(1 / sqrt(G + epsilon))``, so the bound applies to the *preconditioned* sharpness, the largest
eigenvalue of ``P H`` (Cohen et al., *Adaptive Gradient Methods at the Edge of Stability*, 2022).

The *conflict* between tasks is the extent to which their gradients over shared variables point in different directions.

A measurement does not train and does not change weights. It does call the loss function, which may update metrics and
moving averages, and with dropout uses one random mask. The loss is computed outside of any replica. Under a strategy,
it uses the first replica's variables.

| name | use |
|---|---|
| :class:`.SharpnessProbe`, :func:`.compute_sharpness` | measure the sharpness, repeatedly or once |
| :func:`.find_adagrad_accumulators` | finds G, for the preconditioned sharpness |
| :class:`.ConflictProbe`, :func:`.compute_conflict` | measure the conflict, from losses or from gradients |
| :func:`.find_shared_variables` | finds the variables that tasks share |
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
