// What a server was shown of a difference between its own state and that of others. While somebody
// shows it, and no majority has borne that state out, it is given to no other server (docs/
// snapshots.md, "Divergence"). It is asked of one whose state is odd and never a majority's, and
// what counts is what a server without a fault said; so that says who is wrong. Of one state of a
// server.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "base/clock.h"
#include "base/ids.h"
#include "coordinator/server/peer_codec.h"

namespace holdfast::sim {

class ShownDifference {
 public:
  /// How the server that is told stands then.
  struct Standing {
    Instant now;  ///< by its own clock
    Term term;
    bool leads = false;
    LogIndex loaded;  ///< where its state began: what differs now differed from there on
    LogIndex applied;
  };

  /// Another process, or another state: it was shown nothing yet.
  void begin() { *this = ShownDifference(); }
  /// PeerKind::kDigestReport of a member whose own state is good.
  void reported(NodeId from, std::string_view bytes, const Standing& standing);
  bool open(Instant now) const;

 private:
  struct Heard {
    int64_t state = 0;
    int64_t number = 0;
    std::set<int64_t> former_states;
  };
  /// A late report says nothing.
  bool take(Heard& heard, int64_t state, int64_t number);

  std::map<NodeId, Heard> heard_;
  std::optional<Instant> shown_at_;
};

}  // namespace holdfast::sim
