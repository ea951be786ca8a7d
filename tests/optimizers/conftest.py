"""Fixtures of the optimizer tests."""

from __future__ import annotations

import pytest

from tests.optimizers.optimizer_family import FAMILY, make_factory


@pytest.fixture(params=FAMILY)
def make(request):
    """A function that creates an optimizer; each optimizer of the family in turn."""
    return make_factory(request.param)
