"""Windows of a log made by other processes, on this machine or others, through tf.data service.

tf.data service hands the numbers of windows to its workers, each to one of them, and gives back what they made as it comes.
Here the windows are put in order again, so that the batches are those that this process would make, to the bit. The
service may lose what a worker was at when it died: such a window is made here, and so are all when no worker answers.

A worker is ``python -m steadyrank.pipeline.input_service worker``: it has the function that makes a window, which a graph
cannot carry from one process to another, under a name that both know.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import queue
import socket
import threading
import zlib
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.python.ops import script_ops

from ....models.schema import Schema
from ...config import build, to_plain
from ...config.errors import UserError
from ...config.settings import Data
from ..open import open_source
from ..source import Note, Source
from .dataset import Order, Windows, reading_error, telling

_NAME = "steadyrank/make_window"
_CONNECT_SECONDS = 5.0
# So many windows may be there before the one that is wanted; then it is taken for lost.
_EARLY = 16
# Logs that a worker keeps open, and orders of them.
_OPEN_LOGS, _OPEN_ORDERS = 4, 32


class InputService:
    """The windows of a log, made by the workers of a tf.data service.

    Args:
      data: The log's settings; ``service`` is the dispatcher's ``host:port``. The workers open the log by them.
      source: The log, as it is seen here.
      left_out: Names of days that it is without.
      patience: Seconds without a window after which it is made here.

    Raises:
      UserError: When nothing answers at that address.
    """

    def __init__(self, data: Data, source: Source, left_out: Collection[str] = (), patience: float = 30.0):
        self._data, self._source, self._left_out, self._patience = data, source, sorted(left_out), patience
        self._address = f"grpc://{reachable(data.service, 'data.service')}"

    def made(self, order: Order, windows: Windows) -> Iterator[tuple[list[np.ndarray], list[Note]]]:
        """What ``windows.load`` returns, window by window."""
        with contextlib.closing(_Stream(self._dataset(order, windows))) as stream:
            early: dict[int, tuple[list[np.ndarray], list[Note]]] = {}
            position = windows.positions.start
            late = False
            while position < windows.positions.stop:
                if position not in early and len(early) < _EARLY and not stream.ended:
                    # Once it was waited for in vain, the others are not, unless they are there.
                    found = stream.next(0.0 if late else self._patience)
                    if found is not None:
                        late = False
                        early[found[0]] = found[1:]
                        continue
                    if not stream.ended and not late:
                        late = True
                        logging.warning(
                            "no window of the log came from %s for %g s; they are made here until some do",
                            self._address,
                            self._patience,
                        )
                yield early.pop(position) if position in early else windows.load(position)
                position += 1
                # What comes after it was made here is of no use.
                early = {window: made for window, made in early.items() if window >= position}

    def _dataset(self, order: Order, windows: Windows) -> tf.data.Dataset:
        told = {
            "data": to_plain(self._data),
            "schema": self._source.schema.to_dict(),
            "left_out": self._left_out,
            "rows": _checksum(self._source, order.day),
            "order": dataclasses.asdict(order),
        }
        spec = json.dumps(told, sort_keys=True)

        @tf.autograph.experimental.do_not_convert
        def make(window: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return (
                window,
                *tf.raw_ops.PyFunc(input=[tf.constant(spec), window], token=_NAME, Tout=[tf.string, *windows.dtypes]),
            )

        dataset = tf.data.Dataset.range(windows.positions.start, windows.positions.stop)
        dataset = dataset.map(make, num_parallel_calls=2)
        return dataset.apply(
            tf.data.experimental.service.distribute(
                tf.data.experimental.service.ShardingPolicy.DYNAMIC, self._address, compression=None
            )
        )


def reachable(address: str, setting: str) -> str:
    """The ``host:port`` of a dispatcher, once something has answered there; TensorFlow itself would try for an hour.

    Raises:
      UserError: When nothing does.
    """
    address = address.removeprefix("grpc://")
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"{setting} must be the host:port of a dispatcher that runs, got '{address}' ({error}); start one by "
            "`python -m steadyrank.pipeline.input_service dispatcher --port=PORT`, and workers for it"
        ) from error
    return address


class _Stream:
    """Reads what the service gives, in a thread of its own: who waits for it can stop waiting.

    Attributes:
      ended: Whether all that will come has been taken.
    """

    def __init__(self, dataset: tf.data.Dataset):
        self._found: queue.Queue[Any] = queue.Queue(2)
        self._closed = threading.Event()
        self.ended = False
        threading.Thread(target=self._read, args=(dataset,), daemon=True).start()

    def next(self, seconds: float) -> tuple[int, list[np.ndarray], list[Note]] | None:
        """The next window with its number, if it comes within so many seconds.

        Raises:
          UserError: When a worker could not make one.
        """
        try:
            found = self._found.get(timeout=seconds) if seconds else self._found.get_nowait()
        except queue.Empty:
            return None
        if isinstance(found, tf.errors.OpError):
            # A worker's own words end the run; a service that is gone does not.
            told = reading_error(found)
            if told:
                raise UserError(told) from found
            logging.warning("the input service failed: %s", str(found).splitlines()[0])
            found = None
        if found is None:
            self.ended = True
            return None
        window, notes, *arrays = found
        return int(window), [array.numpy() for array in arrays], [Note(**each) for each in json.loads(notes.numpy())]

    def close(self) -> None:
        """Lets the thread end."""
        self._closed.set()

    def _read(self, dataset: tf.data.Dataset) -> None:
        try:
            for found in dataset:
                self._put(found)
                if self._closed.is_set():
                    return
            self._put(None)
        except tf.errors.OpError as error:
            self._put(error)

    def _put(self, found: Any) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._found.put(found, timeout=0.1)
                return


def _checksum(source: Source, day: int) -> list[Any]:
    """Tells a day by its name and its blocks, wherever the log is mounted."""
    rows = np.asarray(source.block_rows(day), np.int64)
    return [source.days[day], int(rows.sum()), zlib.crc32(rows.tobytes())]


# What a worker does.


def _make_window(spec: bytes, window: np.int64) -> list[Any]:
    with telling():
        arrays, notes = _windows(spec).load(int(window))
    return [json.dumps([dataclasses.asdict(note) for note in notes]).encode(), *arrays]


@functools.lru_cache(_OPEN_ORDERS)
def _windows(spec: bytes) -> Windows:
    told = json.loads(spec)
    order = Order(**told["order"])
    source = _opened(json.dumps(told["data"]), json.dumps(told["schema"]), tuple(told["left_out"]))
    if order.day >= len(source.days) or _checksum(source, order.day) != told["rows"]:
        raise UserError(
            f"a worker of the input service sees other rows of {told['rows'][0]} than the trainer; "
            "both must have the same log at the same place"
        )
    return Windows(source, order)


@functools.lru_cache(_OPEN_LOGS)
def _opened(data: str, schema: str, left_out: tuple[str, ...]) -> Source:
    return open_source(build(Data, json.loads(data)), build(Schema, json.loads(schema)), left_out)


def offer() -> None:
    """Makes this process able to make windows, as a worker does."""
    # TensorFlow names the functions that it registers by itself with numbers, which differ from process to process.
    script_ops._py_funcs._funcs[_NAME] = _make_window
