#include <troupe/base/quantity.hpp>
#include <troupe/workflow/content_argv.hpp>

#include <fmt/format.h>
#include <string_view>

namespace troupe::workflow {
namespace {

using Words = std::vector<std::string>;

/// As one word, so that a text may begin with a dash.
void add(Words& words, std::string_view option, std::string_view value) {
  words.push_back(fmt::format("{}={}", option, value));
}

Words cached_argv(const StartStep& start, const ContentUse& use) {
  Words words{use.program, "cached"};
  add(words, "--store", use.folder);
  if (!start.cache->key.empty())
    add(words, "--key", start.cache->key);
  for (const std::string& pattern : start.cache->sources)
    add(words, "--source", pattern);
  for (const std::string& pattern : start.cache->generates)
    add(words, "--generates", pattern);
  if (start.cache->max_age != Duration{0})
    add(words, "--max-age", format_duration(start.cache->max_age));
  if (start.success.exit_codes != actors::SuccessCriteria{}.exit_codes)
    add(words, "--success-codes",
        fmt::format("{}", fmt::join(start.success.exit_codes, ",")));
  if (use.is_fresh)
    words.emplace_back("--refresh");
  words.emplace_back("--");
  words.insert(words.end(), start.argv.begin(), start.argv.end());
  return words;
}

Words transfer_argv(const TransferUse& transfer, const ContentUse& use) {
  Words words{use.program, "artifact", transfer.is_upload ? "put" : "get"};
  add(words, "--store", use.folder);
  if (transfer.is_upload && !transfer.instance.empty())
    add(words, "--instance", transfer.instance);
  if (transfer.is_upload)
    add(words, "--retention", format_duration(transfer.retention));
  words.emplace_back("--");
  words.push_back(use.run);
  words.push_back(fmt::format("{}.{}", transfer.job, transfer.name));
  words.insert(words.end(), transfer.patterns.begin(), transfer.patterns.end());
  return words;
}

}  // namespace

std::vector<std::string> content_argv(const StartStep& start,
                                      const ContentUse& use) {
  if (start.transfer)
    return transfer_argv(*start.transfer, use);
  return start.cache ? cached_argv(start, use) : start.argv;
}

}  // namespace troupe::workflow
