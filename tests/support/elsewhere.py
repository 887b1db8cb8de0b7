"""One call from another process, if wanted of another uid; as a program: the other process."""

import json
import os
import subprocess
import sys

from support import paths
from support.varlink import Client, Error


def call(socket, method, uid=None, **parameters):
    """As Client.call(), but from a process that has ended when this returns."""
    done = subprocess.run([sys.executable, "-m", "support.elsewhere", socket, method,
                           json.dumps(parameters), str(uid if uid is not None else os.getuid())],
                          capture_output=True, timeout=120, check=False, cwd=paths.TESTS)
    if done.returncode:
        raise AssertionError(done.stderr.decode())
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise Error(answer["error"], answer["parameters"])
    return answer["reply"]


def main(socket, method, parameters, uid):
    if int(uid) != os.getuid():
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    try:
        with Client(socket) as c:
            print(json.dumps({"reply": c.call(method, **json.loads(parameters))}))
    except Error as e:
        print(json.dumps({"error": e.full_name, "parameters": e.parameters}))


if __name__ == "__main__":
    main(*sys.argv[1:])
