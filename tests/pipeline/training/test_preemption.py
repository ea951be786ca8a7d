from __future__ import annotations

import os
import signal

import pytest

from steadyrank.pipeline.training.preemption import Preempted, PreemptionSignal


def test_nothing_happens_without_a_signal():
    with PreemptionSignal() as preemption:
        preemption.raise_if_requested()
    assert not preemption.requested


def test_sigterm_sets_the_attribute_and_raises_on_request():
    with PreemptionSignal() as preemption:
        os.kill(os.getpid(), signal.SIGTERM)
        assert preemption.requested
        with pytest.raises(Preempted):
            preemption.raise_if_requested()


def test_the_previous_handler_is_restored_even_after_an_error():
    previous_handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="inside"), PreemptionSignal():
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGTERM) is previous_handler
