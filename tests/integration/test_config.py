"""slotd.yaml: read at start, again by SIGHUP or when the file changes, whole or not at all."""

import json
import os
import select

from support import git
from support.case import Case, Closed, Error
from support.paths import TOP


class Config(Case):
    def put(self, slotd, text):
        """Replace the file by rename, as editors do."""
        with open(slotd.config_file + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(slotd.config_file + ".new", slotd.config_file)

    def with_pool(self, slotd, name, **keys):
        slotd.pools[name] = {"path": git.make(self.path("repo-" + name)), **keys}
        return json.dumps(slotd.config(), indent=1)

    def names(self, slotd):
        return {p["name"] for p in slotd.call("PoolList")["pools"]}

    def test_wrong_file_stops_the_start_with_place_and_nearest_key(self):
        slotd = self.slotd(start=False)
        slotd.write_config("state_dir: %s\nslots_dir: %s\nsocket: %s\nworkres: 3\n"
                           % (slotd.state_dir, slotd.slots_dir, slotd.socket))
        slotd.start(wait_for_socket=False)
        self.assertNotEqual(slotd.wait(), 0)
        self.assertRegex(slotd.log(), r"slotd\.yaml:4:1: .*workres.*workers")

    def test_missing_file_that_was_named_stops_the_start(self):
        slotd = self.slotd(start=False)
        slotd.write_config()
        slotd.start(["--config", self.path("absent.yaml")], wait_for_socket=False)
        self.assertNotEqual(slotd.wait(), 0)
        self.assertIn("absent.yaml", slotd.log())

    def test_sighup_takes_the_new_file(self):
        slotd = self.one_pool()
        text = self.with_pool(slotd, "q", slots={"ready": 1, "max": 1})
        slotd.write_config(text)
        slotd.reload()
        self.until(lambda: "q" in self.names(slotd), "the new pool is there")
        slotd.wait_ready("q")

    def test_file_replaced_by_rename_is_taken(self):
        slotd = self.one_pool()
        self.put(slotd, self.with_pool(slotd, "q"))
        self.until(lambda: "q" in self.names(slotd), "the new pool is there")
        self.put(slotd, self.with_pool(slotd, "r"))
        self.until(lambda: "r" in self.names(slotd), "the file is still watched after a rename")

    def test_wrong_file_keeps_the_old_one_and_says_why(self):
        slotd = self.one_pool()
        self.put(slotd, "pools:\n  p: { path: relative }\n  q: 7\n")
        slotd.wait_log(r"slotd\.yaml:\d+:\d+: ")
        self.assertEqual(self.names(slotd), {"p"})
        slotd.acquire("p")

    def test_changed_sizes_take_effect(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.pools["p"]["slots"] = {"ready": 3, "max": 3}
        self.put(slotd, json.dumps(slotd.config()))
        slotd.wait_ready("p", 3)

    def test_changed_limits_take_effect_and_drop_nobody(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        clients = [slotd.client() for _ in range(3)]
        for c in clients:
            c.send("Acquire", {"pool": "p", "waitUsec": 60000000})
        self.until(lambda: slotd.pool("p")["waiting"] == 3, "they wait")
        steady = slotd.client()
        steady.call("Ping")
        slotd.settings["limits"] = {"connections_per_uid": 3, "pending_per_uid": 3, "message": "4KiB"}
        mark = len(slotd.log())
        self.put(slotd, json.dumps(slotd.config()))
        slotd.wait_log("was read again", after=mark)
        with self.assertRaises(Error) as caught:
            steady.call("Ping")
        self.assertEqual(caught.exception.name, "LimitReached")
        self.assertIn("3 calls", caught.exception.message)
        with slotd.client() as extra:
            self.assertEqual(extra.receive()["error"], "io.slotd.pool.LimitReached")
        # those who were there are served
        clients.pop().close()
        self.until(lambda: self.answers(steady), "a place is free")
        steady.call("Release", lease=lease["lease"], wait=False)
        ready, _, _ = select.select([c.socket for c in clients], [], [], 60)
        self.assertTrue(ready, "nobody got the slot")
        for c in clients:
            if c.socket in ready:
                self.assertEqual(c.result()["pool"], "p")
        # a shorter message holds for who comes now
        clients.pop().close()
        with self.until(lambda: self.newcomer(slotd), "a connection is taken") as late:
            late.send("Acquire", {"pool": "x" * 5000})
            self.assertEqual(late.receive()["error"], "io.slotd.pool.InvalidMessage")
        self.assert_error("NotFound", steady.call, "Acquire", pool="x" * 5000)
        # and more may come when more are allowed
        slotd.settings["limits"] = {"connections_per_uid": 20}
        mark = len(slotd.log())
        self.put(slotd, json.dumps(slotd.config()))
        slotd.wait_log("was read again", after=mark)
        crowd = [slotd.client() for _ in range(10)]
        for c in crowd:
            c.call("Ping")
            c.close()

    @staticmethod
    def answers(client):
        try:
            return client.call("Ping")
        except Error:
            return None

    @staticmethod
    def newcomer(slotd):
        client = slotd.client()
        try:
            client.call("Ping")
            return client
        except (Error, Closed):
            client.close()
            return None

    def test_changed_directories_and_socket_need_a_restart(self):
        for key in ("state_dir", "slots_dir", "socket"):
            with self.subTest(key=key):
                slotd = self.slotd(name="slotd-" + key)
                config = slotd.config()
                config[key] = self.path("elsewhere")
                mark = len(slotd.log())
                self.put(slotd, json.dumps(config))
                slotd.wait_log(r"%s.*needs a restart|needs a restart.*%s" % (key, key), after=mark)
                self.assertTrue(slotd.call("Ping"))

    def test_pool_gone_from_the_file_drains(self):
        slotd = self.one_pool(ready=1, maximum=1)
        lease = slotd.acquire("p")
        slotd.pools = {}
        self.put(slotd, json.dumps(slotd.config()))
        self.until(lambda: self.is_draining(slotd), "the pool drains")
        slotd.call("Renew", lease=lease["lease"])
        slotd.release(lease["lease"])
        self.until(lambda: slotd.slots() == {}, "its slots are gone")
        self.assertEqual(git.worktrees(self.repository), [self.repository])

    def test_pool_back_in_the_file_while_it_is_being_removed_is_made_again(self):
        slotd = self.one_pool(ready=1, maximum=1)
        pools, slotd.pools = slotd.pools, {}
        self.put(slotd, json.dumps(slotd.config()))
        self.until(lambda: slotd.slots() == {}, "its slots are gone")
        worker = self.stop_worker_of(slotd, "p")
        with slotd.client() as remover:
            remover.send("PoolRemove", {"pool": "p"})
            self.until(lambda: slotd.call("PoolShow", pool="p")["pool"]["state"] == "removing",
                       "it is being removed")
            slotd.pools = pools
            mark = len(slotd.log())
            self.put(slotd, json.dumps(slotd.config()))
            slotd.wait_log("was read again", after=mark)
            self.let_go(worker)
            self.assertEqual(remover.result()["pool"], "p")
        self.until(lambda: "p" in self.names(slotd), "the pool is back")
        slotd.wait_ready("p", 1)
        self.assert_invariants(slotd)

    def test_drain_that_was_asked_for_outlives_a_reload_and_a_restart(self):
        slotd = self.one_pool(ready=1, maximum=1)
        slotd.call("PoolDrain", pool="p")
        mark = len(slotd.log())
        slotd.reload()
        slotd.wait_log("was read again", after=mark)
        self.assertTrue(slotd.pool("p")["draining"])
        slotd.restart()
        self.assertTrue(slotd.pool("p")["draining"])
        slotd.call("PoolResume", pool="p")
        slotd.wait_ready("p", 1)

    def test_pool_that_comes_back_to_the_file_no_longer_drains(self):
        slotd = self.one_pool(ready=1, maximum=1)
        pools, slotd.pools = slotd.pools, {}
        self.put(slotd, json.dumps(slotd.config()))
        self.until(lambda: slotd.slots() == {}, "its slots are gone")
        slotd.restart()
        self.assertTrue(slotd.pool("p")["draining"])
        slotd.pools = pools
        self.put(slotd, json.dumps(slotd.config()))
        slotd.wait_ready("p", 1)
        self.assertFalse(slotd.pool("p")["draining"])

    def test_ref_that_changes_while_the_store_is_being_opened(self):
        repository = git.make(self.path("repository"))
        git.run(repository, "branch", "other", "HEAD~1")
        slotd = self.one_pool(repository, ready=1, maximum=1, ref="main")
        slotd.restart()
        worker = self.stop_worker_of(slotd, "p")
        slotd.pools["p"]["ref"] = "other"
        mark = len(slotd.log())
        self.put(slotd, json.dumps(slotd.config()))
        slotd.wait_log("was read again", after=mark)
        self.let_go(worker)
        other = git.head(repository, "other")
        self.until(lambda: slotd.pool("p")["head"] == other, "the pool stands at the new ref")
        lease = slotd.acquire("p", waitUsec=30000000)
        self.assertEqual((lease["base"]["ref"], lease["head"]), ("refs/heads/other", other))

    def is_draining(self, slotd):
        pools = {p["name"]: p for p in slotd.call("Status")["pools"]}
        return "p" not in pools or pools["p"]["draining"]

    def test_same_name_in_the_file_and_at_run_time_names_both(self):
        slotd = self.one_pool()
        other = git.make(self.path("other"))
        slotd.call("PoolAdd", pool="q", path=other)
        mark = len(slotd.log())
        self.put(slotd, self.with_pool(slotd, "q"))
        slotd.wait_log(r"slotd\.yaml:\d+.*\bq\b", after=mark)
        self.assertEqual(slotd.call("PoolShow", pool="q")["pool"]["path"], other)

    def test_config_show_is_yaml_that_would_be_taken(self):
        slotd = self.one_pool()
        shown = slotd.call("ConfigShow")
        self.assertEqual(shown["file"], slotd.config_file)
        path = git.write(self.dir, "shown.yaml", shown["yaml"])
        self.ok(slotd, "config", "check", path)

    def test_example_of_the_manual_is_taken(self):
        slotd = self.slotd()
        self.ok(slotd, "config", "check", os.path.join(TOP, "conf/slotd.yaml"))
