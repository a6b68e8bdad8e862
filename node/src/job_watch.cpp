#include "job_watch.hpp"

#include "job_json.hpp"

#include <troupe/queue/dispatcher_actor.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

namespace troupe::node {
namespace {

constexpr Duration gather_time = 200ms;
/// Jobs that one stream is told of at a time; the others come next.
constexpr std::size_t most_told_at_once = 200;

}  // namespace

/// Jobs as they look; those that were forgotten are missing.
struct JobWatch::Seen {
  std::map<store::JobId, SeenJob> jobs;
  std::vector<std::pair<std::weak_ptr<Watcher>, std::set<store::JobId>>> asked;
};

void JobWatch::changed(store::JobId job) {
  also_(job);
  if (!has_watchers_)
    return;
  boost::asio::post(io_, [weak = weak_from_this(), job] {
    if (const auto self = weak.lock())
      self->note(job);
  });
}

void JobWatch::note(store::JobId job) {
  bool is_news = false;
  for (const auto& watcher : watchers_) {
    if (!watcher->unended || watcher->unended->contains(job))
      is_news = watcher->news.insert(job).second || is_news;
    watcher->news.insert(watcher->needy.begin(), watcher->needy.end());
    is_news = is_news || !watcher->needy.empty();
  }
  if (is_news)
    flush_later();
}

void JobWatch::watch(const api::HttpStream& stream,
                     std::optional<std::set<store::JobId>> jobs) {
  auto watcher = std::make_shared<Watcher>(
      Watcher{stream, jobs, jobs.value_or(std::set<store::JobId>{})});
  watchers_.push_back(watcher);
  has_watchers_ = true;
  stream.on_closed([weak = weak_from_this(), gone = watcher.get()] {
    const auto self = weak.lock();
    if (!self)
      return;
    std::erase_if(self->watchers_,
                  [&](const auto& one) { return one.get() == gone; });
    self->has_watchers_ = !self->watchers_.empty();
  });
  flush();
  look_later();
}

void JobWatch::look_later() {
  if (look_every_ == Duration{0} || watchers_.empty() ||
      std::exchange(is_look_set_, true))
    return;
  look_timer_.expires_after(look_every_);
  look_timer_.async_wait([weak = weak_from_this()](const auto& error) {
    const auto self = weak.lock();
    if (error || !self)
      return;
    self->is_look_set_ = false;
    for (const auto& watcher : self->watchers_) {
      if (watcher->unended)
        watcher->news.insert(watcher->unended->begin(),
                             watcher->unended->end());
    }
    self->flush();
    self->look_later();
  });
}

void JobWatch::flush_later() {
  if (std::exchange(is_flush_set_, true))
    return;
  // The first news after a pause is told at once.
  timer_.expires_at(
      std::max(std::chrono::steady_clock::now(), last_flush_ + gather_time));
  timer_.async_wait([weak = weak_from_this()](const auto& error) {
    const auto self = weak.lock();
    if (error || !self)
      return;
    self->is_flush_set_ = false;
    self->flush();
  });
}

void JobWatch::flush() {
  last_flush_ = std::chrono::steady_clock::now();
  auto seen = std::make_shared<Seen>();
  std::set<store::JobId> all;
  bool has_more = false;
  for (const auto& watcher : watchers_) {
    std::set<store::JobId> some;
    while (!watcher->news.empty() && some.size() < most_told_at_once &&
           watcher->stream.wants_more())
      some.insert(watcher->news.extract(watcher->news.begin()));
    has_more = has_more || !watcher->news.empty();
    all.insert(some.begin(), some.end());
    if (!some.empty())
      seen->asked.emplace_back(watcher, std::move(some));
  }
  if (has_more)
    flush_later();
  if (!all.empty())
    look_up(seen, std::move(all));
}

void JobWatch::look_up(const std::shared_ptr<Seen>& seen,
                       std::set<store::JobId> jobs) {
  const auto deliver = [weak = weak_from_this(), &io = io_,
                        seen](const Result<void>& done) {
    boost::asio::post(io, [weak, seen, is_done = done.has_value()] {
      const auto self = weak.lock();
      if (self && is_done)
        self->deliver(*seen);
      else if (self)
        self->ask_again(*seen);
    });
  };
  actors::send(
      dispatcher_,
      queue::AskSnapshot{[&store = store_, seen, jobs = std::move(jobs),
                          deliver](const queue::DispatcherSnapshot& now) {
        queue::call(
            store,
            [seen, jobs,
             at_hand = now.jobs](store::Store& tables) -> Result<void> {
              for (const store::JobId id : jobs) {
                auto job = tables.job(id);
                if (job)
                  seen->jobs.insert_or_assign(
                      id, as_it_looks(std::move(*job), at_hand));
                else if (job.error().code != Errc::not_found)
                  return tl::unexpected(std::move(job.error()));
              }
              return {};
            },
            deliver);
      }});
}

void JobWatch::ask_again(const Seen& seen) {
  for (const auto& [weak, ids] : seen.asked) {
    if (const auto watcher = weak.lock())
      watcher->news.insert(ids.begin(), ids.end());
  }
  flush_later();
}

void JobWatch::tell(Watcher& watcher, const SeenJob& job) {
  const Json json = to_json(job, false);
  if (look_every_ != Duration{0} && watcher.unended) {
    const std::size_t now = std::hash<std::string>{}(json.dump());
    const auto [told, is_new] = watcher.told.try_emplace(job.info.id, now);
    if (!is_new && std::exchange(told->second, now) == now)
      return;
  }
  watcher.stream.event("job", json);
}

void JobWatch::deliver(const Seen& seen) {
  for (const auto& [weak, ids] : seen.asked) {
    const auto watcher = weak.lock();
    if (!watcher)
      continue;
    for (const store::JobId id : ids) {
      const auto job = seen.jobs.find(id);
      const bool is_gone = job == seen.jobs.end();
      if (is_gone)
        watcher->stream.event("forgotten", {{"job", id.value}});
      else
        tell(*watcher, job->second);
      if (!watcher->unended)
        continue;
      const bool is_over = is_gone || has_ended(job->second.info.state);
      if (is_over)
        watcher->unended->erase(id);
      if (is_over || job->second.info.job.needs.empty())
        watcher->needy.erase(id);
      else
        watcher->needy.insert(id);
    }
    if (watcher->unended && watcher->unended->empty())
      watcher->stream.end();
  }
  std::erase_if(watchers_,
                [](const auto& one) { return one->stream.is_over(); });
  has_watchers_ = !watchers_.empty();
}

}  // namespace troupe::node
