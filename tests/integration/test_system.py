"""The system's daemon at its own places, in a mount namespace where they are empty."""

import subprocess

from support import git, paths
from support.case import Case

PLACES = "for d in /run /var/lib /etc/slotd; do [ ! -d $d ] || mount -t tmpfs tmpfs $d || exit 77; done"
SESSION = PLACES + """
slotd=$1; slotctl=$2; repository=$3
"$slotd" & pid=$!
trap 'kill $pid; wait $pid' EXIT
until [ -S /run/slotd/slotd.sock ]; do kill -0 $pid || exit 1; done
cd "$repository" && "$slotctl" --system pool add p --path "$repository" &&
	"$slotctl" --system run p -- git rev-parse HEAD
"""


class System(Case):
    def test_it_needs_no_configuration(self):
        repository = git.make(self.path("repo"))
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SESSION, "sh",
                               paths.product("slotd"), paths.product("slotctl"), repository],
                              capture_output=True, text=True, timeout=100, check=False)
        if done.returncode == 77 or "unshare failed" in done.stderr:
            self.skipTest("no mount namespaces here: " + done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1], git.head(repository))
        self.assertIn("there is no configuration, the defaults hold file=/etc/slotd/slotd.yaml", done.stderr)
