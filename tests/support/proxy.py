"""A TCP proxy on loopback that can swallow everything, or cut all connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import List


class Proxy:
    """Between a client and one server."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._there, self._back = threading.Event(), threading.Event()
        self._there.set()
        self._back.set()
        self._sockets: List[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def black_hole(self, there: bool = True, back: bool = True) -> None:
        """Swallow every byte, both ways or to or from the server, and keep all connections open."""
        if there:
            self._there.clear()
        if back:
            self._back.clear()

    def heal(self) -> None:
        """Pass bytes again, on new connections: what was swallowed stays lost."""
        self.cut()
        self._there.set()
        self._back.set()

    def cut(self) -> None:
        """Close all connections."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def refuse(self) -> None:
        """Refuse connections and cut the present ones, like a host whose server has died."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def admit(self) -> None:
        """Listen again, on the same port."""
        port = int(self.address.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """End."""
        self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self._sockets.append(near)
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._sockets.append(far)
            for source, sink, passes in ((near, far, self._there), (far, near, self._back)):
                threading.Thread(target=self._pump, args=(source, sink, passes),
                                 daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, passes: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if passes.is_set():
                    sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
