from __future__ import annotations

import json
import math

import pytest

from steadyrank.pipeline.divergence import Event
from steadyrank.pipeline.divergence.event import Evidence


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event(1234, "spike", "click", "loss 9"), "step 1,234 [click] spike: loss 9"),
        (Event(5, "dead_layer", "", "97%", layer="shared/layer_0"), "step 5 [shared/layer_0] dead layer: 97%"),
        (
            Event(5, "feature_shift", "", "typical value 9", feature="age"),
            "step 5 [age] feature shift: typical value 9",
        ),
        (Event(5, "rollback", "", "restored", feature="age"), "step 5 [model] rollback: restored"),
    ],
)
def test_an_event_reads_as_one_line(event, text):
    assert str(event) == text


def test_an_event_survives_json():
    event = Event(5, "spike", "click", "loss 9", values={"loss": 9.0})
    assert Event(**json.loads(json.dumps(event.to_dict()))) == event


def test_evidence_drops_values_that_are_not_finite():
    assert Evidence.of("loss", loss=math.nan, usual=1).values == {"usual": 1.0}


def test_context_comes_before_the_text():
    evidence = Evidence.of("loss 9", loss=9.0).with_context("on held-out data", held_out=1.0)
    assert evidence == ("on held-out data: loss 9", {"loss": 9.0, "held_out": 1.0})
