"""troupe map: from arguments to commands, with nothing changed on the way."""

import os
import random
import unittest

from troupe_e2e import TroupeTest

HINT = 'Try "troupe map --help".\n'

# What programs and shells are known to stumble over.
HOSTILE = [
    b"", b" ", b"a b", b"  two  spaces  ", b"it's", b'say "hi"', b"'", b'"',
    b"new\nline", b"\n", b"ends in newline\n", b"tab\there", b"\r",
    b"$(touch ran)", b"`touch ran`", b"$HOME", b"${HOME}", b"; touch ran",
    b"&& touch ran", b"| touch ran", b"> ran", b"$(rm -rf x)", b"`rm -rf x`",
    b"-n", b"-rf", b"--help", b"--", b":::", b"*", b"?", b"[a-z]*", b"{a,b}",
    b"~", b"~root", b"#comment", b"!!", b"a=b", b"\\", b"\\n", b"\\\\", b"%s",
    b"%n%d", b"{}", b"{1}", b"{#}", b"\\{}", b"if", b"!", b"\x01\x1b[31m\x7f",
    b"\xff", b"\xc3", b"\xff\xfe\x80", "zwölf ☃".encode(), b"'\"'\"'",
    b"a'$(b)'c",
]


class HostileArguments(TroupeTest):
    """Each argument reaches the program byte by byte."""

    def map_records(self, values, *command):
        """Whatever `command` prints for each of `values`, in order."""
        finished = self.troupe("map", "-0", "-k", "-j4", *command,
                               input=b"".join(v + b"\0" for v in values))
        self.assertEqual((finished.code, finished.err), (0, ""))
        # Nothing was executed that we have not asked for.
        self.assertEqual(os.listdir(self.cwd), [])
        return finished.raw_out

    def test_words_are_passed_on_unchanged(self):
        out = self.map_records(HOSTILE, "printf", r"%s\0", "{}", "<{}>", "{1}")
        self.assertEqual(out, b"".join(
            v + b"\0<" + v + b">\0" + v + b"\0" for v in HOSTILE))

    def test_an_argument_that_is_appended_is_passed_on_unchanged(self):
        self.assertEqual(self.map_records(HOSTILE, "printf", r"%s\0"),
                         b"".join(v + b"\0" for v in HOSTILE))
        self.assertEqual(self.map_records(HOSTILE, r"true; printf '%s\0'"),
                         b"".join(v + b"\0" for v in HOSTILE))

    PLACES = (r"""printf '%s\0' {} "{}" '{}' "a {} b" 'a {} b' """
              r""""$(printf %s {}; echo .)" "$(printf %s "{}"; echo .)" """
              r"""x={} "'{}'" '"{}"'""")

    def expected_places(self, values):
        return b"".join(
            b"\0".join([v, v, v, b"a " + v + b" b", b"a " + v + b" b",
                        v + b".", v + b".", b"x=" + v, b"'" + v + b"'",
                        b'"' + v + b'"', b""]) for v in values)

    def assert_all_places(self, values, shell):
        out = self.map_records(values, "--shell", shell, self.PLACES)
        self.assertEqual(out, self.expected_places(values))

    def test_shell_text_passes_them_on_unchanged_in_and_outside_quotes(self):
        for shell in ("/bin/sh", "/bin/bash"):
            with self.subTest(shell):
                self.assert_all_places(HOSTILE, shell)

    def test_no_random_argument_becomes_code(self):
        seed = random.SystemRandom().getrandbits(32)
        chance = random.Random(seed)
        letters = [bytes([c]) for c in
                   b"'\"$`\\(){};&|<>*?[]#~!=%-\n\t ax1\xff"]
        letters += [b"$(touch ran)", b"`touch ran`", b"\n touch ran\n"]
        values = [b"".join(chance.choices(letters, k=chance.randrange(12)))
                  for _ in range(200)]
        with self.subTest(seed=seed):
            self.assert_all_places(values, "/bin/sh")

    def test_words_after_three_colons_are_passed_on_unchanged(self):
        out = self.troupe("map", "-k", "printf", r"%s\0", "{}", ":::",
                          *map(os.fsdecode, [v for v in HOSTILE
                                             if v != b":::"])).raw_out
        self.assertEqual(out, b"".join(v + b"\0" for v in HOSTILE
                                       if v != b":::"))

    def test_a_pipe_and_a_redirection_see_them_unchanged(self):
        finished = self.troupe(
            "map", "-0", "-k", "-j1",
            "printf '%s.' {} | cat > {#}.txt; printf %s {} >> all",
            input=b"".join(v + b"\0" for v in HOSTILE))
        self.assert_ended(finished, 0)
        self.assertEqual((self.cwd / "all").read_bytes(), b"".join(HOSTILE))
        for number, value in enumerate(HOSTILE, 1):
            self.assertEqual((self.cwd / f"{number}.txt").read_bytes(),
                             value + b".")

    def test_a_hostile_name_of_a_file_is_one_file(self):
        names = [v for v in HOSTILE if v not in (b"", b" ") and b"/" not in v]
        for name in names:
            (self.cwd / os.fsdecode(name)).write_bytes(name + b"\0")
        finished = self.troupe("map", "-0", "-k", "cat < {}; rm -- {}",
                               input=b"\0".join(names))
        self.assert_ended(finished, 0, out=b"".join(
            n + b"\0" for n in names).decode(errors="replace"))
        self.assertEqual(os.listdir(self.cwd), [])

    def test_what_dry_run_prints_can_be_given_to_a_shell(self):
        given = b"".join(v + b"\0" for v in HOSTILE)
        for command in (["printf", r"%s\0", "{}", "x{}"],
                        [r"""printf '%s\0' {} "x{}" """]):
            with self.subTest(command):
                shown = self.troupe("map", "-0", "-k", "--dry-run", *command,
                                    input=given)
                self.assertEqual((shown.code, shown.err), (0, ""))
                again = self.run_program(["sh"], input=shown.raw_out)
                self.assertEqual(again.raw_out,
                                 self.map_records(HOSTILE, *command))


class Places(TroupeTest):
    """Where nobody can quote safely, Troupe says so and runs nothing."""

    def test_where_nothing_can_be_quoted_is_refused(self):
        for command, reason in (
                ("echo `ls {}`", "an argument inside backticks cannot be "
                 "quoted safely: write $( ) instead"),
                ("cat <<E\n{}\nE", "here-documents (<<) cannot be in a "
                 "command: put it into a script"),
                ("echo $(( {} + 1 ))", "{} inside (( )): a shell would "
                 "evaluate the argument as an expression; have it checked to "
                 "be a number, in a script"),
                ("echo ${x:-{}}", "${x:-{} is too complicated to be in a "
                 "command: put it into a script"),
                ("true # {}", "an argument inside a comment could end it: "
                 "remove the comment, or quote the #"),
                ("touch ran &", 'the command has no {} and ends in "&", so '
                 "there is no place to append it: write {} where the argument "
                 "belongs")):
            with self.subTest(command):
                finished = self.troupe("map", command, ":::", "touch ran")
                self.assert_ended(finished, 2,
                                  err=f"troupe: map: {reason}\n{HINT}")
        self.assertEqual(os.listdir(self.cwd), [])

    def test_braces_behind_a_backslash_are_plain_text(self):
        self.assert_ended(self.troupe("map", r"echo '<' \{} {}", ":::", "a"),
                          0, out="< {} a\n")

    def test_braces_that_stand_for_nothing_are_plain_text(self):
        self.assert_ended(self.troupe("map", "echo", "{x}", "{", "}", "{}",
                                      ":::", "a"), 0, out="{x} { } a\n")


class ReplacementStrings(TroupeTest):
    def rendered(self, command, *values):
        """The lines that `echo COMMAND` prints, as words and as shell text."""
        words = self.troupe("map", "-k", "-j1", "echo", *command.split(),
                            *values)
        text = self.troupe("map", "-k", "-j1", f"true; echo {command}", *values)
        self.assertEqual((words.code, words.err), (0, ""))
        self.assertEqual((text.code, text.out, text.err),
                         (words.code, words.out, words.err))
        return words.out.splitlines()

    def test_each_names_its_part_of_the_argument(self):
        for value, parts in (
                ("in/song.tar.gz", "in/song.tar song.tar.gz in song.tar"),
                ("song.gz", "song song.gz . song"),
                ("/song", "/song song / song"),
                ("a.b/song", "a.b/song song a.b song"),
                ("/a/b/c.d", "/a/b/c c.d /a/b c")):
            with self.subTest(value):
                self.assertEqual(
                    self.rendered("{.} {/} {//} {/.} {}", ":::", value),
                    [f"{parts} {value}"])
                self.assertEqual(
                    self.rendered("{1.} {1/} {1//} {1/.} {1}", ":::", value),
                    [f"{parts} {value}"])
                self.assertEqual(
                    self.rendered("{-1.} {-1/} {-1//} {-1/.} {-1}", ":::",
                                  value),
                    [f"{parts} {value}"])

    def test_positions_count_from_both_ends(self):
        self.assertEqual(
            self.rendered("{3} {1} {-1} {-3} {}", ":::", "a", ":::", "b",
                          ":::", "c"),
            ["c a c a a b c"])

    def test_the_number_of_the_job_counts_from_1(self):
        self.assertEqual(self.rendered("{#}:{}", ":::", "a", "b", "c"),
                         ["1:a", "2:b", "3:c"])

    def test_the_slot_is_one_of_those_in_use(self):
        self.assertEqual(self.rendered("{%}", ":::", "a", "b", "c"),
                         ["1", "1", "1"])
        # No two jobs are in the same slot at the same time.
        finished = self.troupe(
            "map", "-j3", "mkdir slot{%} && sleep 0.0{} && rmdir slot{%} && "
            "echo {%}", input=b"1\n5\n2\n4\n3\n" * 4)
        self.assertEqual((finished.code, finished.err), (0, ""))
        self.assertLessEqual(set(finished.out.split()), {"1", "2", "3"})

    def test_without_any_the_argument_is_appended(self):
        self.assert_ended(self.troupe("map", "-k", "echo", "x", ":::", "a b"),
                          0, out="x a b\n")
        self.assert_ended(self.troupe("map", "-k", "echo x; echo y", ":::",
                                      "a b"), 0, out="x\ny a b\n")

    def test_they_are_replaced_in_the_program_too(self):
        self.assert_ended(self.troupe("map", "-k", "{}", "x", ":::", "echo"),
                          0, out="x\n")
        self.assert_ended(self.troupe("map", "-k", "ec{}", "x", ":::", "ho"),
                          0, out="x\n")


class Sources(TroupeTest):
    def setUp(self):
        super().setUp()
        (self.cwd / "letters").write_text("a\nb\n")
        (self.cwd / "digits").write_text("1\n2\n3")

    def lines(self, *words, input=None):
        """What the jobs print, in order; nothing may fail."""
        finished = self.troupe("map", "-k", *words, input=input)
        self.assertEqual((finished.code, finished.err), (0, ""))
        return finished.out.splitlines()

    def test_standard_input_gives_one_argument_per_line(self):
        self.assertEqual(self.lines("echo", "<{}>", input=b"a b\n\n c\nd"),
                         ["<a b>", "<>", "< c>", "<d>"])

    def test_no_input_runs_nothing(self):
        self.assertEqual(self.lines("echo", "<{}>", input=b""), [])
        self.assertEqual(self.lines("echo", "<{}>", ":::"), [])
        self.assertEqual(self.lines("echo", "<{}>", "::::", "/dev/null"), [])

    def test_blank_lines_can_be_left_out(self):
        self.assertEqual(self.lines("-r", "echo", "<{}>", input=b"a\n\n \t\nb"),
                         ["<a>", "<b>"])

    def test_a_carriage_return_belongs_to_the_argument(self):
        finished = self.troupe("map", "printf", "<%s>", input=b"a\r\n")
        self.assertEqual(finished.raw_out, b"<a\r>")

    def test_words_files_and_options_are_sources(self):
        self.assertEqual(self.lines("echo", ":::", "a", "b"), ["a", "b"])
        self.assertEqual(self.lines("echo", "::::", "letters"), ["a", "b"])
        self.assertEqual(self.lines("-a", "digits", "echo"), ["1", "2", "3"])
        self.assertEqual(self.lines("echo {}", "-a", "digits"), ["1", "2", "3"])
        self.assertEqual(self.lines("echo", "::::", "-", input=b"x\ny"),
                         ["x", "y"])
        self.assertEqual(self.lines("-a", "-", "echo", input=b"x\ny"),
                         ["x", "y"])

    def test_a_source_keeps_standard_input_from_being_read(self):
        finished = self.sh('{ "$TROUPE" map -k echo ::: a; cat; }',
                           input=b"the rest\n")
        self.assert_ended(finished, 0, out="a\nthe rest\n")

    COMBINATIONS = ["a 1", "a 2", "a 3", "b 1", "b 2", "b 3"]

    def test_several_sources_give_all_combinations(self):
        for words in ((":::", "a", "b", ":::", "1", "2", "3"),
                      ("::::", "letters", "digits"),
                      ("::::", "letters", ":::", "1", "2", "3"),
                      (":::", "a", "b", "::::", "digits")):
            with self.subTest(words):
                self.assertEqual(self.lines("echo", "{1}", "{2}", *words),
                                 self.COMBINATIONS)
        self.assertEqual(self.lines("-a", "letters", "-a", "digits", "echo",
                                    "{1}", "{2}"), self.COMBINATIONS)
        self.assertEqual(self.lines("echo", "::::", "-", "digits",
                                    input=b"a\nb\n"), self.COMBINATIONS)
        self.assertEqual(
            self.lines("echo", "{3}{2}{1}", ":::", "a", "b", ":::", "c", "d",
                       ":::", "e", "f"),
            ["eca", "fca", "eda", "fda", "ecb", "fcb", "edb", "fdb"])

    def test_linked_sources_go_in_step_and_shorter_ones_start_over(self):
        self.assertEqual(
            self.lines("--link", "echo", "{1}{2}", ":::", "a", "b", ":::",
                       "1", "2", "3"),
            ["a1", "b2", "a3"])
        self.assertEqual(
            self.lines("--link", "echo", "{1}{2}", "::::", "letters", "digits"),
            ["a1", "b2", "a3"])

    def test_a_plus_links_a_source_to_the_one_before(self):
        self.assertEqual(
            self.lines("echo", "{1}{2}", ":::", "a", "b", ":::+", "1", "2",
                       "3"),
            ["a1", "b2"])
        self.assertEqual(
            self.lines("echo", "{1}{2}{3}", ":::", "x", "y", "::::", "letters",
                       "::::+", "digits"),
            ["xa1", "xb2", "ya1", "yb2"])

    def test_records_may_end_in_nul_or_in_any_text(self):
        self.assertEqual(self.lines("-0", "echo", "<{}>", input=b"a b\0c\0\0d"),
                         ["<a b>", "<c>", "<>", "<d>"])
        for text, separator in ((",", b","), (r"\t", b"\t"), (r"\x41", b"A"),
                                ("--", b"--"), (r"\0", b"\0")):
            with self.subTest(text):
                self.assertEqual(
                    self.lines("-d", text, "echo", "<{}>",
                               input=separator.join([b"x", b"", b"y z"])),
                    ["<x>", "<>", "<y z>"])
        (self.cwd / "file").write_bytes(b"a\nb\0c")
        finished = self.troupe("map", "-k", "-0", "printf", "<%s>", "::::",
                               "file")
        self.assertEqual(finished.out, "<a\nb><c>")

    def test_columns_become_arguments_of_their_own(self):
        self.assertEqual(
            self.lines("--colsep", ", *", "echo", "{2} {1}", ":::",
                       "Bohr, Niels", "Noether,Emmy"),
            ["Niels Bohr", "Emmy Noether"])
        self.assertEqual(
            self.lines("--colsep", r"\t", "echo", "{3}{2}{1}",
                       input=b"a\tb\tc\nd\te\tf\n"),
            ["cba", "fed"])
        self.assertEqual(
            self.lines("--colsep", r"[;|]", "echo", "{1}-{-1}",
                       input=b"a;b|c\n"),
            ["a-c"])

    def test_a_column_that_is_missing_is_left_out(self):
        self.assertEqual(
            self.lines("--colsep", ",", "printf", "<%s>\n", "{1}", "{2}",
                       input=b"a,b\nc\n"),
            ["<a>", "<b>", "<c>"])

    def test_several_records_go_into_one_command(self):
        self.assertEqual(self.lines("-n", "2", "echo", input=b"a\nb\nc\nd\ne"),
                         ["a b", "c d", "e"])
        self.assertEqual(self.lines("-n", "3", "echo", "{3}{2}{1}", ":::", "a",
                                    "b", "c"), ["cba"])
        # A word is repeated for each; inside quotes they are joined.
        self.assertEqual(self.lines("-n", "2", "echo", "-I{}", ":::", "a", "b"),
                         ["-Ia -Ib"])
        self.assertEqual(self.lines("-n", "2", 'echo "<{}>"', ":::", "a", "b"),
                         ["<a b>"])
        self.assertEqual(self.lines("-n", "2", "printf '<%s>' {}; echo", ":::",
                                    "a b", "c", "d"), ["<a b><c>", "<d>"])

    def test_options_may_stand_behind_shell_text(self):
        self.assertEqual(self.lines("echo {}; true", "--tag", "-j", "1", ":::",
                                    "a"), ["a\ta"])

    def test_options_behind_a_word_are_the_commands_own(self):
        self.assertEqual(self.lines("echo", "--tag", "-j", ":::", "a"),
                         ["--tag -j a"])


if __name__ == "__main__":
    unittest.main()
