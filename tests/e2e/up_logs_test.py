"""troupe up and logs: what services write is kept, shown and never waited for."""

import os
import re
import signal
import subprocess
import time
import unittest

from stacks import Stacks, TroupeTest
from troupe_e2e import SANITIZED, peak_memory_kib, wait_until


def numbers(first, last):
    return "".join(f"{i}\n" for i in range(first, last + 1))


class Logs(Stacks, TroupeTest):
    def up_counting(self, lines, log=None):
        """A service that has written that many lines."""
        service = {"run": f"seq {lines}; echo done >> events; {self.idle}"}
        if log:
            service["log"] = log
        up = self.up({"children": {"a": service}})
        self.wait_for_event("done")
        return up

    def wait_for_log(self, end, name="a"):
        path = self.log_of(name)
        wait_until(lambda: path.exists() and path.read_text().endswith(end),
                   what=f"{end!r} in {path}")
        return path

    def test_a_log_has_every_byte_that_the_service_wrote(self):
        self.up({"children": {"a": {"run":
            "head -c 300000 /dev/urandom > data; cat data; cat data >&2; "
            "echo; echo end; " + self.idle}}})
        path = self.log_of("a")
        wait_until(lambda: path.exists() and path.stat().st_size == 600005,
                   what="all bytes")
        data = (self.cwd / "data").read_bytes()
        log = path.read_bytes()
        self.assertEqual(log[-5:], b"\nend\n")
        self.assertEqual(sorted(log[:-5]), sorted(data + data))

    def test_a_log_goes_on_after_a_restart_of_all(self):
        stack = {"children": {"a": {"run": f"echo x; {self.idle}"}}}
        for _ in range(2):
            up = self.up_ready(stack)
            path = self.wait_for_log("x\n")
            self.assertEqual(up.end(), 0)
        self.assertEqual(path.read_text(), "x\nx\n")

    def test_full_logs_are_rotated_and_the_oldest_go(self):
        self.up_counting(5000, {"size": "4KiB", "count": 2})
        path = self.wait_for_log("5000\n")
        files = [path.with_name(path.name + ext) for ext in (".2", ".1", "")]
        wait_until(lambda: all(file.exists() for file in files))
        self.assertFalse(path.with_name(path.name + ".3").exists())
        for file in files:
            self.assertLessEqual(file.stat().st_size, 4096)
        text = "".join(file.read_text() for file in files)
        first = int(text.splitlines()[0])
        self.assertEqual(text, numbers(first, 5000))
        self.assertEqual(self.ok("logs", "-n", "all", "a"), text)

    def test_the_last_lines_are_shown(self):
        self.up_counting(5000, {"size": "4KiB", "count": 2})
        self.wait_for_log("5000\n")
        self.assertEqual(self.ok("logs", "a"), numbers(4991, 5000))
        self.assertEqual(self.ok("logs", "-n", "3", "a"), numbers(4998, 5000))
        self.assertEqual(self.ok("logs", "-n", "2000", "a"),
                         numbers(3001, 5000))
        self.assertEqual(self.ok("logs", "-n", "0", "a"), "")

    def test_the_logs_of_several_have_names_in_front(self):
        self.up({"children": {
            "a": {"run": f"echo one; {self.idle}"},
            "group": {"children": {"b": {"run": f"echo two; {self.idle}"},
                                   "c": {"run": self.idle}}}}})
        self.wait_for_log("one\n")
        self.wait_for_log("two\n", "group/b")
        self.assertEqual(self.ok("logs"), "a       | one\ngroup/b | two\n")
        self.assertEqual(self.ok("logs", "group/b"), "two\n")

    def test_an_unknown_name_is_refused(self):
        self.up_ready({"children": {"worker": {"run": self.idle}}})
        self.refused("logs", "wroker", err='troupe: no service "wroker"; did '
                     'you mean worker?\n')
        self.refused("logs", "-n", "x", "worker", code=2,
                     err='troupe: logs: -n: expected a whole number, got "x"\n'
                     'Try "troupe logs --help".\n')

    def follow(self, *words):
        out = open(self.cwd / "followed", "wb")
        self.addCleanup(out.close)
        running = self.start_troupe("logs", "-f", *words, stdout=out)
        return running, self.cwd / "followed"

    def test_following_goes_on_across_restarts_and_rotations(self):
        up = self.up_ready({"children": {"a": {
            "run": "echo $$ > pid; n=$(cat last 2>/dev/null || echo 0); "
                   "seq $((n+1)) $((n+2000)); echo $((n+2000)) > last; "
                   "echo done >> events; " + self.idle,
            "log": {"size": "4KiB", "count": 20}}}})
        self.wait_for_event("done")
        running, path = self.follow("-n", "all", "a")
        for round_ in (2, 3):
            self.ok("restart", "a")
            self.wait_for_event("done", times=round_)
        wait_until(lambda: path.read_text().endswith("\n6000\n"), within=10,
                   what="the last line")
        self.assertEqual(path.read_text(), numbers(1, 6000))
        running.signal(signal.SIGINT)
        self.assertEqual(running.finish().code, -signal.SIGINT)
        self.assertEqual(up.end(), 0)

    def test_following_shows_first_what_came_before(self):
        self.up_counting(100)
        self.wait_for_log("100\n")
        running, path = self.follow("-n", "2", "a")
        wait_until(lambda: path.read_text() == "99\n100\n")
        running.signal(signal.SIGTERM)
        running.finish()

    def test_following_a_service_that_has_not_written_yet_waits_for_it(self):
        self.up_ready({"children": {"a": {
            "run": "until [ -e go ]; do sleep 0.02; done; echo first; "
                   + self.idle}}})
        running, path = self.follow("a")
        (self.cwd / "go").touch()
        wait_until(lambda: path.read_text() == "first\n", within=10)
        running.signal(signal.SIGTERM)
        running.finish()

    def test_following_ends_with_the_stack_after_its_last_line(self):
        up = self.up_ready({"children": {"a": {
            "run": f"trap 'echo last; exit 0' TERM; echo first; "
                   f"while :; do sleep 0.05; done"}}})
        running, path = self.follow("-n", "all", "a")
        wait_until(lambda: path.read_text() == "first\n")
        self.assertEqual(up.end(), 0)
        self.assertEqual(running.finish(within=5).code, 0)
        self.assertTrue(path.read_text().endswith("\nlast\n"))

    def test_what_was_not_shown_is_told_in_the_end(self):
        read, write = os.pipe()
        up = self.up({"children": {"a": {
            "run": "seq 200000; echo THE-END; exec sleep 300",
            "log": {"size": "100MiB"}}}}, stdout=write)
        os.close(write)
        log = self.log_of("a")
        wait_until(lambda: log.exists() and
                   log.read_bytes().endswith(b"THE-END\n"))
        with open(read, "rb") as out:
            up.process.terminate()
            shown = out.read().decode()
        self.assertEqual(up.finish(), 0)
        # More than one, if somebody has read on before all was there.
        note = r"a \| \[troupe: (\d+) bytes are not shown; see .*\]\n"
        missed = [int(count) for count in re.findall(note, shown)]
        self.assertTrue(missed, shown[-200:])
        lines = re.sub(note, "", shown)
        self.assertEqual(len(lines) + sum(missed),
                         sum(len(f"a | {n}\n") for n in range(1, 200001)) +
                         len("a | THE-END\n"))

    def test_a_full_disk_below_the_output_ends_no_service(self):
        with open("/dev/full", "wb") as full:
            up = self.up({"children": {"a": {
                "run": "echo x; sleep 0.2; echo on >> events; exec sleep 300"}}},
                stdout=full)
        self.wait_for_events("on")
        self.assertIn("cannot write to standard output: no space left", up.err)
        self.assertEqual(up.end(), 0)

    def test_a_reader_that_has_enough_ends_a_follower(self):
        self.up_ready({"children": {"a": {
            "run": "while sleep 0.02; do echo x; done"}}})
        finished = self.sh('"$TROUPE" logs -f a | head -n 2', within=10)
        self.assertEqual((finished.code, finished.out), (0, "x\nx\n"))

    def test_a_long_line_is_kept_whole_and_does_not_stall(self):
        up = self.up({"children": {"a": {
            "run": "head -c 3000000 /dev/zero | tr '\\0' x; echo; "
                   "while sleep 0.02; do echo after; done"}}})
        path = self.wait_for_log("\nafter\n")
        whole = "x" * 3000000 + "\nafter\n"
        self.assertTrue(path.read_text().startswith(whole))
        self.assertTrue(self.ok("logs", "-n", "all", "a").startswith(whole))
        up.wait_for_shown("a | after")
        # Unless it is shown more slowly than it comes.
        if "bytes are not shown" not in up.out:
            self.assertEqual(up.out.count("x"), 3000000)

    def test_a_line_without_an_end_is_in_the_log_at_once(self):
        self.up({"children": {"a": {"run": f"printf prompt; {self.idle}"}}})
        self.wait_for_log("prompt")
        self.assertEqual(self.ok("logs", "a"), "prompt")

    def test_the_foreground_shows_lines_behind_names(self):
        up = self.up({"children": {
            "a": {"run": f"echo one; echo two >&2; {self.idle}"},
            "longer": {"run": f"echo three; {self.idle}"}}})
        for line in ("a      | one\n", "a      | two\n", "longer | three\n"):
            up.wait_for_shown(line)
        self.assertEqual(up.end(), 0)
        self.assertEqual(len(up.out.splitlines()), 3)


class Flood(Stacks, TroupeTest):
    def test_a_flood_of_output_stalls_nobody(self):
        up = self.up_ready({"children": {
            "flood": {"run": "yes flood", "log": {"size": "1MiB", "count": 1}},
            "flood2": {"run": "yes flood >&2",
                       "log": {"size": "1MiB", "count": 1}},
            "calm": {"run": "while sleep 0.02; do date +%s.%N; done"}}})
        rotated = self.log_of("flood").with_name("flood.log.1")
        wait_until(rotated.exists, what="a rotation")
        slowest = 0.0
        for _ in range(10):
            before = time.monotonic()
            self.stacks()
            slowest = max(slowest, time.monotonic() - before)
        self.assertLess(slowest, 2)
        log = self.log_of("calm")
        size = log.stat().st_size
        wait_until(lambda: log.stat().st_size > size + 100, within=5,
                   what="lines of the calm one")
        self.ok("restart", "calm", within=10)
        before = time.monotonic()
        self.ok("down", within=10)
        self.assertEqual(up.finish(within=10), 0)
        self.assertLess(time.monotonic() - before, 5)
        total = sum(file.stat().st_size
                    for file in log.parent.glob("flood.log*"))
        self.assertLessEqual(total, (2 << 20) + (64 << 10))

    def test_an_output_that_nobody_reads_stalls_no_service(self):
        up = self.up_ready({"children": {
            "flood": {"run": "yes flood", "log": {"size": "1MiB", "count": 1}},
            "calm": {"run": "while sleep 0.02; do date +%s.%N; done"}}},
            stdout=subprocess.PIPE)
        rotated = self.log_of("flood").with_name("flood.log.1")
        wait_until(rotated.exists, what="a rotation")
        log = self.log_of("calm")
        size = log.stat().st_size
        wait_until(lambda: log.stat().st_size > size + 100, within=5,
                   what="lines of the calm one")
        if not SANITIZED:
            self.assertLess(peak_memory_kib(up.pid), 200 << 10)
        # The reader goes away, which ends all.
        up.process.stdout.close()
        self.assertEqual(up.finish(within=10), 128 + signal.SIGPIPE)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
