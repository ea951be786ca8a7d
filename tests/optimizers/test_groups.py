"""Rules for groups of variables: which variable has which rule, and that groups do not affect each other."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from steadyrank.optimizers import AdaGC, Adagrad, Clippy, ClippyAdagrad, GradientClipping, WarmUp, tfrs

NAMES = ("user/embeddings", "shared/kernel", "shared/bias", "tower/kernel")


def variables(*names):
    return [tf.Variable([0.0], name=name) for name in names or NAMES]


def rules(optimizer, *names):
    """The name of each variable's rule."""
    optimizer.build(variables(*names))
    return [seen.rule for seen in optimizer.read_explanations().values()]


def factors(optimizer, gradients, held):
    optimizer.apply_gradients([(tf.constant(g), v) for g, v in zip(gradients, held, strict=True)])
    return [float(factor) for factor in optimizer.clipping_factors]


class TestPatterns:
    def test_the_first_matching_pattern_decides(self):
        groups = {"shared/": "gc", "kernel": "agc"}
        assert rules(Adagrad(groups=groups, explain=True)) == ["none", "gc", "gc", "agc"]
        turned = dict(reversed(groups.items()))
        assert rules(Adagrad(groups=turned, explain=True)) == ["none", "agc", "gc", "agc"]

    def test_a_variable_without_a_matching_pattern_has_the_optimizers_rule(self):
        assert rules(Adagrad(rule="clippy", groups={"bias": "lamb"}, explain=True)) == [
            "clippy",
            "clippy",
            "lamb",
            "clippy",
        ]

    def test_none_excludes_a_group(self):
        optimizer = Adagrad(1.0, "clippy", groups={"bias$|bias:": None}, initial_accumulator_value=0.0, explain=True)
        held = variables("kernel", "bias")
        assert factors(optimizer, [[1.0], [1.0]], held) == pytest.approx([0.01, 1.0], rel=1e-5)
        assert held[1].numpy() == pytest.approx([-1.0])

    def test_a_pattern_is_a_regular_expression(self):
        assert rules(Adagrad(groups={r"^(user|tower)/": "gc"}, explain=True)) == ["gc", "none", "none", "gc"]

    @pytest.mark.parametrize("kind", [Adagrad, ClippyAdagrad, tfrs.ClippyAdagrad])
    def test_a_pattern_that_matches_nothing_is_an_error_with_the_names_of_the_variables(self, kind):
        optimizer = kind(groups={"shared": "gc", "kernle": "agc"})
        with pytest.raises(ValueError, match=r"'kernle' matches none of the 4 variables.*shared/kernel:0"):
            optimizer.build(variables())

    def test_the_error_shows_only_some_of_many_variables(self):
        with pytest.raises(ValueError, match="none of the 30 variables") as caught:
            Adagrad(groups={"x": None}).build(variables(*(f"layer_{i}" for i in range(30))))
        assert "layer_7:0, …" in str(caught.value)
        assert "layer_8" not in str(caught.value)

    def test_a_group_of_embeddings_must_match_a_variable(self):
        with pytest.raises(ValueError, match="'embeddings'"):
            ClippyAdagrad(groups={"embeddings": "gc"}).build(variables("kernel"))


class TestExclusions:
    def test_clippy_adagrad_does_not_clip_embedding_tables_by_default(self):
        optimizer = ClippyAdagrad(1.0, 0.0, epsilon=0.0, export_clipping_factors=True)
        table, kernel = held = variables("user/embeddings", "shared/kernel")
        assert factors(optimizer, [[1.0], [1.0]], held) == pytest.approx([1.0, 0.01])
        np.testing.assert_allclose(table.numpy(), [-1.0])
        np.testing.assert_allclose(kernel.numpy(), [-0.01], rtol=1e-6)

    def test_the_default_exclusion_need_not_match(self):
        assert rules(ClippyAdagrad(export_clipping_factors=True), "kernel") == ["clippy"]

    def test_tfrs_clips_embedding_tables(self):
        assert rules(tfrs.ClippyAdagrad(export_clipping_factors=True)) == ["clippy"] * 4

    def test_adagrad_excludes_nothing_by_default_and_tables_with_none(self):
        assert rules(Adagrad(rule="gc", explain=True)) == ["gc"] * 4
        assert rules(Adagrad(rule="gc", exclude_from_clipping=None, explain=True)) == ["none", "gc", "gc", "gc"]

    def test_exclusions_replace_the_default(self):
        optimizer = ClippyAdagrad(exclude_from_clipping=["bias", "tower"], export_clipping_factors=True)
        assert rules(optimizer) == ["clippy", "clippy", "none", "none"]

    def test_groups_take_precedence_over_exclusions(self):
        optimizer = ClippyAdagrad(groups={"user": "gc"}, export_clipping_factors=True)
        assert rules(optimizer) == ["gc", "clippy", "clippy", "clippy"]
        optimizer = ClippyAdagrad(
            groups={"kernel": "gc"}, exclude_from_clipping=["shared"], export_clipping_factors=True
        )
        assert rules(optimizer) == ["clippy", "gc", "none", "gc"]

    def test_an_exclusion_that_matches_nothing_is_an_error(self):
        with pytest.raises(ValueError, match="'head'"):
            ClippyAdagrad(exclude_from_clipping=["head"]).build(variables())


class TestGroupsTogether:
    def test_a_global_norm_covers_its_group_only(self):
        optimizer = Adagrad(0.1, groups={"trunk": GradientClipping(5.0, granularity="global")}, explain=True)
        held = variables("trunk/a", "head", "trunk/b")
        assert factors(optimizer, [[3.0], [100.0], [4.0]], held) == pytest.approx([1.0, 1.0, 1.0])
        assert factors(optimizer, [[6.0], [100.0], [8.0]], held) == pytest.approx([0.5, 1.0, 0.5])

    def test_groups_with_different_thresholds_are_separate(self):
        groups = {
            "trunk": GradientClipping(5.0, granularity="global"),
            "head": GradientClipping(1.0, granularity="global"),
        }
        found = factors(
            Adagrad(0.1, groups=groups, explain=True), [[6.0], [8.0], [4.0]], variables("trunk/a", "trunk/b", "head")
        )
        assert found == pytest.approx([0.5, 0.5, 0.25])

    def test_adagc_keeps_an_average_for_its_own_group(self):
        optimizer = Adagrad(0.1, "clippy", groups={"trunk": AdaGC(relative=2.0, absolute=1.0, start=1)}, explain=True)
        held = variables("head", "trunk")
        assert factors(optimizer, [[0.0], [4.0]], held) == pytest.approx([1.0, 0.25])
        # Gamma is 1: a norm of 2 is allowed.
        assert factors(optimizer, [[0.0], [8.0]], held) == pytest.approx([1.0, 0.25])

    def test_a_scheduled_threshold_affects_its_group_only(self):
        opening = tf_keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 3.0])
        optimizer = Adagrad(0.1, GradientClipping(1.0), groups={"trunk": GradientClipping(opening)}, explain=True)
        held = variables("head", "trunk")
        found = [factors(optimizer, [[4.0], [4.0]], held) for _ in range(2)]
        np.testing.assert_allclose(found, [[0.25, 0.25], [0.25, 0.75]])


class TestRows:
    def test_one_row_shortens_the_steps_of_the_others_unless_each_has_its_own_factor(self):
        moved = {}
        for granularity in ("variable", "row"):
            table = tf.Variable([[1.0], [0.0]], name="table")
            optimizer = Adagrad(1.0, Clippy(granularity=granularity), initial_accumulator_value=0.0, epsilon=0.0)
            # Both propose a step of 1; the rare row has a weight of 0 and may move by 0.01.
            optimizer.apply_gradients([(tf.IndexedSlices([[1.0], [1.0]], [0, 1], (2, 1)), table)])
            moved[granularity] = table.numpy()[:, 0]
        np.testing.assert_allclose(moved["variable"], [1 - 0.01, -0.01], rtol=1e-6)
        np.testing.assert_allclose(moved["row"], [1 - 0.51, -0.01], rtol=1e-6)

    def test_a_table_by_row_next_to_a_trunk_by_variable(self):
        optimizer = ClippyAdagrad(
            1.0, 0.0, epsilon=0.0, groups={"embeddings": Clippy(granularity="row")}, export_clipping_factors=True
        )
        table = tf.Variable([[1.0], [0.0]], name="user/embeddings")
        kernel = tf.Variable([[1.0], [0.0]], name="kernel")
        optimizer.apply_gradients([(tf.constant([[1.0], [1.0]]), v) for v in (table, kernel)])
        np.testing.assert_allclose(table.numpy(), [[0.49], [-0.01]], rtol=1e-6)
        np.testing.assert_allclose(kernel.numpy(), [[0.99], [-0.01]], rtol=1e-6)


@pytest.mark.parametrize("kind", [Adagrad, ClippyAdagrad, tfrs.ClippyAdagrad])
def test_groups_survive_serialization_in_their_order(kind):
    groups = {
        "tower/": None,
        "shared/kernel": Clippy(WarmUp(0.5, 3), absolute=0.1, granularity="row"),
        "shared": {"rule": "gc", "threshold": 2.0},
        "embed": "adagc",
    }
    switch = "explain" if kind is Adagrad else "export_clipping_factors"
    optimizer = kind(groups=groups, **{switch: True})
    config = tf_keras.optimizers.serialize(optimizer)
    restored = tf_keras.optimizers.deserialize(config)
    assert list(restored.get_config()["groups"]) == list(groups)
    assert restored.get_config() == optimizer.get_config()
    assert rules(restored) == rules(optimizer) == ["adagc", "clippy", "gc", "none"]
