#include <troupe/base/assert.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/fanout/argument_source.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <utility>

namespace troupe::fanout {

using Row = std::vector<std::string>;

/// Rows of values. `next` appends one to `row`; at the end it returns false,
/// having appended anything or nothing, and is not called again.
class RowStream {
 public:
  virtual ~RowStream() = default;
  virtual Result<bool> next(Row& row) = 0;
};

namespace {

/// One source, row by row.
class SourceRows final : public RowStream {
 public:
  SourceRows(ArgumentSource source, const ArgumentOptions& options)
      : words_{std::move(source.words)}, columns_{options.columns} {
    if (source.bytes)
      records_.emplace(std::move(source.bytes), options.format,
                       std::move(source.name));
  }

  Result<bool> next(Row& row) override {
    if (!records_) {
      if (at_ == words_.size())
        return false;
      add(row, words_[at_++]);
      return true;
    }
    const auto record = records_->next();
    if (!record)
      return tl::unexpected(record.error());
    if (*record)
      add(row, **record);
    return record->has_value();
  }

 private:
  void add(Row& row, std::string_view record) const {
    if (columns_)
      columns_->split(record, row);
    else
      row.emplace_back(record);
  }

  std::vector<std::string> words_;
  std::size_t at_ = 0;
  std::optional<RecordReader> records_;
  std::optional<ColumnSeparator> columns_;
};

/// Sources that go in step and end with the shortest.
class ZippedRows final : public RowStream {
 public:
  void add(std::unique_ptr<RowStream> source) {
    sources_.push_back(std::move(source));
  }

  Result<bool> next(Row& row) override {
    for (const auto& source : sources_) {
      auto more = source->next(row);
      if (!more || !*more)
        return more;
    }
    return true;
  }

 private:
  std::vector<std::unique_ptr<RowStream>> sources_;
};

/// Rows that have to be kept, and how much memory that may take.
class KeptRows {
 public:
  explicit KeptRows(std::uint64_t most_bytes) : most_bytes_{most_bytes} {}

  Result<void> add(std::vector<Row>& rows, Row row) {
    bytes_ += sizeof(Row);
    for (const std::string& value : row)
      bytes_ += sizeof(std::string) + value.capacity();
    if (bytes_ > most_bytes_)
      return failure(
          Errc::overloaded,
          fmt::format("more than {} of arguments would have to be kept to be "
                      "combined: only the first source can be larger",
                      format_size(most_bytes_)));
    rows.push_back(std::move(row));
    return {};
  }

 private:
  std::uint64_t most_bytes_;
  std::uint64_t bytes_ = 0;
};

/// All combinations, the first source varying slowest. Only that one streams.
class ProductRows final : public RowStream {
 public:
  ProductRows(std::vector<std::unique_ptr<RowStream>> sources,
              std::uint64_t most_kept_bytes)
      : sources_{std::move(sources)},
        digits_(sources_.size() - 1),
        kept_{most_kept_bytes} {}

  Result<bool> next(Row& row) override {
    if (std::exchange(first_call_, false)) {
      if (auto kept = keep_all_but_first(); !kept)
        return tl::unexpected(std::move(kept.error()));
    } else {
      advance();
    }
    if (is_empty_)
      return false;
    if (at_start()) {
      first_row_.clear();
      auto more = sources_.front()->next(first_row_);
      if (!more || !*more)
        return more;
    }
    row.insert(row.end(), first_row_.begin(), first_row_.end());
    for (const Digit& digit : digits_) {
      const Row& part = digit.rows[digit.at];
      row.insert(row.end(), part.begin(), part.end());
    }
    return true;
  }

 private:
  struct Digit {
    std::vector<Row> rows;
    std::size_t at = 0;
  };

  Result<void> keep_all_but_first() {
    for (std::size_t i = 0; i < digits_.size(); ++i) {
      while (true) {
        Row row;
        auto more = sources_[i + 1]->next(row);
        if (!more)
          return tl::unexpected(more.error());
        if (!*more)
          break;
        if (auto added = kept_.add(digits_[i].rows, std::move(row)); !added)
          return added;
      }
      is_empty_ = is_empty_ || digits_[i].rows.empty();
    }
    return {};
  }

  /// Counts up; back to zero after the last combination.
  void advance() {
    for (std::size_t i = digits_.size(); i-- > 0;) {
      if (++digits_[i].at < digits_[i].rows.size())
        return;
      digits_[i].at = 0;
    }
  }

  [[nodiscard]] bool at_start() const {
    return std::all_of(digits_.begin(), digits_.end(),
                       [](const Digit& digit) { return digit.at == 0; });
  }

  std::vector<std::unique_ptr<RowStream>> sources_;
  std::vector<Digit> digits_;
  KeptRows kept_;
  Row first_row_;
  bool first_call_ = true;
  bool is_empty_ = false;
};

/// All sources in step, as long as the longest; the others start over. None if
/// one has no rows.
class LinkedRows final : public RowStream {
 public:
  LinkedRows(std::vector<std::unique_ptr<RowStream>> sources,
             std::uint64_t most_kept_bytes)
      : running_{sources.size()}, kept_{most_kept_bytes} {
    for (auto& source : sources)
      cycles_.push_back({.source = std::move(source)});
  }

  Result<bool> next(Row& row) override {
    Row combined;
    for (Cycle& cycle : cycles_) {
      if (auto added = add_next(cycle, combined); !added || !*added)
        return added;
    }
    if (running_ == 0)
      return false;
    row.insert(row.end(), std::make_move_iterator(combined.begin()),
               std::make_move_iterator(combined.end()));
    return true;
  }

 private:
  struct Cycle {
    std::unique_ptr<RowStream> source;
    std::vector<Row> rows{};
    std::size_t at = 0;
    bool at_end = false;
  };

  /// False if the source has no row at all.
  Result<bool> add_next(Cycle& cycle, Row& combined) {
    if (!cycle.at_end) {
      Row fresh;
      auto more = cycle.source->next(fresh);
      if (!more)
        return more;
      if (*more) {
        combined.insert(combined.end(), fresh.begin(), fresh.end());
        // The last one that runs is the longest: it never starts over.
        if (running_ > 1) {
          if (auto added = kept_.add(cycle.rows, std::move(fresh)); !added)
            return tl::unexpected(std::move(added.error()));
        }
        return true;
      }
      cycle.at_end = true;
      --running_;
      // Nothing fresh is left, or there never was anything.
      if (running_ == 0 || cycle.rows.empty()) {
        running_ = 0;
        return false;
      }
    }
    const Row& again = cycle.rows[cycle.at];
    cycle.at = (cycle.at + 1) % cycle.rows.size();
    combined.insert(combined.end(), again.begin(), again.end());
    return true;
  }

  std::vector<Cycle> cycles_;
  std::size_t running_;  ///< Sources that have not ended yet.
  KeptRows kept_;
};

std::unique_ptr<RowStream> combine(std::vector<ArgumentSource> sources,
                                   const ArgumentOptions& options) {
  std::vector<std::unique_ptr<RowStream>> groups;
  ZippedRows* group = nullptr;
  for (ArgumentSource& source : sources) {
    if (group == nullptr || options.link || !source.linked) {
      auto fresh = std::make_unique<ZippedRows>();
      group = fresh.get();
      groups.push_back(std::move(fresh));
    }
    group->add(std::make_unique<SourceRows>(std::move(source), options));
  }
  if (options.link)
    return std::make_unique<LinkedRows>(std::move(groups),
                                        options.most_kept_bytes);
  return std::make_unique<ProductRows>(std::move(groups),
                                       options.most_kept_bytes);
}

/// None if it cannot be known yet, or is too large a number.
std::optional<std::uint64_t> count_rows(
    const std::vector<ArgumentSource>& sources, bool link) {
  std::vector<std::uint64_t> groups;
  for (const ArgumentSource& source : sources) {
    if (source.bytes)
      return std::nullopt;
    const std::uint64_t count = source.words.size();
    if (!groups.empty() && source.linked && !link)
      groups.back() = std::min(groups.back(), count);
    else
      groups.push_back(count);
  }
  if (std::count(groups.begin(), groups.end(), 0U) > 0)
    return 0;
  if (link)
    return *std::max_element(groups.begin(), groups.end());
  std::uint64_t product = 1;
  for (const std::uint64_t count : groups) {
    if (product > std::numeric_limits<std::uint64_t>::max() / count)
      return std::nullopt;
    product *= count;
  }
  return product;
}

}  // namespace

ArgumentStream::ArgumentStream(std::vector<ArgumentSource> sources,
                               const ArgumentOptions& options)
    : rows_per_job_{options.rows_per_job},
      most_job_bytes_{options.most_job_bytes} {
  TROUPE_ASSERT(!sources.empty());
  TROUPE_ASSERT(rows_per_job_ >= 1);
  if (const auto rows = count_rows(sources, options.link))
    total_jobs_ = *rows / rows_per_job_ + (*rows % rows_per_job_ == 0 ? 0 : 1);
  rows_ = combine(std::move(sources), options);
}

ArgumentStream::~ArgumentStream() = default;
ArgumentStream::ArgumentStream(ArgumentStream&&) noexcept = default;
ArgumentStream& ArgumentStream::operator=(ArgumentStream&&) noexcept = default;

Result<std::optional<Arguments>> ArgumentStream::next() {
  if (error_)
    return tl::unexpected(*error_);
  auto job = next_job();
  if (!job)
    error_ = job.error();
  return job;
}

Result<std::optional<Arguments>> ArgumentStream::next_job() {
  constexpr std::size_t bytes_per_argument = 1 + sizeof(char*);
  Arguments job{.seq = jobs_ + 1, .values = {}};
  std::size_t bytes = 0;
  for (std::size_t rows = 0; rows < rows_per_job_ && !at_end_; ++rows) {
    const std::size_t known = job.values.size();
    auto more = rows_->next(job.values);
    if (!more)
      return tl::unexpected(more.error());
    if (!*more) {
      at_end_ = true;
      job.values.resize(known);
      break;
    }
    for (std::size_t i = known; i < job.values.size(); ++i)
      bytes += job.values[i].size() + bytes_per_argument;
    if (bytes > most_job_bytes_)
      return failure(
          Errc::invalid_argument,
          fmt::format("job {}: its {} arguments need more than {} (each its "
                      "bytes and {} more): ask for fewer with -n",
                      job.seq, job.values.size(), format_size(most_job_bytes_),
                      bytes_per_argument));
  }
  if (job.values.empty())
    return std::nullopt;
  ++jobs_;
  return job;
}

std::optional<std::uint64_t> ArgumentStream::total_jobs() const {
  return total_jobs_;
}

}  // namespace troupe::fanout
