#include "housekeeper.hpp"

#include "run_spec.hpp"
#include "step_end.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/content/artifact_store.hpp>
#include <troupe/process/output_digest.hpp>
#include <troupe/process/output_record.hpp>
#include <troupe/queue/dispatcher_actor.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <tuple>
#include <utility>

namespace troupe::node {
namespace {

namespace fs = std::filesystem;

/// Of larger ones others see nothing.
constexpr std::uint64_t most_read_for_tail = 64 << 20;
constexpr Duration content_interval = 1h;
constexpr std::uint32_t most_looked_at = 1000;
/// One statement of a shared store asks for so many, and up to a thousand more.
constexpr std::size_t most_asked_for = 5000;
constexpr std::uint32_t rows_at_once = 5000;
/// Jobs in one go; a run is forgotten as a whole.
constexpr std::size_t most_forgotten = 5000;
/// Smaller records would not become smaller on the disk.
constexpr std::uint64_t worth_compressing = 16 << 10;

std::uint64_t size_of(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

std::uint64_t bytes_below(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it{folder, error}, end;
       !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored))
      bytes += size_of(it->path());
  }
  return bytes;
}

/// Numbers that are names of what is in a folder, in order.
std::vector<std::uint64_t> numbers_in(const fs::path& folder) {
  std::vector<std::uint64_t> numbers;
  std::error_code error;
  for (fs::directory_iterator it{folder, error}, end; !error && it != end;
       it.increment(error)) {
    if (const auto number = parse_count(it->path().filename().string()))
      numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

/// Of each text, whether one of the streams has it.
std::vector<bool> texts_in_record(const std::string& path,
                                  std::vector<std::string> texts) {
  std::vector<bool> found(texts.size());
  process::TextFinder out{texts};
  process::TextFinder err{std::move(texts)};
  auto reader = process::RecordReader::open(path);
  while (reader) {
    const auto frame = reader->next();
    if (!frame || !*frame)
      break;
    if ((*frame)->kind == process::RecordKind::out)
      out.write((*frame)->bytes);
    else if ((*frame)->kind == process::RecordKind::err)
      err.write((*frame)->bytes);
  }
  for (std::size_t i = 0; i < found.size(); ++i)
    found[i] = out.found(i) || err.found(i);
  return found;
}

/// A record of its own, with the last bytes of both streams. Empty if it cannot
/// be read, or would take too long.
queue::OutputTail tail_of_record(const std::string& path) {
  if (size_of(path) > most_read_for_tail)
    return {};
  auto reader = process::RecordReader::open(path);
  std::deque<process::RecordPiece> pieces;
  std::uint64_t kept = 0;
  queue::OutputTail tail;
  while (reader) {
    const auto frame = reader->next();
    if (!frame || !*frame)
      break;
    pieces.push_back({.kind = (*frame)->kind,
                      .time = (*frame)->time,
                      .bytes = std::string{(*frame)->bytes},
                      .unrecorded_bytes = (*frame)->unrecorded_bytes});
    kept += pieces.back().bytes.size();
    while (kept > queue::most_tail_bytes) {
      std::string& first = pieces.front().bytes;
      const std::size_t cut =
          std::min<std::uint64_t>(kept - queue::most_tail_bytes, first.size());
      first.erase(0, cut);
      kept -= cut;
      tail.skipped += cut;
      if (first.empty())
        pieces.pop_front();
    }
  }
  if (pieces.empty())
    return {};
  tail.record = process::record_header();
  for (const process::RecordPiece& piece : pieces) {
    tail.record += process::record_frame_header(
        {.kind = piece.kind,
         .time = piece.time,
         .bytes = piece.bytes,
         .unrecorded_bytes = piece.unrecorded_bytes});
    tail.record += piece.bytes;
  }
  return tail;
}

}  // namespace

Housekeeper::Housekeeper(StoreWriter& store, std::string output_folder,
                         std::string content_folder,
                         std::string services_folder, const NodeConfig& config,
                         HousekeeperPace pace)
    : store_{store},
      output_folder_{std::move(output_folder)},
      content_folder_{std::move(content_folder)},
      services_folder_{std::move(services_folder)},
      pace_{pace},
      next_look_at_content_{std::chrono::steady_clock::now() +
                            content_interval},
      config_{config} {
  disk_reserve_ = config.disk_reserve;
  look_at_space();
  boost::asio::post(io_,
                    [this] { output_bytes_ = bytes_below(output_folder_); });
  look_later();
  thread_ = std::thread{[this] { io_.run(); }};
}

Housekeeper::~Housekeeper() { stop(); }

void Housekeeper::stop() {
  is_ending_ = true;
  io_.stop();
  if (thread_.joinable())
    thread_.join();
}

void Housekeeper::configure(const NodeConfig& config) {
  disk_reserve_ = config.disk_reserve;
  boost::asio::post(io_, [this, config] { config_ = config; });
}

void Housekeeper::remove_output(store::JobId job) {
  boost::asio::post(io_, [this, job] { delete_output(job); });
}

void Housekeeper::remove_files_of(store::RunId run) {
  boost::asio::post(io_, [this, run] {
    std::error_code error;
    fs::remove_all(fs::path{services_folder_} / run_name(run), error);
    if (!fs::exists(content_folder_, error))
      return;
    if (auto blobs = content::BlobStore::open(content_folder_))
      (void)content::ArtifactStore{std::move(*blobs)}.remove(run_name(run));
  });
}

void Housekeeper::look_at_content() {
  const TimePoint now = std::chrono::steady_clock::now();
  std::error_code error;
  if (now < next_look_at_content_ || !fs::exists(content_folder_, error))
    return;
  next_look_at_content_ = now + content_interval;
  const auto blobs = content::BlobStore::open(content_folder_);
  const auto removed = blobs ? content::remove_old_content(
                                   *blobs, {}, std::chrono::system_clock::now())
                             : tl::unexpected{blobs.error()};
  if (!removed)
    log(LogLevel::warn, fmt::format("content_trouble reason={}",
                                    shell_quote(removed.error().what)));
}

void Housekeeper::remove_file(const std::string& path) {
  boost::asio::post(io_, [path] {
    std::error_code ignored;
    fs::remove(path, ignored);
  });
}

void Housekeeper::read_end(const queue::EndFiles& files,
                           std::function<void(queue::EndRead)> done) {
  boost::asio::post(io_, [files, done = std::move(done)] {
    queue::EndRead read{.tail = tail_of_record(files.record)};
    if (!files.outputs.empty())
      read.handed_on = read_handed_on(files);
    done(std::move(read));
  });
}

void Housekeeper::find_texts(const std::string& record_path,
                             std::vector<std::string> texts,
                             std::function<void(std::vector<bool>)> done) {
  boost::asio::post(io_, [record_path, texts = std::move(texts),
                          done = std::move(done)]() mutable {
    done(texts_in_record(record_path, std::move(texts)));
  });
}

void Housekeeper::delete_output(store::JobId job) {
  const std::string folder = queue::record_folder(output_folder_, job);
  output_bytes_ -= std::min(output_bytes_, bytes_below(folder));
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

void Housekeeper::take_record(const std::string& record_path) {
  boost::asio::post(io_, [this, record_path] {
    std::uint64_t size = size_of(record_path);
    if (size >= worth_compressing && process::compress_record(record_path))
      size = size_of(record_path + ".zst");
    output_bytes_ += size;
  });
}

/// In the order of submission, which is nearly that of their ends.
std::vector<store::JobId> Housekeeper::jobs_with_output() const {
  std::vector<store::JobId> jobs;
  std::error_code ignored;
  for (const auto& thousand : fs::directory_iterator{output_folder_, ignored}) {
    for (const auto& job : fs::directory_iterator{thousand.path(), ignored}) {
      if (const auto number = parse_count(job.path().filename().string()))
        jobs.push_back(store::JobId{*number});
    }
  }
  std::sort(jobs.begin(), jobs.end());
  return jobs;
}

void Housekeeper::look_at_output() {
  if (config_.output_total == 0 || output_bytes_ <= config_.output_total)
    return;
  auto jobs = jobs_with_output();
  jobs.resize(std::min<std::size_t>(jobs.size(), most_looked_at));
  queue::call(
      store_,
      [jobs](store::Store& store) -> Result<std::vector<store::JobId>> {
        std::vector<store::JobId> ended;
        for (const store::JobId id : jobs) {
          const auto job = store.job(id);
          // A run may still want what its jobs hand on.
          const auto run = job && job->job.run
                               ? std::optional{store.run(job->job.run)}
                               : std::nullopt;
          if (!job || (job->ended && (!run || !*run || (*run)->ended)))
            ended.push_back(id);
        }
        return ended;
      },
      [this](const Result<std::vector<store::JobId>>& ended) {
        if (!ended || is_ending_)
          return;
        boost::asio::post(io_, [this, jobs = *ended] {
          for (const store::JobId job : jobs) {
            if (output_bytes_ <= config_.output_total)
              break;
            delete_output(job);
          }
        });
      });
}

/// Whole folders of a thousand, from where the last look has stopped.
std::vector<store::JobId> Housekeeper::next_with_output() {
  std::vector<store::JobId> jobs;
  for (const std::uint64_t thousand : numbers_in(output_folder_)) {
    if (thousand < next_thousand_)
      continue;
    next_thousand_ = thousand + 1;
    for (const std::uint64_t job :
         numbers_in(fs::path{output_folder_} / std::to_string(thousand))) {
      if (job / 1000 == thousand)
        jobs.push_back(store::JobId{job});
    }
    if (jobs.size() >= most_asked_for)
      return jobs;
  }
  next_thousand_ = 0;
  return jobs;
}

/// With logs of their services or artifacts here, likewise.
std::vector<store::RunId> Housekeeper::next_with_files() {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it{services_folder_, error}, end;
       !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  if (fs::exists(content_folder_, error)) {
    if (auto blobs = content::BlobStore::open(content_folder_)) {
      for (std::string& name : content::ArtifactStore{std::move(*blobs)}.runs())
        names.push_back(std::move(name));
    }
  }
  std::set<store::RunId> runs;
  for (const std::string& name : names) {
    if (const auto run = run_named(name); run && *run >= next_run_)
      runs.insert(*run);
  }
  std::vector<store::RunId> first{runs.begin(), runs.end()};
  next_run_ = {};
  if (first.size() > most_asked_for) {
    next_run_ = first[most_asked_for];
    first.resize(most_asked_for);
  }
  return first;
}

/// A job, or a run, is in the store before a node makes a folder for it. So the
/// folders are looked at first: of what is there by then, the store knows all
/// that was not forgotten.
void Housekeeper::look_for_forgotten() {
  const TimePoint now = std::chrono::steady_clock::now();
  if (config_.store.empty() || now < next_look_for_forgotten_)
    return;
  next_look_for_forgotten_ = now + pace_.look_for_forgotten;
  remove_forgotten(next_with_output(), &store::Store::forgotten,
                   &Housekeeper::remove_output);
  remove_forgotten(next_with_files(), &store::Store::forgotten_runs,
                   &Housekeeper::remove_files_of);
}

template <class Id>
void Housekeeper::remove_forgotten(
    std::vector<Id> here,
    Result<std::vector<Id>> (store::Store::*find)(std::span<const Id>),
    void (Housekeeper::*remove)(Id)) {
  if (here.empty())
    return;
  queue::call(
      store_,
      [here = std::move(here), find](store::Store& store) {
        return (store.*find)(here);
      },
      [this, remove](const Result<std::vector<Id>>& forgotten) {
        if (!forgotten || is_ending_)
          return;
        for (const Id one : *forgotten)
          (this->*remove)(one);
      });
}

Result<void> Housekeeper::check_space() const {
  if (disk_free_ >= disk_reserve_)
    return {};
  return failure(
      Errc::overloaded,
      fmt::format("the disk of {} has {} left, and {} are to stay free",
                  output_folder_, format_size(disk_free_),
                  format_size(disk_reserve_)));
}

void Housekeeper::look_later() {
  timer_.expires_after(pace_.look);
  timer_.async_wait([this](const auto& error) {
    if (!error && !is_ending_)
      look();
  });
}

void Housekeeper::look() {
  look_at_space();
  look_at_output();
  look_at_content();
  look_for_forgotten();
  look_at_jobs();
}

void Housekeeper::look_at_space() {
  std::error_code error;
  const auto space = fs::space(output_folder_, error);
  if (!error)
    disk_free_ = space.available;
}

/// On the thread of the store.
Result<Housekeeper::OldJobs> Housekeeper::find_old(store::Store& store) {
  OldJobs old;
  auto count = store.count_ended();
  if (!count)
    return tl::unexpected(count.error());
  old.jobs.count = *count;
  // Apart: many of one kind must not hide those of the other.
  for (const auto set : {store::JobSet::settled, store::JobSet::failed}) {
    auto ids = store.oldest_ended(set, most_looked_at);
    if (!ids)
      return tl::unexpected(ids.error());
    for (const store::JobId id : *ids) {
      const auto job = store.job(id);
      if (job && job->ended)
        old.jobs.oldest.push_back(
            {id.value, set == store::JobSet::failed, *job->ended});
    }
  }
  auto run_count = store.count_ended_runs();
  auto runs = store.oldest_ended_runs(most_looked_at);
  if (!run_count || !runs)
    return tl::unexpected(!run_count ? run_count.error() : runs.error());
  old.runs.count = *run_count;
  for (const store::RunInfo& run : *runs)
    old.runs.oldest.push_back(
        {run.id.value, run.state == store::RunState::failed, *run.ended});
  std::sort(old.jobs.oldest.begin(), old.jobs.oldest.end(),
            [](const Ended& a, const Ended& b) {
              return std::tie(a.ended, a.number) < std::tie(b.ended, b.number);
            });
  return old;
}

void Housekeeper::look_at_jobs() {
  queue::call(store_, find_old, [this](Result<OldJobs> old) {
    if (is_ending_)
      return;
    boost::asio::post(io_, [this, old = std::move(old)] {
      if (old)
        forget_old(*old);
      look_later();
    });
  });
}

std::vector<std::uint64_t> Housekeeper::too_old(const Old& old) const {
  const WallTime now = std::chrono::system_clock::now();
  const auto is_too_old = [&](const Ended& one) {
    const Duration age =
        one.has_failed ? config_.keep_failed_age : config_.keep_age;
    return age != Duration{0} && now - one.ended > age;
  };
  const auto aged = static_cast<std::uint64_t>(
      std::count_if(old.oldest.begin(), old.oldest.end(), is_too_old));
  const std::uint64_t others = old.count - aged;
  std::uint64_t too_many =
      others > config_.keep_jobs ? others - config_.keep_jobs : 0;
  std::vector<std::uint64_t> numbers;
  for (const Ended& one : old.oldest) {
    const bool has_aged = is_too_old(one);
    if (!has_aged && too_many == 0)
      continue;
    numbers.push_back(one.number);
    if (!has_aged)
      --too_many;
  }
  return numbers;
}

void Housekeeper::forget_old(const OldJobs& old) {
  const auto jobs = too_old(old.jobs);
  const auto runs = too_old(old.runs);
  if (jobs.empty() && runs.empty())
    tidy();
  else
    forget(jobs, runs);
}

void Housekeeper::forget_runs(const std::vector<store::RunId>& runs) {
  std::vector<std::uint64_t> numbers;
  for (const store::RunId run : runs)
    numbers.push_back(run.value);
  boost::asio::post(
      io_, [this, numbers = std::move(numbers)] { forget({}, numbers); });
}

void Housekeeper::forget(std::vector<std::uint64_t> jobs,
                         std::vector<std::uint64_t> runs) {
  auto forgotten = std::make_shared<std::vector<store::JobId>>();
  store_.post(
      [this, jobs = std::move(jobs), runs = std::move(runs),
       forgotten](store::Store& store) {
        forgotten->clear();
        for (const std::uint64_t job : jobs) {
          if (store.forget(store::JobId{job}))
            forgotten->push_back(store::JobId{job});
        }
        for (const std::uint64_t run : runs) {
          if (forgotten->size() > most_forgotten)
            break;
          const auto its_jobs = store.forget_run(store::RunId{run});
          if (!its_jobs)
            continue;
          forgotten->insert(forgotten->end(), its_jobs->begin(),
                            its_jobs->end());
          remove_files_of(store::RunId{run});
        }
      },
      [this, forgotten](const Result<void>& done) {
        if (!done || is_ending_)
          return;
        for (const store::JobId job : *forgotten)
          remove_output(job);
        tidy();
      });
}

void Housekeeper::tidy() {
  store_.tidy(rows_at_once, [this](const Result<bool>& more) {
    if (more && *more && !is_ending_)
      boost::asio::post(io_, [this] { tidy(); });
  });
}

}  // namespace troupe::node
