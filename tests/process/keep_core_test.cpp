#include "keep_core.hpp"

#include <gtest/gtest.h>

namespace troupe::process {
namespace {

using KeepKind = KeepCore::Action::Kind;
using KeepActions = KeepCore::Actions;
using KeepState = KeepCore::State;

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
            (KeepActions{{.kind = KeepKind::set_timer, .at = at(11s)}}));
  EXPECT_EQ(core.on_timer(at(11s)),
            (KeepActions{{.kind = KeepKind::stop_all}}));
  EXPECT_EQ(core.state(), KeepState::leaving);
}

TEST(KeepCore, PatienceBeginsAnewWithEachLoss) {
  KeepCore core{patience};
  (void)core.on_begin(at(0s));
  EXPECT_EQ(core.on_connected(), KeepActions{});
  EXPECT_EQ(core.on_timer(at(10s)), KeepActions{});
  EXPECT_EQ(core.on_alone(at(20s)),
            (KeepActions{{.kind = KeepKind::set_timer, .at = at(30s)}}));
  EXPECT_EQ(core.on_timer(at(29s)),
            (KeepActions{{.kind = KeepKind::set_timer, .at = at(30s)}}));
  EXPECT_EQ(core.on_timer(at(30s)),
            (KeepActions{{.kind = KeepKind::stop_all}}));
}

TEST(KeepCore, ARunnerThatComesWhileItLeavesMakesItStay) {
  KeepCore core = leaving_core();
  EXPECT_EQ(core.on_connected(), KeepActions{});
  EXPECT_EQ(core.on_empty(), KeepActions{});
  EXPECT_EQ(core.state(), KeepState::attended);
}

TEST(KeepCore, LeavesWhenTheLastCommandHasEnded) {
  KeepCore core = leaving_core();
  EXPECT_EQ(core.on_empty(), (KeepActions{{.kind = KeepKind::refuse},
                                          {.kind = KeepKind::exit}}));
  EXPECT_EQ(core.on_empty(), KeepActions{});
  EXPECT_EQ(core.on_connected(), KeepActions{});
  EXPECT_EQ(core.state(), KeepState::ended);
}

TEST(KeepCore, ToldToEndItDoesNotComeBack) {
  KeepCore core{patience};
  (void)core.on_begin(at(0s));
  (void)core.on_connected();
  EXPECT_EQ(core.on_told_to_end(), (KeepActions{{.kind = KeepKind::refuse},
                                                {.kind = KeepKind::stop_all}}));
  EXPECT_EQ(core.on_told_to_end(), KeepActions{});
  EXPECT_EQ(core.on_alone(at(1s)), KeepActions{});
  EXPECT_EQ(core.on_connected(), KeepActions{});
  EXPECT_EQ(core.on_empty(), (KeepActions{{.kind = KeepKind::exit}}));
}

TEST(KeepCore, StaysAsLongAsItIsAttended) {
  KeepCore core{patience};
  (void)core.on_begin(at(0s));
  (void)core.on_connected();
  EXPECT_EQ(core.on_empty(), KeepActions{});
  EXPECT_EQ(core.on_timer(at(1h)), KeepActions{});
}

}  // namespace
}  // namespace troupe::process
