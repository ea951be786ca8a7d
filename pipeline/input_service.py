"""Reads logs for training jobs on other machines: runs the dispatcher or a worker of a tf.data service.

    python -m steadyrank.pipeline.input_service dispatcher --port=5050
    python -m steadyrank.pipeline.input_service worker --dispatcher=HOST:5050 --address=THIS_HOST

ROLE is dispatcher or worker. Start one dispatcher and any number of workers, then start the training job with
--config.data.service=HOST:5050. The log must have the same path on the workers and on the training machine. The batches
are the same as without the service. If a worker dies, the job reads that worker's rows itself. No row is lost.

The process runs until it receives SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import signal

from absl import flags

from ..foundation.formatting import first_line
from .config import UserError, command
from .config.quiet import quiet_import

_ROLES = ("dispatcher", "worker")


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_integer(
        "port",
        0,
        "Port to listen on. 0: any free port. A dispatcher prints its port.",
        lower_bound=0,
        upper_bound=65535,
    )
    flags.DEFINE_string("dispatcher", "", "Workers only: host:port of the dispatcher.")
    flags.DEFINE_string(
        "address", "localhost", "Workers only: host name or address under which training jobs reach the worker."
    )


def main(arguments: flags.FlagValues, role: str) -> int:
    """Serves until a signal arrives and returns the exit code."""
    if role not in _ROLES:
        raise UserError(f"ROLE must be {' or '.join(_ROLES)}, got '{role}'")
    if role == "worker" and not arguments.dispatcher:
        raise UserError("a worker requires --dispatcher=HOST:PORT")
    if role == "dispatcher" and arguments.dispatcher:
        raise UserError(
            f"--dispatcher is for workers only, but ROLE is dispatcher; omit --dispatcher={arguments.dispatcher}"
        )
    if role == "dispatcher" and arguments["address"].present:
        raise UserError(f"--address is for workers only, but ROLE is dispatcher; omit --address={arguments.address}")
    with quiet_import():
        import tensorflow as tf

        from .data.batching.input_service import check_dispatcher, register_window_function

    # Block the signals before the server starts its threads, which inherit the mask, so that only this thread receives
    # them.
    signals = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    service = tf.data.experimental.service
    try:
        if role == "dispatcher":
            server = service.DispatchServer(service.DispatcherConfig(port=arguments.port))
            print(f"dispatcher at {server.target.removeprefix('grpc://')}", flush=True)
        else:
            register_window_function()
            config = service.WorkerConfig(
                dispatcher_address=check_dispatcher(arguments.dispatcher, "--dispatcher"),
                worker_address=f"{arguments.address}:%port%",
                port=arguments.port,
            )
            server = service.WorkerServer(config)
            print(f"worker of {arguments.dispatcher}", flush=True)
    except tf.errors.OpError as error:
        raise UserError(f"the {role} cannot start: {first_line(error)}") from error
    signal.sigwait(signals)
    server._stop()
    return 0


if __name__ == "__main__":
    command(main, define_flags, argument="ROLE")
