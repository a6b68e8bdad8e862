#include "trigger_files.hpp"

#include "temp_dir.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TriggerFiles : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream{path(name)} << text;
  }
  [[nodiscard]] std::string path(const std::string& name) const {
    return folder.path(name);
  }

  testing::TempDir folder;
};

TEST_F(TriggerFiles, AreListedInOrder) {
  for (const char* const name : {"b.yaml", "a.yml", ".c.yaml", "d.txt"})
    write(name, "");
  EXPECT_THAT(*list_workflow_files(folder.path()),
              ElementsAre(path("a.yml"), path("b.yaml")));
  EXPECT_THAT(*list_workflow_files(path("none")), IsEmpty());
}

TEST_F(TriggerFiles, AreRefusedIfAnybodyCanChangeThem) {
  write("a.yaml", "x");
  EXPECT_EQ(*read_workflow_file(path("a.yaml")), "x");
  std::filesystem::permissions(path("a.yaml"), std::filesystem::perms{0666});
  const auto text = read_workflow_file(path("a.yaml"));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().what, path("a.yaml") +
                                   ": others than the user of the node can "
                                   "change it; chown or chmod it");
}

TEST_F(TriggerFiles, KeepStatesAsTheyAre) {
  const WallTime time{std::chrono::milliseconds{1'700'000'000'123}};
  const TriggerStates states{{{"/a.yaml", "schedule @daily"},
                              {.handled = time,
                               .pending = {{time, {}}, {time + 1s, {"x", "y"}}},
                               .last_run = store::RunId{7},
                               .last_fire = time - 1h}},
                             {{"/b.yaml", "watch"}, {.handled = time}}};
  EXPECT_THAT(*read_trigger_states(path("t.json")), IsEmpty());
  ASSERT_TRUE(write_trigger_states(path("t.json"), states));
  ASSERT_TRUE(write_trigger_states(path("t.json"), states));
  EXPECT_EQ(*read_trigger_states(path("t.json")), states);
}

TEST_F(TriggerFiles, SayThatAFileCannotBeRead) {
  write("t.json", "{");
  const auto states = read_trigger_states(path("t.json"));
  ASSERT_FALSE(states);
  EXPECT_EQ(states.error().code, Errc::corrupt);
  EXPECT_THAT(states.error().what, HasSubstr("t.json cannot be read"));
}

}  // namespace
}  // namespace troupe::node
