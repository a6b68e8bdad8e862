"""Tests of scripts/check_includes.py: each rule refuses a sample that breaks
it, and lets pass the nearest thing that does not."""

import importlib.util
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_includes.py"
spec = importlib.util.spec_from_file_location("check_includes", SCRIPT)
check_includes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_includes)


class Samples(unittest.TestCase):
    def check(self, files, allowed=None):
        """The violations of a tree made of `files` (path -> text). Headers
        get their #pragma once here unless they are about it."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, text in files.items():
                if path.endswith(".hpp") and "pragma" not in text:
                    text = "#pragma once\n" + text
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            return check_includes.check(root, allowed or {})

    def assert_clean(self, files, allowed=None):
        self.assertEqual(self.check(files, allowed), [])

    def assert_refused(self, files, *violations):
        self.assertEqual(self.check(files), list(violations))


class Layers(Samples):
    def test_a_lower_layer_may_be_used(self):
        self.assert_clean({
            "actors/src/a.cpp": "#include <troupe/process/x.hpp>\n",
            "workflow/src/plan_core.cpp": "#include <troupe/process/x.hpp>\n",
        })

    def test_a_higher_layer_may_not(self):
        self.assert_refused(
            {"actors/src/a.cpp": "\n#include <troupe/supervisor/x.hpp>\n"},
            "actors/src/a.cpp:2: layers: actors may not use supervisor: "
            "not a lower layer")

    def test_siblings_never_see_each_other(self):
        self.assert_refused(
            {"fanout/src/a.cpp": "#include <troupe/config/x.hpp>\n"},
            "fanout/src/a.cpp:1: layers: fanout may not use config: "
            "not a lower layer")

    def test_a_part_has_to_be_in_the_table(self):
        self.assert_refused(
            {"base/src/a.cpp": "#include <troupe/bogus/x.hpp>\n",
             "bogus/include/troupe/bogus/x.hpp": ""},
            "bogus:1: layers: there is no part bogus; new parts belong into ROWS",
            "base/src/a.cpp:1: layers: there is no part bogus; "
            "new parts belong into ROWS")

    def test_tests_may_use_all(self):
        self.assert_clean({"tests/base/a_test.cpp": "#include <troupe/node/x.hpp>\n"})


class PrivateHeaders(Samples):
    def test_the_own_ones_may_be_included(self):
        self.assert_clean({
            "actors/src/a_core.hpp": "",
            "actors/src/a_core.cpp": '#include "a_core.hpp"\n',
            "tests/actors/a_test.cpp": '#include "a_core.hpp"\n',
        })

    def test_those_of_another_part_may_not(self):
        self.assert_refused(
            {"actors/src/a_core.hpp": "",
             "node/src/n.cpp": '#include "a_core.hpp"\n'},
            "node/src/n.cpp:1: private-headers: actors/src/a_core.hpp is "
            "private to actors")

    def test_no_path_goes_around_the_include_folders(self):
        self.assert_refused(
            {"node/src/n.cpp": '#include "../../base/x.hpp"\n',
             "cli/src/c.cpp": "#include <actors/src/a_core.hpp>\n"},
            "node/src/n.cpp:1: private-headers: ../../base/x.hpp goes around "
            "the include folders",
            "cli/src/c.cpp:1: private-headers: actors/src/a_core.hpp goes "
            "around the include folders")


class Caf(Samples):
    SEAM = {"actors/include/troupe/actors/caf.hpp": "#include <caf/all.hpp>\n"}

    def test_the_seam_and_the_test_support_may_spell_it(self):
        self.assert_clean({
            **self.SEAM,
            "tests/support/actor_test.hpp": "#include <caf/test/dsl.hpp>\n",
            "supervisor/src/s_actor.cpp": "#include <troupe/actors/caf.hpp>\n",
        })

    def test_nobody_else_may(self):
        self.assert_refused(
            {"supervisor/src/s_actor.cpp": "#include <caf/actor.hpp>\n"},
            "supervisor/src/s_actor.cpp:1: caf-seam: include "
            "<troupe/actors/caf.hpp> instead of caf/actor.hpp")

    def test_its_network_modules_nobody_may(self):
        self.assert_refused(
            {"actors/include/troupe/actors/caf.hpp": "#include <caf/io/all.hpp>\n"},
            "actors/include/troupe/actors/caf.hpp:2: caf-seam: caf/io/all.hpp: "
            "no BASP, see docs/adr/0003-no-basp.md")

    def test_a_core_may_not_include_the_seam(self):
        self.assert_refused(
            {**self.SEAM, "actors/src/a_core.cpp": "#include <troupe/actors/caf.hpp>\n"},
            "actors/src/a_core.cpp:1: caf-free: reaches CAF by "
            "actors/include/troupe/actors/caf.hpp")

    def test_nor_by_way_of_another_header(self):
        self.assert_refused(
            {**self.SEAM,
             "actors/include/troupe/actors/messages.hpp":
                 "#include <troupe/actors/caf.hpp>\n",
             "workflow/src/plan.cpp": "\n#include <troupe/actors/messages.hpp>\n"},
            "workflow/src/plan.cpp:2: caf-free: reaches CAF by "
            "actors/include/troupe/actors/messages.hpp -> "
            "actors/include/troupe/actors/caf.hpp")

    def test_the_start_here_header_of_a_pure_part_may_name_the_actors(self):
        self.assert_clean({
            **self.SEAM,
            "workflow/include/troupe/workflow/workflow.hpp":
                "#include <troupe/workflow/run_actor.hpp>\n",
            "workflow/include/troupe/workflow/run_actor.hpp":
                "#include <troupe/actors/caf.hpp>\n",
        })

    def test_the_bottom_row_may_not(self):
        self.assertIn(
            "process/src/p.cpp:1: caf-free: reaches CAF by "
            "actors/include/troupe/actors/caf.hpp",
            self.check({**self.SEAM,
                        "process/src/p.cpp": "#include <troupe/actors/caf.hpp>\n"}))


class Pure(Samples):
    def test_deciding_code_asks_no_clock_chance_thread_or_environment(self):
        for statement, word in {
                "auto t = std::chrono::steady_clock::now();": "steady_clock::now",
                "auto t = std::chrono::system_clock::now();": "system_clock::now",
                "std::this_thread::sleep_for(1s);": "sleep_for",
                "usleep(1);": "usleep()",
                "std::thread t;": "std::thread",
                "return rand();": "rand()",
                "std::random_device d;": "random_device",
                'auto p = std::getenv("PATH");': "std::getenv()",
        }.items():
            name = word.removeprefix("std::") if word.endswith("()") else word
            for path in ("actors/src/a_core.cpp", "flow_control/src/bucket.cpp",
                         "config/src/c.cpp", "fanout/src/f.cpp",
                         "workflow/src/w.cpp"):
                with self.subTest(path=path, statement=statement):
                    self.assertIn(f"{path}:1: pure: {name} in deciding code",
                                  self.check({path: statement + "\n"}))

    def test_shells_may(self):
        self.assert_clean({
            "workflow/src/run_actor.cpp": "auto t = std::chrono::steady_clock::now();\n",
            "cli/src/main.cpp": 'auto p = std::getenv("PATH");\n',
        })

    def test_comments_strings_and_own_names_are_no_calls(self):
        self.assert_clean({"workflow/src/w.cpp": """
            // rand() and std::thread
            /* getenv("X") */
            auto a = "sleep(1) std::random_device";
            auto b = R"x(std::thread " t;)x";
            auto c = 1'000'000; auto d = '"'; // getenv()
            model.random(); Model::random(); double random(int seed);
        """})


class Blocking(Samples):
    def test_an_actor_does_not_block_its_thread(self):
        for statement, word in {
                "::sleep(1);": "sleep()",
                "std::this_thread::sleep_until(t);": "sleep_until",
                "std::ifstream file{path};": "ifstream",
                "std::ofstream file{path};": "ofstream",
                'auto f = fopen("x", "r");': "fopen()",
                "std::future<int> f; f.get();": "future",
                "caf::scoped_actor self{system};": "scoped_actor",
                "ThreadActor self{system};": "ThreadActor",
        }.items():
            with self.subTest(statement=statement):
                self.assert_refused(
                    {"supervisor/src/s_actor.cpp": statement + "\n"},
                    f"supervisor/src/s_actor.cpp:1: blocking: {word} may block "
                    "a scheduler thread")

    def test_waiting_for_a_child_is_refused_twice(self):
        self.assert_refused(
            {"actors/src/a_actor.cpp": "int x = waitpid(pid, &s, 0);\n"},
            "actors/src/a_actor.cpp:1: blocking: waitpid() may block a "
            "scheduler thread",
            "actors/src/a_actor.cpp:1: processes: waitpid() belongs into process")

    def test_other_files_may_read_files(self):
        self.assert_clean({"cli/src/main.cpp": "std::ifstream file{path};\n"})


class Locks(Samples):
    def test_no_part_but_base_locks(self):
        for word in ("std::mutex", "std::shared_mutex", "std::condition_variable",
                     "std::lock_guard", "std::call_once"):
            with self.subTest(word=word):
                self.assert_refused(
                    {"node/src/n.cpp": f"{word} x;\n"},
                    f"node/src/n.cpp:1: locks: {word}: pass messages, or give "
                    "a reason in ALLOWED")
                self.assert_clean({"base/src/b.cpp": f"{word} x;\n"})

    def test_an_exception_has_to_be_listed(self):
        self.assert_clean({"node/src/n.cpp": "std::mutex x;\n"},
                          {("locks", "node/src/n.cpp"): "a reason"})

    def test_an_exception_that_nothing_needs_is_reported(self):
        self.assertEqual(
            self.check({"node/src/n.cpp": "\n"},
                       {("locks", "node/src/n.cpp"): "a reason"}),
            ["node/src/n.cpp:1: locks: has an exception that nothing needs"])


class OneRuntime(Samples):
    def test_only_node_makes_a_runtime(self):
        for statement, name in {
                "caf::actor_system system{config};": "actor_system",
                "ActorSystem system{config};": "ActorSystem",
                "boost::asio::io_context io;": "io_context",
                "boost::asio::io_context io_{1};": "io_context",
                "std::optional<asio::io_context> io;": "io_context",
                "auto io = std::make_unique<asio::io_context>();": "io_context",
        }.items():
            with self.subTest(statement=statement):
                self.assert_refused(
                    {"actors/src/a.cpp": statement + "\n"},
                    f"actors/src/a.cpp:1: one-runtime: {name} is made here; "
                    "take a reference instead")
                self.assert_clean({"node/src/n.cpp": statement + "\n"})

    def test_the_warden_is_a_program_of_its_own(self):
        self.assert_clean({"process/src/warden_main.cpp": "asio::io_context io{1};\n"})

    def test_references_and_declarations_make_none(self):
        self.assert_clean({"actors/src/a.cpp": """
            class actor_system;
            void f(caf::actor_system& system, asio::io_context* io);
            using Executor = asio::io_context::executor_type;
            caf::actor_system_config config;
            caf::actor_system& system_;
            ActorRef spawn(ActorSystem& system, int n);
        """})


class Processes(Samples):
    def test_only_process_starts_signals_and_reaps(self):
        for statement, word in {
                "int p = fork();": "fork()",
                "return ::kill(pid, SIGTERM);": "kill()",
                "kill(pid, SIGKILL);": "kill()",
                "if (!waitpid(pid, nullptr, 0)) {}": "waitpid()",
                "a && clone(f);": "clone()",
                'int x = std::system("ls");': "system()",
                "posix_spawnp(a, b);": "posix_spawnp()",
        }.items():
            with self.subTest(statement=statement):
                self.assert_refused(
                    {"cli/src/c.cpp": statement + "\n"},
                    f"cli/src/c.cpp:1: processes: {word} belongs into process")
                self.assert_clean({"process/src/p.cpp": statement + "\n"})

    def test_own_functions_may_have_these_names(self):
        self.assert_clean({"cli/src/c.cpp": """
            runner.kill(pid); runner->kill(pid); Runner::kill(pid);
            void kill(int pid);
            kill(actor); actors::kill(self, actor);
            [[nodiscard]] Result<Pid>
            fork(const Spec& spec);
            std::unique_ptr<X> clone() const;
        """})


class Headers(Samples):
    def test_a_header_begins_with_pragma_once(self):
        violation = ("base/include/troupe/base/x.hpp:1: pragma-once: the first "
                     "line of code is not #pragma once")
        path = "base/include/troupe/base/x.hpp"
        self.assert_refused({path: "int pragma;\n"}, violation)
        self.assert_refused({path: "// #pragma once\n"}, violation)
        self.assert_refused({path: "#include <string>\n#pragma once\n"}, violation)
        self.assert_clean({path: "// What it is.\n#pragma once\n"})

    def test_a_header_uses_no_namespace(self):
        self.assert_refused(
            {"base/include/troupe/base/x.hpp": "using namespace std;\n"},
            "base/include/troupe/base/x.hpp:2: using-namespace: a header changes "
            "the names of all who include it")
        self.assert_clean({"base/src/x.cpp": "using namespace std;\n"})


class FileNames(Samples):
    def test_a_name_says_what_it_is_about(self):
        for name, word in {"string_utils": "utils", "common": "common",
                           "job_manager": "manager", "misc": "misc",
                           "test_helper": "helper"}.items():
            with self.subTest(name=name):
                self.assert_refused(
                    {f"base/src/{name}.cpp": ""},
                    f'base/src/{name}.cpp:1: file-names: "{word}" says nothing '
                    "about the content")
        self.assert_clean({"base/src/commonality.cpp": ""})


class Completeness(Samples):
    def test_the_tree_itself_is_clean(self):
        self.assertEqual(check_includes.check(SCRIPT.parents[1]), [])


if __name__ == "__main__":
    unittest.main()
