from __future__ import annotations

from steadyrank.pipeline.reporting import RunRecord
from steadyrank.pipeline.reporting.sections.configuration import make_configuration_section, make_footer
from tests.pipeline.reporting.page_parser import ParsedPage


def test_settings_have_the_names_that_override_them():
    config = {"data": {"batch_size": 100, "files": {}}, "optimizer": {"exclude_from_clipping": ["embeddings"]}}
    text = ParsedPage(make_configuration_section(RunRecord("r", config=config))).text
    assert "data.batch_size 100 data.files \N{EN DASH} optimizer.exclude_from_clipping embeddings" in text
    assert "no configuration" in make_configuration_section(RunRecord("r"))


def test_the_footer_names_time_and_versions_if_they_are_known():
    run = RunRecord("r", status={"time": "2026-11-27 11:30", "versions": {"python": "3.11", "tensorflow": "2.21"}})
    assert "2026-11-27 11:30 python 3.11, tensorflow 2.21 Made by steadyrank." in ParsedPage(make_footer(run)).text
    assert make_footer(RunRecord("r", status={"versions": "odd"})).count("<p>") == 1
