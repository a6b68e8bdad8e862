#include "keep_core.hpp"

#include <gtest/gtest.h>

namespace troupe::process {
namespace {

using Kind = KeepCore::Action::Kind;
using Actions = KeepCore::Actions;
using State = KeepCore::State;

constexpr Duration patience = 10s;

TimePoint at(Duration since_start) { return TimePoint{} + since_start; }

KeepCore leaving_core() {
  KeepCore core{patience};
  (void)core.on_begin(at(0s));
  (void)core.on_timer(at(patience));
  return core;
}

TEST(KeepCore, WaitsForItsFirstRunnerAsForAnyOther) {
  KeepCore core{patience};
  EXPECT_EQ(core.on_begin(at(1s)),
            (Actions{{.kind = Kind::set_timer, .at = at(11s)}}));
  EXPECT_EQ(core.on_timer(at(11s)), (Actions{{.kind = Kind::stop_all}}));
  EXPECT_EQ(core.state(), State::leaving);
}

TEST(KeepCore, PatienceBeginsAnewWithEachLoss) {
  KeepCore core{patience};
  (void)core.on_begin(at(0s));
  EXPECT_EQ(core.on_connected(), Actions{});
  EXPECT_EQ(core.on_timer(at(10s)), Actions{});
  EXPECT_EQ(core.on_alone(at(20s)),
            (Actions{{.kind = Kind::set_timer, .at = at(30s)}}));
  EXPECT_EQ(core.on_timer(at(29s)),
            (Actions{{.kind = Kind::set_timer, .at = at(30s)}}));
  EXPECT_EQ(core.on_timer(at(30s)), (Actions{{.kind = Kind::stop_all}}));
}

TEST(KeepCore, ARunnerThatComesWhileItLeavesMakesItStay) {
  KeepCore core = leaving_core();
  EXPECT_EQ(core.on_connected(), Actions{});
  EXPECT_EQ(core.on_empty(), Actions{});
  EXPECT_EQ(core.state(), State::attended);
}

TEST(KeepCore, LeavesWhenTheLastCommandHasEnded) {
  KeepCore core = leaving_core();
  EXPECT_EQ(core.on_empty(),
            (Actions{{.kind = Kind::refuse}, {.kind = Kind::exit}}));
  EXPECT_EQ(core.on_empty(), Actions{});
  EXPECT_EQ(core.on_connected(), Actions{});
  EXPECT_EQ(core.state(), State::ended);
}

TEST(KeepCore, ToldToEndItDoesNotComeBack) {
  KeepCore core{patience};
  (void)core.on_begin(at(0s));
  (void)core.on_connected();
  EXPECT_EQ(core.on_told_to_end(),
            (Actions{{.kind = Kind::refuse}, {.kind = Kind::stop_all}}));
  EXPECT_EQ(core.on_told_to_end(), Actions{});
  EXPECT_EQ(core.on_alone(at(1s)), Actions{});
  EXPECT_EQ(core.on_connected(), Actions{});
  EXPECT_EQ(core.on_empty(), (Actions{{.kind = Kind::exit}}));
}

TEST(KeepCore, StaysAsLongAsItIsAttended) {
  KeepCore core{patience};
  (void)core.on_begin(at(0s));
  (void)core.on_connected();
  EXPECT_EQ(core.on_empty(), Actions{});
  EXPECT_EQ(core.on_timer(at(1h)), Actions{});
}

}  // namespace
}  // namespace troupe::process
