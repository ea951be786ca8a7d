"""The framing of TFRecord files: record boundaries, checksums and gzip compression.

A record is its length (8 bytes), the length's checksum (4), the data, and the data's checksum (4).
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from typing import Any

import numpy as np
import pyarrow as pa

from ....foundation.formatting import first_line
from ...config.errors import UserError
from .crc32c import masked_crc32c

HEADER_BYTES = 12
_CHECKSUM_BYTES = 4
_FRAME_BYTES = HEADER_BYTES + _CHECKSUM_BYTES
_LENGTH = struct.Struct("<Q")
_GZIP_MAGIC = b"\x1f\x8b\x08"
_GZIP_WINDOW_BITS = 31
READ_BYTES = 16 << 20
_COMPRESS = "write the file again with gzip or without compression"
# By name: the first bytes, and what to do.
_OTHER_FORMATS: dict[str, tuple[bytes | tuple[bytes, ...], str]] = {
    "a Parquet file": (b"PAR1", "rename it to end in .parquet"),
    "data compressed with zlib": ((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), _COMPRESS),
    "data compressed with zstd": (b"\x28\xb5\x2f\xfd", _COMPRESS),
    "data compressed with snappy": (b"\xff\x06\x00\x00sNaPpY", _COMPRESS),
    "data compressed with bzip2": (b"BZh", _COMPRESS),
    "data compressed with xz": (b"\xfd7zXZ\x00", _COMPRESS),
    "data compressed with lz4": (b"\x04\x22\x4d\x18", _COMPRESS),
}


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """Where the groups of a file's records begin.

    Attributes:
      starts: First byte of each group, and the size of the file as the last entry, int64 ``[groups + 1]``.
      num_records: Records of the file.
      records_per_group: Records of each group but the last.
    """

    starts: np.ndarray
    num_records: int
    records_per_group: int

    def group_rows(self) -> list[int]:
        """Returns the number of records of each group."""
        full_groups, remainder = divmod(self.num_records, self.records_per_group)
        return [self.records_per_group] * full_groups + [remainder] * bool(remainder)

    def byte_range(self, group: int) -> tuple[int, int]:
        """Returns the first byte of a group and the byte after its last."""
        return int(self.starts[group]), int(self.starts[group + 1])


def index_records(file: str, opened: pa.NativeFile, records_per_group: int) -> RecordIndex:
    """Reads a file from end to end and checks the length of every record.

    Args:
      file: The file's name, for errors.
      opened: The file, decompressed.
      records_per_group: Records of a group.

    Raises:
      UserError: If a length does not match its checksum or the file ends inside a record.
    """
    size, position, num_records = opened.size(), 0, 0
    starts = []
    while position < size:
        chunk = opened.read_at(min(READ_BYTES, size - position), position)
        offsets, end = _find_records(chunk)
        _check_headers(file, num_records, chunk, offsets)
        if not len(offsets) or position + end > size:
            raise damaged_record(file, num_records + max(len(offsets) - 1, 0), "the file ends inside it")
        starts.append(position + offsets[-num_records % records_per_group :: records_per_group])
        num_records += len(offsets)
        position += end
    return RecordIndex(np.concatenate([*starts, [size]]).astype(np.int64), num_records, records_per_group)


def split_records(file: str, data: bytes, first_record: int, num_records: int) -> list[bytes]:
    """Splits the bytes of a group into the data of its records and checks every checksum.

    Args:
      file: The file's name, for errors.
      data: The bytes of the group.
      first_record: Number of the group's first record in the file, for errors.
      num_records: Expected number of records.

    Raises:
      UserError: If a checksum does not match, or the group has changed since the file was indexed.
    """
    offsets, end = _find_records(data)
    _check_headers(file, first_record, data, offsets)
    if end != len(data) or len(offsets) != num_records:
        last = first_record + max(len(offsets) - 1, 0)
        raise damaged_record(file, last, "the file was changed or truncated while it was being read")
    ends = np.append(offsets[1:], len(data)) - _CHECKSUM_BYTES
    starts = offsets + HEADER_BYTES
    checksums = _compute_checksums(data, starts, ends)
    wrong = np.flatnonzero(checksums != _read_uint32(data, ends))
    if len(wrong):
        raise damaged_record(file, first_record + int(wrong[0]), "its data does not match its checksum")
    return [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def is_gzip(header: bytes) -> bool:
    """Returns whether a file that begins with these :data:`HEADER_BYTES` bytes is gzip-compressed."""
    if not header.startswith(_GZIP_MAGIC):
        return False
    if len(header) < HEADER_BYTES:
        return True
    # A record of a certain length begins with the same bytes. The length's checksum distinguishes the two.
    zero = np.zeros(1, np.int64)
    checksum = masked_crc32c(np.frombuffer(header, np.uint8), zero, zero + _LENGTH.size)
    return bool(checksum[0] != _read_uint32(header, zero + _LENGTH.size)[0])


def decompress_gzip(file: str, compressed: bytes) -> bytes:
    """Decompresses a gzip file, which may have several members.

    Args:
      file: The file's name, for errors.
      compressed: Its content.

    Raises:
      UserError: If the file is damaged; the message names the first record that cannot be read.
    """
    chunks, remaining = [], compressed
    problem = ""
    while remaining.startswith(_GZIP_MAGIC) and not problem:
        member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        position = 0
        try:
            for position in range(0, len(remaining), READ_BYTES):
                before = member.copy()
                chunks.append(member.decompress(remaining[position : position + READ_BYTES]))
                if member.eof:
                    break
        except zlib.error as error:
            chunks.append(_decompress_until_error(before, remaining[position : position + READ_BYTES]))
            problem = f"the compressed data is invalid: {first_line(error)}"
        if not problem and not member.eof:
            problem = "the compressed file ends inside it"
        if not problem:
            remaining = member.unused_data + remaining[position + READ_BYTES :]
    # Some writers pad a file with zeros.
    if not problem and remaining.strip(b"\0"):
        problem = "the rest of the file is not compressed"
    content = b"".join(chunks)
    if problem:
        raise damaged_record(file, _count_readable_records(content), problem)
    return content


def damaged_record(file: str, record: int, problem: str) -> UserError:
    """Returns the error for a record that cannot be read."""
    return UserError(f"{file}: cannot read record {record:,}: {problem}; the file is damaged, replace it")


def _decompress_until_error(member: Any, chunk: bytes) -> bytes:
    """Decompresses the part of a chunk before the first invalid byte."""
    parts = []
    # zlib returns nothing of a piece with an error, so the pieces become smaller.
    for size in (1024, 1):
        for start in range(0, len(chunk), size):
            piece, before = chunk[start : start + size], member.copy()
            try:
                parts.append(member.decompress(piece))
            except zlib.error:
                member, chunk = before, piece
                break
    return b"".join(parts)


def _count_readable_records(data: bytes) -> int:
    """Returns how many records at the beginning are complete and match their checksums."""
    offsets, end = _find_records(data)
    wrong = _find_wrong_headers(data, offsets)
    # Beyond a wrong length there are no records.
    count = int(wrong[0]) if len(wrong) else len(offsets) - (end > len(data))
    starts = offsets[:count] + HEADER_BYTES
    # `end` is not a position in the data unless the last record is complete.
    ends = np.append(offsets[1:], min(end, len(data)))[:count] - _CHECKSUM_BYTES
    wrong = np.flatnonzero(_compute_checksums(data, starts, ends) != _read_uint32(data, ends))
    return int(wrong[0]) if len(wrong) else count


def _find_records(data: bytes) -> tuple[np.ndarray, int]:
    """Returns the offset of each record whose header is in ``data``, and the offset at which the next record would begin."""
    offsets, position, last, unpack_from = [], 0, len(data) - HEADER_BYTES, _LENGTH.unpack_from
    while position <= last:
        offsets.append(position)
        position += unpack_from(data, position)[0] + _FRAME_BYTES
    return np.array(offsets, np.int64), position


def _check_headers(file: str, first_record: int, data: bytes, offsets: np.ndarray) -> None:
    """Checks the lengths against their checksums.

    The offsets after a wrong length are meaningless. That does no harm, because the error names the first wrong length.
    """
    wrong = _find_wrong_headers(data, offsets)
    if not len(wrong):
        return
    record = first_record + int(wrong[0])
    if not record:
        raise _not_tfrecord(file, data)
    raise damaged_record(file, record, "its length does not match its checksum")


def _find_wrong_headers(data: bytes, offsets: np.ndarray) -> np.ndarray:
    """Returns the positions in ``offsets`` of the records whose length does not match its checksum."""
    headers = np.frombuffer(data, np.uint8)[offsets[:, None] + np.arange(HEADER_BYTES)]
    starts = np.arange(0, headers.size, HEADER_BYTES)
    checksums = masked_crc32c(headers.ravel(), starts, np.full(len(offsets), _LENGTH.size))
    return np.flatnonzero(checksums != _read_uint32(data, offsets + _LENGTH.size))


def _compute_checksums(data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    return masked_crc32c(np.frombuffer(data, np.uint8), starts, ends - starts)


def _not_tfrecord(file: str, data: bytes) -> UserError:
    """Returns the error for a file whose first bytes are not the header of a record."""
    for name, (magic, advice) in _OTHER_FORMATS.items():
        if data.startswith(magic):
            return UserError(f"{file}: expected TFRecord, plain or compressed with gzip, got {name}; {advice}")
    return damaged_record(file, 0, "the file does not begin like a TFRecord file")


def _read_uint32(data: bytes, offsets: np.ndarray) -> np.ndarray:
    """Returns the little-endian uint32 at each offset."""
    return np.frombuffer(data, np.uint8)[offsets[:, None] + np.arange(4)].view("<u4")[:, 0]
