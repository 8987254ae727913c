// How far what the watches of a session are known to have seen may fall behind while the session
// polls (docs/watches.md): a poll that is parked is answered once that is of the older half of the
// history, for at another server, or here later, its watches would be told everything anew. Known
// is what had been applied when a reply to the session left last. Of one life of a server.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/ids.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

class PollPlaces {
 public:
  /// How a server stands at the end of a turn.
  struct Standing {
    Instant now;  ///< by its own clock
    Revision applied;
    Revision history_floor;
    Revision history_last;
    bool renews = false;  ///< a poll that has come may still wait for its renewal
  };
  using Watching = std::function<bool(SessionId)>;

  explicit PollPlaces(World& world) : world_(world) {}

  void arrived(SessionId session, uint32_t call, Revision applied);
  void told(uint32_t call, Revision applied);
  void refused(uint32_t call);
  /// Throws Broken (I19).
  void turned(const Standing& standing, const Watching& watching);
  void clear() { places_.clear(); }

 private:
  struct Place {
    Revision told;
    std::set<uint32_t> calls;         ///< polls that are here; one that came late is refused soon
    std::optional<Instant> outdated;  ///< since when, and parked all the while
  };
  /// The poll is over: where it was, if it was here.
  Place* take(uint32_t call);

  World& world_;
  std::map<SessionId, Place> places_;
};

}  // namespace holdfast::sim
