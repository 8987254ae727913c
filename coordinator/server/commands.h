// The way of a command: from the call that asks for it to the leader's log and back by this
// server's own apply, which answers it. Commands within a session are sent again to every new
// leader until their outcome is known (exactly once by their sequence); one without a sequence is
// handed to one leader of one term only (at most once).
//
//   submit() -> waiting -> flush(): proposed here, or forwarded to the leader -> on_reply()
//
// One thread. Nothing here is replicated.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "coordinator/rsm/command_codec.h"
#include "coordinator/server/deadlines.h"
#include "coordinator/server/engine_stats.h"
#include "coordinator/server/host.h"
#include "coordinator/server/notice_bound.h"
#include "coordinator/server/peer_codec.h"
#include "gen/cpp/command_types.h"
#include "raft/transport/codec.h"

namespace holdfast::server {

/// Largest body of a command, far above what apply admits: one that no peer's frame or log record
/// could hold must never become an entry.
inline constexpr size_t kCommandBytesMax = (1 << 20) + (1 << 18);
/// Of one that frees or keeps alive and therefore passes where others are refused: a path and
/// words.
inline constexpr size_t kExemptBytesMax = 16 << 10;
static_assert(4 * kCommandBytesMax <= raft::kMaxPeerFrameBytes);

/// A client's command, from its arrival until it is answered.
struct PendingCommand {
  CallId call;
  bool has_call = true;  ///< false: nobody waits for the outcome
  command::CommandHeader header;
  Blob body;
  Instant deadline;
  Instant arrived;
  Term sent_term;       ///< term of the leader it was handed to; zero: to none yet
  bool copied = false;  ///< another copy went out before: a refusal of this one leaves that open
  bool parks = false;   ///< an acquire whose call is held while it waits in the queue
  Instant park_until = Instant::max();  ///< and for how long at most, if the caller said so
  std::string
      path;  ///< acquire: the (first) lock's, to describe it in the answer; create: the key's

  bool repeatable() const {
    return header.sequence != 0 || header.kind == command::CommandKind::OPEN_SESSION;
  }
};

class Commands {
 public:
  /// Where outcomes go. Called from flush(), on_reply(), ... on the engine's thread.
  class Owner {
   public:
    virtual void on_outcome(const PendingCommand& command, const rsm::CommandResult& result) = 0;
    /// A command of this leader's own (propose_own) was applied, or could not be proposed.
    virtual void on_own_applied(uint64_t request) = 0;
    virtual void on_own_refused(uint64_t request) = 0;

   protected:
    ~Owner() = default;
  };

  Commands(Host& host, PeerCodec& codec, Owner& owner);

  /// The body's bytes, valid until the next call of encode() or propose_own().
  template <class Body>
  std::string_view encode(const Body& body) {
    return encoder_.body(body);
  }
  /// Why no command may have so many bytes, if none may.
  std::optional<Refusal> too_large(size_t bytes) const;
  /// Takes a client's command with its body, or refuses it for want of room; the header's level and
  /// origin are filled in here.
  void submit(PendingCommand pending);
  /// Proposes a command of this leader itself; serving only. Returns the number by which the owner
  /// hears of it again. If leadership ends first, it does not.
  template <class Body>
  uint64_t propose_own(command::CommandKind::type kind, Term decided_term, const Body& body) {
    command::CommandHeader header = own_header(kind, decided_term);
    HF_CHECK(!above_level(header), "a leader decides on nothing that is not in force");
    add_to_batch(header, encoder_.body(body));
    return static_cast<uint64_t>(header.originRequest);
  }

  /// End of a turn: proposes or forwards what gathered.
  void flush();
  /// Answers what has waited past its deadline.
  void sweep(Instant now);
  Instant next_deadline() const { return deadlines_.next(); }
  size_t deadlines() const { return deadlines_.size(); }

  /// This server's apply says what its command came to.
  void on_reply(uint64_t request, const rsm::CommandResult& result);
  /// Entries of a later term are being applied: what was handed to an earlier leader and has not
  /// come by now never will.
  void on_term_applied(Term term);
  /// Another leader, or leadership here: what can be repeated is sent again.
  void on_leader_changed();
  /// The connection to the leader is back: what was on its way may be lost.
  void on_leader_reconnected();

  void receive_forwards(NodeId from, std::string_view bytes);
  void receive_refusals(NodeId from, std::string_view bytes);
  /// Answers everything with SHUTTING_DOWN.
  void shut_down();

  size_t size() const { return pending_.size(); }
  const CommandStats& stats() const { return stats_; }

 private:
  /// Whose proposal stands at a place of the batch being gathered.
  struct Origin {
    NodeId node;
    uint64_t request = 0;
    bool own = false;
  };
  struct Batch {
    std::vector<raft::Proposal> proposals;
    std::vector<Origin> origins;
    bool closed = false;  ///< something found no room: what comes after it waits too
    void clear() {
      proposals.clear();
      origins.clear();
    }
    void pop_back() {
      proposals.pop_back();
      origins.pop_back();
    }
  };
  /// Is there room in the log for a command?
  enum class Room : uint8_t { kNow, kLater, kNever };

  using Pending = std::unordered_map<uint64_t, PendingCommand>;

  std::optional<Refusal> no_room_for(const PendingCommand& pending) const;
  std::optional<Refusal> above_level(const command::CommandHeader& header) const;
  PendingCommand take(Pending::iterator at);
  command::CommandHeader own_header(command::CommandKind::type kind, Term decided_term);
  void add_to_batch(command::CommandHeader& header, std::string_view body, bool own = true);
  /// It frees or keeps alive, and is no larger than such a command needs to be.
  static bool is_exempt(command::CommandKind::type kind, size_t bytes);
  Batch& batch_of(command::CommandKind::type kind, size_t bytes);
  static Origin origin_of(const command::CommandHeader& header, bool own = false);
  void propose_waiting();
  void propose_forwarded();
  void propose_own();
  /// Now: it is in its batch. Never: it is answered.
  Room room_for(command::CommandHeader& header, std::string_view body);
  Room put_off(const Origin& origin, size_t bytes);
  void drop_own_without_room();
  void propose(Batch& batch, bool exempt);
  void propose_one_by_one(Batch& batch, bool exempt);
  Room refuse_before_proposal(const Origin& origin, const Refusal& refusal);
  void proposed(std::span<const Origin> origins, LogIndex first);
  void refused(const Origin& origin, const raft::ProposeResult& result);
  void refuse_remote(NodeId node, uint64_t request, const Refusal& refusal);
  void forward_waiting(NodeId leader);
  bool send_forwards(NodeId leader);
  void send_refusals();
  void expire(uint64_t request, Instant now);
  void fail(uint64_t request, Refusal refusal);
  void refuse(const PendingCommand& command, Refusal refusal);
  void send_again(const std::vector<uint64_t>& requests);

  Host& host_;
  PeerCodec& codec_;
  Owner& owner_;
  rsm::CommandEncoder encoder_;
  uint64_t next_request_;
  Pending pending_;                ///< its order is never observed: see flush()
  uint64_t pending_bytes_ = 0;     ///< of their bodies
  std::vector<uint64_t> waiting_;  ///< to be handed to a leader, in order of arrival
  std::vector<uint64_t> gathering_;
  std::vector<uint64_t> later_;
  /// For when this leader begins to serve. Only in the term in which they were sent: their origin
  /// answers a command that cannot be repeated as not applied once it applies a later term.
  std::vector<peer::ForwardedCommand> held_forwards_;
  bool own_first_ = false;
  uint64_t put_off_bytes_ = 0;  ///< of those forwarded or of the own ones, in this turn
  Term held_term_;
  DeadlineQueue deadlines_;
  Batch batch_;
  Batch exempt_batch_;
  NoticeBound notices_;
  peer::ForwardBatch forwards_;
  std::vector<uint64_t> forwarding_;
  std::map<NodeId, peer::ForwardRefusals> refusals_;
  CommandStats stats_;
};

}  // namespace holdfast::server
