#include "what_if_view.hpp"

#include <troupe/workflow/load.hpp>
#include <troupe/workflow/services.hpp>

#include <gtest/gtest.h>
#include <string>

namespace troupe::cli {
namespace {

constexpr const char* stack =
    "services:\n"
    "  children:\n"
    "    migrate: {run: x, restart: transient}\n"
    "    api:\n"
    "      run: x\n"
    "      depends-on: {migrate: finished}\n"
    "    loaders:\n"
    "      strategy: rest_for_one\n"
    "      intensity: 2\n"
    "      period: 30s\n"
    "      backoff: {min: 100ms, factor: 2, jitter: 0}\n"
    "      children:\n"
    "        a: {run: x, ready: {http: 'http://localhost:${{ port.a }}/'}}\n"
    "        b: {run: x}\n"
    "        c: {run: x, restart: temporary}\n"
    "    cache:\n"
    "      restart: transient\n"
    "      children: {main: {run: x}}\n"
    "    slow:\n"
    "      on-give-up: hold\n"
    "      hold-for: 5m\n"
    "      children:\n"
    "        one: {run: x, backoff: {min: 1s, factor: 1, jitter: 0.5}}\n"
    "        two: {run: x, backoff: {min: 20s, factor: 1, jitter: 0}}\n";

service::WhatIf what_if(const char* text, const std::string& child) {
  const auto workflow = workflow::load_workflow("stack.yaml", text);
  EXPECT_TRUE(workflow) << workflow.error().what;
  const auto root = workflow::plan_services(
      **workflow, {.port_of = [](const auto&) -> Result<std::uint16_t> {
                     return std::uint16_t{1};
                   },
                   .read_file = [](const auto&) -> Result<std::string> {
                     return std::string{};
                   }});
  EXPECT_TRUE(root) << root.error().what;
  auto what = service::what_if_dies(*root, child);
  EXPECT_TRUE(what) << what.error().what;
  return *what;
}

TEST(DescribeWhatIf, GoesUpToTheRoot) {
  EXPECT_EQ(
      describe_what_if(what_if(stack, "loaders/a")),
      "If loaders/a crashes each time it has started:\n"
      "\n"
      "loaders (rest_for_one) is charged: 2 restarts in 30s; the 3rd gives up\n"
      "  waits 100ms before the 1st restart, 200ms before the 2nd\n"
      "  stops loaders/c, loaders/b\n"
      "  loses loaders/c (temporary: not started again)\n"
      "  starts loaders/a (until it is ready: http), loaders/b\n"
      "  at the 3rd crash, 300ms after the 1st: stops loaders/b, then ends\n"
      "\n"
      "the stack (one_for_one) is charged: 5 restarts in 1m; the 6th gives up\n"
      "  starts loaders/a (until it is ready: http), loaders/b, loaders/c\n"
      "  at the 6th time, 1.5s after the 1st: stops slow/two, slow/one, "
      "cache/main, api, then ends\n"
      "\n"
      "In all: loaders/a is started 18 times in 1.8s, then the stack ends.\n");
}

TEST(DescribeWhatIf, TellsOfAServiceBesideOthers) {
  EXPECT_EQ(
      describe_what_if(what_if(stack, "api")),
      "If api crashes each time it has started:\n"
      "\n"
      "the stack (one_for_one) is charged: 5 restarts in 1m; the 6th gives up\n"
      "  starts api\n"
      "  at the 6th crash: stops slow/two, slow/one, cache/main, loaders/c, "
      "loaders/b, loaders/a, then ends\n"
      "\n"
      "In all: api is started 6 times as fast as it dies, then the stack "
      "ends.\n");
}

TEST(DescribeWhatIf, TellsOfTemporaryServices) {
  EXPECT_EQ(describe_what_if(what_if(stack, "loaders/c")),
            "If loaders/c crashes each time it has started:\n"
            "\n"
            "loaders (rest_for_one) is not charged and does not restart "
            "loaders/c: it is temporary\n"
            "  goes on without loaders/c\n"
            "\n"
            "In all: loaders/c is started once, then loaders goes on without "
            "loaders/c.\n");
}

TEST(DescribeWhatIf, TellsWhenAGroupDoesNotComeBack) {
  EXPECT_EQ(
      describe_what_if(what_if(stack, "cache/main")),
      "If cache/main crashes each time it has started:\n"
      "\n"
      "cache (one_for_one) is charged: 5 restarts in 1m; the 6th gives up\n"
      "  starts cache/main\n"
      "  at the 6th crash: ends\n"
      "\n"
      "the stack (one_for_one) is not charged and does not restart cache: it "
      "is transient, and giving up is a clean end\n"
      "  goes on without cache\n"
      "\n"
      "In all: cache/main is started 6 times as fast as it dies, then the "
      "stack goes on without cache.\n");
}

TEST(DescribeWhatIf, TellsOfHolding) {
  EXPECT_EQ(
      describe_what_if(what_if(stack, "slow/one")),
      "If slow/one crashes each time it has started:\n"
      "\n"
      "slow (one_for_one) is charged: 5 restarts in 1m; the 6th holds it\n"
      "  waits 500ms to 1.5s\n"
      "  starts slow/one\n"
      "  at the 6th crash, 2.5s to 7.5s after the 1st: stops slow/two, then "
      "starts all again after 5m\n"
      "\n"
      "In all: slow/one is started 6 times in 2.5s to 7.5s, then slow is "
      "held.\n");
}

TEST(DescribeWhatIf, TellsWhenNothingEverGivesUp) {
  EXPECT_EQ(
      describe_what_if(what_if(stack, "slow/two")),
      "If slow/two crashes each time it has started:\n"
      "\n"
      "slow (one_for_one) is charged: 5 restarts in 1m\n"
      "  waits 20s\n"
      "  starts slow/two\n"
      "  never gives up: the 6th crash comes 1m40s after the 1st, which is "
      "more than 1m\n"
      "\n"
      "In all: slow/two is started again and again, and nothing gives up.\n");
}

TEST(DescribeWhatIf, TellsOfPreparations) {
  EXPECT_EQ(describe_what_if(what_if(stack, "migrate")),
            "If migrate fails at its first start:\n"
            "\n"
            "the stack (one_for_one) cannot be started without migrate:\n"
            "  ends\n"
            "\n"
            "In all: migrate is started once, then the stack ends.\n");
}

TEST(DescribeWhatIf, TellsOfGroups) {
  EXPECT_EQ(
      describe_what_if(what_if(stack, "loaders")),
      "If loaders gives up each time it has started:\n"
      "\n"
      "loaders stops loaders/c, loaders/b, loaders/a, then ends\n"
      "\n"
      "the stack (one_for_one) is charged: 5 restarts in 1m; the 6th gives up\n"
      "  starts loaders/a (until it is ready: http), loaders/b, loaders/c\n"
      "  at the 6th time: stops slow/two, slow/one, cache/main, api, then "
      "ends\n"
      "\n"
      "In all: loaders is started 6 times as fast as it dies, then the stack "
      "ends.\n");
}

TEST(DescribeWhatIf, TellsOfAutoShutdown) {
  EXPECT_EQ(describe_what_if(what_if(
                "services:\n"
                "  auto-shutdown: any\n"
                "  children:\n"
                "    a: {run: x}\n"
                "    b: {run: x, restart: temporary, significant: true}\n",
                "b")),
            "If b crashes each time it has started:\n"
            "\n"
            "the stack (one_for_one) is not charged and does not restart b: it "
            "is temporary\n"
            "  stops a, then ends, since b is significant (auto-shutdown)\n"
            "\n"
            "In all: b is started once, then the stack ends.\n");
}

TEST(DescribeWhatIf, CutsLongLists) {
  EXPECT_EQ(
      describe_what_if(what_if("services:\n"
                               "  on-give-up: stop\n"
                               "  intensity: 0\n"
                               "  children:\n"
                               "    a: {run: x}\n"
                               "    b: {template: {run: x}, replicas: 22}\n",
                               "a")),
      "If a crashes each time it has started:\n"
      "\n"
      "the stack (one_for_one) is charged: 0 restarts in 1m; the 1st stops it\n"
      "  at the 1st crash: stops b/b-22, b/b-21, b/b-20, b/b-19, b/b-18, "
      "b/b-17, b/b-16, b/b-15, b/b-14, b/b-13, b/b-12, b/b-11, b/b-10, b/b-9, "
      "b/b-8, b/b-7, b/b-6, b/b-5, b/b-4, b/b-3 and 2 more, then waits until "
      "somebody starts it\n"
      "\n"
      "In all: a is started once, then the stack is stopped.\n");
}

TEST(WhatIfJson, HasTheSame) {
  EXPECT_EQ(to_json(what_if(stack, "loaders/a")).dump(1),
            "{\n"
            " \"child\": \"loaders/a\",\n"
            " \"kind\": \"service\",\n"
            " \"groups\": [\n"
            "  {\n"
            "   \"group\": \"loaders\",\n"
            "   \"child\": \"loaders/a\",\n"
            "   \"strategy\": \"rest_for_one\",\n"
            "   \"charged\": true,\n"
            "   \"fate\": \"gives_up\",\n"
            "   \"budget\": {\n"
            "    \"intensity\": 2,\n"
            "    \"period_seconds\": 30.0\n"
            "   },\n"
            "   \"certain\": true,\n"
            "   \"span_seconds\": {\n"
            "    \"shortest\": 0.3,\n"
            "    \"longest\": 0.3\n"
            "   },\n"
            "   \"restart\": {\n"
            "    \"first_wait_seconds\": {\n"
            "     \"shortest\": 0.1,\n"
            "     \"longest\": 0.1\n"
            "    },\n"
            "    \"last_wait_seconds\": {\n"
            "     \"shortest\": 0.2,\n"
            "     \"longest\": 0.2\n"
            "    },\n"
            "    \"stops\": [\n"
            "     \"loaders/c\",\n"
            "     \"loaders/b\"\n"
            "    ],\n"
            "    \"loses\": [\n"
            "     \"loaders/c\"\n"
            "    ],\n"
            "    \"starts\": [\n"
            "     {\n"
            "      \"service\": \"loaders/a\",\n"
            "      \"until\": \"ready\",\n"
            "      \"probe\": \"http\"\n"
            "     },\n"
            "     {\n"
            "      \"service\": \"loaders/b\",\n"
            "      \"until\": \"started\"\n"
            "     }\n"
            "    ]\n"
            "   },\n"
            "   \"stops_at_end\": [\n"
            "    \"loaders/b\"\n"
            "   ]\n"
            "  },\n"
            "  {\n"
            "   \"group\": \"\",\n"
            "   \"child\": \"loaders\",\n"
            "   \"strategy\": \"one_for_one\",\n"
            "   \"charged\": true,\n"
            "   \"fate\": \"gives_up\",\n"
            "   \"budget\": {\n"
            "    \"intensity\": 5,\n"
            "    \"period_seconds\": 60.0\n"
            "   },\n"
            "   \"certain\": true,\n"
            "   \"span_seconds\": {\n"
            "    \"shortest\": 1.5,\n"
            "    \"longest\": 1.5\n"
            "   },\n"
            "   \"restart\": {\n"
            "    \"first_wait_seconds\": {\n"
            "     \"shortest\": 0.0,\n"
            "     \"longest\": 0.0\n"
            "    },\n"
            "    \"last_wait_seconds\": {\n"
            "     \"shortest\": 0.0,\n"
            "     \"longest\": 0.0\n"
            "    },\n"
            "    \"stops\": [],\n"
            "    \"loses\": [],\n"
            "    \"starts\": [\n"
            "     {\n"
            "      \"service\": \"loaders/a\",\n"
            "      \"until\": \"ready\",\n"
            "      \"probe\": \"http\"\n"
            "     },\n"
            "     {\n"
            "      \"service\": \"loaders/b\",\n"
            "      \"until\": \"started\"\n"
            "     },\n"
            "     {\n"
            "      \"service\": \"loaders/c\",\n"
            "      \"until\": \"started\"\n"
            "     }\n"
            "    ]\n"
            "   },\n"
            "   \"stops_at_end\": [\n"
            "    \"slow/two\",\n"
            "    \"slow/one\",\n"
            "    \"cache/main\",\n"
            "    \"api\"\n"
            "   ]\n"
            "  }\n"
            " ],\n"
            " \"starts\": 18,\n"
            " \"span_seconds\": {\n"
            "  \"shortest\": 1.8,\n"
            "  \"longest\": 1.8\n"
            " },\n"
            " \"ends_stack\": true\n"
            "}");
}

}  // namespace
}  // namespace troupe::cli
