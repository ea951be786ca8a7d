"""Ensures that ``tf.keras`` is Keras 2, which TensorFlow Recommenders needs, before any other module uses it.

TensorFlow chooses its Keras version when ``tf.keras`` is first used, from the environment variable
``TF_USE_LEGACY_KERAS``. This module sets the variable if nothing has chosen yet. It cannot undo a choice.
"""

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tensorflow as tf
import tf_keras

if tf.keras.Model is not tf_keras.Model:
    raise ImportError(
        f"steadyrank.models needs Keras 2 as tf.keras, got Keras {tf.keras.version()}: set the environment variable "
        "TF_USE_LEGACY_KERAS=1 before the program starts, or import steadyrank.models before anything uses tf.keras"
    )
