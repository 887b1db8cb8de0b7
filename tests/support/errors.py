"""Lines of level error in a log file, which does not tell levels: their sentences are in the source."""

import glob
import os
import re

from support.paths import TOP

CALL = re.compile(r'\blog_error\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)')
DIRECTIVE = re.compile(r"%[-0-9.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]")
LEAST_LETTERS = 10  # a sentence that is all directives would be found everywhere

# what the death of a worker makes slotd log, and nothing else is wrong: as it begins, as it is given its job
OF_KILLED_WORKERS = ("a worker did not greet as expected: the other end has closed the connection",
                     "cannot hand a job to a worker: cannot write to the socket: Broken pipe")


def sentences():
    """A pattern for each sentence that some log_error() of the source writes."""
    found = set()
    for path in glob.glob(os.path.join(TOP, "src", "**", "*.c"), recursive=True):
        with open(path, encoding="utf-8") as f:
            for call in CALL.findall(f.read()):
                fmt = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', call)).replace('\\"', '"').replace("%%", "%")
                fixed = DIRECTIVE.split(fmt)
                if sum(c.isalpha() for c in "".join(fixed)) >= LEAST_LETTERS:
                    found.add(".*".join(re.escape(part) for part in fixed))
    return found


class ErrorLines:
    """Finds them; what is accepted is a part of the line."""

    def __init__(self):
        self.pattern = re.compile(r": (?:%s)" % "|".join(sorted(sentences())))

    def find(self, log, accepted=()):
        return [line for line in log.split("\n")
                if self.pattern.search(line) and not any(part in line for part in accepted)]
