// What a leader may count as a session's silence: only time in which it could have answered. Judged
// at every expiry, against the moment from which its leader served (docs/sessions.md).
#pragma once

#include <map>
#include <span>

#include "base/ids.h"
#include "session/lease_keeper.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

class Reigns {
 public:
  explicit Reigns(World& world) : world_(world) {}

  /// A leader of this term was seen; only the first time counts.
  void leads(Term term) { reigns_.try_emplace(term, Reign{world_.now(), {}, nullptr, {}}); }
  bool serves(Term term) const;
  /// From now on it serves, by this clock, which outlives this object; these are the sessions that
  /// it found, as its state has them.
  void begins_to_serve(Term term, SimClock& clock, std::span<const session::LeaseSeed> found);
  /// An expiry that was decided in this term is committed. Throws Broken (I16).
  void expired(Term term, SessionId session);

 private:
  struct Reign {
    Duration elected{0};  ///< true time
    Duration served{0};   ///< the same
    SimClock* clock = nullptr;
    std::map<SessionId, Duration> owed;  ///< silence that must pass from then on
  };

  World& world_;
  std::map<Term, Reign> reigns_;
};

}  // namespace holdfast::sim
