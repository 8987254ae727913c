// The renewal lane: renewals of leases from their arrival at any server to their acknowledgement by
// the leader, ahead of all other work (PROMISE 6). The leader acknowledges after a quorum answered
// a round that began after the renewal arrived, or, for a session marked late, after a committed
// renew entry; the rules are session::LeaseKeeper's.
//
// Rounds and forwarded batches begin at once while they are few and are paced when they are many: a
// lease counts from when the client sent its request, so the wait costs the client nothing, and its
// answers leave together. What waits for news beside its lease is not held back: hurry().
// One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "coordinator/server/commands.h"
#include "coordinator/server/deadlines.h"
#include "coordinator/server/host.h"
#include "coordinator/server/pace.h"
#include "coordinator/server/peer_codec.h"
#include "session/lease_keeper.h"
#include "session/session_table.h"

namespace holdfast::server {

/// What a renewal came to.
struct Renewed {
  int64_t lease_ms = 0;             ///< above 0: renewed
  ErrorCode code = ErrorCode::kOk;  ///< else why not: SESSION_EXPIRED, NO_LEADER, SHUTTING_DOWN
};

/// Whose renewal it is; opaque here but for `call`.
struct RenewalTarget {
  /// kUnseen: of a call that waits here until the session's opening is applied, and renews again
  /// then. Nobody is answered.
  enum class Kind : uint8_t { kKeepAlive, kPoll, kOpen, kRemote, kUnseen };
  Kind kind = Kind::kKeepAlive;
  CallId call;
  SessionId session;
  int64_t sequence = 0;
  NodeId remote_node;           ///< kRemote: the server that asks
  uint64_t remote_request = 0;  ///< and its number for it
  LogIndex revision;            ///< answered once this is applied here
  /// Of a secret that the server it came to could not check: whoever leads does.
  std::optional<session::SecretHash> unchecked;
  Instant deadline;
};

class Renewals {
 public:
  class Owner {
   public:
    virtual void on_renewed(const RenewalTarget& target, const Renewed& outcome) = 0;

   protected:
    ~Owner() = default;
  };

  Renewals(Host& host, PeerCodec& codec, Commands& commands, Owner& owner);

  /// A renewal of a client of this server. Answered through the owner, never from inside this call,
  /// which returns its ticket; none: it is refused, and answered to nobody. The one with the ticket
  /// `instead_of` is answered to nobody either, if it is still there.
  std::optional<uint64_t> renew(const RenewalTarget& target,
                                std::optional<uint64_t> instead_of = std::nullopt);
  /// The renewals under way are not to wait for the pace: somebody's news wait for them.
  void hurry() { hurry_ = true; }

  /// First in the end of a turn.
  void flush();
  /// After flush(), serving: late marks, renew entries, expiries. What had arrived by
  /// `handled_until` is handled; a renewal that came later may still be unread somewhere, so
  /// nothing is decided about a deadline after it.
  void decide(Instant handled_until);
  /// The deadline to decide next, if it has passed and only waits for input to be handled up to it.
  std::optional<Instant> undecided() const { return undecided_; }

  void begin_leadership();
  void end_leadership();
  void on_leader_changed();
  /// Another leader or none, or another term: what other servers sent to this one they send anew.
  void forget_remote();
  /// The connection to the leader is back: what was on its way may be lost.
  void on_leader_reconnected();
  void on_effect(const rsm::Effect& effect);
  void on_own_applied(uint64_t request);
  void on_own_refused(uint64_t request);
  void on_read(uint64_t context, LogIndex index);
  void on_read_failed(uint64_t context);
  /// Entries were applied: answers renewals that waited for a revision.
  void on_applied();
  void note_gap(Duration gap) { keeper_.note_gap(gap); }
  void sweep(Instant now);
  Instant next_wakeup() const;
  void shut_down();

  void receive_batch(NodeId from, std::string_view bytes);
  void receive_replies(NodeId from, std::string_view bytes);

  /// -1 if not known here: only the leader knows.
  int64_t lease_left_ms(SessionId session) const {
    return keeper_.lease_left_ms(session, host_.clock.now());
  }
  size_t pending() const { return targets_.size() - free_.size(); }
  /// Places in the queue for a leader; a multiple of pending() at most, but for a few.
  size_t queued() const { return waiting_.size(); }
  const RenewalStats& stats() const { return stats_; }

 private:
  /// An entry of the leader's own about sessions, proposed and not yet applied.
  struct OwnEntry {
    command::CommandKind::type kind;
    uint64_t renew_entry = 0;
    std::vector<SessionId> sessions;
    std::vector<session::LateMark> marks;
  };
  struct Slot {
    uint32_t generation = 0;
    bool used = false;
    Term sent_term;  ///< follower: forwarded to the leader of this term
    RenewalTarget target;
  };

  uint64_t park(const RenewalTarget& target);
  Slot* find(uint64_t ticket);
  uint64_t ticket_of(uint32_t at) const;
  bool opens_later(SessionId session) const;
  bool has_its_secret(const RenewalTarget& target) const;
  void release(uint64_t ticket);
  void withdraw(uint64_t ticket);
  void wait_for_leader(uint64_t ticket);
  void hand_to_keeper(uint64_t ticket);
  void take_answers();
  void answer(uint64_t ticket, const Renewed& outcome);
  void wait_for_apply(uint64_t ticket, const Renewed& outcome);
  void forward_waiting(NodeId leader);
  void take_waiting(peer::RenewalBatch& batch, std::vector<uint64_t>& later);
  template <class Stale>
  void send_again(Stale&& stale);
  void send_replies();
  void ask_round();
  void finish_round();
  bool wants_round() const;
  void propose_renew_entries();
  void propose_marks(Instant now);
  void propose_expiries(Instant now);

  Host& host_;
  PeerCodec& codec_;
  Commands& commands_;
  Owner& owner_;
  session::LeaseKeeper keeper_;
  std::vector<Slot> targets_;
  std::vector<uint32_t> free_;
  std::vector<uint64_t> waiting_;  ///< tickets for whatever leader there is
  using UnappliedKey = std::pair<LogIndex, uint64_t>;
  std::map<UnappliedKey, Renewed> unapplied_;  ///< answers that wait for a revision
  std::vector<session::RenewalAnswer> answers_;
  std::map<NodeId, peer::RenewalReplies> replies_;
  std::unordered_map<uint64_t, OwnEntry> own_;
  DeadlineQueue deadlines_;
  uint64_t round_in_flight_ = 0;
  std::optional<LogIndex> round_index_;  ///< a quorum answered it; done once this is applied
  bool round_lost_ = false;
  Instant decided_until_;
  std::optional<Instant> undecided_;
  RenewalStats stats_;
  bool hurry_ = false;
  Pace rounds_pace_;    ///< leader
  Pace forwards_pace_;  ///< follower
  std::vector<SessionId> sessions_;
  std::vector<session::LateMark> marks_;
};

}  // namespace holdfast::server
