// A session against two scripted servers, whose calls the test answers by hand.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clients/cpp/client_core.h"
#include "tests/unit/client/fake_server.h"

namespace holdfast::client {

inline constexpr int64_t kTtlMs = 8'000;
inline constexpr int64_t kLeaseMs = 7'800;

class SessionTest : public LoopTest {
 protected:
  SessionTest() {
    for (FakeServer* server : {&a_, &b_}) {
      server->leader_id = a_.id();
      server->leader_address = a_.address();
      script(*server);
    }
    ClientOptions options;
    options.servers = {a_.address(), b_.address()};
    client_ = std::move(*ClientCore::create(loop_, entropy_, options));
  }

  /// Sessions are opened and renewed; polls park, except renewNow and the first; the rest is
  /// logged.
  void script(FakeServer& server) {
    server.on("openSession", [this, &server](Received& call) {
      opens_.push_back(call.request<api::OpenSessionRequest>());
      api::OpenSessionResult result;
      result.sessionId = 500;
      result.ttlMs = kTtlMs;
      result.leaseMs = kLeaseMs;
      server.reply(call, result);
    });
    server.on("poll", [this, &server](Received& call) { on_poll(server, call); });
    for (const char* name : {"acquire", "acquireAll", "release", "releaseAll", "setHolderValue",
                             "cancelAcquire", "closeSession", "get", "put", "waitForChange",
                             "watch", "unwatch", "checkToken", "transact"}) {
      server.on(name, [this, &server](Received& call) { commands_.push_back({&server, call}); });
    }
  }
  void on_poll(FakeServer& server, Received& call) {
    polls_.push_back({&server, call});
    if (mute_polls_) return;
    const auto request = call.request<api::PollRequest>();
    if (!request.renewNow && request.acknowledgedDelivery != 0) return;  // parked
    send_poll_reply(polls_.size() - 1, {});
  }
  void send_poll_reply(size_t poll, api::PollResult result) {
    if (result.leaseMs == 0) result.leaseMs = kLeaseMs;
    if (result.serverEpoch == 0) result.serverEpoch = epoch_of(*polls_[poll].first);
    result.delivery = ++delivery_;
    polls_[poll].first->reply(polls_[poll].second, result);
  }
  static int64_t epoch_of(const FakeServer& server) { return 100 + server.id(); }
  void answer_poll(size_t poll, api::PollResult result = {}) {
    send_poll_reply(poll, std::move(result));
    settle();
  }
  void refuse_poll(size_t poll, api::ErrorCode::type code, bool retryable) {
    polls_[poll].first->refuse(polls_[poll].second, code, retryable);
    settle();
  }

  void open() {
    client_->open_session({.ttl = from_ms(kTtlMs), .name = "test"}, [this](auto outcome) {
      ASSERT_TRUE(outcome.ok()) << outcome.error().message;
      session_ = *outcome;
      session_->on_ended = [this](const CallError& error) { ended_ = error.code; };
    });
    settle();
    ASSERT_NE(session_, nullptr);
  }
  void acquire(int64_t wait_ms = -1) {
    ticket_ = session_->acquire("/a", {.wait_ms = wait_ms}, [this](Outcome<Acquired> outcome) {
      acquired_ = std::move(outcome);
      if (!acquired_->ok() || (*acquired_)->hold == nullptr) return;
      (*acquired_)->hold->on_lost = [this](LostReason reason) { lost_ = reason; };
    });
    settle();
  }
  std::shared_ptr<Hold> hold() {
    return acquired_ && acquired_->ok() ? (*acquired_)->hold : nullptr;
  }

  void answer_acquire(size_t command, api::AcquireStatus::type status) {
    api::AcquireResult result;
    result.status = status;
    result.holderId = 600;
    result.token = 601;
    if (status == api::AcquireStatus::NOT_GRANTED) result.reason = api::RefusalReason::TIMED_OUT;
    commands_[command].first->reply(commands_[command].second, result);
    settle();
  }
  void hold_lock() {
    open();
    acquire();
    answer_acquire(0, api::AcquireStatus::GRANTED);
    ASSERT_NE(hold(), nullptr);
    ASSERT_TRUE(hold()->held(clock_.now()));
  }
  /// It waits for the lock, and is asked for again, of the other server.
  void wait_at_another_server() {
    open();
    acquire();
    answer_acquire(0, api::AcquireStatus::WAITING);
    a_.down();
    settle();
    ASSERT_EQ(commands_.size(), 2u);
  }
  api::RevocationNotice notice(const std::string& path, int64_t notice_ms) {
    api::RevocationNotice notice;
    notice.noticeId = 900;
    notice.path = path;
    notice.holderId = path.empty() ? 0 : 600;
    notice.noticeMs = notice_ms;
    return notice;
  }

  FakeServer a_{loop_, 1};
  FakeServer b_{loop_, 2};
  std::unique_ptr<ClientCore> client_;
  std::vector<api::OpenSessionRequest> opens_;
  std::vector<std::pair<FakeServer*, Received>> polls_;
  std::vector<std::pair<FakeServer*, Received>> commands_;
  bool mute_polls_ = false;
  int64_t delivery_ = 0;
  std::shared_ptr<SessionCore> session_;
  SessionCore::Ticket ticket_ = 0;
  std::optional<Outcome<Acquired>> acquired_;
  std::optional<LostReason> lost_;
  std::optional<ErrorCode> ended_;
};

}  // namespace holdfast::client
