"""Where processes of a test may listen."""

from __future__ import annotations

import socket


def free_addresses(count: int) -> list[str]:
    """``localhost:<port>``, each another port that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [f"localhost:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()
