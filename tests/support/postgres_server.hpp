#pragma once

#include "temp_dir.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <grp.h>
#include <gtest/gtest.h>
#include <iterator>
#include <libpq-fe.h>
#include <memory>
#include <poll.h>
#include <pwd.h>
#include <string>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace troupe::testing {

/// A PostgreSQL server of a test's own: in a folder that goes with it, behind a
/// socket in that folder, and as a user without rights if the test has all of
/// them. It ends with the test, whatever becomes of that.
class PostgresServer {
 public:
  /// The folder of initdb and postgres; empty if they are not there.
  static std::string binaries() {
    std::error_code ignored;
    std::string newest;
    for (const auto& version :
         std::filesystem::directory_iterator{"/usr/lib/postgresql", ignored}) {
      const auto folder = version.path() / "bin";
      if (std::filesystem::exists(folder / "initdb") &&
          folder.string() > newest)
        newest = folder.string();
    }
    return newest;
  }

  /// What is durable survives kill(), and costs a sync for each commit.
  explicit PostgresServer(bool is_durable) : is_durable_{is_durable} {
    if (::geteuid() == 0) {
      const passwd* user = ::getpwnam("postgres");
      if (user == nullptr)
        user = ::getpwnam("nobody");
      if (user != nullptr) {
        uid_ = user->pw_uid;
        gid_ = user->pw_gid;
      }
      EXPECT_EQ(::chown(folder_.path().c_str(), uid_, gid_), 0);
    }
    const pid_t maker =
        spawn({binaries() + "/initdb", "-D", data(), "-U", "troupe", "-A",
               "trust", "-E", "UTF8", "--locale=C", "-N"});
    EXPECT_TRUE(wait_for(maker, 60)) << "initdb: " << log();
    start();
  }
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer() {
    if (pid_ <= 0)
      return;
    ::kill(pid_, SIGQUIT);
    if (!wait_for(pid_, 10)) {
      ::kill(pid_, SIGKILL);
      wait_for(pid_, 10);
    }
  }

  void start() {
    const auto late = std::chrono::steady_clock::now() + seconds{60};
    do {
      const std::string sync = is_durable_ ? "on" : "off";
      pid_ = spawn({binaries() + "/postgres", "-D", data(), "-c",
                    "listen_addresses=", "-c",
                    "unix_socket_directories=" + folder_.path(), "-c",
                    "fsync=" + sync, "-c", "synchronous_commit=" + sync, "-c",
                    "full_page_writes=" + sync, "-c", "shared_buffers=32MB",
                    "-c", "max_connections=40", "-c", "autovacuum_naptime=5s"});
      while (!has_ended(pid_)) {
        if (PQping(uri().c_str()) == PQPING_OK)
          return;
        ::poll(nullptr, 0, 20);
        if (std::chrono::steady_clock::now() > late)
          break;
      }
      // One that was killed leaves processes that take a moment to see it.
      ::poll(nullptr, 0, 50);
    } while (std::chrono::steady_clock::now() < late);
    ADD_FAILURE() << "PostgreSQL does not start: " << log();
  }

  /// Lets that user in with a password only.
  void require_password_of(const std::string& user) const {
    const std::string path = data() + "/pg_hba.conf";
    const std::string rule = "local all " + user + " scram-sha-256\n";
    std::ifstream in{path};
    const std::string rest{std::istreambuf_iterator<char>{in}, {}};
    std::ofstream{path} << rule << rest;
    query("SELECT pg_reload_conf()");
    // It is read a moment later.
    for (int i = 0; i < 500; ++i) {
      if (query("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method="
                "'scram-sha-256'") != "0" &&
          !lets_in(user))
        return;
      ::poll(nullptr, 0, 10);
    }
    ADD_FAILURE() << user << " still needs no password";
  }

  /// Without a chance to write anything down.
  void kill() {
    ::kill(pid_, SIGKILL);
    EXPECT_TRUE(wait_for(pid_, 10, /*is_killed=*/true));
    pid_ = -1;
  }

  [[nodiscard]] std::string uri(const std::string& database = "postgres",
                                const std::string& user = "troupe") const {
    return "postgresql://" + user + "@/" + database + "?host=" + folder_.path();
  }

  [[nodiscard]] std::string folder() const { return folder_.path(); }

  /// The first field of the last statement of `sql`.
  std::string query(const std::string& sql,
                    const std::string& database = "postgres") const {
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection{
        PQconnectdb(uri(database).c_str()), PQfinish};
    const std::unique_ptr<PGresult, decltype(&PQclear)> result{
        PQexec(connection.get(), sql.c_str()), PQclear};
    const auto status = PQresultStatus(result.get());
    EXPECT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        << sql << ": " << PQerrorMessage(connection.get());
    return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
  }

  /// What it has written last.
  [[nodiscard]] std::string log() const {
    const std::string all = folder_.read("log");
    return all.substr(all.size() - std::min<std::size_t>(all.size(), 2000));
  }

 private:
  using seconds = std::chrono::seconds;

  [[nodiscard]] bool lets_in(const std::string& user) const {
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection{
        PQconnectdb(uri("postgres", user).c_str()), PQfinish};
    return PQstatus(connection.get()) == CONNECTION_OK;
  }
  [[nodiscard]] std::string data() const { return folder_.path("data"); }

  pid_t spawn(const std::vector<std::string>& words) {
    std::vector<char*> argv;
    for (const std::string& word : words)
      argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const std::string log = folder_.path("log");
    const std::string folder = folder_.path();
    const pid_t pid = ::fork();
    if (pid != 0)
      return pid;
    if (::geteuid() == 0 &&
        (::setgroups(0, nullptr) != 0 || ::setresgid(gid_, gid_, gid_) != 0 ||
         ::setresuid(uid_, uid_, uid_) != 0))
      ::_exit(126);
    ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(::open("/dev/null", O_RDONLY), 0);
    ::dup2(out, 1);
    ::dup2(out, 2);
    if (::chdir(folder.c_str()) == 0)
      ::execv(argv[0], argv.data());
    ::_exit(127);
  }

  bool has_ended(pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) == pid; }

  /// Whether it has ended in time, and well if it was not killed.
  static bool wait_for(pid_t pid, int longest, bool is_killed = false) {
    const auto late = std::chrono::steady_clock::now() + seconds{longest};
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) != pid) {
      if (std::chrono::steady_clock::now() > late)
        return false;
      ::poll(nullptr, 0, 5);
    }
    return is_killed || status == 0;
  }

  bool is_durable_;
  TempDir folder_;
  uid_t uid_ = ::geteuid();
  gid_t gid_ = ::getegid();
  pid_t pid_ = -1;
};

}  // namespace troupe::testing
