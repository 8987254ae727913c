// The long polls of the sessions that poll this server: what each is to be told, and the call that
// waits for it. Everything here is a hint and can be rebuilt from the replicated state; nothing of
// it survives this process. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "coordinator/server/answer_time.h"
#include "coordinator/server/deadlines.h"
#include "coordinator/server/host.h"
#include "coordinator/server/watch_hub.h"

namespace holdfast::server {

class Polls {
 public:
  /// Notices of one reply; more are announced by PollResult.more.
  static constexpr size_t kNoticesPerReply = 1'000;
  /// A session that has so many untold notices, or has not polled here for so long, is forgotten
  /// and begins anew with its next poll.
  static constexpr size_t kNoticesMax = 20'000;
  static constexpr Duration kForgetAfter = 3min;

  Polls(Host& host, WatchHub& hub);

  /// A poll of a live session arrived; it waits for its renewal, whose ticket is to be put where
  /// the pointer says: there is that of the older one whose place it has taken. Null, and it is
  /// answered: a newer one has been here.
  std::optional<uint64_t>* arrive(CallId call, SessionId session, const api::PollRequest& request);
  /// Its renewal was acknowledged: answers if there is anything to tell, else parks. What watches
  /// tell waits until a turn has time for it.
  void renewed(CallId call, SessionId session, int64_t lease_ms);
  /// Its renewal failed: answers with this refusal, unless a newer poll took its place.
  void renewal_failed(CallId call, SessionId session, const Refusal& refusal);

  void on_effect(const rsm::Effect& effect);
  /// Answers the polls of those whose watches have news, as long as a turn has time.
  void answer_the_due();
  /// answer_the_due() has more to do.
  bool more() const { return !due_.empty() || hub_.waking(); }
  void sweep(Instant now);
  Instant next_deadline() const { return deadlines_.next(); }
  size_t deadlines() const { return deadlines_.size(); }
  void shut_down();
  /// True once if news wait for a poll's renewal since the last call.
  bool take_urgent() { return std::exchange(urgent_, false); }

 private:
  std::optional<Refusal> refuses(SessionId session, const api::PollRequest& request) const;
  struct Told {
    int64_t delivery = 0;  ///< of the reply that carries it; 0: none yet
    bool is_grant = false;
    api::GrantNotice grant;
    api::LossNotice loss;
  };
  struct Channel {
    enum class State : uint8_t { kNoCall, kRenewing, kParked };
    State state = State::kNoCall;
    CallId call;
    std::optional<uint64_t> renewal;  ///< the newest poll's
    bool answer_at_once = false;
    bool due = false;       ///< parked, and in due_
    bool outdated = false;  ///< its watches have seen less than told_through says
    int64_t lease_ms = 0;
    int64_t max_wait_ms = 0;
    Instant arrived;
    Instant park_until;
    Instant look_at;          ///< latest at which deadlines_ has it looked at once no call is there
    int64_t poll_number = 0;  ///< the client's, of the newest poll
    int64_t first_delivery = 0;            ///< of this channel; 0: none yet
    int64_t delivery = 0;                  ///< the latest
    Revision told_notice;                  ///< latest revocation that a reply has carried
    std::vector<Told> notices;             ///< holds no memory while there are none
    Revision told_through;                 ///< what had been applied when a reply was made last
    std::list<SessionId>::iterator place;  ///< in by_age_
  };

  void add_unacknowledged_grants(Channel& channel, SessionId session);
  bool has_notices(const Channel& channel, SessionId session) const;
  bool has_news(const Channel& channel, SessionId session) {
    return has_notices(channel, session) || hub_.has_news(session);
  }
  void park(Channel& channel, SessionId session, int64_t ttl_ms);
  void make_due(Channel& channel, SessionId session);
  void answer(Channel& channel, SessionId session);
  void wake(SessionId session);
  void add_grant(Channel& channel, const rsm::Effect& effect);
  void trim(SessionId session, Channel& channel);
  void drop_acknowledged(Channel& channel, int64_t delivery);
  void forget(SessionId session);
  void stands_at_applied(Channel& channel);
  void answer_the_outdated(Instant now);
  /// The call is over: the channel is looked at again once it may be forgotten.
  void end_call(Channel& channel, SessionId session);
  void look_again(Channel& channel, SessionId session);
  void fail_call(Channel& channel, SessionId session, const Refusal& refusal);

  Host& host_;
  WatchHub& hub_;
  AnswerTime time_;
  std::unordered_map<SessionId, Channel> channels_;
  std::list<SessionId> by_age_;  ///< by what each was told through, the furthest behind first
  Instant outdated_at_{};        ///< when those that are far behind were last answered
  /// The next first. A session whose call has ended keeps its place for the next one.
  std::deque<SessionId> due_;
  DeadlineQueue deadlines_;
  /// Deliveries of all channels are numbered together from a random number on, so that the number
  /// of a reply of an earlier process, or of a channel forgotten since, acknowledges nothing.
  int64_t next_delivery_;
  bool urgent_ = false;
  PollReply reply_;  // reused
};

/// The revocations in force against a session, as renewal replies carry them.
void fill_revocations(const Host& host, SessionId session, std::vector<api::RevocationNotice>& out);

}  // namespace holdfast::server
