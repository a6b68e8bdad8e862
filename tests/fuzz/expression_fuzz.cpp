// What stands between ${{ and }}: parsed, and evaluated with all kinds of
// values; and the same text as a template for a shell.
#include <troupe/base/assert.hpp>
#include <troupe/workflow/template.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using troupe::workflow::Environment;
using troupe::workflow::FileHashes;
using troupe::workflow::Value;

const Value values{Value::Object{
    {"text", Value{"it's"}},
    {"number", Value{-1.5}},
    {"flag", Value{true}},
    {"list", Value{Value::List{Value{"a"}, Value{2.0}, Value{}}}},
    {"json", Value{R"({"x": [{"y": 1}, [2], "z"]})"}},
    {"map",
     Value{Value::Object{{"outputs", Value{Value::Object{{"x", Value{""}}}}}}}},
}};
const FileHashes hashes{{{"a"}, "0123"}};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace troupe::workflow;  // NOLINT(google-build-using-namespace)
  const std::string text{data, data + size};
  Environment environment{
      {{"inputs", &values}, {"matrix", &values}, {"steps", &values}}};
  environment.file_hashes = &hashes;
  if (const auto expression = parse_expression(text)) {
    for (const Expression::Node& node : expression->nodes())
      TROUPE_ASSERT(node.offset + node.length <= text.size());
    if (const auto value = evaluate(*expression, environment))
      (void)value->json();
  } else {
    TROUPE_ASSERT(expression.error().offset <= text.size());
    TROUPE_ASSERT(!expression.error().message.empty());
  }
  std::vector<Problem> problems;
  const Template whole = parse_template(text, {}, Usage::shell, problems);
  if (problems.empty())
    (void)resolve(whole, environment);
  return 0;
}
