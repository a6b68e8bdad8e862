#include "audit_log.hpp"

#include "temp_dir.hpp"

#include <troupe/node/audit.hpp>

#include <atomic>
#include <filesystem>
#include <future>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace troupe::node {
namespace {

class AuditLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<AuditLog> open(AuditLimits limits = {}) {
    auto opened = AuditLog::open(dir.path(), limits);
    EXPECT_TRUE(opened) << opened.error().what;
    return opened ? std::move(*opened) : nullptr;
  }

  static AuditEntry entry(std::string what = "POST /v1/jobs") {
    return {.at = WallTime{}, .by = "node", .what = std::move(what)};
  }

  /// Lines in all, each one written when the next is added.
  static void add(AuditLog& log, int count) {
    for (int i = 0; i < count; ++i) {
      std::promise<void> written;
      log.add(entry(), [&] { written.set_value(); });
      written.get_future().wait();
    }
  }

  [[nodiscard]] Result<AuditReport> verify(
      const std::optional<std::string>& head = std::nullopt) const {
    return verify_audit(dir.path(), head);
  }
  [[nodiscard]] std::string text() const { return dir.read("audit.log"); }

  testing::TempDir dir;
};

TEST_F(AuditLogTest, ALineIsInTheFileBeforeAnythingElseHappens) {
  const auto log = open();
  std::promise<std::string> seen;
  log->add(entry("PUT /v1/groups/x"), [&] { seen.set_value(text()); });
  EXPECT_NE(seen.get_future().get().find("PUT /v1/groups/x"),
            std::string::npos);
  struct stat info {};
  ASSERT_EQ(::stat(dir.path("audit.log").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(AuditLogTest, WhatComesAfterALineIsCalledWhenThatWasTold) {
  const auto log = open();
  std::string order;
  std::promise<void> all;
  log->add(entry(), [&] { order += "written "; });
  log->after([&] {
    order += "after";
    all.set_value();
  });
  all.get_future().wait();
  EXPECT_EQ(order, "written after");
  log->close();
  bool is_called = false;
  log->after([&] { is_called = true; });
  EXPECT_TRUE(is_called);
}

TEST_F(AuditLogTest, TheNextNodeGoesOnWithTheChain) {
  add(*open(), 3);
  const std::string head = verify().value().head;
  add(*open(), 2);
  const AuditReport report = verify(head).value();
  EXPECT_EQ(report.first, 1U);
  EXPECT_EQ(report.last, 5U);
  EXPECT_NE(report.head, head);
}

TEST_F(AuditLogTest, WhatThePowerCutOffIsNoLine) {
  add(*open(), 2);
  dir.write("audit.log", text() + R"({"number":3,"be)");
  EXPECT_EQ(verify().value().last, 2U) << "it may be just being written";
  add(*open(), 1);
  EXPECT_EQ(verify().value().last, 3U);
}

TEST_F(AuditLogTest, AChangedLineIsFound) {
  add(*open(), 3);
  std::string changed = text();
  changed.replace(changed.find("POST"), 4, "EVIL");
  dir.write("audit.log", changed);
  EXPECT_EQ(
      verify().error(),
      (Error{Errc::corrupt,
             dir.path() + "/audit.log"
                          ":2: line 2 does not follow: the one before it was "
                          "changed, or it was put in"}));
}

TEST_F(AuditLogTest, LastLinesThatWereTakenAwayAreMissedByTheirHead) {
  add(*open(), 2);
  const std::string before = text();
  add(*open(), 2);
  const std::string head = verify().value().head;
  dir.write("audit.log", before);
  EXPECT_TRUE(verify());
  EXPECT_EQ(verify(head).error().code, Errc::corrupt);
  ::unlink(dir.path("audit.log").c_str());
  add(*open(), 4);
  EXPECT_TRUE(verify());
  dir.write("audit.log", "");
  EXPECT_EQ(verify(head).error().code, Errc::corrupt);
}

TEST_F(AuditLogTest, ItIsBoundedAndTheChainGoesFromFileToFile) {
  const AuditLimits limits{.file_bytes = 1000, .files = 3};
  add(*open(limits), 5);
  add(*open(limits), 40);
  const AuditReport report = verify().value();
  EXPECT_EQ(report.last, 45U);
  EXPECT_GT(report.first, 25U);
  EXPECT_LT(report.first, 45U);
  std::uint64_t bytes = 0;
  std::size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator{dir.path()}) {
    bytes += file.file_size();
    ++files;
  }
  EXPECT_EQ(files, 3U);
  EXPECT_LT(bytes, 3 * 1500U);
  // A file that is missing in between is seen.
  ::rename(dir.path("audit.log.2").c_str(), dir.path("audit.log.1").c_str());
  EXPECT_EQ(verify().error().code, Errc::corrupt);
}

TEST_F(AuditLogTest, AFileThatWasJustBegunFollowsTheOneBefore) {
  add(*open(), 2);
  std::filesystem::rename(dir.path("audit.log"), dir.path("audit.log.1"));
  add(*open(), 1);
  EXPECT_EQ(verify().value().last, 3U);
}

TEST_F(AuditLogTest, WhatCannotBeWrittenIsCountedAndHoldsNobodyUp) {
  const auto log = open({.most_waiting = 0});
  std::atomic<int> told{0};
  log->add(entry(), [&] { ++told; });
  log->add(entry(), [&] { ++told; });
  EXPECT_EQ(told, 2);
  EXPECT_EQ(text(), "");
  log->close();
  log->add(entry(), [&] { ++told; });
  EXPECT_EQ(told, 3);
}

TEST_F(AuditLogTest, TheNextLineSaysHowManyWereMissed) {
  const auto log = open({.most_waiting = 1});
  std::promise<void> written;
  // While the thread is here, nothing is written.
  log->add(entry("first"), [&] {
    log->add(entry("second"), [&] { written.set_value(); });
    log->add(entry("third"));
    log->add(entry("fourth"));
  });
  written.get_future().wait();
  EXPECT_NE(text().find(R"("missed":2)"), std::string::npos) << text();
  EXPECT_EQ(text().find("third"), std::string::npos);
  EXPECT_EQ(verify().value().last, 2U);
}

TEST_F(AuditLogTest, AFullDiskHoldsNobodyUp) {
  if (::access("/dev/full", W_OK) != 0)
    GTEST_SKIP() << "there is no /dev/full here";
  ASSERT_EQ(::symlink("/dev/full", dir.path("audit.log").c_str()), 0);
  add(*open(), 3);
}

TEST_F(AuditLogTest, ManyThreadsMakeOneChain) {
  const auto log = open();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] { add(*log, 200); });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(verify().value().last, 800U);
}

TEST_F(AuditLogTest, ItIsVerifiedWhileItIsWrittenAndRotated) {
  const auto log = open({.file_bytes = 2000, .files = 4});
  add(*log, 1);
  std::atomic<bool> is_over{false};
  std::thread writer{[&] {
    while (!is_over)
      add(*log, 1);
  }};
  for (int i = 0; i < 200; ++i) {
    const auto report = verify();
    EXPECT_TRUE(report) << report.error().what;
  }
  is_over = true;
  writer.join();
}

TEST_F(AuditLogTest, AForeignFileIsNotGoneOnWith) {
  dir.write("audit.log", "my notes\n");
  const auto opened = AuditLog::open(dir.path());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::corrupt);
  EXPECT_EQ(text(), "my notes\n");
}

TEST_F(AuditLogTest, WithoutALogThereIsNothingToVerify) {
  EXPECT_EQ(verify().error().code, Errc::not_found);
}

}  // namespace
}  // namespace troupe::node
