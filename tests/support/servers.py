"""Servers to clone from: git over HTTP with a token, and ssh."""

import base64
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading

from support import wait

BACKEND = "/usr/lib/git-core/git-http-backend"


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
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], capture_output=True, check=True)
    return certificate, key


class Ssh:
    """An sshd of our own; key: the private key that may come in."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, mode=0o700)
        self.key = self.make_key("client")
        self.host_key = self.make_key("host")
        shutil.copy(self.key + ".pub", self.path("authorized"))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open(self.path("config"), "w", encoding="ascii") as f:
            f.write("ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\n"
                    "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
                    "AcceptEnv GIT_*\n" % (self.port, self.host_key, self.path("authorized")))
        os.makedirs("/run/sshd", exist_ok=True)
        with open(self.path("log"), "wb") as log:
            self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", self.path("config")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait.until(self.listens, "sshd listens")

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

    def url(self, path, user):
        return "ssh://%s@127.0.0.1:%d%s" % (user, self.port, path)

    def close(self):
        self.process.terminate()
        self.process.wait()
