"""A store that fences: it refuses a write whose token is smaller than one it has seen for the path.

Run as a program it serves one line a request, "path token", and answers "taken N" or "refused N":
it is the Nth request. It prints its port first.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from typing import Any, Dict, Tuple


class Fence:
    """The largest token seen for each path. Thread-safe."""

    def __init__(self) -> None:
        self._largest: Dict[str, int] = {}
        self._requests = 0
        self._mutex = threading.Lock()

    def write(self, path: str, token: int) -> Tuple[bool, int]:
        """Is the write taken? And the number of the request."""
        with self._mutex:
            self._requests += 1
            taken = token >= self._largest.get(path, 0)
            if taken:
                self._largest[path] = token
            return taken, self._requests


class Handler(socketserver.StreamRequestHandler):
    """One client's connection."""

    fence = Fence()

    def handle(self) -> None:
        """Answer until the client leaves."""
        for line in self.rfile:
            path, token = line.decode().split()
            taken, number = self.fence.write(path, int(token))
            self.wfile.write(f"{'taken' if taken else 'refused'} {number}\n".encode())


class StoreClient:
    """A connection to the store."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rw")

    def write(self, path: str, token: int) -> Dict[str, Any]:
        """Write with a token: what to record of it."""
        self._file.write(f"{path} {token}\n")
        self._file.flush()
        answer, number = self._file.readline().split()
        return {"path": path, "token": token, "taken": answer == "taken", "number": int(number)}


def main() -> int:
    """Serve until killed."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
