#include "http_route.hpp"

#include <gtest/gtest.h>

namespace troupe::api {
namespace {

using Path = std::vector<std::string>;

Operation operation(HttpMethod method, const std::string& path,
                    Role role = Role::read,
                    std::vector<std::string> query = {}) {
  return {.method = method,
          .path = path,
          .role = role,
          .query = std::move(query),
          .handler = [](const HttpRequest&, const HttpResponder&) {}};
}

std::string reason_against(std::vector<Operation> operations) {
  const auto router = Router::make(std::move(operations));
  return router ? "" : router.error().what;
}

class RouterTest : public ::testing::Test {
 protected:
  Router router =
      Router::make(
          {operation(HttpMethod::get, "/"),
           operation(HttpMethod::get, "/v1/jobs", Role::read,
                     {"limit", "after"}),
           operation(HttpMethod::post, "/v1/jobs", Role::operate),
           operation(HttpMethod::get, "/v1/jobs/{job}"),
           operation(HttpMethod::get, "/v1/jobs/all"),
           operation(HttpMethod::remove, "/v1/jobs/{job}", Role::admin),
           operation(HttpMethod::post, "/v1/jobs/{job}/cancel", Role::operate),
           operation(HttpMethod::get, "/v1/{kind}/{name}/log")})
          .value();

  [[nodiscard]] std::string path_for(std::string_view method,
                                     std::string_view target) const {
    const auto match = router.match(method, target, Role::admin);
    return match ? match->operation->path : match.error().error.what;
  }
  [[nodiscard]] Refusal refusal(std::string_view method,
                                std::string_view target,
                                Role role = Role::admin) const {
    return router.match(method, target, role).error();
  }
};

TEST_F(RouterTest, FindsTheOperationOfAMethodAndAPath) {
  EXPECT_EQ(path_for("GET", "/"), "/");
  EXPECT_EQ(path_for("GET", "/v1/jobs"), "/v1/jobs");
  EXPECT_EQ(path_for("GET", "/v1/jobs/17"), "/v1/jobs/{job}");
  EXPECT_EQ(path_for("POST", "/v1/jobs/17/cancel"), "/v1/jobs/{job}/cancel");
  EXPECT_EQ(path_for("GET", "/v1/jobs/17/log"), "/v1/{kind}/{name}/log");
}

TEST_F(RouterTest, LetsWordsWinOverPlaceholders) {
  EXPECT_EQ(path_for("GET", "/v1/jobs/all"), "/v1/jobs/all");
  EXPECT_EQ(path_for("DELETE", "/v1/jobs/all"), "/v1/jobs/{job}");
}

TEST_F(RouterTest, DecodesPlaceholdersAndWords) {
  EXPECT_EQ(router.match("GET", "/v1/jobs/a%2Fb%20c", Role::read)->path,
            (Path{"a/b c"}));
  EXPECT_EQ(router.match("GET", "/v1/%6aobs/../log", Role::read)->path,
            (Path{"jobs", ".."}));
}

TEST_F(RouterTest, ReadsTheQueryThatTheOperationKnows) {
  const auto match =
      router.match("GET", "/v1/jobs?limit=5&after=x%20y", Role::read);
  ASSERT_TRUE(match);
  EXPECT_EQ(match->query, (std::map<std::string, std::string>{
                              {"limit", "5"}, {"after", "x y"}}));
  EXPECT_TRUE(router.match("GET", "/v1/jobs?", Role::read));
}

TEST_F(RouterTest, RefusesAQueryKeyThatTheOperationDoesNotKnow) {
  EXPECT_EQ(refusal("GET", "/v1/jobs?limt=5"),
            (Refusal{.status = 400,
                     .error = {Errc::invalid_argument,
                               "GET /v1/jobs does not know the query key "
                               "\"limt\"; did you mean \"limit\"?"}}));
  EXPECT_EQ(refusal("GET", "/v1/jobs?x=5").error.what,
            "GET /v1/jobs does not know the query key \"x\"; it knows limit, "
            "after");
  EXPECT_EQ(refusal("GET", "/?x=5").error.what,
            "GET / does not know the query key \"x\"; it knows none");
  EXPECT_EQ(refusal("GET", "/v1/jobs?limit=1&limit=2").error.what,
            "query: \"limit\" is there twice");
}

TEST_F(RouterTest, SuggestsThePathThatWasMeant) {
  EXPECT_EQ(refusal("GET", "/v1/job"),
            (Refusal{.status = 404,
                     .error = {Errc::not_found,
                               "there is no /v1/job; did you mean "
                               "/v1/jobs?"}}));
  EXPECT_EQ(refusal("POST", "/v1/job/17/cancle").error.what,
            "there is no /v1/job/17/cancle; did you mean /v1/jobs/17/cancel?");
  EXPECT_EQ(refusal("GET", "/v1/jobs/").error.what,
            "there is no /v1/jobs/; did you mean /v1/jobs?");
  EXPECT_EQ(refusal("GET", "/metrics").error.what, "there is no /metrics");
}

TEST_F(RouterTest, TellsTheMethodsThatAPathHas) {
  EXPECT_EQ(refusal("DELETE", "/v1/jobs"),
            (Refusal{.status = 405,
                     .error = {Errc::invalid_argument,
                               "/v1/jobs takes GET or POST, not DELETE"},
                     .allow = "GET, POST"}));
  EXPECT_EQ(refusal("BREW", "/v1/jobs/all").allow, "DELETE, GET");
}

TEST_F(RouterTest, NeedsARoleThatIsHighEnough) {
  EXPECT_EQ(refusal("POST", "/v1/jobs", Role::read),
            (Refusal{.status = 403,
                     .error = {Errc::permission_denied,
                               "POST /v1/jobs needs the role operate; you have "
                               "read"}}));
  EXPECT_TRUE(router.match("POST", "/v1/jobs", Role::operate));
  EXPECT_TRUE(router.match("POST", "/v1/jobs", Role::admin));
  EXPECT_EQ(refusal("DELETE", "/v1/jobs/17", Role::operate).status, 403);
}

TEST_F(RouterTest, RefusesATargetThatIsNoPath) {
  for (const char* const target : {"", "*", "http://host/v1/jobs", "v1"})
    EXPECT_EQ(refusal("GET", target).status, 400) << target;
  EXPECT_EQ(refusal("GET", "/v1/%zz").error.what,
            "path: expected two hexadecimal digits after %, got \"%zz\"");
  EXPECT_EQ(refusal("GET", "/v1/%00").status, 400);
}

TEST(Router, RefusesATableThatCannotBe) {
  const auto get = [](const std::string& path) {
    return operation(HttpMethod::get, path);
  };
  EXPECT_EQ(reason_against({get("/a/{x}"), get("/a/{y}")}),
            "operation GET /a/{y}: is the same as GET /a/{x}");
  EXPECT_EQ(reason_against({get("/a"), operation(HttpMethod::put, "/a")}), "");
  EXPECT_EQ(reason_against({get("a")}),
            "operation GET a: the path has to begin with /");
  EXPECT_EQ(reason_against({get("/a//b")}),
            "operation GET /a//b: a part of the path is empty");
  for (const char* const path : {"/a{x}", "/{x", "/x}", "/{}"})
    EXPECT_EQ(reason_against({get(path)}),
              std::string{"operation GET "} + path +
                  ": a placeholder has to be a whole part");
  Operation too_long = get("/a");
  too_long.most_body_bytes = most_http_body_bytes + 1;
  EXPECT_EQ(reason_against({too_long}),
            "operation GET /a: the body is too long");
  EXPECT_EQ(reason_against({{.path = "/a"}}),
            "operation GET /a: has no handler");
}

}  // namespace
}  // namespace troupe::api
