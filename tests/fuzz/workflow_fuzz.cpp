// A workflow file, from text to checked jobs and services.
#include <troupe/base/assert.hpp>
#include <troupe/workflow/load.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace troupe;  // NOLINT(google-build-using-namespace)
  auto source = std::make_shared<const config::Source>(
      "f.yaml", std::string{data, data + size});
  config::Diagnostics diagnostics{source};
  const auto workflow = workflow::load_workflow(source, diagnostics);
  TROUPE_ASSERT((workflow != nullptr) == (diagnostics.errors() == 0));
  if (!diagnostics.empty())
    (void)diagnostics.text();
  return 0;
}
