"""The proxy of the links: each way can be swallowed by itself, and heals on new connections."""

import contextlib
import socket
import threading

import pytest
from support.proxy import Proxy


@pytest.fixture(name="echo")
def echo_fixture():
    """A proxy before a server that answers what it is told, and the list of what it was told."""
    heard = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=answer, args=(near,), daemon=True).start()

    def answer(near):
        with contextlib.suppress(OSError):
            while data := near.recv(100):
                heard.append(data)
                near.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    proxy = Proxy(f"127.0.0.1:{listener.getsockname()[1]}")
    yield proxy, heard
    proxy.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def ask(proxy, seconds=5.0):
    host, _, port = proxy.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as client:
        client.sendall(b"hello")
        try:
            return client.recv(100)
        except TimeoutError:
            return None


def test_a_swallowed_answer_was_asked(echo):
    proxy, heard = echo
    assert ask(proxy) == b"hello"
    proxy.black_hole(there=False)
    assert ask(proxy, 0.3) is None
    assert heard == [b"hello", b"hello"]
    proxy.heal()
    assert ask(proxy) == b"hello"


def test_a_swallowed_request_never_arrives(echo):
    proxy, heard = echo
    for direction in ({"back": False}, {}):
        proxy.black_hole(**direction)
        assert ask(proxy, 0.3) is None
        assert heard == []
    proxy.heal()
    assert ask(proxy) == b"hello"
