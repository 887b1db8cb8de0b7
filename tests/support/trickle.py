"""A server behind a thin line: what it says comes in small pieces, and may stop in the middle."""

import contextlib
import socket
import threading
import time


class Trickle:
    """Passes connections on to a port; so many bytes a second come back.

    stop_after: after so many bytes of one connection nothing more comes, and nobody hangs up.
    sent: how many bytes came back, of all connections together; last: when the last of them did.
    """

    PIECE = 2048

    def __init__(self, port, rate, stop_after=None):
        self.target, self.rate, self.stop_after = port, rate, stop_after
        self.sent = 0
        self.last = time.monotonic()
        self.open = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start(self.accept)

    @staticmethod
    def start(function, *args):
        threading.Thread(target=function, args=args, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                self.open += [near, far]
                self.start(self.forward, near, far)
                self.start(self.trickle, far, near)

    @staticmethod
    def forward(source, to):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    def trickle(self, source, to):
        own = 0
        with contextlib.suppress(OSError):
            while data := source.recv(self.PIECE):
                if self.stop_after is not None and own >= self.stop_after:
                    return
                to.sendall(data)
                own += len(data)
                self.sent += len(data)
                self.last = time.monotonic()
                time.sleep(len(data) / self.rate)
            to.shutdown(socket.SHUT_WR)

    def close(self):
        for s in [self.listener, *self.open]:
            s.close()
