#include <troupe/workflow/load.hpp>
#include <troupe/workflow/services.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <rapidcheck.h>
#include <string>
#include <vector>

namespace troupe::workflow {
namespace {

using service::GroupNode;
using service::ServiceSpec;
using supervisor::AutoShutdown;
using supervisor::OnGiveUp;
using supervisor::Restart;
using supervisor::Strategy;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Pair;

std::string service_errors(std::string text) {
  const auto workflow = load_workflow("s.yaml", std::move(text));
  return workflow ? "none" : workflow.error().what;
}

std::string first_error_of(std::string text) {
  const std::string errors = service_errors(std::move(text));
  return errors.substr(0, errors.find('\n'));
}

/// Ports count up from 5000; files are those of the map.
Result<GroupNode> plan(const std::string& text,
                       std::map<std::string, std::string> files = {}) {
  const auto workflow = load_workflow("s.yaml", text);
  if (!workflow)
    return tl::unexpected{workflow.error()};
  std::map<std::string, std::uint16_t> ports;
  return plan_services(
      **workflow,
      {.port_of = [&](const std::string& name) -> Result<std::uint16_t> {
         return ports
             .emplace(name, static_cast<std::uint16_t>(5000 + ports.size()))
             .first->second;
       },
       .read_file = [&](const std::string& path) -> Result<std::string> {
         if (const auto file = files.find(path); file != files.end())
           return file->second;
         return failure(Errc::not_found, "cannot read " + path);
       }});
}

const ServiceSpec& spec(const GroupNode& group, std::size_t index) {
  return *std::get<service::ServiceNode>(group.children.at(index).what).spec;
}

std::vector<std::string> ids(const GroupNode& group) {
  std::vector<std::string> out;
  for (const auto& child : group.children)
    out.push_back(child.id);
  return out;
}

TEST(Services, TakeTheSmallestFile) {
  const auto root =
      plan("services: { children: { web: { run: ./web -p 1 } } }");
  ASSERT_TRUE(root) << root.error().what;
  EXPECT_EQ(root->strategy, Strategy::one_for_one);
  EXPECT_EQ(root->intensity, 5);
  EXPECT_EQ(root->period, 60s);
  ASSERT_THAT(ids(*root), ElementsAre("web"));
  EXPECT_EQ(root->children[0].restart, Restart::permanent);
  const ServiceSpec& web = spec(*root, 0);
  EXPECT_EQ(web.name, "web");
  EXPECT_THAT(web.command->argv, ElementsAre("./web", "-p", "1"));
  EXPECT_FALSE(web.ready);
  EXPECT_EQ(web.stop_signal, SIGTERM);
  EXPECT_EQ(web.stop_limit, 5s);
}

TEST(Services, ReadEverythingOfASupervisor) {
  const auto root = plan(
      "services:\n"
      "  strategy: rest_for_one\n"
      "  intensity: 0\n"
      "  period: 10s\n"
      "  on-give-up: hold\n"
      "  hold_for: 30s\n"
      "  auto-shutdown: any\n"
      "  backoff: {min: 1s, max: 2s, factor: 3, jitter: 0, reset-after: 5s}\n"
      "  children:\n"
      "    a: {run: x, restart: on-failure, significant: true}\n"
      "    b: {run: x, restart: no, backoff: {min: 4s, max: 4s}}\n");
  ASSERT_TRUE(root) << root.error().what;
  EXPECT_EQ(root->strategy, Strategy::rest_for_one);
  EXPECT_EQ(root->intensity, 0);
  EXPECT_EQ(root->period, 10s);
  EXPECT_EQ(root->on_give_up, OnGiveUp::hold);
  EXPECT_EQ(root->hold_for, 30s);
  EXPECT_EQ(root->auto_shutdown, AutoShutdown::any_significant);
  EXPECT_EQ(root->children[0].restart, Restart::transient);
  EXPECT_TRUE(root->children[0].significant);
  EXPECT_EQ(root->children[0].backoff->factor, 3);
  EXPECT_EQ(root->children[1].restart, Restart::temporary);
  EXPECT_EQ(root->children[1].backoff->min, 4s);
}

TEST(Services, ReadEverythingOfAService) {
  const auto root = plan(
      "services:\n"
      "  children:\n"
      "    a:\n"
      "      run: x\n"
      "      ready: {log: up, timeout: 3s, delay: 1s, period: 2s}\n"
      "      live: {tcp: \"[::1]:80\", timeout: 4s, failures: 7}\n"
      "      watchdog: 9s\n"
      "      shutdown: {signal: int, timeout: 30s}\n"
      "      success-exit-codes: [0, 130]\n"
      "      limits: {memory: 1GiB, cpu: 150%, tasks: 9, files: 7,\n"
      "        processes: 8, file-size: 2KiB}\n"
      "      log: {size: 8KiB, count: 0}\n"
      "      watch: {paths: [bin/a, b], exclude: ['*.tmp'], debounce: 1s}\n");
  ASSERT_TRUE(root) << root.error().what;
  const ServiceSpec& a = spec(*root, 0);
  EXPECT_EQ(std::get<service::LogCheck>(a.ready->check).text, "up");
  EXPECT_EQ(a.ready->limit, 3s);
  EXPECT_EQ(a.ready->delay, 1s);
  EXPECT_EQ(a.ready->period, 2s);
  EXPECT_EQ(std::get<service::TcpCheck>(a.live->check),
            (service::TcpCheck{"::1", 80}));
  EXPECT_EQ(a.live->limit, 4s);
  EXPECT_EQ(a.live->failures, 7U);
  EXPECT_EQ(a.watchdog, 9s);
  EXPECT_EQ(a.stop_signal, SIGINT);
  EXPECT_EQ(a.stop_limit, 30s);
  EXPECT_THAT(a.success_exit_codes, ElementsAre(0, 130));
  EXPECT_EQ(a.command->tree_limits.memory_bytes, 1ULL << 30);
  EXPECT_EQ(a.command->tree_limits.cpu_percent, 150U);
  EXPECT_EQ(a.command->tree_limits.tasks, 9U);
  const auto& node = std::get<service::ServiceNode>(root->children[0].what);
  EXPECT_EQ(node.log, (service::LogLimits{8192, 0}));
  EXPECT_THAT(node.watch->paths, ElementsAre("bin/a", "b"));
  EXPECT_THAT(node.watch->exclude, ElementsAre("*.tmp"));
  EXPECT_EQ(node.watch->debounce, 1s);
}

TEST(Services, StandBehindThoseTheyDependOnAndElseAsInTheFile) {
  const auto root = plan(
      "services:\n"
      "  children:\n"
      "    web: {run: x, depends-on: {db: ready, prepare: finished}}\n"
      "    other: {run: x}\n"
      "    group:\n"
      "      children:\n"
      "        inner: {run: x, depends-on: [web, first]}\n"
      "        first: {run: x, depends-on: other}\n"
      "    prepare: {run: x, restart: transient, depends-on: db}\n"
      "    db: {run: x}\n");
  ASSERT_TRUE(root) << root.error().what;
  EXPECT_THAT(ids(*root),
              ElementsAre("other", "db", "prepare", "web", "group"));
  EXPECT_TRUE(spec(*root, 2).is_preparation);
  const auto& group = std::get<GroupNode>(root->children[4].what);
  EXPECT_EQ(group.name, "group");
  EXPECT_THAT(ids(group), ElementsAre("first", "inner"));
  EXPECT_EQ(spec(group, 1).name, "group/inner");
}

TEST(Services, MakeCopiesOfATemplate) {
  const auto root = plan(
      "services:\n"
      "  children:\n"
      "    w:\n"
      "      template: {run: x, restart: transient, backoff: {min: 1s}}\n"
      "      replicas: {min: 2, max: 3}\n");
  ASSERT_TRUE(root) << root.error().what;
  const auto& group = std::get<GroupNode>(root->children[0].what);
  EXPECT_EQ(group.replicas, 2U);
  EXPECT_THAT(ids(group), ElementsAre("w-1", "w-2", "w-3"));
  EXPECT_EQ(group.children[2].restart, Restart::transient);
  EXPECT_EQ(group.children[2].backoff->min, 1s);
  EXPECT_THAT(spec(group, 1).command->env,
              Contains(Pair("TROUPE_REPLICA", "2")));
}

TEST(Services, PutValuesInQuotedAndPortsTheSameForTheSameName) {
  const auto root = plan(
      "env: {NAME: some-one}\n"
      "services:\n"
      "  env: {OUTER: 1}\n"
      "  children:\n"
      "    a:\n"
      "      run: serve ${{ env.NAME }} ${{ port.b }} ${{ port.a }}\n"
      "      env: {URL: \"http://localhost:${{ port.a }}\"}\n"
      "      ready: {http: \"${{ env.URL }}/ok?x=1\"}\n"
      "    b: {run: \"x ${{ port.a }} | y\", ready: {exec: \"check ${{ "
      "port.b }}\"}}\n");
  ASSERT_TRUE(root) << root.error().what;
  const ServiceSpec& a = spec(*root, 0);
  EXPECT_THAT(a.command->argv,
              ElementsAre("serve", "some-one", "5000", "5001"));
  EXPECT_EQ(std::get<service::HttpCheck>(a.ready->check),
            (service::HttpCheck{"localhost", 5001, "/ok?x=1"}));
  EXPECT_THAT(a.command->env, Contains(Pair("OUTER", "1")));
  EXPECT_THAT(a.command->env, Contains(Pair("URL", "http://localhost:5001")));
  EXPECT_THAT(a.command->env, Contains(Pair("TROUPE_SERVICE", "a")));
  const ServiceSpec& b = spec(*root, 1);
  EXPECT_EQ(b.command->argv.back(), "x 5001 | y");
  EXPECT_EQ(std::get<service::ExecCheck>(b.ready->check).line, "check 5000");
}

TEST(Services, TakeVariablesFromFilesAndLetEnvWin) {
  const auto root = plan(
      "dotenv: .env\n"
      "services:\n"
      "  children:\n"
      "    a: {run: x, dotenv: [a.env], env: {C: own}}\n",
      {{".env", "A=1\nB=2\n"}, {"a.env", "B=3\nC=4\n"}});
  ASSERT_TRUE(root) << root.error().what;
  std::map<std::string, std::string> env;
  for (const auto& [name, value] : spec(*root, 0).command->env)
    env[name] = value;  // A later one wins.
  EXPECT_EQ(env["A"], "1");
  EXPECT_EQ(env["B"], "3");
  EXPECT_EQ(env["C"], "own");
}

TEST(Services, SayWhatIsWrongWithWhatTheyAreGiven) {
  EXPECT_EQ(
      plan("services: {children: {a: {run: x, dotenv: no.env}}}").error().what,
      "service a: dotenv: cannot read no.env");
  EXPECT_EQ(plan("services: {children: {a: {run: x, dotenv: e}}}",
                 {{"e", "A=1\n=\n"}})
                .error()
                .what,
            "service a: e:2:1: expected NAME=value\n=\n^");
  EXPECT_EQ(plan("services: {env: {X: localhost}, children: {a: {run: x, "
                 "ready: {http: \"${{ env.X }}\"}}}}")
                .error()
                .what,
            "service a: ready: expected a URL such as "
            "http://127.0.0.1:8080/healthz, got \"localhost\"");
  EXPECT_EQ(plan("services: {env: {X: \"host:0\"}, children: {a: {run: x, "
                 "live: {tcp: \"${{ env.X }}\"}}}}")
                .error()
                .what,
            "service a: live: expected HOST:PORT, got \"host:0\"");
  EXPECT_EQ(plan("jobs: {a: {run: x}}").error().what,
            "the file has no \"services\"");
}

TEST(Services, RefuseWhatMakesNoSense) {
  struct Case {
    std::string services;
    std::string error;
  };
  const std::string at = "s.yaml:1:";
  const Case cases[] = {
      {"{}", at + "11: services need \"children\"; services: {children: {web: "
                  "{run: ...}}}"},
      {"{children: []}",
       at + "22: children: expected a map with at least one service, got an "
            "empty list"},
      {"{children: {a: {}}}", at + "26: a service needs \"run\""},
      {"{children: {1a: {run: x}}}",
       at + "23: the name of a service \"1a\" must be letters, digits, _ and "
            "-, start with a letter or _, and have at most 100 characters"},
      {"{children: {a: {run: x, restart: alwyas}}}",
       at + "44: restart: expected permanent, transient, temporary, always, "
            "on-failure or no, got \"alwyas\"; did you mean \"always\"?"},
      {"{children: {a: {run: x}}, strategy: {matrix: {}}}",
       at + "47: \"strategy\" of services is one word such as one_for_one; a "
            "map belongs on a job"},
      {"{children: {a: {run: x}}, intensity: -1}",
       at + "48: intensity: expected a whole number from 0 to 1000000, got "
            "\"-1\""},
      {"{children: {a: {run: x}}, period: 0s}",
       at + "45: period: must be more than nothing"},
      {"{children: {a: {run: x, ready: {}}}}",
       at + "42: ready: expected exactly one of exec, http, tcp, log and "
            "notify"},
      {"{children: {a: {run: x, live: {exec: x, http: y}}}}",
       at + "41: live: expected exactly one of exec, http and tcp"},
      {"{children: {a: {run: x, live: {log: x}}}}",
       at + "41: live: expected exactly one of exec, http and tcp"},
      {"{children: {a: {run: x, ready: {exec: x, timeout: 0s}}}}",
       at + "61: timeout: must be more than nothing"},
      {"{children: {a: {run: x, significant: true}}}",
       at + "23: \"a\" is significant, but is always restarted; restart: "
            "transient"},
      {"{children: {a: {run: x, restart: no, significant: true}}}",
       at + "23: \"a\" is significant, which means nothing without "
            "\"auto-shutdown\" around it; auto-shutdown: any"},
      {"{children: {a: {run: x, depends-on: a}}}",
       at + "47: \"a\" cannot depend on itself"},
      {"{children: {g: {children: {a: {run: x, depends-on: g}}}}}",
       at + "62: \"a\" is in \"g\" and cannot depend on it"},
      {"{children: {a: {run: x, depends-on: bb}, b: {run: x}}}",
       at + "47: unknown service \"bb\" in \"depends-on\" of \"a\"; did you "
            "mean \"b\"?"},
      {"{children: {a: {run: x, depends-on: {b: finished}}, b: {run: x}}}",
       at + "48: \"b\" is always restarted, so it never finishes; restart: "
            "transient"},
      {"{children: {a: {run: x, depends-on: {g: finished}}, g: {children: {b: "
       "{run: x}}}}}",
       at + "48: \"g\" is a group, which does not finish"},
      {"{children: {a: {run: x, depends-on: b}, b: {run: x, depends-on: a}}}",
       at + "23: services depend on each other in a cycle: a -> b -> a"},
      {"{children: {g: {children: {b: {run: x}}, template: {run: x}}}}",
       at + "52: \"children\" and \"template\" exclude each other"},
      {"{children: {g: {children: {b: {run: x}}, replicas: 2}}}",
       at + "52: \"replicas\" needs a \"template\""},
      {"{children: {g: {template: {run: x}, replicas: {min: 3, max: 2}}}}",
       at + "57: replicas: max is less than min"},
      {"{children: {a: {run: x, shutdown: {signal: SIGFOO}}}}",
       at + "54: signal: expected a signal such as SIGINT, got \"SIGFOO\""},
      {"{children: {a: {run: x, watch: {paths: [a], debounce: 61m}}}}",
       "s.yaml:1:42: debounce: must be at most 1h"},
      {"{children: {a: {run: x, log: {size: 1KiB}}}}",
       at + "47: size: must be at least 4KiB"},
      {"{children: {a: {run: x, backoff: {min: 2s, max: 1s}}}}",
       at + "44: backoff: max is less than min"},
      {"{children: {a: {run: \"x ${{ inputs.y }}\"}}}",
       at + "39: services have no \"inputs\""},
      {"{children: {a: {run: x, live: {tcp: \"host:0\"}}}}",
       at + "47: tcp: expected HOST:PORT, got \"host:0\""},
      {"{children: {a: {run: x, live: {http: \"https://h/\"}}}}",
       at + "48: http: expected a URL such as http://127.0.0.1:8080/healthz "
            "(https is not supported), got \"https://h/\""},
      {"{children: {a: {run: x, limits: {cpu: 1.5}}}}",
       at + "49: cpu: expected a whole percentage such as 150%, got \"1.5\""},
      {"{children: {a: {run: x, limits: {cpu: 0%}}}}",
       at + "49: cpu: expected a whole percentage such as 150%, got \"0%\""},
      {"{children: {a: {run: x, limits: {tasks: 0}}}}",
       at + "51: tasks: expected a whole number from 1 to "
            "9223372036854775807, got \"0\""},
  };
  for (const Case& c : cases)
    EXPECT_EQ(first_error_of("services: " + c.services), c.error) << c.services;
}

TEST(Services, HaveNoSecretsAndNoHashesOfFilesYet) {
  EXPECT_EQ(first_error_of("secrets: {K: {}}\nservices: {children: {a: {run: "
                           "x, env: {A: \"${{ secrets.K }}\"}}}}"),
            "s.yaml:2:49: secrets of services are not supported yet by this "
            "version; those of jobs are");
  EXPECT_EQ(first_error_of("secrets: {K: {}}\nenv: {A: \"${{ secrets.K "
                           "}}\"}\nservices: {children: {a: {run: x}}}"),
            "s.yaml:2:10: a secret in a variable of the whole file would reach "
            "its services, which is not supported yet by this version; give it "
            "to the jobs that need it");
  EXPECT_EQ(first_error_of("services: {children: {a: {run: \"x ${{ "
                           "hashFiles('a') }}\"}}}"),
            "s.yaml:1:39: hashFiles() is not supported yet for services by "
            "this version");
}

}  // namespace
}  // namespace troupe::workflow
