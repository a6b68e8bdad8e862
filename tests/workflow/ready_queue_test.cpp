#include "ready_queue.hpp"

#include <troupe/workflow/load.hpp>

#include <gtest/gtest.h>
#include <vector>

namespace troupe::workflow {
namespace {

using Times = std::vector<Duration>;

TEST(ReadyQueue, PrefersPriorityThenTheLongestPathThenThePlaceInTheFile) {
  ReadyQueue queue{{{Priority::normal, 1s},
                    {Priority::normal, 5s},
                    {Priority::low, 9s},
                    {Priority::critical, 0s},
                    {Priority::normal, 5s}}};
  for (const std::size_t job : {0U, 1U, 2U, 3U, 4U})
    queue.add(job, 10 + job);
  std::vector<std::size_t> order;
  while (const auto next = queue.best()) {
    order.push_back(*next);
    queue.remove(*next - 10, *next);
  }
  EXPECT_EQ(order, (std::vector<std::size_t>{13, 11, 14, 10, 12}));
}

TEST(ReadyQueue, PassesOverJobsThatMayNotStart) {
  ReadyQueue queue{{{Priority::high, 0s}, {Priority::low, 0s}}};
  queue.add(0, 1);
  queue.add(0, 2);
  queue.add(1, 3);
  queue.set_open(0, false);
  EXPECT_EQ(queue.best(), 3U);
  queue.remove(1, 3);
  EXPECT_EQ(queue.best(), std::nullopt);
  queue.set_open(0, true);
  EXPECT_EQ(queue.best(), 1U);
  queue.remove(0, 1);
  EXPECT_EQ(queue.best(), 2U);
}

TEST(ReadyQueue, LetsTheNextKindGoWhereTheBestDoesNotFit) {
  ReadyQueue queue{{{Priority::high, 0s, 1},
                    {Priority::normal, 0s, 2},
                    {Priority::low, 0s, 0}}};
  for (const std::size_t job : {0U, 1U, 2U})
    queue.add(job, job);
  queue.set_kind_open(1, false);
  EXPECT_EQ(queue.best(), 1U);
  queue.set_kind_open(2, false);
  EXPECT_EQ(queue.best(), 2U);
  queue.set_kind_open(0, false);
  EXPECT_EQ(queue.best(), std::nullopt);
  queue.set_kind_open(1, true);
  EXPECT_EQ(queue.best(), 0U);
}

TEST(ReadyQueue, MeasuresTheLongestPathToTheEnd) {
  const auto workflow = load_workflow("f.yaml",
                                      "jobs:\n"
                                      "  end: {run: x, needs: [b, c]}\n"
                                      "  a: {run: x}\n"
                                      "  b: {run: x, needs: a}\n"
                                      "  c: {run: x, needs: a}\n"
                                      "  d: {run: x}\n");
  ASSERT_TRUE(workflow);
  EXPECT_EQ(longest_paths(**workflow, {1s, 2s, 3s, 9s, 5s}),
            (Times{1s, 12s, 4s, 10s, 5s}));
}

}  // namespace
}  // namespace troupe::workflow
