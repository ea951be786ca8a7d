from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from steadyrank.pipeline.data.files.label_strings import LabelStringError, convert_label_strings


@pytest.mark.parametrize("words", [["1", "0"], ["true", "FALSE"], ["Yes", "no"], [" Y", "n "], ["t", "F"]])
def test_pairs_of_words_become_one_and_zero(words):
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string())):
        assert convert_label_strings(pa.array(words).cast(kind)).tolist() == [1, 0]


def test_a_missing_string_is_a_missing_label():
    np.testing.assert_array_equal(convert_label_strings(pa.array(["", None, "no"])), [np.nan, np.nan, 0])
    assert np.isnan(convert_label_strings(pa.nulls(2, pa.string()))).all()


def test_another_string_is_named():
    with pytest.raises(LabelStringError, match=r"the string '>50K'"):
        convert_label_strings(pa.array(["1", ">50K", "<=50K"]))
