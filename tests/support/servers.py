"""Servers to clone from: git over HTTP with a token, and ssh."""

import base64
import getpass
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading

from support import wait

BACKEND = "/usr/lib/git-core/git-http-backend"
SSHD = "/usr/sbin/dropbear"


class GitHandler(http.server.BaseHTTPRequestHandler):
    """Hands requests to git-http-backend, as CGI."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def allowed(self):
        token = self.server.token
        given = self.headers.get("Authorization", "")
        return token is None or given == "Basic " + base64.b64encode(token.encode()).decode()

    def do_GET(self):
        self.respond(b"")

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            return self.respond(self.read_chunks())
        return self.respond(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def read_chunks(self):
        data = b""
        while True:
            size = int(self.rfile.readline(), 16)
            data += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                return data

    def respond(self, body):
        if not self.allowed():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": self.server.root, "PATH_INFO": path,
               "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": self.command, "QUERY_STRING": query,
               "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
               "REMOTE_USER": "test", "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
               "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        out = subprocess.run([BACKEND], input=body, env=env, capture_output=True, check=False).stdout
        head, _, content = out.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Http:
    """Serves the repositories below root; token: "user:password" that is wanted."""

    def __init__(self, root, token=None, certificate=None, handler=GitHandler):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.root, self.server.token = root, token
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, name):
        return "%s://127.0.0.1:%d/%s" % (self.scheme, self.server.server_port, name)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def make_certificate(directory):
    """A certificate that nobody has signed but itself: (certificate, key)."""
    certificate, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], capture_output=True, check=True)
    return certificate, key


class Ssh:
    """A dropbear of our own (openssh-server would be a service of the machine that runs the tests).

    key: the private key that may come in. dropbear looks for it in the home of the user, so the C
    library tells it another one.
    """

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(os.path.join(directory, ".ssh"), mode=0o700)
        os.chmod(directory, 0o700)
        self.user = getpass.getuser()
        self.key = self.make_key("client")
        self.host_key = self.make_key("host")
        subprocess.run(["dropbearconvert", "openssh", "dropbear", self.host_key, self.path("dropbear")],
                       check=True, capture_output=True)
        shutil.copy(self.key + ".pub", self.path(".ssh/authorized_keys"))
        os.chmod(self.path(".ssh/authorized_keys"), 0o600)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open(self.path("log"), "wb") as log:
            self.process = subprocess.Popen(
                [SSHD, "-F", "-E", "-s", "-p", "127.0.0.1:%d" % self.port,
                 "-r", self.path("dropbear"), "-P", self.path("pid")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **self.names()})
        wait.until(self.listens, "dropbear listens")

    def names(self):
        """What makes libnss_wrapper say that the user is at home here."""
        lines = {"passwd": "%s:x:%d:%d::%s:/bin/sh\n" % (self.user, os.getuid(), os.getgid(), self.directory),
                 "group": "%s:x:%d:\n" % (self.user, os.getgid())}
        for name, line in lines.items():
            with open(self.path(name), "w", encoding="utf-8") as f:
                f.write(line)
        return {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": self.path("passwd"),
                "NSS_WRAPPER_GROUP": self.path("group")}

    def path(self, name):
        return os.path.join(self.directory, name)

    def make_key(self, name):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)], check=True)
        return self.path(name)

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def known_hosts(self, name="known_hosts", key=None):
        with open((key or self.host_key) + ".pub", encoding="ascii") as f:
            line = "[127.0.0.1]:%d %s" % (self.port, f.read())
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(line)
        return self.path(name)

    def url(self, path):
        return "ssh://%s@127.0.0.1:%d%s" % (self.user, self.port, path)

    def close(self):
        self.process.terminate()
        self.process.wait()
