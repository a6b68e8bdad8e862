"""troupe exec: the three standard streams are the command's own."""

import os
import subprocess
import unittest

from troupe_e2e import (LONG, SANITIZED, TroupeTest, peak_memory_kib,
                        wait_until)

MIB = 1 << 20
MOST_MEMORY_KIB = 64 << 10


class Input(TroupeTest):
    def test_a_pipe_passes_through(self):
        self.assert_ended(self.troupe("exec", "cat", input=b"some text"), 0,
                          out="some text")

    def test_a_file_passes_through_at_its_position(self):
        (self.cwd / "file").write_text("one\ntwo\n")
        with open(self.cwd / "file", "rb", buffering=0) as file:
            file.seek(4)
            self.assert_ended(self.troupe("exec", "cat", stdin=file), 0,
                              out="two\n")

    def test_what_the_command_does_not_read_is_left_for_the_next(self):
        (self.cwd / "file").write_text("one\ntwo\n")
        finished = self.sh('{ "$TROUPE" exec dd bs=4 count=1 status=none; '
                           'echo then; cat; } < file')
        self.assert_ended(finished, 0, out="one\nthen\ntwo\n")

    def test_any_bytes_survive(self):
        bytes_in = os.urandom(MIB)
        finished = self.troupe("exec", "cat", input=bytes_in)
        self.assertTrue(finished.raw_out == bytes_in)

    def test_a_loop_over_lines_is_not_robbed_of_its_input(self):
        finished = self.sh('printf "a\\nb\\nc\\n" | while read x; do '
                           '"$TROUPE" exec echo "<$x>"; done')
        self.assert_ended(finished, 0, out="<a>\n<b>\n<c>\n")


class Output(TroupeTest):
    # Seven bytes, so that no buffer ends where a line does.
    LINE = b"troupe\n"
    SIZE = 1 << 30

    def read_and_compare(self, stream):
        """Reads SIZE bytes that must be LINE again and again."""
        pattern = self.LINE * (MIB // 7 + 2)
        done = 0
        while done < self.SIZE:
            piece = stream.read1(MIB)
            if not piece:
                break
            start = done % 7
            if piece != pattern[start:start + len(piece)]:
                self.fail(f"different bytes after byte {done}")
            done += len(piece)
        self.assertEqual(done, self.SIZE)

    def assert_gibibyte(self, running, stream):
        self.read_and_compare(stream)
        if not SANITIZED:
            for pid in (running.pid, self.wait_for_warden(running.pid)):
                self.assertLess(peak_memory_kib(pid), MOST_MEMORY_KIB)
        running.process.stdin.close()
        self.assertEqual(stream.read(), b"")
        self.assertEqual(running.process.wait(LONG), 0)

    # The last `cat` waits until the memory has been looked at.
    SCRIPT = f"yes troupe | head -c {SIZE}; cat"

    def test_a_gibibyte_passes_without_filling_our_memory(self):
        running = self.start_troupe("exec", "sh", "-c", self.SCRIPT,
                                    stdin=subprocess.PIPE)
        self.assert_gibibyte(running, running.process.stdout)

    def test_a_gibibyte_is_captured_without_filling_our_memory(self):
        with open(self.folder / "json", "wb") as report:
            running = self.start_troupe("exec", "--json", "sh", "-c",
                                        self.SCRIPT, stdin=subprocess.PIPE,
                                        stdout=report)
            self.assert_gibibyte(running, running.process.stderr)
        self.assertIn(f'"stdout_bytes": {self.SIZE},',
                      (self.folder / "json").read_text())

    def test_a_reader_that_waits_holds_the_command_back(self):
        running = self.start_troupe("exec", "--json", "sh", "-c",
                                    "yes troupe | head -c 100000000")
        stream = running.process.stderr
        self.assertEqual(os.read(stream.fileno(), 1), b"t")
        warden = self.wait_for_warden(running.pid)
        # Nobody reads, so it comes to rest; had it all been taken in, the
        # memory would show it.
        wait_until(lambda: self.at_rest(warden) and self.at_rest(running.pid),
                   what="rest")
        if not SANITIZED:
            for pid in (running.pid, warden):
                self.assertLess(peak_memory_kib(pid), MOST_MEMORY_KIB)
        self.assertIsNone(running.process.poll())
        finished = running.finish()
        self.assertEqual((finished.code, len(finished.raw_err) + 1),
                         (0, 100000000))

    def at_rest(self, pid):
        """It has used no CPU time for a while."""
        before = self.cpu_ticks(pid)
        try:
            wait_until(lambda: self.cpu_ticks(pid) != before, within=0.3)
        except AssertionError:
            return True
        return False

    @staticmethod
    def cpu_ticks(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return fields[11:13]

    def test_any_bytes_are_captured_as_they_are(self):
        bytes_in = os.urandom(MIB)
        finished = self.troupe("exec", "--json", "cat", input=bytes_in)
        self.assertTrue(finished.raw_err == bytes_in)
        self.assertEqual(finished.json()["attempts"][0]["stdout_bytes"], MIB)

    def test_both_streams_keep_their_places(self):
        self.assert_ended(
            self.troupe("exec", "sh", "-c", "echo out; echo error >&2"), 0,
            out="out\n", err="error\n")

    def test_it_is_seen_as_soon_as_it_is_written(self):
        for mode, stream in (("-q", "stdout"), ("--json", "stderr")):
            with self.subTest(mode):
                running = self.start_troupe("exec", mode, "sh", "-c",
                                            "echo now; cat",
                                            stdin=subprocess.PIPE)
                reader = getattr(running.process, stream)
                self.assertEqual(reader.readline(), b"now\n")
                self.assertEqual(running.finish().code, 0)


class LostReader(TroupeTest):
    def test_the_command_ends_by_sigpipe_like_any_other(self):
        finished = self.run_program(
            ["bash", "-c", '"$TROUPE" exec yes | head -1; '
                           'echo ${PIPESTATUS[0]}'])
        self.assert_ended(finished, 0, out="y\n141\n")

    def test_a_captured_command_ends_too(self):
        finished = self.run_program(
            ["bash", "-c", '"$TROUPE" exec --json --retries 3 yes 2>&1 '
                           '>report | head -1; echo ${PIPESTATUS[0]}'])
        self.assert_ended(finished, 0, out="y\n141\n")
        self.assertIn('"signal": 13', (self.cwd / "report").read_text())


class ClosedStream(TroupeTest):
    """The command finds a closed stream as unusable as it would without us,
    and none of our descriptors in its place."""

    def compare(self, redirection, script):
        (self.cwd / "script").write_text(script)
        plain = self.sh(f"sh script {redirection}")
        ours = self.sh(f'"$TROUPE" exec sh script {redirection}')
        self.assertEqual((ours.code, ours.out, ours.err),
                         (plain.code, plain.out, plain.err))
        return ours

    def test_standard_output(self):
        finished = self.compare(">&-", "echo hello && echo went >&2")
        self.assertNotIn("went", finished.err)

    def test_standard_error(self):
        # Not compared: sh itself finds a descriptor there, if a useless one.
        finished = self.sh('"$TROUPE" exec sh -c "echo hello >&2 && echo went"'
                           " 2>&-")
        self.assert_ended(finished, 1)

    def test_standard_input(self):
        finished = self.compare("<&-", "read word; echo $?; echo \"<$word>\"")
        self.assertIn("<>", finished.out)

    def test_all_of_them(self):
        finished = self.sh('"$TROUPE" exec sh -c "echo x; exit 3" '
                           "<&- >&- 2>&-")
        self.assert_ended(finished, 3)

    def test_an_error_that_nobody_can_read_keeps_its_exit_code(self):
        for redirection in ("2>&-", "2>/dev/full"):
            with self.subTest(redirection):
                self.assert_ended(
                    self.sh(f'"$TROUPE" exec no-such-program {redirection}'),
                    127)
                self.assert_ended(
                    self.sh(f'"$TROUPE" exec --tiemout {redirection}'), 2)


if __name__ == "__main__":
    unittest.main()
