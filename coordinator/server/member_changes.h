// Changes of the members, above the Raft core: who asks for one, the leader that makes it, and whom
// the transport has to reach meanwhile. One thread.
//
// Any server takes a request, hands it to the leader and watches its own log for the outcome, so a
// leader that dies, or removes itself, loses no answer: a request is repeated to the next leader,
// and what is so already is not done twice.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "coordinator/server/host.h"
#include "coordinator/server/member_levels.h"
#include "coordinator/server/member_request.h"
#include "coordinator/server/peer_codec.h"

namespace holdfast::server {

/// Whom the transport talks to: all members of the committed configuration and of those after it,
/// so that a server that is being removed can still learn of that; and whom it refuses for good.
struct Reach {
  std::vector<raft::Member> members;         ///< ids ascending, once each
  std::vector<raft::RemovedMember> removed;  ///< as committed
  uint32_t level = 0;                        ///< as committed; those below it are refused
  friend bool operator==(const Reach&, const Reach&) = default;
};

/// By a core's log: all that may count, of its configurations from the committed one on, and whom
/// that one says to be removed.
Reach reach_of(const raft::Raft& core);

/// The ways out. Each may be empty: then servers cannot be asked, or nobody needs to be told.
struct MemberPorts {
  /// Asks whoever listens at the address who it is. `done` comes at most once.
  using Identified = std::function<void(Result<raft::IdentityReply>)>;
  std::function<void(const std::string& address, Identified done)> identify;
  /// Called whenever that changes.
  std::function<void(const Reach&)> reach;
  MemberLevels::LevelOf level_of;
};

class MemberChanges {
 public:
  MemberChanges(Host& host, PeerCodec& codec, MemberPorts ports);

  MemberLevels& levels() { return levels_; }
  const MemberLevels& levels() const { return levels_; }

  /// An operator asks this server.
  void ask(CallId call, const api::ChangeMembersRequest& request, const std::string& trace,
           Instant deadline);
  /// PeerKind::kMemberChange and kMemberChangeReply.
  void receive_request(NodeId from, std::string_view bytes);
  void receive_reply(NodeId from, std::string_view bytes);

  /// The core goes by another configuration.
  void on_configuration();
  /// This server was told that it is no member: its log will not say so.
  void on_removed();
  /// Closes a turn.
  void turn_end();
  Instant next_deadline() const;
  void shut_down();

 private:
  struct Asked {
    CallId call;
    int64_t number = 0;
    api::ChangeMembersRequest request;
    std::string trace;
    Instant deadline;
    NodeId leader;                      ///< to whom it was sent last; zero: it has to be
    uint64_t sent = 0;                  ///< how often
    Instant again_at = Instant::max();  ///< that leader could not make it, and is asked again
    LogIndex begun;        ///< the leader has begun it with this entry; zero: not known
    bool changed = false;  ///< and there was something to do
    std::optional<Refusal> refusal;
  };
  /// The leader's: servers are asked who they are.
  struct Work {
    NodeId from;
    peer::MemberChange message;
    size_t unanswered = 0;
    std::map<int32_t, Result<raft::IdentityReply>> answers;  ///< by node id
  };

  void publish();
  void send(Asked& asked);
  void begin(NodeId from, peer::MemberChange message);
  void begin_held_back();
  void judge(uint64_t work);
  void identify(uint64_t work);
  void answered(uint64_t work, int32_t node, Result<raft::IdentityReply> answer);
  void propose(const Work& work);
  std::optional<Refusal> add_members(const Work& work, const MembersLeft& left,
                                     raft::ConfigurationChange& change) const;
  void refuse(NodeId to, int64_t request, const Refusal& refusal);
  void reply(NodeId to, const peer::MemberChangeReply& message);
  void take_reply(NodeId from, const peer::MemberChangeReply& message);
  void take_refusal(NodeId from, Asked& asked, const peer::MemberChangeReply& message);
  /// Its entry, or another one in that place, is committed, and no change is under way.
  bool decided(const Asked& asked) const;
  /// And all that was asked for is so.
  bool done(const Asked& asked) const;
  /// Whether the call is answered.
  bool settle(Asked& asked);
  bool complete(const Asked& asked);
  bool fail(const Asked& asked, const Refusal& refusal);

  Host& host_;
  PeerCodec& codec_;
  MemberPorts ports_;
  MemberLevels levels_;
  std::vector<Asked> asked_;
  std::map<uint64_t, Work> works_;
  int64_t last_number_;
  uint64_t last_work_ = 0;
  Reach told_;
  LogIndex told_index_;  ///< of the latest configuration when told_ was made
  bool told_committed_ = false;
  bool stale_ = true;  ///< told_ may be wrong
};

}  // namespace holdfast::server
