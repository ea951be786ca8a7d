from __future__ import annotations

import dataclasses

from steadyrank.pipeline.reporting import RunRecord, render
from tests.pipeline.reporting.page_parser import ParsedPage
from tests.pipeline.reporting.records import make_event


def read_section(run: RunRecord) -> str:
    """The text of the section."""
    page = render(run)
    start = page.index("<h2>Divergence</h2>")
    return ParsedPage(f"<section>{page[start : page.index('</section>', start)]}</section>").text


def with_events(run: RunRecord, *events, verdict="micro") -> RunRecord:
    return dataclasses.replace(run, divergence={"verdict": verdict, "events": list(events)})


def test_without_events_the_section_says_so(healthy):
    assert "No events." in read_section(healthy)
    assert "No events so far." in read_section(dataclasses.replace(healthy, divergence={}))


def test_each_incident_has_a_row(healthy):
    run = with_events(
        healthy,
        make_event(100, "out_of_range", "click", "loss 9 (usual 1)", feature="age"),
        make_event(130, "full_divergence", "click"),
        make_event(130, "rollback", values={"restored_step": 96.0, "learning_rate_factor": 0.5}),
        make_event(250, "dead_layer", layer="shared/layer_0", evidence="96% of the units are dead"),
        make_event(300, "spike", "click", values={"loss": 9.0, "usual": 1.0}),
    )
    text = read_section(run)
    assert (
        "1 100\N{EN DASH}130 Full divergence Full divergence was declared at step 130. The run rolled back at step 130 to "
        "the weights of step 96 and continued at half the learning rate. click, age loss 9 (usual 1) 2" in text
    )
    assert "2 250 Dead layer shared/layer_0 96% of the units are dead" in text
    assert "The loss spiked at 1 step." in text
    assert "All 5 events as recorded" in text


def test_the_first_evidence_of_a_feature_shift_names_the_feature(healthy):
    text = read_section(with_events(healthy, make_event(50, "feature_shift", evidence="value 8", feature="age")))
    assert "Feature shift age age: value 8" in text


def test_an_event_of_an_unknown_kind_is_shown_as_recorded(healthy):
    text = read_section(with_events(healthy, make_event(50, "odd_kind", evidence={"loss": 8e12, "usual": 0.6})))
    assert "Odd_kind whole run loss: 8e+12, usual: 0.6" in text


def test_the_publications_around_the_first_divergence_are_shown(healthy):
    run = with_events(healthy, make_event(20, "out_of_range", "click", "the loss is 9"))
    run = dataclasses.replace(run, train=healthy.train[:1], evaluation=())
    text = read_section(run)
    assert "Around step 20" in text
    assert "Before none At the first step steps 1\N{EN DASH}32 After none" in text


def test_a_context_beyond_a_rollback_says_so(healthy):
    run = with_events(healthy, make_event(40, "out_of_range", "click"), make_event(70, "rollback"))
    assert "The run rolled back to earlier weights at step 70." in read_section(run)
    run = with_events(healthy, make_event(40, "out_of_range", "click"), make_event(100, "rollback"))
    assert "earlier weights" not in read_section(run)


def test_the_context_formats_peaks_layers_and_shares(healthy):
    line = {
        "step": 32,
        "loss/click": 0.5,
        "loss_max/click": 5.269e8,
        "loss_max_step/click": 1017,
        "clipping_factor/shared/layer_0": 0.02,
        "dead_units/shared/layer_0": 0.125,
    }
    run = with_events(healthy, make_event(20, "out_of_range", "click"))
    text = read_section(dataclasses.replace(run, train=[line]))
    assert "Loss click \N{EN DASH} 0.5000 max. 5.269e8 at step 1,017" in text
    assert "Smallest clipping factor all layers \N{EN DASH} 0.02000 shared/layer_0" in text
    assert "Dead units shared/layer_0 \N{EN DASH} 12%" in text
