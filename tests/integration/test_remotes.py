"""Clone and fetch over HTTP and ssh, with the credentials that are configured and no others."""

import os
import socket
import subprocess
import time

from support import git, paths, servers
from support.case import Case


class Remote(Case):
    def serve(self, server):
        self.addCleanup(server.close)
        return server

    def pool(self, url, env=None, **credentials):
        """A slotd whose pool "p" is cloned from a url."""
        pool = {"url": url, "slots": {"ready": 1, "max": 2}, "fetch": {"timeout": "3s"}}
        if credentials:
            pool["credentials"] = credentials
        return self.slotd({"p": pool}, env=env)

    def problem(self, slotd, seconds=60):
        """Why the pool could not be made."""
        return self.until(lambda: slotd.pool("p")["problem"], "the pool has a problem", seconds)

    def assert_works(self, slotd):
        """Clone, acquire, fetch what has come since."""
        slotd.wait_ready("p")
        lease = slotd.acquire("p")
        self.assertEqual(lease["head"], git.head(self.origin))
        self.assertTrue(git.is_clean(lease["path"]))
        tip = git.commit(self.origin, "since", README="since\n")
        self.assertEqual(slotd.call("PoolFetch", pool="p")["pool"]["head"], tip)

    def setUp(self):
        super().setUp()
        os.mkdir(self.path("served"))
        self.origin = git.make(self.path("served/origin"))


class Http(Remote):
    def test_clone_and_fetch(self):
        server = self.serve(servers.Http(self.path("served")))
        self.assert_works(self.pool(server.url("origin/.git")))

    def test_token_from_a_file(self):
        server = self.serve(servers.Http(self.path("served"), "x-access-token:s3cret"))
        token = git.write(self.dir, "token", "s3cret\n", 0o600)
        self.assert_works(self.pool(server.url("origin/.git"), token_file=token))

    def test_helper(self):
        server = self.serve(servers.Http(self.path("served"), "bob:pa55"))
        helper = git.write(self.dir, "helper", "#!/bin/sh\n[ \"$(pwd)\" = / ] || exit 1\n"
                           "grep -q '^protocol=http$' || exit 1\n"
                           "echo username=bob\necho password=pa55\n", 0o755)
        self.assert_works(self.pool(server.url("origin/.git"), helper=[helper]))

    def test_wrong_token_is_a_problem_that_does_not_show_the_token(self):
        server = self.serve(servers.Http(self.path("served"), "x-access-token:right"))
        token = git.write(self.dir, "token", "wr0ng-s3cret\n", 0o600)
        slotd = self.pool(server.url("origin/.git"), token_file=token)
        self.assertTrue(self.problem(slotd))
        self.assertNotIn("wr0ng-s3cret", slotd.log() + str(slotd.call("PoolShow", pool="p")))
        self.assert_error("Unavailable", slotd.acquire, "p")

    def test_password_in_the_url_is_not_shown(self):
        slotd = self.slotd()
        with self.assertRaises(Exception):
            slotd.call("PoolAdd", pool="q", url="http://bob:s3cret@127.0.0.1:1/x.git")
        self.assertNotIn("s3cret", slotd.log())
        self.assertNotIn("s3cret", str(slotd.events()))

    def test_certificate_that_the_environment_trusts_is_taken(self):
        certificate = servers.make_certificate(self.dir)
        server = self.serve(servers.Http(self.path("served"), certificate=certificate))
        # mbedTLS, which Debian's libgit2 uses, compares names and not addresses
        url = server.url("origin/.git").replace("127.0.0.1", "localhost")
        self.assert_works(self.pool(url, env={"SSL_CERT_FILE": certificate[0]}))

    def test_certificate_that_nobody_knows_is_refused(self):
        certificate = servers.make_certificate(self.dir)
        server = self.serve(servers.Http(self.path("served"), certificate=certificate))
        self.assertRegex(self.problem(self.pool(server.url("origin/.git"))).lower(), "certificate|tls|ssl")

    def test_server_that_says_nothing_is_given_up(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(5)
            began = time.monotonic()
            slotd = self.pool("http://127.0.0.1:%d/x.git" % silent.getsockname()[1])
            self.assertTrue(self.problem(slotd, 90))
            self.assertLess(time.monotonic() - began, 80)

    def test_nobody_listens(self):
        slotd = self.slotd()
        error = self.assert_error("GitFailed", slotd.call, "PoolAdd", pool="q", url="http://127.0.0.1:1/x")
        self.assertIn("127.0.0.1", error.message)


class Ssh(Remote):
    def slotd(self, *args, env=None, **keys):
        known = os.path.join(paths.TESTS, "support/lsan-ssh.supp")
        options = "suppressions=%s:print_suppressions=0" % known
        return super().slotd(*args, env={"LSAN_OPTIONS": options, **(env or {})}, **keys)

    def setUp(self):
        super().setUp()
        if not os.path.exists(servers.SSHD):
            self.skipTest("no dropbear here")
        self.server = self.serve(servers.Ssh(self.path("ssh")))
        self.url = self.server.url(self.origin)

    def test_clone_and_fetch_with_a_key_from_a_known_host(self):
        self.assert_works(self.pool(self.url, ssh_key=self.server.key,
                                    known_hosts=self.server.known_hosts()))

    def test_host_that_is_not_known_is_refused_by_name(self):
        empty = git.write(self.dir, "empty", "")
        slotd = self.pool(self.url, ssh_key=self.server.key, known_hosts=empty)
        self.assertIn("127.0.0.1", self.problem(slotd))

    def test_host_with_another_key_is_refused(self):
        other = self.server.known_hosts("other_hosts", self.server.make_key("other"))
        slotd = self.pool(self.url, ssh_key=self.server.key, known_hosts=other)
        self.assertRegex(self.problem(slotd), "key")

    def test_key_that_the_server_does_not_take_is_a_problem(self):
        slotd = self.pool(self.url, ssh_key=self.server.make_key("stranger"),
                          known_hosts=self.server.known_hosts())
        self.assertTrue(self.problem(slotd))

    def test_key_from_the_agent(self):
        out = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
        values = dict(part.split("=", 1) for line in out.split("\n") for part in line.split(";")[:1]
                      if "=" in part)
        self.addCleanup(os.kill, int(values["SSH_AGENT_PID"]), 15)
        sock = values["SSH_AUTH_SOCK"]
        subprocess.run(["ssh-add", "-q", self.server.key], check=True, capture_output=True,
                       env={**os.environ, "SSH_AUTH_SOCK": sock})
        slotd = self.slotd({"p": {"url": self.url, "slots": {"ready": 1, "max": 1},
                                  "credentials": {"known_hosts": self.server.known_hosts()}}},
                           env={"SSH_AUTH_SOCK": sock})
        slotd.wait_ready("p")
