"""troupe up with watch: a service restarts when its files have changed."""

import os
import signal
import unittest

from troupe_e2e import TROUPE, TroupeTest, wait_until


class Stacks:
    """What these tests share: a stack, what it says, and how often its
    services have started, which they write into files of their names."""

    def setUp(self):
        super().setUp()
        runtime = self.folder / "r"  # The path of a socket is short.
        runtime.mkdir(mode=0o700)
        self.env["XDG_RUNTIME_DIR"] = str(runtime)
        for folder in ("bin", "src", "starts"):
            (self.cwd / folder).mkdir()
        self.change("bin/api", "1")

    def change(self, name, text="changed"):
        """As editors do it: a new file takes the place of the old one."""
        path = self.cwd / name
        new = path.with_name(path.name + "~")
        new.write_text(text)
        new.rename(path)

    def up(self, text, *before):
        (self.cwd / "stack.yaml").write_text(text)
        self.said_by = open(self.cwd / "said", "wb")
        self.addCleanup(self.said_by.close)
        self.stack = self.start([*before, TROUPE, "up", "stack.yaml"],
                                stderr=self.said_by)
        return self.stack

    def service(self, name="web", more="", paths="[bin/api]"):
        return (f"{name}: {{run: 'echo >> starts/{name}; exec sleep "
                f"{self.seconds}', watch: {{paths: {paths}, debounce: 50ms}}"
                f"{more}}}")

    def said(self):
        return (self.cwd / "said").read_text()

    def lines_with(self, text):
        return [line for line in self.said().splitlines() if text in line]

    def starts(self, name="web"):
        path = self.cwd / "starts" / name
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wait_for_starts(self, count, name="web"):
        wait_until(lambda: self.starts(name) >= count,
                   what=f"start {count} of {name}")
        self.assertEqual(self.starts(name), count)

    def wait_until_said(self, text):
        wait_until(lambda: text in self.said(), what=f"{text!r} in what is said")

    def entry(self, name):
        entries = self.troupe("ps", "--json").json()[0]["services"]
        return next(entry for entry in entries if entry["name"] == name)

    def wait_for_state(self, name, state):
        return wait_until(lambda: self.entry(name)["state"] == state
                          and self.entry(name), what=f"{name} {state}")

    def down(self):
        self.stack.signal(signal.SIGTERM)
        self.assertEqual(self.stack.finish().code, 0)


class Change(Stacks, TroupeTest):
    def test_a_change_restarts_a_service_and_says_why(self):
        self.up(f"services: {{children: {{{self.service()}}}}}")
        self.wait_for_starts(1)
        self.change("bin/api", "2")
        self.wait_for_starts(2)
        self.wait_for_state("web", "running")
        self.down()
        self.assertEqual(
            self.lines_with("restarts"),
            ["troupe: web restarts because bin/api has changed"])

    def test_it_does_not_count_as_a_failure(self):
        self.up("services: {intensity: 0, children: "
                f"{{{self.service()}}}}}")
        for count in range(1, 5):
            self.wait_for_starts(count)
            self.wait_for_state("web", "running")
            self.change("bin/api", str(count))
        self.wait_for_starts(5)
        self.assertEqual(self.wait_for_state("web", "running")["restarts"], 4)
        self.down()

    def test_patterns_say_which_files_count(self):
        paths = '["src/**/*.py"], exclude: ["test_*"]'
        self.up(f"services: {{children: {{{self.service(paths=paths)}}}}}")
        self.wait_for_starts(1)
        self.change("src/a.txt")
        self.change("src/test_a.py")
        (self.cwd / "src/new/deep").mkdir(parents=True)
        self.change("src/new/deep/a.py")
        self.wait_for_starts(2)
        self.down()
        self.assertEqual(
            self.lines_with("restarts"),
            ["troupe: web restarts because src/new/deep/a.py has changed"])

    def test_copies_of_a_service_restart_together(self):
        self.up("services: {children: {web: {replicas: 2, template: {"
                "run: 'echo >> starts/$TROUPE_REPLICA; exec sleep "
                f"{self.seconds}', watch: {{paths: [bin/api]}}}}}}}}}}")
        self.wait_for_starts(1, "1")
        self.wait_for_starts(1, "2")
        self.change("bin/api", "2")
        self.wait_for_starts(2, "1")
        self.wait_for_starts(2, "2")
        self.down()
        self.assertEqual(
            sorted(self.lines_with("restarts")),
            [f"troupe: web/web-{i} restarts because bin/api has changed"
             for i in (1, 2)])

    def test_a_change_ends_the_wait_before_a_restart(self):
        self.up("services: {children: {web: {run: 'echo >> starts/web; "
                "exit 1', backoff: {min: 5m, max: 5m}, "
                "watch: {paths: [bin/api]}}}}")
        self.wait_for_starts(1)
        self.wait_for_state("web", "restarting")
        self.change("bin/api", "2")
        self.wait_for_starts(2)
        self.down()


class Order(Stacks, TroupeTest):
    # Ends when there is a file "go". It is ready, so that it is not told to end,
    # when it has taken its precautions, and starts nothing that outlives it.
    SLOW = ("web: {run: 'trap \"echo >> stopping; while [ ! -e go ]; do sleep "
            "0.01; done; exit 0\" TERM; echo >> starts/web; echo up; "
            "while :; do sleep 0.05; done', ready: {log: up}, shutdown: 60s, "
            "watch: {paths: [bin/api], debounce: 50ms}}")

    def test_changes_during_a_restart_lead_to_one_more(self):
        # witness, in a group of its own, shows when a change has been told.
        self.up("services: {children: {a: {children: {" + self.SLOW + "}}, "
                "b: {children: {" + self.service("witness") + "}}}}")
        self.wait_for_starts(1)
        self.wait_for_starts(1, "witness")
        self.change("bin/api", "2")
        self.wait_for_starts(2, "witness")
        wait_until(lambda: (self.cwd / "stopping").exists(), what="the stop")
        for count in range(3, 6):
            self.wait_for_state("b/witness", "running")
            self.change("bin/api", str(count))
            self.wait_for_starts(count, "witness")
        self.assertEqual(self.starts(), 1)
        (self.cwd / "go").touch()
        self.wait_for_starts(3)
        self.wait_for_state("a/web", "running")
        self.wait_for_state("b/witness", "running")
        self.change("bin/api", "last")
        self.wait_for_starts(6, "witness")
        self.wait_for_starts(4)
        self.down()
        self.assertEqual(len(self.lines_with("a/web restarts")), 3)

    def test_what_was_stopped_by_hand_stays_stopped(self):
        self.up("services: {children: {" + self.service() + ", " +
                self.service("witness") + "}}")
        self.wait_for_starts(1)
        self.wait_for_starts(1, "witness")
        self.assert_ended(self.troupe("stop", "web"), 0)
        self.change("bin/api", "2")
        self.wait_for_starts(2, "witness")
        self.assertEqual(self.entry("web")["state"], "stopped")
        self.assert_ended(self.troupe("start", "web"), 0)
        self.wait_for_starts(2)
        self.change("bin/api", "3")
        self.wait_for_starts(3)
        self.down()
        self.assertEqual(len(self.lines_with("web restarts")), 1)

    def test_a_stop_during_a_restart_wins(self):
        self.up("services: {children: {" + self.SLOW + "}}")
        self.wait_for_starts(1)
        self.wait_for_state("web", "running")
        self.change("bin/api", "2")
        wait_until(lambda: (self.cwd / "stopping").exists(), what="the stop")
        stop = self.start_troupe("stop", "web")
        # Other requests are served after it.
        self.wait_for_state("web", "stopping")
        self.change("bin/api", "3")
        (self.cwd / "go").touch()
        self.assertEqual(stop.finish().code, 0)
        self.wait_for_state("web", "stopped")
        self.assertEqual(self.starts(), 1)
        self.down()


class Trouble(Stacks, TroupeTest):
    def test_a_version_that_does_not_start_is_tried_again_when_it_is_mended(self):
        self.change("bin/api", "echo >> starts/web; echo up; "
                    f"exec sleep {self.seconds}")
        self.up("services: {children: {web: {run: 'exec sh bin/api', "
                "ready: {log: up}, watch: {paths: [bin/api]}}}}")
        self.wait_for_starts(1)
        self.wait_for_state("web", "running")
        self.change("bin/api", "exit 3")
        self.wait_until_said("could not be restarted, and waits for another "
                             "change\n")
        self.assertEqual(self.entry("web")["state"], "stopped")
        self.change("bin/api", "echo >> starts/web; echo up; "
                    f"exec sleep {self.seconds}")
        self.wait_for_starts(2)
        self.wait_for_state("web", "running")
        self.down()

    def test_a_service_runs_on_without_being_watched(self):
        allowed = self.run_program(["unshare", "-Ur", "true"])
        if allowed.code != 0:
            self.skipTest("no user namespaces here")
        self.up("services: {children: {" + self.service() + ", " +
                self.service("other") + "}}", "unshare", "-Ur", "sh", "-c",
                'echo 1 > /proc/sys/user/max_inotify_watches && exec "$@"',
                "sh")
        self.wait_for_starts(1)
        self.wait_for_starts(1, "other")
        self.wait_for_state("web", "running")
        self.down()
        (line,) = self.lines_with("changes of files")
        self.assertRegex(
            line, "^troupe: changes of files do not restart web and 1 more: "
            "cannot watch /[^:]*: no inotify watches are left; raise the limit "
            "fs.inotify.max_user_watches with sysctl, or watch fewer folders$")

    def test_it_ends_with_no_descriptor_for_its_services(self):
        self.up("services: {children: {web: {run: 'ls -l /proc/self/fd > fds; "
                f"echo >> starts/web; exec sleep {self.seconds}', "
                "watch: {paths: [bin/api]}}}}")
        self.wait_for_starts(1)
        self.assertIn("inotify", "".join(
            os.readlink(entry.path) for entry in
            os.scandir(f"/proc/{self.stack.pid}/fd")))
        self.assertNotIn("inotify", (self.cwd / "fds").read_text())
        self.down()


if __name__ == "__main__":
    unittest.main()
