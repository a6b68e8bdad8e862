#pragma once

/// Workflows that are given as a text.
#include <troupe/workflow/load.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>

namespace troupe::workflow {

/// Null, and the test fails, if the text is no workflow.
inline std::shared_ptr<const Workflow> load(std::string text) {
  auto workflow = load_workflow("etl.yaml", std::move(text));
  EXPECT_TRUE(workflow) << workflow.error().what;
  return workflow ? *workflow : nullptr;
}

/// All that is wrong with the text; empty if nothing is.
inline std::string problems_of(std::string text) {
  const auto workflow = load_workflow("etl.yaml", std::move(text));
  return workflow ? "" : workflow.error().what;
}

}  // namespace troupe::workflow
