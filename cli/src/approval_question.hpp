#pragma once

/// What a person at a terminal is asked before a job runs.
#include <troupe/workflow/approval.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::cli {

/// The conversation about one approval: yes or no, then its inputs one by one,
/// each until it is right. Pure.
class ApprovalQuestion {
 public:
  /// `approval` has to outlive this.
  ApprovalQuestion(std::string job, const workflow::Approval& approval,
                   std::string prompt, workflow::Surroundings surroundings);

  [[nodiscard]] const std::string& job() const { return job_; }

  /// What is to be shown now, safe to print; the answer follows on its line.
  [[nodiscard]] std::string text() const;

  /// A line that somebody has typed, without its end. The answer, without who
  /// gives it, once nothing more is to be asked. Anything but yes is a no.
  [[nodiscard]] std::optional<workflow::ApprovalAnswer> take(
      std::string_view line);

 private:
  [[nodiscard]] std::string text_of(const workflow::Input& input) const;

  std::string job_;
  const workflow::Approval& approval_;
  std::string prompt_;
  workflow::Surroundings surroundings_;
  bool is_approved_ = false;
  std::size_t next_ = 0;  ///< Of the inputs.
  std::string problem_;   ///< With the line before.
  workflow::ApprovalAnswer answer_;
};

}  // namespace troupe::cli
