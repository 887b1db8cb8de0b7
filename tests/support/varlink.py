"""A blocking Varlink client: NUL-terminated JSON over a unix socket."""

import json
import socket

INTERFACE = "io.slotd.pool"


class Error(Exception):
    """An error reply; name is without the interface if that is io.slotd.pool."""

    def __init__(self, name, parameters):
        self.full_name = name
        self.name = name[len(INTERFACE) + 1:] if name.startswith(INTERFACE + ".") else name
        self.parameters = parameters or {}
        super().__init__("%s: %s" % (self.name, self.parameters))

    @property
    def message(self):
        return self.parameters.get("message", "")


class Closed(Exception):
    """The peer has closed the connection."""


class Client:
    """One connection. As a context manager it closes itself."""

    def __init__(self, path, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.unread = b""

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed(str(e)) from e

    def send(self, method, parameters=None, **flags):
        """Send a call; a method without a dot is one of io.slotd.pool."""
        call = {"method": method if "." in method else "%s.%s" % (INTERFACE, method)}
        if parameters is not None:
            call["parameters"] = parameters
        self.send_bytes(json.dumps({**call, **flags}).encode() + b"\0")

    def receive_bytes(self):
        """One message without its NUL."""
        while b"\0" not in self.unread:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError as e:
                raise Closed(str(e)) from e
            if not data:
                raise Closed("closed by the peer%s" % (" in a message" if self.unread else ""))
            self.unread += data
        message, _, self.unread = self.unread.partition(b"\0")
        return message

    def receive(self):
        """One reply as it is: a dict."""
        return json.loads(self.receive_bytes())

    def result(self):
        """One reply's parameters; an error reply is raised."""
        reply = self.receive()
        if "error" in reply:
            raise Error(reply["error"], reply.get("parameters"))
        return reply.get("parameters", {})

    def call(self, method, **parameters):
        """Call and wait for the one reply's parameters. None means: leave it out."""
        self.send(method, {k: v for k, v in parameters.items() if v is not None})
        return self.result()

    def call_more(self, method, **parameters):
        """Call with "more": yields each reply's parameters, the last one included."""
        self.send(method, {k: v for k, v in parameters.items() if v is not None}, more=True)
        while True:
            reply = self.receive()
            if "error" in reply:
                raise Error(reply["error"], reply.get("parameters"))
            yield reply.get("parameters", {})
            if not reply.get("continues"):
                return
