"""Counting: every test case is one, whoever ran it."""


class Tally:
    """How many cases passed, failed and were skipped, and what failed."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.failures = []

    def add(self, name, outcome):
        """Count one case; outcome is "passed", "failed" or "skipped"."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        if outcome == "failed":
            self.failures.append(name)

    def add_many(self, name, passed, failed):
        self.passed += passed
        self.failed += failed
        if failed:
            self.failures.append("%s (%d)" % (name, failed))

    def __str__(self):
        text = "%d passed, %d failed" % (self.passed, self.failed)
        if self.skipped:
            text += ", %d skipped" % self.skipped
        return text

    def append_to(self, path):
        """Leave the numbers for contrib/check: a line "passed failed skipped", and who failed."""
        if path:
            with open(path, "a", encoding="utf-8") as f:
                f.write("%d %d %d\n" % (self.passed, self.failed, self.skipped))
            with open(path + ".failed", "a", encoding="utf-8") as f:
                f.writelines("%s\n" % name for name in self.failures)
