"""Fixtures for tests under both Keras 2 and Keras 3."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import keras
import pytest
import tf_keras

from steadyrank.pipeline.divergence import DivergenceMonitor
from steadyrank.pipeline.divergence import keras3 as divergence_keras3


class KerasVersion(NamedTuple):
    """A version of Keras and its monitor class."""

    library: ModuleType
    monitor_class: type


KERAS_VERSIONS = {
    "keras2": KerasVersion(tf_keras, DivergenceMonitor),
    "keras3": KerasVersion(keras, divergence_keras3.DivergenceMonitor),
}


@pytest.fixture(params=KERAS_VERSIONS)
def keras_version(request: pytest.FixtureRequest) -> KerasVersion:
    return KERAS_VERSIONS[request.param]
