#include <troupe/queue/labels.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::queue {
namespace {

using flow_control::Resources;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Resources amounts(const char* text) { return *Resources::parse(text); }

TEST(Labels, AreWordsThatResourcesCanBeNamedBy) {
  for (const char* const good : {"gpu", "zone-2", "A_1"})
    EXPECT_TRUE(check_label(good)) << good;
  EXPECT_TRUE(check_label(std::string(29, 'x')));
  for (const char* const bad : {"", "a b", "a=1", "a,b", "\xc3\xa9"})
    EXPECT_EQ(check_label(bad).error().code, Errc::invalid_argument) << bad;
  EXPECT_FALSE(check_label(std::string(30, 'x')));
  EXPECT_EQ(check_label("a b").error().what,
            "expected a label of up to 29 letters, digits, _ and -, such as "
            "gpu or zone-2, got \"a b\"");
}

TEST(Labels, AreFoundByAsManyTasksAsThereCanBe) {
  const auto node = have_labels(amounts("cpu=2"), {"gpu", "ssd"});
  const auto task = want_labels(amounts("cpu=0.5"), {"ssd"});
  EXPECT_EQ(node.lacks(task), std::nullopt);
  EXPECT_EQ(node.times(want_labels({}, {"gpu"})), 1'000'000'000'000U);
  EXPECT_EQ(node.lacks(want_labels({}, {"gpu", "tpu"})), "on-tpu");
  EXPECT_EQ(amounts("cpu=2").lacks(task), "on-ssd");
}

TEST(Labels, AreToldFromResources) {
  const auto split = split_labels(want_labels(amounts("cpu=2"), {"b", "a"}));
  EXPECT_THAT(split.labels, ElementsAre("a", "b"));
  EXPECT_EQ(split.rest, amounts("cpu=2"));
  EXPECT_THAT(split_labels(amounts("cpu=2,one=1")).labels, IsEmpty());
  EXPECT_EQ(label_in("on-gpu"), "gpu");
  EXPECT_EQ(label_in("gpu"), std::nullopt);
}

TEST(Labels, SurviveBeingWrittenDown) {
  const auto task = want_labels(amounts("mem=1GiB"), {"gpu"});
  EXPECT_EQ(task.text(), "mem=1073741824,on-gpu=0.001");
  EXPECT_EQ(amounts(task.text().c_str()), task);
  const auto node = have_labels({}, {"gpu"});
  EXPECT_EQ(amounts(node.text().c_str()), node);
}

TEST(AtHome, WhatGoesOnIsToldFromWhatBegins) {
  EXPECT_EQ(at_home("cpu=2", "node-a", false), "cpu=2,node-a=1");
  EXPECT_EQ(at_home("", "node-a", true), "node-a=0.001");
  EXPECT_TRUE(goes_on_at("cpu=2,node-a=0.001", "node-a"));
  EXPECT_FALSE(goes_on_at("cpu=2,node-a=1", "node-a"));
  EXPECT_FALSE(goes_on_at("cpu=2,node-b=0.001", "node-a"));
  EXPECT_FALSE(goes_on_at("", ""));
}

}  // namespace
}  // namespace troupe::queue
