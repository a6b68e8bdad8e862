#include "link_connection.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/text.hpp>
#include <troupe/link/links.hpp>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace troupe::link {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using distributed::NodeId;

/// How long we wait for a descriptor when there are none left.
constexpr Duration accept_pause = 100ms;
constexpr int accept_backlog = 256;

TimePoint now() { return std::chrono::steady_clock::now(); }

std::string text_of(const tcp::endpoint& endpoint) {
  return to_string(
      LinkAddress{endpoint.address().to_string(), endpoint.port()});
}

tl::unexpected<Error> not_up(const NodeId& peer) {
  return failure(Errc::not_found,
                 fmt::format("there is no link to {}", to_string(peer)));
}

}  // namespace

// -- One link -----------------------------------------------------------------

/// Performs what a LinkCore decides. Held by the set, and by what it waits for.
class Links::Link final : public LinkConnectionOwner,
                          public std::enable_shared_from_this<Links::Link> {
 public:
  Link(Set& set, asio::io_context& io, LinkSide side,
       std::optional<NodeId> peer, std::string from, std::uint64_t seed);

  void start_dialling(LinkAddress address) {
    address_ = std::move(address);
    perform(core_.on_start(now()));
  }
  void start_accepted(tcp::socket socket);
  void set_address(LinkAddress address) { address_ = std::move(address); }

  void drain() { perform(core_.drain(now())); }
  void close() { perform(core_.close(now())); }
  /// The roster has changed.
  void check_again();
  void pause(bool is_paused) {
    if (connection_)
      connection_->pause(is_paused);
  }
  /// Tells nobody anything any more.
  void abandon() {
    set_ = nullptr;
    timer_.cancel();
    drop_connection();
  }

  [[nodiscard]] LinkCore& core() { return core_; }
  void perform(LinkCore::Actions actions);

  // LinkConnectionOwner
  void on_tcp_connected() override { perform(core_.on_connected(now())); }
  Result<void> admit(const LinkPeer& peer) override;
  void on_secured(const LinkPeer& peer) override {
    perform(core_.on_secured(peer.node, now()));
  }
  void on_frame(std::string_view frame) override {
    perform(core_.on_frame(frame, now()));
  }
  void on_written() override { perform(core_.on_written(now())); }
  void on_lost(LinkEnd end, std::string reason) override {
    perform(core_.on_lost(end, std::move(reason), now()));
  }

 private:
  void perform_one(LinkCore::Action& action);
  void drop_connection() {
    if (const auto connection = std::exchange(connection_, nullptr))
      connection->drop();
    secured_.reset();
  }
  void set_timer();

  Set* set_;  ///< Null once it was abandoned.
  asio::io_context& io_;
  LinkCore core_;
  LinkAddress address_;  ///< Of a dialling one.
  const std::string from_;
  asio::steady_timer timer_;
  std::optional<TimePoint> timer_at_;
  std::shared_ptr<LinkConnection> connection_;
  std::optional<LinkPeer> secured_;
  std::deque<LinkCore::Action> pending_;
  bool is_performing_ = false;
};

// -- All of them --------------------------------------------------------------

class Links::Set : public std::enable_shared_from_this<Links::Set> {
 public:
  Set(asio::io_context& io, LinksOptions options,
      std::shared_ptr<LinkSecurity> security,
      std::shared_ptr<const Roster> roster, LinksOwner& owner)
      : io_{io},
        options_{std::move(options)},
        security_{std::move(security)},
        roster_{std::move(roster)},
        owner_{owner},
        acceptor_{io},
        pause_{io},
        random_{options_.seed} {}

  Result<void> listen(const LinkAddress& at);
  void stop_listening() {
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  }
  void abandon() {
    stop_listening();
    for (const auto& link : all())
      link->abandon();
    dialled_.clear();
    accepted_.clear();
    up_.clear();
  }

  void want(const NodeId& peer, LinkAddress address);
  void forget(const NodeId& peer);
  void drain();
  void set_roster(std::shared_ptr<const Roster> roster);

  [[nodiscard]] std::shared_ptr<Link> find(const NodeId& peer) const {
    const auto found = up_.find(peer);
    return found == up_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::size_t links() const {
    return dialled_.size() + accepted_.size();
  }
  [[nodiscard]] std::size_t up() const { return up_.size(); }
  [[nodiscard]] const std::optional<LinkAddress>& address() const {
    return address_;
  }

  // Of links.
  void on_up(const std::shared_ptr<Link>& link, const Hello& hello);
  void on_down(const std::shared_ptr<Link>& link, const std::string& from,
               const LinkCore::Down& down);
  void on_closed(const std::shared_ptr<Link>& link);
  [[nodiscard]] Result<void> admit(const LinkPeer& peer) const {
    return roster_->admit(peer.node, peer.key);
  }
  [[nodiscard]] LinksOwner& owner() { return owner_; }
  [[nodiscard]] const LinksOptions& options() const { return options_; }
  [[nodiscard]] const std::shared_ptr<LinkSecurity>& security() const {
    return security_;
  }

 private:
  void accept();
  void accept_later();
  void welcome(tcp::socket socket);
  /// Accepted ones that are not up.
  [[nodiscard]] std::size_t strangers() const {
    return accepted_.size() - greeted_;
  }
  [[nodiscard]] bool has_room() const {
    return strangers() < options_.most_strangers &&
           links() < options_.most_links;
  }
  [[nodiscard]] std::vector<std::shared_ptr<Link>> all() const;

  asio::io_context& io_;
  const LinksOptions options_;
  std::shared_ptr<LinkSecurity> security_;
  std::shared_ptr<const Roster> roster_;
  LinksOwner& owner_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  Random random_;
  std::optional<LinkAddress> address_;
  bool is_accepting_ = false;
  std::map<NodeId, std::shared_ptr<Link>> dialled_;
  std::set<std::shared_ptr<Link>> accepted_;
  std::size_t greeted_ = 0;  ///< Of the accepted ones, those that are up.
  std::map<NodeId, std::shared_ptr<Link>> up_;
};

// -- Link ---------------------------------------------------------------------

Links::Link::Link(Set& set, asio::io_context& io, LinkSide side,
                  std::optional<NodeId> peer, std::string from,
                  std::uint64_t seed)
    : set_{&set},
      io_{io},
      core_{side, set.options().limits, set.options().hello, peer, seed},
      from_{std::move(from)},
      timer_{io} {}

void Links::Link::start_accepted(tcp::socket socket) {
  perform(core_.on_start(now()));
  connection_ = take(std::move(socket), set_->security(),
                     set_->options().idle_time, *this);
}

Result<void> Links::Link::admit(const LinkPeer& peer) {
  if (set_ == nullptr)
    return failure(Errc::cancelled, "links have ended");
  if (auto admitted = set_->admit(peer); !admitted)
    return admitted;
  secured_ = peer;
  return {};
}

void Links::Link::check_again() {
  if (!secured_)
    return;
  if (const auto admitted = set_->admit(*secured_); !admitted)
    perform(core_.on_lost(LinkEnd::refused, admitted.error().what, now()));
}

/// What an owner does while it is told something comes after that.
void Links::Link::perform(LinkCore::Actions actions) {
  std::move(actions.begin(), actions.end(), std::back_inserter(pending_));
  if (std::exchange(is_performing_, true))
    return;
  const auto self = shared_from_this();
  while (!pending_.empty() && set_ != nullptr) {
    LinkCore::Action action = std::move(pending_.front());
    pending_.pop_front();
    perform_one(action);
  }
  is_performing_ = false;
  if (set_ != nullptr)
    set_timer();
}

void Links::Link::perform_one(LinkCore::Action& action) {
  std::visit(Overload{
                 [this](const LinkCore::Connect&) {
                   connection_ =
                       dial(io_, set_->security(), address_.host, address_.port,
                            set_->options().idle_time, *this);
                 },
                 [this](const LinkCore::Write& write) {
                   if (connection_)
                     connection_->write(write.frame);
                 },
                 [this](const LinkCore::Up& up) {
                   set_->on_up(shared_from_this(), up.hello);
                 },
                 [this](const LinkCore::Deliver& heard) {
                   set_->owner().on_message(*core_.peer(), heard.message);
                 },
                 [this](const LinkCore::HasRoom&) {
                   set_->owner().on_room(*core_.peer());
                 },
                 [this](const LinkCore::LogRoom& room) {
                   set_->owner().on_log_room(*core_.peer(), room.stream);
                 },
                 [this](const LinkCore::Disconnect&) { drop_connection(); },
                 [this](const LinkCore::Down& down) {
                   set_->on_down(shared_from_this(), from_, down);
                 },
                 [this](const LinkCore::Closed&) {
                   set_->on_closed(shared_from_this());
                 },
             },
             action);
}

void Links::Link::set_timer() {
  const auto at = core_.wake_at();
  // One that comes too early does no harm, and most deadlines are not met.
  if (!at || (timer_at_ && *timer_at_ <= *at))
    return;
  timer_at_ = at;
  timer_.expires_at(*at);
  timer_.async_wait([self = shared_from_this()](error_code cancelled) {
    if (cancelled || self->set_ == nullptr)
      return;
    self->timer_at_.reset();
    self->perform(self->core_.on_time(now()));
  });
}

// -- Set ----------------------------------------------------------------------

Result<void> Links::Set::listen(const LinkAddress& at) {
  error_code error;
  const auto address = asio::ip::make_address(at.host, error);
  if (error)
    return failure(
        Errc::invalid_argument,
        fmt::format("{} is no address of this host", printable(at.host)));
  const tcp::endpoint endpoint{address, at.port};
  const auto check = [&](std::string_view what) -> Result<void> {
    if (!error)
      return {};
    const std::string context =
        fmt::format("cannot {} {}", what, text_of(endpoint));
    if (error == asio::error::address_in_use)
      return failure(Errc::already_exists,
                     fmt::format("{}: the port is taken", context));
    return tl::unexpected(system_error(context, error.value()));
  };
  acceptor_.open(endpoint.protocol(), error);
  if (auto opened = check("open"); !opened)
    return opened;
  acceptor_.set_option(tcp::acceptor::reuse_address{true}, error);
  acceptor_.bind(endpoint, error);
  if (auto bound = check("listen on"); !bound)
    return bound;
  acceptor_.listen(accept_backlog, error);
  if (auto listening = check("listen on"); !listening)
    return listening;
  const auto local = acceptor_.local_endpoint(error);
  address_ = LinkAddress{local.address().to_string(), local.port()};
  accept();
  return {};
}

void Links::Set::accept() {
  if (is_accepting_ || !acceptor_.is_open() || !has_room())
    return;
  is_accepting_ = true;
  acceptor_.async_accept(
      [self = shared_from_this()](error_code error, tcp::socket socket) {
        self->is_accepting_ = false;
        if (!self->acceptor_.is_open())
          return;
        if (error == asio::error::no_descriptors ||
            error == asio::error::no_memory ||
            error == asio::error::no_buffer_space)
          return self->accept_later();
        if (!error)
          self->welcome(std::move(socket));
        self->accept();
      });
}

void Links::Set::accept_later() {
  pause_.expires_after(accept_pause);
  pause_.async_wait([self = shared_from_this()](error_code cancelled) {
    if (!cancelled)
      self->accept();
  });
}

void Links::Set::welcome(tcp::socket socket) {
  error_code error;
  const auto from = socket.remote_endpoint(error);
  if (error)
    return;  // It is gone already.
  const auto link =
      std::make_shared<Link>(*this, io_, LinkSide::accepted, std::nullopt,
                             text_of(from), random_.next());
  accepted_.insert(link);
  link->start_accepted(std::move(socket));
}

void Links::Set::want(const NodeId& peer, LinkAddress address) {
  if (!(options_.hello.node < peer))
    return;
  if (const auto found = dialled_.find(peer); found != dialled_.end())
    return found->second->set_address(std::move(address));
  if (links() >= options_.most_links)
    return;
  const auto link = std::make_shared<Link>(*this, io_, LinkSide::dialling, peer,
                                           to_string(address), random_.next());
  dialled_.emplace(peer, link);
  link->start_dialling(std::move(address));
}

void Links::Set::forget(const NodeId& peer) {
  const auto dialled = dialled_.find(peer);
  const auto link = dialled != dialled_.end() ? dialled->second : find(peer);
  if (link)
    link->drain();
}

void Links::Set::drain() {
  stop_listening();
  for (const auto& link : all())
    link->drain();
}

void Links::Set::set_roster(std::shared_ptr<const Roster> roster) {
  roster_ = std::move(roster);
  for (const auto& link : all())
    link->check_again();
}

std::vector<std::shared_ptr<Links::Link>> Links::Set::all() const {
  std::vector<std::shared_ptr<Link>> links{accepted_.begin(), accepted_.end()};
  for (const auto& [peer, link] : dialled_)
    links.push_back(link);
  return links;
}

void Links::Set::on_up(const std::shared_ptr<Link>& link, const Hello& hello) {
  if (link->core().side() == LinkSide::accepted)
    ++greeted_;
  const auto before = std::exchange(up_[hello.node], link);
  if (before && before != link)
    before->close();
  owner_.on_up(hello.node, hello);
  accept();
}

void Links::Set::on_down(const std::shared_ptr<Link>& link,
                         const std::string& from, const LinkCore::Down& down) {
  if (down.was_up && link->core().side() == LinkSide::accepted)
    --greeted_;
  const auto peer = link->core().peer();
  const auto found = peer ? up_.find(*peer) : up_.end();
  const bool is_current = found != up_.end() && found->second == link;
  if (is_current)
    up_.erase(found);
  // One that was replaced is not missed.
  if (is_current || !down.was_up)
    owner_.on_down(peer, from, down.end, down.reason, down.was_up);
}

void Links::Set::on_closed(const std::shared_ptr<Link>& link) {
  accepted_.erase(link);
  if (const auto& peer = link->core().peer(); peer) {
    const auto found = dialled_.find(*peer);
    if (found != dialled_.end() && found->second == link)
      dialled_.erase(found);
  }
  link->abandon();
  accept();
}

// -- Links --------------------------------------------------------------------

Result<std::unique_ptr<Links>> Links::open(asio::io_context& io,
                                           LinksOptions options,
                                           std::shared_ptr<const Roster> roster,
                                           LinksOwner& owner) {
  auto security = LinkSecurity::of(options.identity);
  if (!security)
    return tl::unexpected(std::move(security.error()).within("links"));
  options.hello.node = options.identity.node;
  const auto listen = options.listen;
  auto set = std::make_shared<Set>(io, std::move(options), std::move(*security),
                                   std::move(roster), owner);
  std::unique_ptr<Links> links{new Links{set}};
  if (listen) {
    if (auto listening = set->listen(*listen); !listening)
      return tl::unexpected(std::move(listening.error()).within("links"));
  }
  return links;
}

Links::Links(std::shared_ptr<Set> set) : set_{std::move(set)} {}

Links::~Links() { set_->abandon(); }

std::optional<LinkAddress> Links::address() const { return set_->address(); }

void Links::set_roster(std::shared_ptr<const Roster> roster) {
  set_->set_roster(std::move(roster));
}

void Links::want(const NodeId& peer, LinkAddress address) {
  set_->want(peer, std::move(address));
}

void Links::forget(const NodeId& peer) { set_->forget(peer); }

Result<void> Links::send(const NodeId& peer, const Message& message) {
  const auto link = set_->find(peer);
  if (!link)
    return not_up(peer);
  auto sent = link->core().send(message, now());
  if (!sent)
    return tl::unexpected(std::move(sent.error()));
  link->perform(std::move(*sent));
  return {};
}

Result<std::uint64_t> Links::open_log(const NodeId& peer, const LogOpen& what,
                                      std::uint32_t window) {
  const auto link = set_->find(peer);
  if (!link)
    return not_up(peer);
  auto opened = link->core().open_log(what, window, now());
  if (!opened)
    return tl::unexpected(std::move(opened.error()));
  link->perform(std::move(opened->actions));
  return opened->stream;
}

Result<std::uint64_t> Links::open_content(const NodeId& peer,
                                          const ContentOpen& what,
                                          std::uint32_t window) {
  const auto link = set_->find(peer);
  if (!link)
    return not_up(peer);
  auto opened = link->core().open_content(what, window, now());
  if (!opened)
    return tl::unexpected(std::move(opened.error()));
  link->perform(std::move(opened->actions));
  return opened->stream;
}

void Links::log_taken(const NodeId& peer, std::uint64_t stream,
                      std::uint32_t bytes) {
  if (const auto link = set_->find(peer))
    link->perform(link->core().log_taken(stream, bytes, now()));
}

std::uint32_t Links::log_room(const NodeId& peer, std::uint64_t stream) const {
  const auto link = set_->find(peer);
  return link ? link->core().log_room(stream) : 0;
}

Result<void> Links::send_log(const NodeId& peer, const LogChunk& chunk) {
  const auto link = set_->find(peer);
  if (!link)
    return not_up(peer);
  auto sent = link->core().send_log(chunk, now());
  if (!sent)
    return tl::unexpected(std::move(sent.error()));
  link->perform(std::move(*sent));
  return {};
}

void Links::close_log(const NodeId& peer, std::uint64_t stream, LogSide side,
                      std::string reason) {
  if (const auto link = set_->find(peer))
    link->perform(
        link->core().close_log(stream, side, std::move(reason), now()));
}

void Links::pause(const NodeId& peer, bool is_paused) {
  if (const auto link = set_->find(peer))
    link->pause(is_paused);
}

void Links::drain() { set_->drain(); }

std::size_t Links::links() const { return set_->links(); }

bool Links::is_up(const NodeId& peer) const {
  return set_->find(peer) != nullptr;
}

std::size_t Links::up() const { return set_->up(); }

}  // namespace troupe::link
