"""The checksum of TFRecord, for many records at once."""

from __future__ import annotations

import numpy as np

# Longer records are cut into pieces of this many bytes, so that one of them does not become a long loop.
_PIECE = 4096
_POLYNOMIAL = np.uint32(0x82F63B78)


def masked_crc32c(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The masked CRC-32C of parts of ``data``, as TFRecord stores them.

    Args:
      data: uint8 ``[bytes]``.
      starts: int64 ``[parts]``.
      lengths: int64 ``[parts]``; each part lies within ``data``.

    Returns:
      uint32 ``[parts]``.
    """
    # Eight bytes can then be read from each place.
    data = np.concatenate([data, np.zeros(8, np.uint8)])
    # The first piece of a part is the one that may be shorter; all later ones move the state on by _PIECE bytes.
    later = np.maximum(lengths - 1, 0) // _PIECE
    first = lengths - later * _PIECE
    states = _run(data, starts, first, np.full(len(starts), 0xFFFFFFFF, np.uint32))
    for k in range(int(later.max(initial=0))):
        longer = np.flatnonzero(later > k)
        piece = starts[longer] + first[longer] + k * _PIECE
        states[longer] = _run(data, piece, np.full(len(longer), _PIECE), np.zeros(len(longer), np.uint32)) ^ _moved(
            states[longer]
        )
    crc = ~states
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def _run(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, states: np.ndarray) -> np.ndarray:
    """The states after the parts of ``data``, which has 8 bytes more than they need.

    Eight bytes a step for all parts that have so many left, then single bytes.
    """
    words = np.lib.stride_tricks.as_strided(data, (len(data) - 7, 8), (1, 1))
    order = np.argsort(-lengths, kind="stable")
    starts, lengths, states = starts[order], lengths[order], states[order]
    whole, rest = lengths // 8, lengths % 8
    steps = np.arange(1, int(whole.max(initial=0)) + 1)
    for k, active in enumerate(np.searchsorted(-whole, -steps, side="right")):
        pairs = words[starts[:active] + 8 * k].view("<u2")
        low, high = (states[:active] & 0xFFFF).astype(np.uint16), (states[:active] >> 16).astype(np.uint16)
        states[:active] = (
            _PAIRS[0][pairs[:, 0] ^ low]
            ^ _PAIRS[1][pairs[:, 1] ^ high]
            ^ _PAIRS[2][pairs[:, 2]]
            ^ _PAIRS[3][pairs[:, 3]]
        )
    for k in range(int(rest.max(initial=0))):
        active = np.flatnonzero(rest > k)
        state = states[active]
        states[active] = _BYTES[0][(state ^ data[starts[active] + 8 * whole[active] + k]) & 0xFF] ^ (state >> 8)
    unordered = np.empty_like(states)
    unordered[order] = states
    return unordered


def _moved(states: np.ndarray) -> np.ndarray:
    """The states after _PIECE bytes of zeros."""
    return (
        _MOVED[0][states & 0xFF]
        ^ _MOVED[1][states >> 8 & 0xFF]
        ^ _MOVED[2][states >> 16 & 0xFF]
        ^ _MOVED[3][states >> 24]
    )


def _tables_of_bytes() -> list[np.ndarray]:
    """For k from 0 to 7, what a byte becomes when k bytes of zeros follow it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ _POLYNOMIAL, table >> 1).astype(np.uint32)
    tables = [table]
    for _ in range(7):
        tables.append((tables[-1] >> 8) ^ table[tables[-1] & 0xFF])
    return tables


def _tables_of_zeros() -> list[np.ndarray]:
    """For each of the four bytes of a state, what it becomes after _PIECE bytes of zeros."""
    values, nothing = np.arange(256, dtype=np.uint32), np.zeros(_PIECE + 8, np.uint8)
    starts, lengths = np.zeros(256, np.int64), np.full(256, _PIECE)
    return [_run(nothing, starts, lengths, values << np.uint32(8 * k)) for k in range(4)]


_BYTES = _tables_of_bytes()
_PAIR = np.arange(1 << 16)
_PAIRS = [_BYTES[7 - 2 * k][_PAIR & 0xFF] ^ _BYTES[6 - 2 * k][_PAIR >> 8] for k in range(4)]
_MOVED = _tables_of_zeros()
