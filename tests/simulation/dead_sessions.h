// The bound on dead holders over elections in a row (docs/sessions.md), judged all along in runs in
// which nothing but leaderships and clients fails (Weather::elections): after its client died a
// session ends within
//   TTL + S for each leadership that ended before it was marked late, D for each one after
//       + all time without a leader that serves + what a round and an entry take, each time anew.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "base/ids.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

class DeadSessions {
 public:
  /// A session as the committed entries have it.
  struct Presence {
    int64_t ttl_ms = 0;
    bool late = false;
  };
  /// Nothing if it has ended.
  using Look = std::function<std::optional<Presence>(SessionId)>;

  DeadSessions(World& world, Look look);

  /// The process that had this session is gone.
  void died(SessionId session);
  /// A leader that served serves no more.
  void leadership_ended();
  /// After every step: does a leader serve a quorum? Throws Broken (I16).
  void observe(bool served);

 private:
  struct Dead {
    Duration died{0};
    Duration allowed{0};
    int leaderships = 0;  ///< that ended since
  };
  void allow_all(Duration more);

  World& world_;
  const Look look_;
  const Duration slack_;  ///< for a round and an entry
  bool served_ = false;
  Duration looked_{0};
  std::map<SessionId, Dead> dead_;
};

}  // namespace holdfast::sim
