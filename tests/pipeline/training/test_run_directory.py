from __future__ import annotations

import dataclasses

import pytest

from steadyrank.models import Feature, Schema, Task
from steadyrank.pipeline.config import Config, UserError
from steadyrank.pipeline.data.checks import Anomaly, CheckedDay
from steadyrank.pipeline.reporting import read_lines
from steadyrank.pipeline.training.run_directory import RunDirectory

SCHEMA = Schema(
    (Feature("country", "categorical", dtype="string", vocabulary_size=2),),
    (Task("click", "binary"),),
)
COMPUTED = Schema(
    (Feature("country", "categorical", dtype="string", vocabulary=("de", "fr")),),
    (Task("click", "binary"),),
)


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


def with_seed(seed: int) -> Config:
    config = Config()
    return dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))


class TestCheck:
    def test_accepts_a_folder_that_does_not_exist_and_does_not_create_it(self, run):
        run.check(Config(), resume=False)
        assert not run.path.exists()

    def test_refuses_a_folder_with_other_files(self, run):
        run.path.mkdir()
        (run.path / "notes.txt").touch()
        with pytest.raises(UserError, match="must be a new or empty folder"):
            run.check(Config(), resume=False)

    def test_refuses_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="must be a folder, got a file"):
            RunDirectory(tmp_path / "file").check(Config(), resume=False)

    def test_refuses_a_second_run_and_names_the_state_of_the_first(self, run):
        run.claim(Config(), SCHEMA)
        run.write_status("done", 64)
        with pytest.raises(UserError, match=r"already holds a run \(done at step 64\); continue it with --resume"):
            run.check(Config(), resume=False)

    def test_resume_needs_a_run(self, run):
        with pytest.raises(UserError, match="holds no run"):
            run.check(Config(), resume=True)

    def test_resume_needs_the_same_configuration(self, run):
        run.claim(with_seed(0), SCHEMA)
        run.check(with_seed(0), resume=True)
        with pytest.raises(UserError, match=r"training.seed must be 0, as in .*config.yaml, got 5"):
            run.check(with_seed(5), resume=True)

    @pytest.mark.parametrize("name", ["path", "schema"])
    def test_resume_accepts_another_place_of_the_log(self, run, name):
        run.claim(Config(), SCHEMA)
        config = Config()
        moved = dataclasses.replace(config.data, files=dataclasses.replace(config.data.files, **{name: "elsewhere"}))
        run.check(dataclasses.replace(config, data=moved), resume=True)

    def test_resume_proposes_the_new_path_of_a_log_that_is_gone(self, run, tmp_path):
        data = Config().data
        files = dataclasses.replace(data.files, path=str(tmp_path / "log"))
        config = dataclasses.replace(Config(), data=dataclasses.replace(data, source="files", files=files))
        run.claim(config, SCHEMA)
        with pytest.raises(UserError, match=r"log: no such file or folder; if the log moved, .*files\.path=NEW"):
            run.check(config, resume=True)
        (tmp_path / "log").mkdir()
        run.check(config, resume=True)

    def test_resume_names_the_setting_that_differs_and_what_may(self, run):
        run.claim(Config(), SCHEMA)
        config = Config()
        optimizer = dataclasses.replace(config.optimizer, learning_rate=0.9)
        message = r"optimizer.learning_rate must be 0.5, .* got 0.9. .* may only change data.files.path, "
        with pytest.raises(UserError, match=message):
            run.check(dataclasses.replace(config, optimizer=optimizer), resume=True)
        data = dataclasses.replace(config.data, batch_size=8)
        with pytest.raises(UserError, match=r"data.batch_size .* got 8 \(and 1 other setting differs?\)"):
            run.check(dataclasses.replace(config, optimizer=optimizer, data=data), resume=True)

    def test_resume_refuses_other_options_of_the_rule(self, run):
        config = Config()
        run.claim(config, SCHEMA)
        optimizer = dataclasses.replace(config.optimizer, rule_options={"relative": 0.25})
        with pytest.raises(UserError, match=r"optimizer.rule_options.relative must be empty, .* got 0.25"):
            run.check(dataclasses.replace(config, optimizer=optimizer), resume=True)

    def test_the_home_folder_is_expanded(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert RunDirectory("~/x").path == tmp_path / "x"


def test_the_claimed_folder_holds_configuration_and_schema(run):
    run.claim(with_seed(3), SCHEMA)
    assert run.read_config() == with_seed(3)
    assert "vocabulary_size: 2" in run.schema_file.read_text()


class TestSettleSchema:
    def test_the_first_process_settles_the_vocabularies(self, run):
        run.claim(Config(), SCHEMA)
        assert run.settle_schema(COMPUTED) == COMPUTED

    def test_a_later_process_keeps_them(self, run):
        run.claim(Config(), SCHEMA)
        run.settle_schema(COMPUTED)
        feature = dataclasses.replace(COMPUTED.features[0], vocabulary=("pl", "de"))
        assert run.settle_schema(dataclasses.replace(COMPUTED, features=(feature,))) == COMPUTED

    def test_bounds_from_the_log_are_added_and_kept(self, run):
        schema = Schema((Feature("x", "numerical", minimum=0.0),), SCHEMA.tasks)
        computed = Schema((Feature("x", "numerical", minimum=-5.0, maximum=5.0),), SCHEMA.tasks)
        run.claim(Config(), schema)
        settled = Schema((Feature("x", "numerical", minimum=0.0, maximum=5.0),), SCHEMA.tasks)
        assert run.settle_schema(computed) == settled
        assert run.settle_schema(schema) == settled

    def test_a_log_with_other_tasks_is_refused(self, run):
        run.claim(Config(), SCHEMA)
        with pytest.raises(UserError, match=r"the log must have the columns and tasks of .*schema.yaml"):
            run.settle_schema(dataclasses.replace(COMPUTED, tasks=(Task("like", "binary"),)))


def test_status_is_empty_before_it_is_written(run):
    assert run.read_status() == {}
    run.write_status("running", 8, message="x")
    assert run.read_status() == {"status": "running", "step": 8, "message": "x"}


def test_checked_days_are_read_back_and_record_their_use(run):
    anomaly = Anomaly("shifted", "x", "the mean of x is 3")
    days = [CheckedDay(name, 8, 1, 5, {}, (anomaly,), name == "b") for name in ("a", "b", "c")]
    run.write_log("/data", days, held_out=["c"])
    assert run.read_log() == days
    assert [entry.split('"')[1] for entry in run.log_file.read_text().split('"use": ')[1:]] == [
        "training",
        "skipped",
        "holdout",
    ]


def test_writers_remove_lines_of_repeated_steps(run):
    with run.open_writers(0) as (train, evaluation):
        for step in (8, 16, 24):
            train.write(step, {"loss": 1.0})
            evaluation.write(step, {"loss": 1.0})
    with run.open_writers(16) as (train, evaluation):
        train.write(24, {"loss": 2.0})
    assert [line["step"] for line in read_lines(run.train_metrics)] == [8, 16, 24]
    assert [line["loss"] for line in read_lines(run.train_metrics)] == [1.0, 1.0, 2.0]
    # The evaluation at step 16 precedes the training of the next day and is made again.
    assert [line["step"] for line in read_lines(run.evaluation_metrics)] == [8]
    assert list((run.tensorboard / "train").iterdir())
