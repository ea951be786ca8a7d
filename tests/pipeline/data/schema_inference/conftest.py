"""A shop's log with the columns that such logs have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.data.schema_inference.shop_log import write_shop_log


@pytest.fixture(scope="session")
def shop_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One Parquet file; tests must not change it."""
    return write_shop_log(tmp_path_factory.mktemp("shop") / "shop.parquet")
