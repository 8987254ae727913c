// Keeps one session alive: the long poll, sent again as soon as it is answered, on whatever server
// answers. ARCHITECTURE, Sessions; API, poll.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/net/timer.h"
#include "clients/cpp/server_pool.h"

namespace holdfast::client {

/// Loop thread only. No memory is spent on a call object per poll, so that a process may keep very
/// many sessions.
class Keeper final : private ReplySink {
 public:
  /// How a poll was answered.
  struct Answer {
    Instant sent;  ///< leases count from here
    Server* server = nullptr;
    /// The next poll acknowledges it. False: another poll was sent before it came. What it tells of
    /// watches is then told again and must not be taken up (docs/watches.md).
    bool taken_up = false;
  };
  class Events {
   public:
    virtual void on_poll(const api::PollResult& result, const Answer& answer) = 0;
    /// Another server answers than before, or one that was silent: notices for us may be lost.
    virtual void on_server_changed() = 0;
    /// A server says that the session is over. Nothing is polled after this.
    virtual void on_session_over(const CallError& error) = 0;

   protected:
    ~Events() = default;
  };

  Keeper(ServerPool& pool, Events& events, api::RequestContext context, int64_t ttl_ms);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  void start() { poll(nullptr, false); }
  /// Renews now, beside a poll that is parked.
  void renew_now() { poll(nullptr, true); }
  /// The revocation notices in force: every poll acknowledges them, because a server may drop an
  /// acknowledgement.
  void acknowledge(std::vector<int64_t> notices) { to_acknowledge_ = std::move(notices); }
  void stop();

 private:
  /// A poll that is not answered yet.
  struct Flight {
    uint64_t tag = 0;
    int32_t seqid = 0;
    Server* server = nullptr;
    std::weak_ptr<Connection> connection;
    Instant sent;
    Instant owed_since;  ///< the server has no more reason to hold it back
    Instant due;         ///< when the answer should be here
  };

  void poll(const Server* avoid, bool renew);
  void poll_later(Duration delay, const Server* avoid, bool renew);
  api::PollRequest make_request(const Server& server, bool renew) const;
  Duration patience_with(bool renew) const;
  void on_timer();
  void overdue(const Flight& flight);
  Flight take_flight(uint64_t tag);
  void drop_oldest();
  bool comes_elsewhere(const Flight& flight);
  void answered(const Flight& flight, const api::PollResult& result);
  void refused(const Flight& flight, const api::HoldfastError& error);

  void on_reply(uint64_t tag, Connection& from, Reply& reply) override;
  void on_lost(uint64_t tag, Connection& from) override;

  ServerPool& pool_;
  Events& events_;
  api::RequestContext context_;
  const Duration park_;      ///< longest wait of a poll: min(TTL/4, 60 s)
  const Duration patience_;  ///< how long an answer may be overdue at first: TTL/16
  net::Timer timer_;
  std::vector<Flight> flights_;  ///< oldest first
  uint64_t last_tag_ = 0;
  const Server* last_server_ = nullptr;  ///< whose reply was taken up last
  int64_t last_delivery_ = 0;
  const Server* heard_ = nullptr;  ///< who answered the newest poll that was answered
  uint64_t heard_tag_ = 0;         ///< and which that was
  bool silence_ = false;           ///< since then a poll was lost, refused or overdue
  int overdue_ = 0;                ///< polls overdue since a reply was taken up
  std::vector<int64_t> to_acknowledge_;
  const Server* next_avoid_ = nullptr;
  bool next_renew_ = false;
  int refusals_ = 0;
  bool stopped_ = false;
};

}  // namespace holdfast::client
