#include "load_text.hpp"

#include <troupe/workflow/placement.hpp>

namespace troupe::workflow {
namespace {

/// What is wrong with `runs-on` on several nodes; "x" is the one bad label.
std::string wrong_in(std::string text) {
  const auto workflow = load(std::move(text));
  if (workflow == nullptr)
    return "no workflow";
  const auto checked =
      check_placement(*workflow, [](const std::string& label) -> Result<void> {
        if (label == "x")
          return failure(Errc::invalid_argument, "bad");
        return {};
      });
  return checked ? "" : checked.error().what;
}

constexpr const char* hint =
    "leave \"runs-on\" out, or start what it needs in the job itself";

std::string services_and(const std::string& job) {
  return "services: { children: { db: { run: \"serve ${{ port.db }}\" } } }\n"
         "jobs:\n  a: " +
         job;
}

TEST(Placement, OfAJobThatReachesNoServicesIsGood) {
  EXPECT_EQ(wrong_in("jobs: { a: { runs-on: gpu, run: x } }"), "");
  EXPECT_EQ(wrong_in("defaults: { runs-on: [a, b] }\n"
                     "jobs: { a: { run: x }, b: { runs-on: c, run: x } }"),
            "");
  EXPECT_EQ(wrong_in(services_and("{ needs: [services.db], run: x }")), "");
}

TEST(Placement, OfAJobWithServicesIsRefusedWithItsPlace) {
  const auto wrong =
      wrong_in(services_and("{ needs: [services.db], runs-on: gpu, run: x }"));
  EXPECT_TRUE(wrong.starts_with(
      "etl.yaml:3:39: the job \"a\" uses services, which listen on the node "
      "that drives the run: with \"runs-on\" it may run on another one; "))
      << wrong;
  EXPECT_NE(wrong.find(hint), std::string::npos) << wrong;
}

TEST(Placement, OfAJobWithServicesThatIsSpreadIsRefusedLikewise) {
  const auto wrong = wrong_in(services_and(
      "{ needs: [services.db], placement: { spread: true }, run: x }"));
  EXPECT_TRUE(wrong.starts_with(
      "etl.yaml:3:30: the job \"a\" uses services, which listen on the node "
      "that drives the run: with \"placement\" it may run on another one; "))
      << wrong;
  EXPECT_NE(wrong.find("leave \"placement\" out"), std::string::npos) << wrong;
  EXPECT_EQ(wrong_in("jobs: { a: { placement: { key: k }, run: x } }"), "");
}

TEST(Placement, OfAJobThatNamesAPortIsRefused) {
  EXPECT_NE(
      wrong_in(services_and("{ runs-on: gpu, run: \"nc ${{ port.db }}\" }"))
          .find("uses services"),
      std::string::npos);
}

TEST(Placement, ALabelThatIsNoneIsRefusedIfItIsWrittenOut) {
  EXPECT_TRUE(wrong_in("jobs: { a: { runs-on: [gpu, x], run: x } }")
                  .starts_with("etl.yaml:1:29: runs-on: bad"));
  EXPECT_EQ(wrong_in("jobs: { a: { runs-on: \"${{ 'x' }}\", run: x } }"), "");
}

}  // namespace
}  // namespace troupe::workflow
