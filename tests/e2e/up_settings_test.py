"""troupe up: what a service gets (environment, limits) and how it is watched."""

import os
import unittest
from pathlib import Path

from stacks import NEVER, Stacks, TroupeTest
from troupe_e2e import wait_until

NOTIFY = """
import os, socket, sys, time
def tell(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect(os.environ["NOTIFY_SOCKET"])
        out.send(text.encode())
def say(text):
    with open("events", "a") as out: print(text, file=out)
"""


class Environment(Stacks, TroupeTest):
    def variables(self, services, *names, workflow=None, **options):
        """What the service "a" prints of its variables."""
        text = "; ".join(f"printf '%s\\n' \"{name}=${name}\"" for name in names)
        services["children"]["a"]["run"] = f"{text}; echo end; {self.idle}"
        up = self.up(workflow or services, **options)
        path = self.log_of("a")
        wait_until(lambda: path.exists() and path.read_text().endswith("end\n"),
                   what="the variables")
        del up
        return path.read_text().splitlines()[:-1]

    def test_env_of_the_service_overrides_that_of_the_group(self):
        self.assertEqual(
            self.variables({"env": {"X": "group", "Y": "group", "Z": 1},
                            "children": {"a": {"env": {"Y": "own"}}}},
                           "X", "Y", "Z", "HOME"),
            ["X=group", "Y=own", "Z=1", f"HOME={self.env['HOME']}"])

    def test_names_and_numbers_are_given(self):
        self.up({"children": {"g": {"children": {"w": {
            "replicas": 2, "template": {
                "run": 'echo "$TROUPE_SERVICE $TROUPE_REPLICA" >> events; '
                       + self.idle}}}}}})
        wait_until(lambda: len(self.events()) == 2)
        self.assertEqual(sorted(self.events()), ["g/w/w-1 1", "g/w/w-2 2"])

    def test_variables_come_from_files(self):
        (self.cwd / ".env").write_text(
            "# a comment\n\nPLAIN=some words # not this\n"
            "export SINGLE='$HOME \\n'\n"
            'DOUBLE="a \\"b\\"\\n$HOME" # nor this\n'
            "EMPTY=\nTWICE=one\nTWICE=two\nHASH=a#b\nOVER=file\n")
        lines = self.variables(
            {"dotenv": [".env"], "children": {"a": {"env": {"OVER": "env"}}}},
            "PLAIN", "SINGLE", "DOUBLE", "EMPTY", "TWICE", "HASH", "OVER")
        self.assertEqual(lines, ["PLAIN=some words", "SINGLE=$HOME \\n",
                                 'DOUBLE=a "b"', "$HOME", "EMPTY=", "TWICE=two",
                                 "HASH=a#b", "OVER=env"])

    def test_errors_in_a_file_of_variables_have_a_place(self):
        (self.cwd / ".env").write_text("GOOD=1\n1BAD=2\nX='no end\n")
        up = self.up({"children": {"a": {"run": self.idle,
                                         "dotenv": [".env"]}}})
        self.assertEqual(up.finish(), 3)
        self.assertIn(".env:2:1: ", up.err)
        self.assertIn(".env:3:1: ", up.err)

    def test_a_file_of_variables_that_is_missing_is_told(self):
        up = self.up({"dotenv": ["missing.env"],
                      "children": {"a": {"run": self.idle}}})
        self.assertEqual(up.finish(), 3)
        self.assertIn("cannot read missing.env: no such file", up.err)

    def test_expressions_are_quoted_for_the_shell(self):
        self.up({"children": {"a": {
            "env": {"EVIL": "x; touch evil; $(touch evil)"},
            "run": "echo ${{ env.EVIL }} >> events; " + self.idle}}})
        self.wait_for_events("x; touch evil; $(touch evil)")
        self.assertFalse((self.cwd / "evil").exists())

    def test_a_port_is_free_and_the_same_wherever_it_is_named(self):
        self.up({"children": {
            "a": {"env": {"P": "${{ port.web }}"},
                  "run": "echo a $P ${{ port.web }} ${{ port.other }} >> events;"
                         + self.idle},
            "b": {"run": "echo b ${{ port.web }} >> events; " + self.idle}}})
        wait_until(lambda: len(self.events()) == 2)
        a, b = sorted(line.split() for line in self.events())
        self.assertEqual((a[1], a[2]), (b[1], b[1]))
        self.assertNotEqual(a[1], a[3])

    def test_the_working_directory_is_that_of_up_or_of_the_service(self):
        (self.cwd / "sub").mkdir()
        self.up_ready({"children": {
            "a": {"run": 'echo "a $PWD" >> "$FILE"; ' + self.idle},
            "b": {"run": 'echo "b $PWD" >> "$FILE"; ' + self.idle,
                  "working-directory": "sub"}},
            "env": {"FILE": str(self.cwd / "events")}})
        wait_until(lambda: len(self.events()) == 2)
        self.assertEqual(sorted(self.events()),
                         [f"a {self.cwd}", f"b {self.cwd}/sub"])

    def test_a_folder_that_is_missing_fails_the_start(self):
        up = self.up({"children": {"a": {"run": self.idle,
                                         "working-directory": "missing"}}})
        self.assertEqual(up.finish(), 1)
        self.assertRegex(up.err, r"troupe: a .*missing.*no such file")

    def test_the_shell_can_be_chosen(self):
        self.up({"shell": "bash -eu", "children": {"a": {
            "run": "x=(one two); echo ${x[1]} >> events; " + self.idle}}})
        self.wait_for_events("two")

    def test_standard_input_is_empty(self):
        self.up({"children": {"a": {
            "run": "cat; echo read >> events; " + self.idle}}})
        self.wait_for_events("read")


class Limits(Stacks, TroupeTest):
    def test_limits_are_those_of_each_process(self):
        self.up({"children": {"a": {
            "run": "ulimit -n >> events; bash -c 'ulimit -u' >> events; " +
                   self.idle,
            "limits": {"files": 64, "processes": 4321}}}})
        self.wait_for_events("64", "4321")

    def test_one_that_takes_too_much_memory_fails(self):
        up = self.up({"intensity": 0, "children": {
            "a": {"run": self.python("x = bytearray(b'x') * (1 << 30)"),
                  "limits": {"memory": "256MiB"}}}})
        self.assertEqual(up.finish(), 1)
        # By itself, or killed, depending on whether there is a cgroup.
        self.assertRegex(up.err, r"a (exited with 1|killed: it needed more "
                                 r"memory than its limit)")

    def test_a_file_that_grows_too_much_ends_its_writer(self):
        up = self.up({"intensity": 0, "children": {"a": {
            "run": "exec head -c 100000 /dev/zero > big",
            "limits": {"file-size": "10KB"}}}})
        self.assertEqual(up.finish(), 1)
        self.assertIn("SIGXFSZ", up.err)
        self.assertEqual((self.cwd / "big").stat().st_size, 10000)


def cgroup_with(*controllers):
    """A new cgroup v2 that may hand these controllers on; None if this system
    does not let us."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] != "cgroup2":
            continue
        root = Path(before.split()[4])
        group = root / f"e2e-{os.getpid()}"
        try:
            (root / "cgroup.subtree_control").write_text(
                " ".join("+" + name for name in controllers))
            group.mkdir()
        except OSError:
            return None
        return group
    return None


def enter(group):
    (group / "cgroup.procs").write_text("0")


def remove_cgroup(group):
    def is_gone():
        try:
            for inner in group.iterdir():
                if inner.is_dir():
                    inner.rmdir()
            group.rmdir()
        except OSError:
            return False
        return True
    wait_until(is_gone, what=f"the end of all in {group}")


class TreeLimits(Stacks, TroupeTest):
    """Limits of a service as a whole, in a cgroup that is delegated."""

    def setUp(self):
        super().setUp()
        self.group = cgroup_with("cpu", "pids")
        if self.group is None:
            self.skipTest("no cgroup v2 with cpu and pids may be made here")
        self.addCleanup(remove_cgroup, self.group)

    def up_inside(self, services):
        return self.up(services, preexec_fn=lambda: enter(self.group))

    def test_tasks_are_counted_over_the_whole_service(self):
        self.up_inside({"children": {
            "a": {"run": f"for i in 1 2 3 4 5; do sleep {self.seconds} & done "
                         "2>> events; wait",
                  "limits": {"tasks": 4}},
            "b": {"run": self.service("b")}}})
        self.wait_for_event("b starts")
        wait_until(lambda: any("fork" in event for event in self.events()))
        self.assertIn("troupe-", "".join(
            inner.name for inner in self.group.iterdir() if inner.is_dir()))

    def test_cpu_is_shared_by_the_whole_service(self):
        self.up_inside({"children": {
            "a": {"run": "cat /sys/fs/cgroup/unified/$(grep ^0:: "
                         "/proc/self/cgroup | cut -c4-)/cpu.max >> events "
                         "2>/dev/null || cat /sys/fs/cgroup/$(grep ^0:: "
                         "/proc/self/cgroup | cut -c4-)/cpu.max >> events; " +
                         self.idle,
                  "limits": {"cpu": "150%"}}}})
        self.wait_for_events("150000 100000")

    def test_all_of_a_service_that_forks_and_ignores_signals_ends(self):
        up = self.up_inside({"children": {"a": {
            "run": "trap '' TERM; setsid sh -c \"trap '' TERM; "
                   f"sleep {self.seconds}; sleep {self.seconds}\" & "
                   f"echo up >> events; while :; do sleep {self.seconds}; done",
            "shutdown": "100ms", "limits": {"tasks": 50}}}})
        self.wait_for_event("up")
        self.assertEqual(up.end(), 0)
        self.assert_nothing_left(0)
        self.assertEqual([inner.name for inner in self.group.iterdir()
                          if inner.is_dir() and
                          not inner.name.startswith("troupe-self-")], [])


class LimitsThatCannotBeKept(Stacks, TroupeTest):
    def test_cpu_without_a_cgroup_is_refused_before_anything_starts(self):
        # Another process in it: it is not delegated, whatever this system has.
        group = cgroup_with("cpu")
        options = {}
        if group is not None:
            self.addCleanup(remove_cgroup, group)
            options["preexec_fn"] = lambda: enter(group)
            self.start(["sleep", self.seconds], **options)
        up = self.up({"children": {
            "first": {"run": self.service("first")},
            "a": {"run": self.idle, "limits": {"cpu": "50%"}}}}, **options)
        self.assertEqual(up.finish(), 125)
        self.assertIn("troupe: a: limits on cpu and tasks cannot be kept: ",
                      up.err)
        self.assertIn("Delegate=yes", up.err)
        self.assertEqual(self.events(), [])


class Watching(Stacks, TroupeTest):
    def test_a_live_probe_that_fails_restarts_the_service(self):
        up = self.up_ready({"children": {"a": {
            "run": self.service("a", "rm -f sick; echo up;"),
            "ready": {"log": "up"},
            "live": {"exec": "[ ! -e sick ] || { echo ill; exit 1; }",
                     "period": "50ms", "failures": 2}}}})
        pid = self.pid("a")
        (self.cwd / "sick").touch()
        self.wait_for_other_pid("a", pid)
        self.assertEqual(self.events(), ["a starts", "a ends", "a starts"])
        self.assertRegex(up.err, r"(?m)^troupe: a failed its live probe "
                         r"\(exec .*\): exited with 1: ill after")
        self.assertIn("failed its live probe", self.entry("a")["last_exit"])

    def test_a_single_failure_is_shown_and_forgiven(self):
        self.up_ready({"children": {"a": {
            "run": self.idle,
            "live": {"exec": "[ ! -e sick ] || { echo ill; exit 1; }",
                     "period": "50ms", "failures": 1000}}}})
        pid = self.pid("a")
        (self.cwd / "sick").touch()
        wait_until(lambda: self.entry("a").get("trouble") ==
                   "exited with 1: ill")
        (self.cwd / "sick").unlink()
        wait_until(lambda: "trouble" not in self.entry("a"))
        self.assertEqual(self.pid("a"), pid)

    def test_a_live_probe_that_hangs_counts_as_a_failure(self):
        up = self.up({"intensity": 0, "children": {"a": {
            "run": self.idle,
            "live": {"exec": self.idle, "period": "20ms", "timeout": "100ms",
                     "failures": 1}}}})
        self.assertEqual(up.finish(), 1)
        self.assertIn("no answer within 100ms", up.err)
        self.assert_nothing_left()

    def test_a_service_that_hangs_in_its_own_end_is_killed_then(self):
        up = self.up({"intensity": 0, "children": {"a": {
            "run": f"trap '' TERM; while :; do sleep {self.seconds}; done",
            "shutdown": "100ms", "live": {"exec": "false", "period": "20ms",
                                          "failures": 1}}}})
        self.assertEqual(up.finish(), 1)
        self.assertIn("a failed its live probe (exec false)", up.err)
        self.assert_nothing_left(0)

    def test_a_service_that_sends_no_sign_of_life_is_restarted(self):
        # Longer than python takes to start on a busy machine, and shorter than it
        # sends them.
        up = self.up({"children": {"a": {
            "run": self.python(NOTIFY +
                               "say(os.environ['WATCHDOG_USEC'])\n"
                               "for _ in range(8):\n"
                               "    tell('WATCHDOG=1'); time.sleep(0.3)\n"
                               "say('silent')\n"
                               "time.sleep(300)\n"),
            "watchdog": "2s"}}})
        self.wait_for_event("2000000", times=2)
        self.assertEqual(self.events()[:3], ["2000000", "silent", "2000000"])
        self.assertIn("troupe: a sent no WATCHDOG=1 for 2s", up.err)

    def test_a_service_can_ask_for_its_restart(self):
        up = self.up({"children": {"a": {
            "run": self.python(NOTIFY + "say('starts')\ntell('WATCHDOG=1')\n"
                               "tell('WATCHDOG=trigger')\ntime.sleep(300)\n"),
            "watchdog": NEVER, "ready": {"notify": True}}}})
        up.wait_for_said("a sent WATCHDOG=trigger")
        self.assertEqual(up.finish(), 1)

    def test_services_do_not_speak_for_troupe_itself(self):
        self.up({"children": {"a": {
            "run": 'echo "[$NOTIFY_SOCKET]" >> events; ' + self.idle}}},
            env={"NOTIFY_SOCKET": "/run/somebody/else"})
        self.wait_for_events("[]")

    def test_sockets_are_gone_with_their_services(self):
        up = self.up_ready({"children": {"a": {
            "run": self.python(NOTIFY + "tell('READY=1')\ntime.sleep(300)\n"),
            "ready": {"notify": True}}}})
        folder = self.runtime / "troupe"
        self.assertEqual(len(list(folder.iterdir())), 3)
        self.ok("stop", "a")
        self.assertEqual(len(list(folder.iterdir())), 2)
        self.assertEqual(up.end(), 0)
        self.assertEqual([file.name for file in folder.iterdir()
                          if not file.name.endswith(".lock")], [])


if __name__ == "__main__":
    unittest.main()
