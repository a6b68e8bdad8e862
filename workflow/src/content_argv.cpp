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

/// Where it can be fetched.
void add_where(Words& words, const ContentUse& use) {
  if (use.from.empty())
    return;
  add(words, "--socket", use.socket);
  for (const std::string& one : use.from)
    add(words, "--from", one);
}

Words cached_argv(const StartStep& start, const ContentUse& use) {
  Words words{use.program, "cached"};
  add(words, "--store", use.folder);
  add_where(words, use);
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
  if (transfer.is_upload && use.version != 0)
    add(words, "--version", fmt::format("{}", use.version));
  if (!transfer.is_upload)
    add_where(words, use);
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

std::string origin_of(std::uint64_t job, std::uint64_t attempt) {
  return fmt::format("{}.{}", job, attempt);
}

std::string where_it_is(const std::string& node, std::uint32_t version,
                        const std::string& origin,
                        const std::string& instance) {
  return fmt::format("{}:{}:{}:{}", node, version, origin, instance);
}

std::vector<std::pair<std::size_t, std::string>> node_words(
    const std::vector<std::string>& argv) {
  std::vector<std::pair<std::size_t, std::string>> places;
  // What comes behind is the command itself.
  for (std::size_t i = 0; i < argv.size() && argv[i] != "--"; ++i) {
    if (i == 0)
      places.emplace_back(i, "program");
    else if (argv[i].starts_with("--store="))
      places.emplace_back(i, "store");
    else if (argv[i].starts_with("--socket="))
      places.emplace_back(i, "socket");
  }
  return places;
}

std::vector<std::string> content_argv(const StartStep& start,
                                      const ContentUse& use) {
  if (start.transfer)
    return transfer_argv(*start.transfer, use);
  return start.cache ? cached_argv(start, use) : start.argv;
}

}  // namespace troupe::workflow
