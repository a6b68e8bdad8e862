#!/usr/bin/env python3
"""Checks the rules of the tree that no compiler checks: who may include whom,
and what must not be called where (ARCHITECTURE.md, CONTRIBUTING.md).

    scripts/check_includes.py [ROOT]

Prints one line `file:line: rule: what` for each violation; exits with 1 if
there is any. Every rule has a violating sample in
tests/scripts/check_includes_test.py.
"""

import re
import sys
from pathlib import Path

# --- The tree ---------------------------------------------------------------

# Bottom-up. A part sees the parts of the rows below its own, never another
# one of its own row.
ROWS = [
    ["base"],
    ["process", "flow_control", "config", "fanout", "schedule", "store",
     "api"],
    ["actors"],
    ["supervisor"],
    ["service"],
    ["workflow", "distributed", "queue", "content"],
    ["link"],
    ["node"],
    ["cli"],
]
ROW_OF = {part: row for row, parts in enumerate(ROWS) for part in parts}

# Folders beside the parts whose C++ is checked too, by fewer rules.
OTHER_FOLDERS = ["tests", "bench", "examples"]

# Pure throughout, but for their actors: no clock, thread, chance, environment.
PURE_PARTS = {"flow_control", "fanout", "config", "schedule", "workflow",
              "distributed"}

# The only header that spells CAF, so that a new version of it is one file.
CAF_HEADER = "actors/include/troupe/actors/caf.hpp"

# Exceptions: (rule, file) -> reason. An exception that is not used any more
# is reported as well.
ALLOWED = {
    ("using-namespace", "base/include/troupe/base/time.hpp"):
        "chrono literals in namespace troupe, so that 5s can be written",
    ("locks", "actors/src/actor_loop.cpp"):
        "a scheduler is below messages: other threads hand it actors to run",
    ("locks", "cli/src/job_logs.cpp"):
        "threads of a client without actors, which read and take turns to print",
    ("one-runtime", "cli/src/exec_command.cpp"):
        "that of a program without actors, for one command",
    ("one-runtime", "cli/src/webhook.cpp"):
        "that of a process of its own, which posts once and ends",
    ("processes", "cli/src/deliver_notice.cpp"):
        "becomes the command: it starts no other process",
    ("private-headers", "bench/schedule_bench.cpp"):
        "measures the threads of a node, which node keeps to itself",
    ("private-headers", "bench/micro_bench.cpp"):
        "measures the protocol of the warden, which process keeps to itself",
    ("private-headers", "tests/fuzz/http_request_fuzz.cpp"):
        "feeds the reading of a request, which api keeps to itself",
    ("private-headers", "tests/fuzz/submission_fuzz.cpp"):
        "feeds the reading of a job, which node keeps to itself",
    ("private-headers", "tests/sim/node_cores.hpp"):
        "runs the cores of a node, which node keeps to itself",
    ("private-headers", "tests/fuzz/wire_fuzz.cpp"):
        "feeds the protocol of the warden, which process keeps to itself",
}

# --- Reading C++ ------------------------------------------------------------

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def blank(text):
    """`text` as spaces, with its line ends and, of a literal, its quotes."""
    inner = re.sub(r"[^\n]", " ", text)
    return text[0] + inner[1:-1] + text[-1] if text[0] in "\"'" else inner


LEXEME = re.compile(
    r"//[^\n]*"                                     # comment
    r"|/\*.*?\*/"                                   # comment
    r'|R"(?P<mark>[^\s()\\]{0,16})\(.*?\)(?P=mark)"'  # raw string
    r'|"(?:\\.|[^"\\\n])*"'                         # string
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'",        # character, not 1'000
    re.DOTALL)


def code_of(text):
    """`text` without comments and literals: same lines, same columns."""
    return LEXEME.sub(lambda match: blank(match.group()), text)


class Source:
    """One file: where it stands in the tree and what it includes."""

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.parts = self.path.split("/")
        self.name = self.parts[-1]
        self.stem = path.stem
        self.part = self.parts[0]
        self.is_header = path.suffix == ".hpp"
        self.is_product = self.part in ROW_OF
        self.includes = []
        lines = self.text.split("\n")
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if match:
                self.includes.append((number, match[1], match[2]))
                lines[number - 1] = "#include"
        self.code = code_of("\n".join(lines))

    @property
    def is_core(self):
        return self.stem.endswith("_core")

    @property
    def is_actor(self):
        return self.stem.endswith("_actor")

    @property
    def is_pure(self):
        return self.is_product and (
            self.is_core or (self.part in PURE_PARTS and not self.is_actor))

    @property
    def is_start_here(self):
        return self.path == f"{self.part}/include/troupe/{self.part}/{self.part}.hpp"

    def under(self, *prefixes):
        return self.path.startswith(prefixes)


class Tree:
    def __init__(self, root):
        self.root = root
        self.sources = {}
        for folder in list(ROW_OF) + OTHER_FOLDERS:
            for path in sorted((root / folder).rglob("*")):
                if path.suffix in (".hpp", ".cpp") and path.is_file():
                    source = Source(root, path)
                    self.sources[source.path] = source

    def find(self, source, kind, name):
        """The file of this tree that `source` means by an include, or None."""
        folder = "/".join(source.parts[:-1])
        if kind == "<":
            match = re.match(r"troupe/([^/]+)/", name)
            places = [f"{match[1]}/include/{name}"] if match else []
        else:
            mirrored = source.parts[1] if source.part == "tests" else source.part
            places = [f"{folder}/{name}", f"{mirrored}/src/{name}",
                      f"tests/support/{name}"]
        return next((place for place in places if place in self.sources), None)


# --- Calls ------------------------------------------------------------------

def words(*alternatives):
    return re.compile(r"(?<!\w)(?:%s)(?!\w)" % "|".join(alternatives))


def calls(*names):
    return re.compile(r"(?<!\w)(?:%s)(?=\s*\()" % "|".join(names))


# A name after one of these is called; after any other word it is declared.
CALLING_WORDS = {"return", "else", "do", "case", "throw", "co_return",
                 "co_await", "co_yield", "and", "or", "not"}


def is_free_call(code, start):
    """Whether the name at `start` is a free function that is called: `kill(`,
    `::kill(`, `std::system(`, `return kill(`; not `x.kill(`, `X::kill(` or
    the declaration `void kill(`."""
    before = re.sub(r"(?:(?<!\w)std)?(?<![\w>])::$|(?<!\w)std::$", "", code[:start])
    before = before.rstrip()
    if before.endswith((".", "->", "::")):
        return False
    last_word = re.search(r"\w+$", before)
    if last_word:
        return last_word.group() in CALLING_WORDS
    return before.endswith("&&") or not before.endswith((">", "&", "*", "]]"))


PROCESS_CALLS = calls(
    "fork", "vfork", "clone", "clone3", "posix_spawnp?", "exec[lv]p?e?",
    "fexecve",
    # Actors are killed as well: only ::kill(..) and kill(.., SIGTERM) count.
    r"(?<=::)kill", r"kill(?=\s*\([^;]*,\s*(?:SIG|0\b|\w*signal))", "killpg",
    "tgkill", "pidfd_open", "pidfd_send_signal",
    "waitpid", "waitid", "wait[34]", r"system(?=\s*\(\s*[^\s)])", "popen")
SLEEP_CALLS = calls("sleep", "usleep", "nanosleep", "clock_nanosleep")
CHANCE_CALLS = calls("s?rand", "rand_r", "s?random", "getrandom")
ENVIRONMENT_CALLS = calls("(?:secure_)?getenv", "(?:un)?setenv", "putenv")
FILE_CALLS = calls("fopen", "fread", "fwrite", "getline", "getaddrinfo",
                   "flock", "fsync", "fdatasync")

SLEEP_WORDS = words("sleep_for", "sleep_until")
CLOCK_WORDS = words(r"\w+_clock\s*::\s*now", "clock_gettime", "gettimeofday")
THREAD_WORDS = words(r"std\s*::\s*(?:jthread|thread|async|this_thread)")
CHANCE_WORDS = words("random_device", r"mt19937\w*", "default_random_engine")
FILE_WORDS = words("[io]?fstream")
WAIT_WORDS = words("future", "shared_future", "promise", "scoped_actor",
                   "ThreadActor")
LOCK_WORDS = words(
    r"std\s*::\s*(?:(?:recursive_|timed_|recursive_timed_|shared_|shared_timed_)?mutex"
    r"|condition_variable(?:_any)?|lock_guard|unique_lock|scoped_lock"
    r"|shared_lock|call_once|once_flag|counting_semaphore|binary_semaphore"
    r"|latch|barrier)", r"pthread_(?:mutex|rwlock|cond|spin)\w*")
USING_NAMESPACE = words(r"using\s+namespace")
RUNTIME = re.compile(
    r"(?<!class )(?<!struct )(?<!using )\b(?:actor_system|ActorSystem|io_context)(?:"
    r"\s+\w+\s*[;{(=]"           # a variable or member: io_context io;
    r"|\s*[({](?!\s*\))"         # a temporary: io_context{1}
    r"|\s*>\s*[\w({])")          # optional<io_context> io; make_unique<..>(


def hits(source, *patterns):
    """(line, word) for each place where one of `patterns` is meant."""
    for pattern in patterns:
        is_call = pattern.pattern.endswith(r"(?=\s*\()")
        for match in pattern.finditer(source.code):
            if not is_call or is_free_call(source.code, match.start()):
                line = source.code.count("\n", 0, match.start()) + 1
                word = re.sub(r"\s+", "", match.group())
                yield line, word + "()" if is_call else word


# --- Rules: each yields (line, what) ------------------------------------------

def layers(tree, source):
    """A part includes only its own headers and those of lower rows."""
    if not source.is_product:
        return
    for line, kind, name in source.includes:
        match = re.match(r"troupe/([^/]+)/", name)
        if not match or match[1] == source.part:
            continue
        other = match[1]
        if other not in ROW_OF:
            yield line, f"there is no part {other}; new parts belong into ROWS"
        elif ROW_OF[other] >= ROW_OF[source.part]:
            yield line, f"{source.part} may not use {other}: not a lower layer"


def private_headers(tree, source):
    """No src/ header of another part; no path that leaves the own one."""
    for line, kind, name in source.includes:
        if ".." in name.split("/") or "src" in name.split("/"):
            yield line, f"{name} goes around the include folders"
        elif kind == '"' and tree.find(source, kind, name) is None:
            owners = sorted(path for path in tree.sources
                            if path.endswith("/src/" + name))
            if owners:
                yield line, f"{owners[0]} is private to {owners[0].split('/')[0]}"


def caf_seam(tree, source):
    """CAF is spelled in one header; its network modules nowhere."""
    for line, kind, name in source.includes:
        if name.startswith(("caf/io/", "caf/openssl/")):
            yield line, f"{name}: no BASP, see docs/adr/0003-no-basp.md"
        elif (name.startswith("caf/") and source.path != CAF_HEADER
              and not source.under("tests/support/")):
            yield line, f"include <troupe/actors/caf.hpp> instead of {name}"


def caf_free(tree, source):
    """Cores and the rows below actors do not reach CAF, not even through
    another header of ours."""
    below_actors = source.is_product and ROW_OF[source.part] < ROW_OF["actors"]
    if not (source.is_core or below_actors or
            (source.is_pure and not source.is_start_here)):
        return
    seen = {source.path}
    queue = [(source, None, [])]
    while queue:
        current, first_line, chain = queue.pop(0)
        for line, kind, name in current.includes:
            found = tree.find(current, kind, name)
            start = first_line or line
            if found == CAF_HEADER:
                yield start, "reaches CAF by " + " -> ".join(chain + [found])
                return
            if found and found not in seen:
                seen.add(found)
                queue.append((tree.sources[found], start, chain + [found]))


def pure(tree, source):
    """Cores and pure parts get time, chance and settings passed in."""
    if source.is_pure:
        for line, word in hits(source, CLOCK_WORDS, SLEEP_WORDS, SLEEP_CALLS,
                               THREAD_WORDS, CHANCE_WORDS, CHANCE_CALLS,
                               ENVIRONMENT_CALLS):
            yield line, f"{word} in deciding code"


def blocking(tree, source):
    """Async rule A1: nothing blocks a scheduler thread."""
    if source.is_product and source.is_actor:
        for line, word in hits(source, SLEEP_WORDS, SLEEP_CALLS, FILE_WORDS,
                               FILE_CALLS, WAIT_WORDS, PROCESS_CALLS):
            yield line, f"{word} may block a scheduler thread"


def locks(tree, source):
    """Async rule A3: no locks outside base."""
    if source.is_product and source.part != "base":
        for line, word in hits(source, LOCK_WORDS):
            yield line, f"{word}: pass messages, or give a reason in ALLOWED"


def one_runtime(tree, source):
    """Async rule A2: node makes the actor system and the io_context; the
    warden is a program of its own and makes its own io_context."""
    is_warden = source.part == "process" and "warden" in source.path
    if source.is_product and source.part != "node" and not is_warden:
        for line, word in hits(source, RUNTIME):
            name = re.match(r"actor_system|ActorSystem|io_context", word).group()
            yield line, f"{name} is made here; take a reference instead"


def processes(tree, source):
    """Only process/ starts, signals and reaps processes."""
    if source.is_product and source.part != "process":
        for line, word in hits(source, PROCESS_CALLS):
            yield line, f"{word} belongs into process"


def pragma_once(tree, source):
    """Every header begins with #pragma once."""
    if source.is_header and not source.code.lstrip().startswith("#pragma once\n"):
        yield 1, "the first line of code is not #pragma once"


def using_namespace(tree, source):
    """No `using namespace` in headers."""
    if source.is_header:
        for line, _ in hits(source, USING_NAMESPACE):
            yield line, "a header changes the names of all who include it"


def file_names(tree, source):
    """A file is named after what it is about."""
    for word in re.split(r"[_./-]", "/".join(source.parts[1:])):
        if word in ("util", "utils", "common", "misc", "manager", "helper", "helpers"):
            yield 1, f'"{word}" says nothing about the content'


RULES = {
    "layers": layers,
    "private-headers": private_headers,
    "caf-seam": caf_seam,
    "caf-free": caf_free,
    "pure": pure,
    "blocking": blocking,
    "locks": locks,
    "one-runtime": one_runtime,
    "processes": processes,
    "pragma-once": pragma_once,
    "using-namespace": using_namespace,
    "file-names": file_names,
}


def unknown_parts(root):
    """Folders that look like a part and are in no row."""
    for include in sorted(root.glob("*/include/troupe")):
        part = include.relative_to(root).parts[0]
        if part not in ROW_OF:
            yield f"{part}:1: layers: there is no part {part}; new parts belong into ROWS"


def check(root, allowed=None):
    """All violations of the tree below `root`, as lines to print."""
    allowed = ALLOWED if allowed is None else allowed
    tree = Tree(root)
    found = list(unknown_parts(root))
    used = set()
    for source in tree.sources.values():
        for rule, function in RULES.items():
            for line, what in function(tree, source):
                if (rule, source.path) in allowed:
                    used.add((rule, source.path))
                else:
                    found.append(f"{source.path}:{line}: {rule}: {what}")
    for rule, path in sorted(set(allowed) - used):
        found.append(f"{path}:1: {rule}: has an exception that nothing needs")
    return found


def main():
    default = Path(__file__).resolve().parent.parent
    root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else default
    violations = check(root)
    for line in violations:
        print(line)
    if violations:
        print(f"check_includes: {len(violations)} violations", file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
