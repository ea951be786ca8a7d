"""Ports on which the processes of a test can listen."""

from __future__ import annotations

import socket


def free_addresses(count: int) -> list[str]:
    """Returns addresses ``localhost:<port>`` with distinct free ports."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [f"localhost:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()
