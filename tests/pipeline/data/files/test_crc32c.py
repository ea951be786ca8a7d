from __future__ import annotations

import struct

import numpy as np
import tensorflow as tf

from steadyrank.pipeline.data.files.crc32c import masked_crc32c


def test_checksums_equal_those_that_tensorflow_writes(tmp_path):
    draw = np.random.default_rng(0)
    lengths = [*range(20), 4095, 4096, 4097, 8192, 8193, 50_001]
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for length in lengths:
            writer.write(draw.bytes(length))
    data = (tmp_path / "a.tfrecord").read_bytes()
    starts = np.cumsum([0, *(length + 16 for length in lengths)])[:-1] + 12
    stored = [struct.unpack_from("<I", data, start + n)[0] for start, n in zip(starts, lengths, strict=True)]
    crc = masked_crc32c(np.frombuffer(data, np.uint8), starts, np.array(lengths))
    assert crc.tolist() == stored
