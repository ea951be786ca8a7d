"""The checksum of TFRecord, CRC-32C, computed for many records at once.

The loop runs over bytes of a record, and each step handles that byte of all records as one NumPy operation. The tables
are those of the "slicing-by-8" method (Kounavis and Berry, *A Systematic Approach to Building High Performance
Software-Based CRC Generators*, 2005).
"""

from __future__ import annotations

import numpy as np

# Longer records are split into pieces of this many bytes, so that one long record does not become a long loop.
_PIECE_BYTES = 4096
_REVERSED_POLYNOMIAL = np.uint32(0x82F63B78)
_INITIAL_STATE = 0xFFFFFFFF
_MASK_DELTA = np.uint32(0xA282EAD8)


def masked_crc32c(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Computes the masked CRC-32C of parts of ``data``, as TFRecord stores it.

    Reference: "TFRecord and tf.train.Example" in TensorFlow's guide; the mask is ``((crc >> 15) | (crc << 17)) +
      0xa282ead8``.

    Args:
      data: Bytes, uint8 ``[bytes]``.
      starts: First byte of each part, int64 ``[parts]``.
      lengths: Bytes of each part, int64 ``[parts]``. Each part must lie inside ``data``.

    Returns:
      Checksums, uint32 ``[parts]``.

    Example:
    >>> data = np.frombuffer(b"123456789", np.uint8)
    >>> hex(masked_crc32c(data, np.array([0]), np.array([9]))[0])
    '0xc78ab0e5'
    """
    # Eight bytes of padding allow reading eight bytes from any position.
    data = np.concatenate([data, np.zeros(8, np.uint8)])
    # A part's first piece takes the remainder, so that all other pieces have exactly _PIECE_BYTES.
    num_full_pieces = np.maximum(lengths - 1, 0) // _PIECE_BYTES
    first_lengths = lengths - num_full_pieces * _PIECE_BYTES
    states = _advance(data, starts, first_lengths, np.full(len(starts), _INITIAL_STATE, np.uint32))
    for k in range(int(num_full_pieces.max(initial=0))):
        longer = np.flatnonzero(num_full_pieces > k)
        piece_starts = starts[longer] + first_lengths[longer] + k * _PIECE_BYTES
        piece_lengths = np.full(len(longer), _PIECE_BYTES)
        # CRC is linear: the state after a piece is the state of the piece alone, xor the old state advanced over zeros.
        piece_states = _advance(data, piece_starts, piece_lengths, np.zeros(len(longer), np.uint32))
        states[longer] = piece_states ^ _advance_over_zeros(states[longer])
    crc = ~states
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + _MASK_DELTA


def _advance(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Returns the states after some parts of ``data``, which must have 8 bytes of padding at its end.

    Handles eight bytes per step for all parts that have that many left, then single bytes.
    """
    words = np.lib.stride_tricks.as_strided(data, (len(data) - 7, 8), (1, 1))
    # Longest first, so that the parts that are still active are always the first ones.
    order = np.argsort(-lengths, kind="stable")
    starts, lengths, states = starts[order], lengths[order], states[order]
    num_words, num_bytes = lengths // 8, lengths % 8
    steps = np.arange(1, int(num_words.max(initial=0)) + 1)
    for k, active in enumerate(np.searchsorted(-num_words, -steps, side="right")):
        pairs = words[starts[:active] + 8 * k].view("<u2")
        low, high = (states[:active] & 0xFFFF).astype(np.uint16), (states[:active] >> 16).astype(np.uint16)
        states[:active] = (
            _PAIR_TABLES[0][pairs[:, 0] ^ low]
            ^ _PAIR_TABLES[1][pairs[:, 1] ^ high]
            ^ _PAIR_TABLES[2][pairs[:, 2]]
            ^ _PAIR_TABLES[3][pairs[:, 3]]
        )
    for k in range(int(num_bytes.max(initial=0))):
        longer = np.flatnonzero(num_bytes > k)
        state = states[longer]
        index = (state ^ data[starts[longer] + 8 * num_words[longer] + k]) & 0xFF
        states[longer] = _BYTE_TABLES[0][index] ^ (state >> 8)
    unordered = np.empty_like(states)
    unordered[order] = states
    return unordered


def _advance_over_zeros(states: np.ndarray) -> np.ndarray:
    """Returns the states after _PIECE_BYTES zeros."""
    return (
        _ZERO_TABLES[0][states & 0xFF]
        ^ _ZERO_TABLES[1][states >> 8 & 0xFF]
        ^ _ZERO_TABLES[2][states >> 16 & 0xFF]
        ^ _ZERO_TABLES[3][states >> 24]
    )


def _make_byte_tables() -> list[np.ndarray]:
    """Returns, for k from 0 to 7, the state that each byte leads to when k zero bytes follow it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ _REVERSED_POLYNOMIAL, table >> 1).astype(np.uint32)
    tables = [table]
    for _ in range(7):
        tables.append((tables[-1] >> 8) ^ table[tables[-1] & 0xFF])
    return tables


def _make_zero_tables() -> list[np.ndarray]:
    """Returns, for each of a state's four bytes, the state that it leads to after _PIECE_BYTES zeros."""
    values, zeros = np.arange(256, dtype=np.uint32), np.zeros(_PIECE_BYTES + 8, np.uint8)
    starts, lengths = np.zeros(256, np.int64), np.full(256, _PIECE_BYTES)
    return [_advance(zeros, starts, lengths, values << np.uint32(8 * k)) for k in range(4)]


_BYTE_TABLES = _make_byte_tables()
_PAIR = np.arange(1 << 16)
# Two bytes at once: half as many lookups.
_PAIR_TABLES = [_BYTE_TABLES[7 - 2 * k][_PAIR & 0xFF] ^ _BYTE_TABLES[6 - 2 * k][_PAIR >> 8] for k in range(4)]
_ZERO_TABLES = _make_zero_tables()
