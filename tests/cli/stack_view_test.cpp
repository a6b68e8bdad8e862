#include "stack_view.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

StackSnapshot snapshot() {
  return {.file = "/srv/stack.yaml",
          .pid = 7,
          .entries = {
              {.name = "",
               .is_group = true,
               .state = "running",
               .intensity = 5,
               .period = 60s},
              {.name = "db",
               .state = "running",
               .pid = 12,
               .age = 90min,
               .restarts = 2,
               .last_exit = "killed by SIGKILL after 3s",
               .last_cause = "signal",
               .last_number = 9,
               .log = "/log/db.log",
               .cpu = 0.25,
               .memory_bytes = 3 << 20},
              {.name = "loaders",
               .is_group = true,
               .state = "held",
               .next_start = 12s,
               .strategy = "one_for_one",
               .restarts_used = 3,
               .intensity = 3,
               .period = 60s,
               .blame = "loaders/loaders-1 exited with 1 (4 times in 1m) -> "
                        "loaders is held"},
              {.name = "loaders/loaders-1",
               .state = "restarting",
               .next_start = 1500ms,
               .last_exit = "exited with 1 after 2s"},
          }};
}

TEST(StackTable, ShowsPathsAsATreeAndWhatIsKnown) {
  EXPECT_EQ(
      render_table(snapshot(), {}),
      "NAME         STATE       PID  AGE  RESTARTS   CPU  MEMORY    REMARK\n"
      "db           running     12   90m  2          25%  3.00 MiB  killed by "
      "SIGKILL after 3s\n"
      "loaders/     held                  3/3 in 1m                 next start "
      "in 12s; loaders/loaders-1 exited with 1 (4 times in 1m) -> loaders is "
      "held\n"
      "  loaders-1  restarting                                      next start "
      "in 1.5s; exited with 1 after 2s\n");
}

TEST(StackTable, CutsLinesAndColoursStates) {
  EXPECT_EQ(render_table(snapshot(), {.colour = true, .columns = 25}),
            "\x1b[2mNAME         STATE      …\x1b[0m\n"
            "db           \x1b[32mrunning\x1b[0m    …\n"
            "loaders/     \x1b[31mheld\x1b[0m       …\n"
            "  loaders-1  \x1b[31mrestarting\x1b[0m …\n");
}

TEST(StackTable, LeavesOutWhatIsWellIfNotAllFits) {
  EXPECT_EQ(render_table(snapshot(), {.columns = 23, .rows = 3}),
            "NAME      STATE  PID  …\n"
            "loaders/  held        …\n"
            "and 2 more\n");
}

TEST(StackJson, KeepsEverythingOnItsWay) {
  const StackSnapshot before = snapshot();
  const StackSnapshot after = snapshot_from_json(to_json(before));
  EXPECT_EQ(after.file, before.file);
  EXPECT_EQ(after.pid, before.pid);
  EXPECT_EQ(render_table(after, {}), render_table(before, {}));
  EXPECT_EQ(after.entries[1].log, "/log/db.log");
  EXPECT_EQ(after.entries[2].strategy, "one_for_one");
  EXPECT_EQ(to_json(after), to_json(before));
}

TEST(StackJson, HasStableNames) {
  EXPECT_EQ(to_json(snapshot())["services"][2].dump(),
            R"({"name":"loaders","kind":"group","state":"held","restarts":0,)"
            R"("next_start_s":12.0,"strategy":"one_for_one",)"
            R"("blame":"loaders/loaders-1 exited with 1 (4 times in 1m) -> )"
            R"(loaders is held",)"
            R"("budget":{"used":3,"intensity":3,"period_s":60.0}})");
}

}  // namespace
}  // namespace troupe::cli
