#!/usr/bin/env python3
"""Whether a cluster loses nothing while its nodes are upgraded one after the other.

    tests/chaos/rolling_upgrade.py [--old P] [--new P] [--between S] [--seed S]
        [--raise-schema] [--restart-store] [--plain] [--folder F] [--keep]

Three nodes of the program OLD share a store, and work is handed in all the time, as
by chaos.py, whose checks hold here as well. One node after the other is upgraded to
NEW, each in another way:

  upgrade  troupe node --upgrade: takes the place of the node that runs
  end      it is told to end, and what runs there ends with it; then NEW starts
  keep     the same with `on-stop: keep`: what runs goes on (systemctl restart)

Then work goes on for a while, all jobs end, and what was acknowledged, what ran and
what is in the store is compared. A node that ends by itself is a failure, too.

There may be only one program: with --raise-schema the tables get what a later version
might add once the first node is upgraded, so that the others begin on tables that are
newer than they are. With --restart-store all nodes connect anew then.
"""

import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path

from chaos import (NO_ANSWER, ROOT, Chaos, Refused, Trouble, boot_now,
                   run_to_verdict)
from local_cluster import kill, server_programs, wait_until
from node_as_root import allow_root

WAYS = {"n1": "upgrade", "n2": "end", "n3": "keep"}
LONGEST = 90   # Seconds of one upgrade: more than a node waits for the one before.
NEWER = ("SELECT FROM troupe.cluster WHERE one FOR UPDATE;"
         "ALTER TABLE troupe.session ADD COLUMN what_is_new bigint DEFAULT 0;"
         "ALTER TABLE troupe.job ADD COLUMN what_is_new bytea;"
         "UPDATE troupe.cluster SET schema_version=schema_version+1")


class Upgrader:
    """What chaos.py has a nemesis for."""

    def __init__(self):
        self.at = None
        self.counts = {}
        self.trouble = []
        self.log = []

    def start(self):
        """Nothing happens by itself."""

    def finish(self):
        """And nothing has to be undone."""

    def is_busy(self, name):
        return name == self.at


class RollingUpgrade(Chaos):
    def begin(self, seed):
        super().begin(seed)
        self.nemesis = Upgrader()
        for name, way in WAYS.items():
            if way == "keep":
                self.keep_on_stop(self.cluster.members[name], "keep")

    def keep_on_stop(self, member, what):
        lines = [line for line in member.config.read_text().splitlines()
                 if not line.startswith("on-stop:")]
        member.config.write_text("\n".join([*lines, f"on-stop: {what}", ""]))
        kill(member.pid(), signal.SIGHUP)

    def say(self, text):
        self.nemesis.log.append(f"{boot_now():.2f} {text}")
        print(self.nemesis.log[-1], flush=True)

    def go_on(self, seconds):
        for number, (name, way) in enumerate(WAYS.items()):
            time.sleep(seconds)
            self.upgrade(self.cluster.members[name], way)
            if number == 0:
                self.change_store()
        time.sleep(seconds)

    def change_store(self):
        server = self.cluster.server
        if self.options.raise_schema:
            time.sleep(2)
            self.raise_schema()
            self.say("the tables are newer")
        if self.options.restart_store:
            server.end()
            server.start()
            self.say("the store was restarted")
        self.say("schema " + server.query("SELECT schema_version FROM troupe.cluster"))

    def raise_schema(self):
        """As a newer troupe does: in one transaction, and once more if the server
        ends it since somebody who looks has the same tables in another order."""
        for _ in range(10):
            try:
                self.cluster.server.query(NEWER)
                return
            except AssertionError as refused:
                if "deadlock detected" not in str(refused):
                    raise
                self.say("a deadlock: once more")
        raise AssertionError("each time a deadlock")

    def upgrade(self, member, way):
        self.nemesis.at = member.name
        self.nemesis.counts[way] = self.nemesis.counts.get(way, 0) + 1
        before, process = member.session(), member.process
        begun = boot_now()
        running = len(member.commands())
        member.program = Path(self.options.new).resolve()
        settings = member.config.read_text()
        if "allow-root" not in settings:
            member.config.write_text(allow_root(member.program) + settings)
        if way == "upgrade":
            member.start("--upgrade")
        else:
            kill(member.pid(), signal.SIGTERM)
            member.forget()
            member.start()
        self.await_new(member)
        if way == "upgrade":
            process.wait(LONGEST)
        self.say(f"{member.name} ({way}): {running} processes ran, {len(member.commands())}"
                 f" do; may start after {boot_now() - begun:.2f} s, session "
                 f"{'kept' if member.session() == before else 'new'}")
        self.nemesis.at = None

    def await_new(self, member):
        """Until it is the one that answers, and has the right to start."""
        def is_there():
            if member.process.poll() is not None:
                raise Trouble(f"{member.name} has ended: {member.last_words()}")
            try:
                return member.ask("GET", "/v1/node")["pid"] == member.process.pid and \
                    member.ask("GET", "/v1/cluster")["may_start"]
            except (*NO_ANSWER, Refused):
                return False

        wait_until(is_there, f"the upgrade of {member.name} (see {member.log})", LONGEST)

    def end(self):
        for member in self.cluster.members.values():
            is_new = os.path.dirname(os.path.realpath(f"/proc/{member.pid()}/exe")) == \
                os.path.dirname(os.path.realpath(self.options.new))
            if not is_new:
                self.history.wrong.append(f"old: {member.name} is not the new program")
            self.keep_on_stop(member, "end")
        self.history.wrong += [f"ended by itself: {text}" for text in self.unexpected]
        super().end()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    program = os.environ.get("TROUPE", str(ROOT / "build/release/bin/troupe"))
    parser.add_argument("--old", default=program)
    parser.add_argument("--new", default=program)
    parser.add_argument("--between", type=float, default=20,
                        help="seconds before each upgrade, and after the last one")
    parser.add_argument("--seed", type=int,
                        default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--raise-schema", action="store_true")
    parser.add_argument("--restart-store", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--folder")
    parser.add_argument("--keep", action="store_true", help="the folder, for a look")
    options = parser.parse_args()
    if not server_programs():
        print("rolling_upgrade: there is no PostgreSQL: apt-get install postgresql")
        sys.exit(77)  # To be skipped, for a test.
    options.program, options.nodes = options.old, len(WAYS)
    options.longest, options.faults = 1, "kill node"  # Of a nemesis that is not used.
    run_to_verdict(RollingUpgrade(options), options, options.between,
                   options.between * (len(WAYS) + 1))


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"rolling_upgrade: {trouble}")
