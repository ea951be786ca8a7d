"""Record boundaries, and the errors for damaged records."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from steadyrank.pipeline.config import UserError
from steadyrank.pipeline.data.files import tfrecord_framing
from steadyrank.pipeline.data.files.crc32c import masked_crc32c
from steadyrank.pipeline.data.files.tfrecord_framing import decompress_gzip, index_records, is_gzip, split_records

RECORDS = [b"%d" % i * (i % 7) for i in range(23)]


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """A TFRecord file of :data:`RECORDS`."""
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for record in RECORDS:
            writer.write(record)
    return (tmp_path / "a.tfrecord").read_bytes()


@pytest.mark.parametrize("records_per_group", [1, 5, 23, 100])
@pytest.mark.parametrize("chunk_bytes", [40, 1 << 20])
def test_the_groups_hold_all_records_in_order(content, monkeypatch, records_per_group, chunk_bytes):
    monkeypatch.setattr(tfrecord_framing, "READ_BYTES", chunk_bytes)
    index = index_records("a", pa.BufferReader(content), records_per_group)
    records = []
    for group, rows in enumerate(index.group_rows()):
        start, end = index.byte_range(group)
        records += split_records("a", content[start:end], group * records_per_group, rows)
    assert records == RECORDS


def test_a_group_with_another_number_of_records_is_refused(content):
    with pytest.raises(UserError, match="a: cannot read record 22: the file was changed or truncated"):
        split_records("a", content, 0, 24)


def test_a_file_of_several_gzip_members_is_one_file(content):
    assert decompress_gzip("a", gzip.compress(content[:100]) + gzip.compress(content[100:]) + b"\0\0") == content


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda packed: packed[:-20], "the compressed file ends inside it"),
        (lambda packed: packed + b"junk", "the rest of the file is not compressed"),
        (lambda packed: packed[:10] + b"\xff" * 20 + packed[30:], "the compressed data is invalid"),
    ],
    ids=["truncated", "junk", "overwritten"],
)
def test_damaged_gzip_names_the_first_unreadable_record(content, damage, problem):
    with pytest.raises(UserError, match=rf"a: cannot read record \d+: {problem}.*; the file is damaged, replace it"):
        decompress_gzip("a", damage(gzip.compress(content)))


@pytest.mark.parametrize("chunk_bytes", [1000, 1 << 24])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.75, 0.95])
def test_a_flipped_bit_in_gzip_is_reported_at_the_record_that_it_damages(tmp_path, monkeypatch, chunk_bytes, share):
    monkeypatch.setattr(tfrecord_framing, "READ_BYTES", chunk_bytes)
    random = np.random.default_rng(0)
    records = [random.bytes(50) for _ in range(1000)]
    with tf.io.TFRecordWriter(str(tmp_path / "a"), "GZIP") as writer:
        for record in records:
            writer.write(record)
    packed = bytearray((tmp_path / "a").read_bytes())
    packed[int(len(packed) * share)] ^= 4
    with pytest.raises(UserError, match="the compressed data is invalid") as raised:
        decompress_gzip("a", bytes(packed))
    record = int(re.search(r"cannot read record (\d+)", str(raised.value))[1])
    # Random bytes are stored as they are, so the place in the packed file is the place in the content.
    assert record == pytest.approx(1000 * share, abs=5)


def test_a_record_whose_length_looks_like_gzip_is_not_gzip():
    length = struct.pack("<Q", 0x088B1F)
    crc = masked_crc32c(np.frombuffer(length, np.uint8), np.array([0]), np.array([8])).tobytes()
    assert not is_gzip(length + crc)
    assert is_gzip(gzip.compress(b"", mtime=0)[:12])
