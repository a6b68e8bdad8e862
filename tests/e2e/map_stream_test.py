"""troupe map: much input and much output, in little memory."""

import os
import select
import subprocess
import time
import unittest

from troupe_e2e import (LONG, SANITIZED, TroupeTest, children_of,
                        peak_memory_kib, wait_until)

MIB = 1 << 20
MOST_MEMORY_KIB = 64 << 10


class Memory:
    """What these tests share."""

    def assert_little_memory(self, running):
        """Of troupe and its warden, since they were started."""
        if SANITIZED:
            return
        for pid in (running.pid, self.wait_for_warden(running.pid)):
            self.assertLess(peak_memory_kib(pid), MOST_MEMORY_KIB)


class Input(Memory, TroupeTest):
    def feed(self, running, line, size):
        """Writes `size` bytes of lines, as fast as they are taken."""
        stream = running.process.stdin
        piece = line * (MIB // len(line))
        left = size
        while left:
            left -= stream.write(piece[:left])
        stream.flush()

    def assert_fed(self, line, size, *words):
        running = self.start_troupe("map", *words, stdin=subprocess.PIPE)
        self.feed(running, line, size)
        # It still waits for more: the end of its memory can be seen.
        self.assert_little_memory(running)
        self.assert_ended(running.finish(LONG * 4), 0)

    def test_fifty_mebibytes_of_short_lines_fill_no_memory(self):
        self.assert_fed(b"y\n", 50 * MIB, "-n", "60000",
                        "echo {} >/dev/null")

    def test_fifty_mebibytes_of_long_lines_fill_no_memory(self):
        self.assert_fed(b"x" * 99999 + b"\n", 50 * MIB, "-j2", "-n", "10",
                        "true")

    def fill(self, running, line):
        """Writes until nobody takes it any more; how many bytes were."""
        fd = running.process.stdin.fileno()
        os.set_blocking(fd, False)
        text = line * max(2, 4096 // len(line))
        written = 0
        while select.select([], [fd], [], 0.5)[1]:
            start = written % len(line)
            written += os.write(fd, text[start:start + 4096])
        return written

    def test_only_a_little_is_read_ahead(self):
        sleep = f"sleep {self.seconds}; : {{}}"
        for options, job, line, most in (
                (["-j2"], sleep, b"y\n", MIB),
                (["-j2", "-k"], sleep, b"y\n", MIB),
                (["-j2", "--memfree", "1000TiB"], "true", b"y\n", MIB),
                # There may be as many jobs, but not so much of memory.
                (["-j0", "--delay", "100s"], sleep, b"x" * 99999 + b"\n",
                 8 * MIB)):
            with self.subTest(options):
                running = self.start_troupe("map", *options, job,
                                            stdin=subprocess.PIPE)
                written = self.fill(running, line)
                self.assertLess(written, most)
                self.assert_little_memory(running)
                running.signal(15)
                self.assertEqual(running.process.wait(LONG), 128 + 15)

    def test_a_first_job_that_does_not_end_holds_the_others_back(self):
        # With -k their outputs wait for its own.
        running = self.start_troupe(
            "map", "-j2", "-k", "[ {#} != 1 ] || sleep " + self.seconds +
            "; echo {#} >> ran", stdin=subprocess.PIPE)
        with open(self.folder / "many", "wb") as many:
            many.write(b"y\n" * 3000)
        feeder = self.start(["cat", self.folder / "many"],
                            stdout=running.process.stdin)
        running.process.stdin.close()
        running.process.stdin = None
        wait_until(lambda: len(self.wait_for_file("ran").split()) == 1023,
                   what="all that may run before the first one has ended")
        self.assert_rest(running)
        self.assertEqual(len(self.wait_for_file("ran").split()), 1023)
        feeder.finish()
        running.signal(15)
        self.assertEqual(running.finish().code, 128 + 15)

    def assert_rest(self, running):
        """Of the jobs only the first one is left."""
        warden = self.wait_for_warden(running.pid)
        wait_until(lambda: len(children_of(warden)) == 1, what="rest")

    def test_words_are_no_input_and_what_is_left_is_for_the_next(self):
        finished = self.sh('{ "$TROUPE" map -k echo ::: a b; wc -l; }',
                           input=b"x\n" * 100000)
        self.assert_ended(finished, 0, out="a\nb\n100000\n")

    def test_an_argument_is_run_as_soon_as_its_line_has_come(self):
        running = self.start_troupe("map", "-j1", "echo",
                                    stdin=subprocess.PIPE)
        for line in (b"one\n", b"two\n"):
            running.process.stdin.write(line)
            running.process.stdin.flush()
            self.assertEqual(running.process.stdout.readline(), line)
        self.assert_ended(running.finish(), 0)


class Output(Memory, TroupeTest):
    # Seven bytes, so that no buffer ends where a line does.
    LINE = b"troupe\n"
    # Enough, since it is many times what troupe may use of memory.
    SIZE = 256 * MIB

    def start_much(self, *options, **streams):
        """One job prints SIZE bytes, another waits for the file "go"."""
        tmp = self.folder / "tmp"
        tmp.mkdir()
        return self.start_troupe(
            "map", "-j2", *options, "case {} in much) yes troupe | head -c "
            f"{self.SIZE};; *) until [ -e go ]; do sleep 0.05; done;; esac",
            ":::", "much", "wait", env={"TMPDIR": str(tmp)}, **streams)

    def end(self, running):
        """Looks at the memory while troupe still runs, and lets it end."""
        self.assert_little_memory(running)
        (self.cwd / "go").touch()
        self.assert_ended(running.finish(), 0)

    def assert_exact(self, stream):
        """The next SIZE bytes are LINE again and again."""
        pattern = self.LINE * (MIB // 7 + 2)
        done = 0
        while done < self.SIZE:
            piece = stream.read(min(MIB, self.SIZE - done))
            if not piece:
                break
            start = done % 7
            if piece != pattern[start:start + len(piece)]:
                self.fail(f"different bytes after byte {done}")
            done += len(piece)
        self.assertEqual(done, self.SIZE)

    def test_much_output_of_one_job_reaches_a_file(self):
        path = self.folder / "out"
        with open(path, "wb") as out:
            running = self.start_much(stdout=out)
            wait_until(lambda: path.stat().st_size >= self.SIZE, LONG,
                       "all of it")
            self.end(running)
        self.assertEqual(path.stat().st_size, self.SIZE)
        with open(path, "rb") as out:
            self.assert_exact(out)
        self.assertEqual(os.listdir(self.folder / "tmp"), [])

    def test_much_output_by_line_reaches_a_pipe(self):
        running = self.start_much("--line-buffer")
        self.assert_exact(running.process.stdout)
        self.assert_little_memory(running)
        (self.cwd / "go").touch()
        # The last line had no end, and gets one.
        self.assertEqual(running.process.stdout.read(), b"\n")
        self.assert_ended(running.finish(), 0)

    def test_jobs_that_print_without_an_end_take_turns(self):
        running = self.start_troupe("map", "-j4", "--line-buffer", "yes {}", ":::",
                                    "a", "b", "c", "d", stdout=subprocess.PIPE)
        lines = {b"a": 0, b"b": 0, b"c": 0, b"d": 0}
        for _ in range(40):
            piece = running.process.stdout.read(MIB)
            for name in lines:
                lines[name] += piece.count(name)
        running.signal(15)
        running.process.stdout.close()
        running.process.wait(LONG)
        self.assertGreater(min(lines.values()), sum(lines.values()) / 20, lines)

    def test_much_output_of_a_job_reaches_whatever_it_goes_to(self):
        size = 3_000_000
        command = ["map", "head -c {} /dev/zero", ":::", str(size)]
        path = self.folder / "out"
        path.write_bytes(b"before")
        with open(path, "ab") as appended:
            self.assert_ended(self.start_troupe(*command, stdout=appended).finish(),
                              0)
        self.assertEqual(path.read_bytes(), b"before" + bytes(size))
        for is_blocking in (True, False):
            with self.subTest(is_blocking=is_blocking):
                reader, writer = os.pipe()
                os.set_blocking(writer, is_blocking)
                running = self.start_troupe(*command, stdout=writer)
                os.close(writer)
                with open(reader, "rb") as pipe:
                    self.assertEqual(pipe.read(), bytes(size))
                self.assert_ended(running.finish(), 0)

    def test_a_slow_reader_gets_all_and_nobody_is_blamed(self):
        for size in (3_000_000, 5_000_000):
            with self.subTest(size):
                running = self.start_troupe(
                    "map", "--line-buffer", "head -c {} /dev/zero", ":::",
                    str(size), stdout=subprocess.PIPE)
                time.sleep(0.5)  # Longer than the rest of a job is waited for.
                got = running.process.stdout.read()
                self.assertEqual(len(got), size + 1)  # With a line end.
                self.assert_ended(running.finish(), 0)

    def test_a_reader_that_waits_holds_a_job_back_by_line(self):
        running = self.start_much("--line-buffer")
        self.assertEqual(os.read(running.process.stdout.fileno(), 1), b"t")
        time.sleep(1)  # Had it all been taken in, the memory would show it.
        self.assert_little_memory(running)
        running.signal(15)
        running.process.stdout.close()
        running.process.stdout = None
        self.assertIn(running.finish().code, (128 + 13, 128 + 15))

    def test_output_that_finds_no_room_is_told_and_counts_as_a_failure(self):
        finished = self.troupe(
            "map", "-j1", "head -c {} /dev/zero", ":::", "100000", "5",
            env={"TMPDIR": str(self.folder / "nowhere")})
        self.assertEqual(finished.code, 3)
        self.assertEqual(
            finished.err, "troupe: job 1: some of its output is lost: cannot spool "
            f"it into the temporary folder {self.folder}/nowhere (TMPDIR): "
            "no such file or directory\n")


if __name__ == "__main__":
    unittest.main()
