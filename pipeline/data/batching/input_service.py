"""Reads the windows of a log through the workers of a tf.data service, on this machine or on others.

tf.data service gives each window number to one of its workers and returns the windows in the order in which they
finish. This module puts them back in order, so the batches equal those that this process would make, bit for bit. When
a worker dies, the service may lose the window that the worker was making. This process then makes that window itself.
If no worker answers, it makes all windows.

A worker is ``python -m steadyrank.pipeline.input_service worker``. A graph cannot carry the Python function that makes
a window to another process. The worker therefore registers that function under a name that both processes know.
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

from ....foundation.formatting import first_line
from ....models.schema import Schema
from ...config import build, to_plain
from ...config.errors import UserError
from ...config.settings import Data
from ..open import open_source
from ..source import RowFaults, Source
from .user_errors import extract_user_error, mark_user_errors
from .windows import BatchOrder, ShuffleWindows

_FUNCTION_NAME = "steadyrank/make_window"
_CONNECT_SECONDS = 5.0
# When this many later windows have arrived, the next window in order counts as lost.
_MAX_EARLY_WINDOWS = 16
# Maximum numbers of logs and orders that a worker keeps open.
_OPEN_LOGS, _OPEN_ORDERS = 4, 32

Window = tuple[list[np.ndarray], list[RowFaults]]


class InputService:
    """Makes the windows of a log with the workers of a tf.data service; a :class:`.windows.WindowService`.

    Args:
      data: The settings of the log, which the workers open themselves. ``data.service`` is the dispatcher's
        ``host:port``.
      source: The same log, opened by this process.
      excluded_days: Names of days that were removed from the log.
      patience: Seconds without any window after which this process makes windows itself.

    Raises:
      UserError: If nothing answers at ``data.service``.
    """

    def __init__(self, data: Data, source: Source, excluded_days: Collection[str] = (), patience: float = 30.0):
        self._data, self._source = data, source
        self._excluded_days, self._patience = sorted(excluded_days), patience
        self._address = f"grpc://{check_dispatcher(data.service, 'data.service')}"

    def load_windows(self, order: BatchOrder, windows: ShuffleWindows) -> Iterator[Window]:
        """Yields what ``windows.load`` returns, window by window, in order."""
        with contextlib.closing(_Stream(self._make_dataset(order, windows))) as stream:
            early: dict[int, Window] = {}
            position = windows.positions.start
            is_late = False
            while position < windows.positions.stop:
                if position not in early and len(early) < _MAX_EARLY_WINDOWS and not stream.ended:
                    # After a timeout, take only windows that have already arrived.
                    arrival = stream.next(0.0 if is_late else self._patience)
                    if arrival is not None:
                        is_late = False
                        number, window = arrival
                        early[number] = window
                        continue
                    if not stream.ended and not is_late:
                        is_late = True
                        logging.warning(
                            "The input service at %s sent no window for %g s. This process makes the windows until it does.",
                            self._address,
                            self._patience,
                        )
                yield early.pop(position) if position in early else windows.load(position)
                position += 1
                # A lost window can still arrive after this process has made it.
                early = {number: window for number, window in early.items() if number >= position}

    def _make_dataset(self, order: BatchOrder, windows: ShuffleWindows) -> tf.data.Dataset:
        request = {
            "data": to_plain(self._data),
            "schema": self._source.schema.to_dict(),
            "excluded_days": self._excluded_days,
            "rows": _describe_day(self._source, order.day),
            "order": dataclasses.asdict(order),
        }
        request_json = json.dumps(request, sort_keys=True)

        @tf.autograph.experimental.do_not_convert
        def make_window(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
            inputs = [tf.constant(request_json), number]
            return (number, *tf.raw_ops.PyFunc(input=inputs, token=_FUNCTION_NAME, Tout=[tf.string, *windows.dtypes]))

        dataset = tf.data.Dataset.range(windows.positions.start, windows.positions.stop)
        dataset = dataset.map(make_window, num_parallel_calls=2)
        return dataset.apply(
            tf.data.experimental.service.distribute(
                tf.data.experimental.service.ShardingPolicy.DYNAMIC, self._address, compression=None
            )
        )


def check_dispatcher(address: str, setting: str) -> str:
    """Checks that a server answers at a dispatcher's address. TensorFlow itself would retry for an hour.

    Args:
      address: ``host:port``, with or without ``grpc://``.
      setting: The setting or flag that holds the address, for the error message.

    Returns:
      ``host:port``.

    Raises:
      UserError: If nothing answers there.
    """
    address = address.removeprefix("grpc://")
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"{setting} must be the host:port of a running dispatcher, got '{address}' ({error}). Start a dispatcher with "
            "`python -m steadyrank.pipeline.input_service dispatcher --port=PORT`, and then its workers."
        ) from error
    return address


class _Stream:
    """Reads the windows of the service in a thread, so that waiting for the next window can time out.

    Attributes:
      ended: Whether no more windows will come.
    """

    def __init__(self, dataset: tf.data.Dataset):
        self._arrivals: queue.Queue[Any] = queue.Queue(2)
        self._closed = threading.Event()
        self.ended = False
        threading.Thread(target=self._read, args=(dataset,), daemon=True).start()

    def next(self, seconds: float) -> tuple[int, Window] | None:
        """Returns the number of the next window and the window, or None if no window arrives within ``seconds``.

        Raises:
          UserError: If a worker could not make a window.
        """
        try:
            arrival = self._arrivals.get(timeout=seconds) if seconds else self._arrivals.get_nowait()
        except queue.Empty:
            return None
        if isinstance(arrival, tf.errors.OpError):
            # A user's mistake ends the run; the failure of the service does not.
            message = extract_user_error(arrival)
            if message:
                raise UserError(message) from arrival
            logging.warning("The input service failed: %s", first_line(arrival))
            arrival = None
        if arrival is None:
            self.ended = True
            return None
        number, faults, *arrays = arrival
        window = [array.numpy() for array in arrays], [RowFaults(**fields) for fields in json.loads(faults.numpy())]
        return int(number), window

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()

    def _read(self, dataset: tf.data.Dataset) -> None:
        try:
            for element in dataset:
                self._put(element)
                if self._closed.is_set():
                    return
            self._put(None)
        except tf.errors.OpError as error:
            self._put(error)

    def _put(self, arrival: Any) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._arrivals.put(arrival, timeout=0.1)
                return


def _describe_day(source: Source, day: int) -> list[Any]:
    """Returns a day's name, its number of rows and a checksum of its block sizes.

    None of them depends on where the log is mounted.
    """
    rows = np.asarray(source.block_rows(day), np.int64)
    return [source.days[day], int(rows.sum()), zlib.crc32(rows.tobytes())]


# The worker's side.


def register_window_function() -> None:
    """Registers the function that makes a window, so that this process can serve as a worker."""
    # TensorFlow's own registration numbers the functions, and the numbers differ from process to process.
    script_ops._py_funcs._funcs[_FUNCTION_NAME] = _make_window


def _make_window(request: bytes, number: np.int64) -> list[Any]:
    with mark_user_errors():
        arrays, faults = _open_windows(request).load(int(number))
    return [json.dumps([dataclasses.asdict(block_faults) for block_faults in faults]).encode(), *arrays]


@functools.lru_cache(_OPEN_ORDERS)
def _open_windows(request_json: bytes) -> ShuffleWindows:
    request = json.loads(request_json)
    order = BatchOrder(**request["order"])
    source = _open_log(json.dumps(request["data"]), json.dumps(request["schema"]), tuple(request["excluded_days"]))
    if order.day >= len(source.days) or _describe_day(source, order.day) != request["rows"]:
        raise UserError(
            f"a worker of the input service sees other rows of {request['rows'][0]} than the trainer does. Both need the same log at "
            "the same path"
        )
    return ShuffleWindows(source, order)


@functools.lru_cache(_OPEN_LOGS)
def _open_log(data: str, schema: str, excluded_days: tuple[str, ...]) -> Source:
    return open_source(build(Data, json.loads(data)), build(Schema, json.loads(schema)), excluded_days)
