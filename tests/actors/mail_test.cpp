// Requests, and messages that are passed on unopened.
#include "actor_test.hpp"

#include <troupe/actors/caf.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace troupe::actors {
namespace {

struct Lookup {
  std::string key;
};
struct Found {
  std::string value;
};
/// To the client: look `key` up, there.
struct LookUp {
  ActorRef where;
  std::string key;
};
/// To the client: send a Lookup without waiting for an answer.
struct Mention {
  ActorRef where;
  std::string key;
};

}  // namespace
}  // namespace troupe::actors

TROUPE_LOCAL_MESSAGE(troupe::actors::Lookup)
TROUPE_LOCAL_MESSAGE(troupe::actors::Found)
TROUPE_LOCAL_MESSAGE(troupe::actors::LookUp)
TROUPE_LOCAL_MESSAGE(troupe::actors::Mention)

namespace troupe::actors {
namespace {

using ::testing::ElementsAre;

/// What happened, to whom.
using Diary = std::vector<std::string>;

std::string text_of(const Error& error) {
  return std::string{to_string(error.code)} + ": " + error.what;
}

/// Answers unless the key says otherwise.
class Server {
 public:
  Server(Actor* self, std::shared_ptr<Diary> diary)
      : self_{self}, diary_{std::move(diary)} {}

  Behavior make_behavior() {
    self_->set_error_handler([this](caf::error& error) {
      diary_->push_back("server got " + text_of(to_error(error)));
    });
    return {[this](const Lookup& m) {
      diary_->push_back("server got " + m.key + " from " +
                        std::to_string(id_of(sender_of(self_))));
      if (m.key == "crash")
        throw std::runtime_error("boom");
      if (m.key == "quit")
        quit(self_);
      if (m.key == "bad")
        answer_later(self_).deliver(
            to_caf(Error{Errc::not_found, "no such key"}));
      else if (m.key == "ignore" || m.key == "quit")
        kept_.push_back(answer_later(self_));
      else
        answer_later(self_).deliver(Found{m.key + "!"});
    }};
  }

 private:
  Actor* self_;
  std::shared_ptr<Diary> diary_;
  std::vector<Promise> kept_;
};

/// Passes everything on to a server, and answers on.
class Relay {
 public:
  Relay(Actor* self, ActorRef server, std::shared_ptr<Diary> diary)
      : self_{self}, server_{std::move(server)}, diary_{std::move(diary)} {}

  Behavior make_behavior() {
    handle_rest(self_, [this](Mail mail) {
      if (const auto number = answered_request(mail)) {
        if (const auto end = end_in_answer(mail))
          diary_->push_back("server " + describe(*end));
        answer(requests_.at(*number - 1), std::move(mail.content));
      } else if (is_request(mail)) {
        requests_.push_back(mail);
        pass_on_request(self_, server_, std::move(mail), requests_.size());
      } else {
        pass_on(self_, server_, std::move(mail));
      }
    });
    return {[](Mention) {}};
  }

 private:
  Actor* self_;
  ActorRef server_;
  std::shared_ptr<Diary> diary_;
  std::vector<Mail> requests_;
};

class Client {
 public:
  Client(Actor* self, std::shared_ptr<Diary> diary)
      : self_{self}, diary_{std::move(diary)} {}

  Behavior make_behavior() {
    return {[this](const LookUp& m) {
              request<Found>(self_, m.where, 1s, Lookup{m.key},
                             [this](const Result<Found>& result) {
                               diary_->push_back(result
                                                     ? "found " + result->value
                                                     : text_of(result.error()));
                             });
            },
            [this](const Mention& m) { send(self_, m.where, Lookup{m.key}); },
            [this](const Found& m) { diary_->push_back("told " + m.value); }};
  }

 private:
  Actor* self_;
  std::shared_ptr<Diary> diary_;
};

class MailTest : public ActorTest {
 protected:
  void SetUp() override {
    server = spawn<Server>(diary);
    relay = spawn<Relay>(server, diary);
    client = spawn<Client>(diary);
  }
  void TearDown() override {
    for (ActorRef* actor : {&server, &relay, &client}) {
      kill(*actor);
      *actor = {};
    }
    ActorTest::TearDown();
  }
  [[nodiscard]] std::string from_client(const std::string& key) const {
    return "server got " + key + " from " + std::to_string(id_of(client));
  }

  std::shared_ptr<Diary> diary = std::make_shared<Diary>();
  ActorRef server;
  ActorRef relay;
  ActorRef client;
};

TEST_F(MailTest, RequestEndsWithItsAnswer) {
  tell(client, LookUp{server, "a"});
  EXPECT_THAT(*diary, ElementsAre(from_client("a"), "found a!"));
}

TEST_F(MailTest, RequestEndsWithTheErrorThatItIsAnsweredWith) {
  tell(client, LookUp{server, "bad"});
  EXPECT_THAT(*diary,
              ElementsAre(from_client("bad"), "not_found: no such key"));
}

TEST_F(MailTest, RequestThatNobodyAnswersTimesOut) {
  tell(client, LookUp{server, "ignore"});
  advance(999ms);
  EXPECT_THAT(*diary, ElementsAre(from_client("ignore")));
  advance(1ms);
  EXPECT_THAT(*diary, ElementsAre(from_client("ignore"),
                                  "timed_out: no answer in time"));
}

TEST_F(MailTest, RequestToOneThatCrashesOrHasEndedIsUnavailable) {
  tell(client, LookUp{server, "crash"});
  tell(client, LookUp{server, "a"});
  EXPECT_THAT(*diary, ElementsAre(from_client("crash"),
                                  "unavailable: it ended: crashed: boom",
                                  "unavailable: it has ended"));
}

TEST_F(MailTest, ReceiverSeesWhoSentAMessageThatWasPassedOn) {
  tell(client, Mention{relay, "a"});
  EXPECT_THAT(*diary, ElementsAre(from_client("a"), "told a!"));
}

TEST_F(MailTest, ReceiverSeesWhoSentARequestThatWasPassedOn) {
  tell(client, LookUp{relay, "a"});
  tell(client, LookUp{relay, "bad"});
  EXPECT_THAT(*diary,
              ElementsAre(from_client("a"), "found a!", from_client("bad"),
                          "not_found: no such key"));
}

TEST_F(MailTest, RequestsMayBePassedOnMoreThanOnce) {
  auto outer = spawn<Relay>(relay, diary);
  tell(client, LookUp{outer, "a"});
  EXPECT_THAT(*diary, ElementsAre(from_client("a"), "found a!"));
}

TEST_F(MailTest, CrashInsteadOfAnAnswerCanBeTold) {
  tell(client, LookUp{relay, "crash"});
  EXPECT_THAT(*diary, ElementsAre(from_client("crash"), "server crashed: boom",
                                  "unavailable: it ended: crashed: boom"));
}

TEST_F(MailTest, ReceiverThatHasEndedDoesNotConfuseTheClient) {
  tell(client, LookUp{relay, "quit"});
  tell(client, LookUp{relay, "a"});
  EXPECT_THAT(*diary, ElementsAre(from_client("quit")));
  advance(1s);
  EXPECT_THAT(*diary,
              ElementsAre(from_client("quit"), "timed_out: no answer in time",
                          "timed_out: no answer in time"));
}

TEST_F(MailTest, ErrorsArePassedOnLikeAnythingElse) {
  tell(relay, to_caf(Error{Errc::corrupt, "a page"}));
  EXPECT_THAT(*diary, ElementsAre("server got corrupt: a page"));
  EXPECT_EQ(exit_of(relay), std::nullopt);
}

TEST_F(MailTest, MessageThatIsNoRequestIsNotAnswered) {
  answer(Mail{}, Error{Errc::internal, "nobody asked"});
  settle();
  EXPECT_TRUE(diary->empty());
}

}  // namespace
}  // namespace troupe::actors
