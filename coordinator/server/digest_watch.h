// Compares the state digests of all servers, all the time: each reports its digests at some indexes
// to the leader every second, and the leader holds those of one index against each other. Who is
// odd is decided by a strict majority of the voters alone (in a joint configuration by both); with
// none the difference is an alarm. The odd one is told, and judges for itself what it is told: only
// a word about the state that it has now counts (docs/snapshots.md, "Divergence"). One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/server/digest_points.h"
#include "coordinator/server/host.h"
#include "coordinator/server/peer_codec.h"

namespace holdfast::server {

/// What a server says its state was.
struct DigestVote {
  NodeId node;
  uint64_t state = 0;  ///< which state of it: a number drawn whenever one is loaded
  Digest digest;
};

/// The digest that a strict majority of the voters had, in a joint configuration of both lists.
std::optional<Digest> agreed_digest(const raft::Configuration& configuration,
                                    const std::vector<DigestVote>& votes);

/// This server is the odd one out.
struct DigestVerdict {
  LogIndex index;
  Digest own;
  Digest agreed;
  std::vector<NodeId> agreeing;  ///< ascending
};

struct DigestStats {
  uint64_t reports = 0;     ///< sent to leaders
  uint64_t compared = 0;    ///< indexes at which this leader held digests against each other
  uint64_t mismatches = 0;  ///< of these, those at which they differed
};

class DigestWatch {
 public:
  static constexpr Duration kEvery = 1s;
  /// A difference that nobody has shown again for so long has passed; so does what a server that is
  /// silent for so long reported before. A state must not be withheld for ever because of one that
  /// may never be heard again: a quorum may need the server that asks for it.
  static constexpr Duration kFresh = 5s;
  /// Points of a level in a report.
  static constexpr size_t kPointsOfEach = 16;
  /// More in one report come from no server.
  static constexpr size_t kPointsMax = 64;

  DigestWatch(Host& host, PeerCodec& codec);

  /// The machine has applied the entry.
  void on_applied() { points_.add(host_.applied, host_.machine.digest()); }
  /// Nothing of what another leader said or was told counts any more, but that states differ.
  void on_leader_changed();
  /// PeerKind::kDigestReport and kDigestNews.
  void receive_report(NodeId from, std::string_view bytes);
  void receive_news(NodeId from, std::string_view bytes);
  /// Closes a turn.
  void turn_end();
  Instant next_wakeup() const { return next_; }

  /// Once, when this server is found to be the odd one.
  std::optional<DigestVerdict> take_verdict();
  /// The node said so to this server, if that does not lead within kFresh.
  bool quarantined(NodeId node) const;
  /// And lately that it is there at all.
  bool heard_lately(NodeId node) const;
  /// The next report goes in this turn: there is news in it.
  void report_soon() { next_ = host_.clock.now(); }
  void add_alarms(std::vector<api::Alarm>& alarms) const;
  bool mismatch() const { return difference_.has_value(); }
  /// While it is open which state is right, this server's is given to nobody. It is not open to one
  /// that has led, and then had what a strict majority had after that entry or a later one:
  /// whatever differed before, who goes on from its state comes to theirs. (A server that is too
  /// far behind shows an old difference again and again, of an entry that the others report no
  /// more.)
  bool withholds() const { return doubt_ && agreed_through_ < doubt_->index; }
  const DigestStats& stats() const { return stats_; }

 private:
  /// What a node reported last.
  struct Reported {
    uint64_t state = 0;
    /// A late report of it says nothing of what is there now, while that is heard.
    uint64_t former_state = 0;
    uint64_t number = 0;
    bool quarantined = false;
    Instant heard_at;
    std::vector<DigestPoint> points;
  };
  struct Difference {
    LogIndex index;
    std::vector<DigestVote> votes;
    std::optional<Digest> agreed;
    Instant seen_at;
  };

  /// That states differ, and no majority is known to have agreed since.
  struct Doubt {
    LogIndex index;   ///< the last entry after which they were shown to
    Instant seen_at;  ///< when any such difference was shown last
  };

  const raft::Configuration& configuration() const { return host_.node->core().configuration(); }
  bool leads() const { return host_.soft.role == raft::Role::kLeader; }
  void report();
  void report_to(NodeId node, const peer::DigestReport& message);
  bool take_report(NodeId from, const peer::DigestReport& message);
  void compare(const Reported& reported);
  std::vector<DigestVote> votes_at(LogIndex index) const;
  void note_agreement(LogIndex index, const std::optional<Digest>& agreed);
  void doubt(LogIndex index);
  void take_difference(Difference difference);
  void judge_self(const Difference& difference);
  void tell(NodeId node);

  Host& host_;
  PeerCodec& codec_;
  const uint64_t state_;  ///< the number of the state that is here
  DigestPoints points_;
  uint64_t number_ = 0;  ///< of the last report sent
  Instant next_;
  std::map<NodeId, Reported> reported_;       ///< of members, while this server leads
  std::map<NodeId, Instant> quarantined_at_;  ///< when members said so, while another leads
  std::optional<Difference> difference_;
  std::optional<Doubt> doubt_;
  /// The last entry known after which a strict majority of the voters had the digest of this state.
  LogIndex agreed_through_;
  std::optional<DigestVerdict> verdict_;
  DigestStats stats_;
};

/// "nodes 1 and 2 had 0123..., node 3 had 4567..."
std::string describe_votes(const std::vector<DigestVote>& votes);

}  // namespace holdfast::server
