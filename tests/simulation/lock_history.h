// The locks as the committed history says they are, told event by event and judged as it goes: one
// holder and ascending tokens (I11), live sessions only (I12), order of arrival and no lock left
// free (I14). Written from docs/locks.md, not from the lock table. Also remembers what every lock
// was like at every revision, for reads (I20).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "lockmgr/types.h"

namespace holdfast::sim {

class LockHistory {
 public:
  struct Claim {
    std::string path;
    lockmgr::LockMode mode = lockmgr::LockMode::kExclusive;
    uint32_t permits = 0;
    uint32_t limit = 0;
  };
  /// An acquire, waiting or holding. Its holder id is the revision of its entry.
  struct Acquire {
    Revision holder_id;
    SessionId session;
    Sequence sequence;
    std::vector<Claim> claims;
  };
  struct Holder {
    Revision holder_id;
    Revision token;
    SessionId session;
    Claim claim;
  };
  /// What a lock was like from a revision on.
  struct Version {
    Revision from;
    std::vector<std::pair<Revision, Revision>> holders;  ///< token and holder id, ascending
    std::vector<Revision> waiters;                       ///< holder ids in order
  };
  /// A command that names a holder (release, releaseAll, setHolderValue) and what came of it.
  struct HolderCommand {
    std::string what;
    bool held = false;         ///< its session's holder held the lock
    bool done = false;         ///< it was told that it did it
    bool refused = false;      ///< for another reason
    bool nothing_due = false;  ///< time alone changed nothing in this entry
    bool changed = false;      ///< the lock table is another than before
  };
  /// Throws Broken (I13).
  static void judge(const HolderCommand& command);

  /// Whether a lock-delay closes the lock now.
  using Closed = std::function<bool(const std::string& path)>;

  /// An entry begins. Then what it does, in the order of its effects; then finish().
  void begin(Revision revision);
  void session_opened(SessionId session) { live_.insert(session); }
  void session_ended(SessionId session);
  void queued(const Acquire& acquire);
  /// `handed_over`: the one grant that may pass waiters.
  void granted(Revision holder_id, Revision token, const std::string& path, bool handed_over);
  void wait_ended(Revision holder_id);
  void tenure_ended(const std::string& path, Revision holder_id, Revision token);
  void finish(const Closed& closed);

  const Holder* holder(const std::string& path, Revision holder_id) const;
  /// Any lock that the acquire holds.
  bool holds_any(Revision holder_id, SessionId session) const;
  bool waits(const std::string& path, Revision holder_id) const;
  size_t waiters(const std::string& path) const;
  /// Sessions of the waiters in order.
  std::vector<SessionId> queue_of(const std::string& path) const;
  /// Locks that the session holds, by path.
  std::vector<std::string> held_by(SessionId session) const;
  /// Some semaphore's first waiter does not fit, and the second would.
  bool head_blocks_smaller() const;
  bool live(SessionId session) const { return live_.contains(session); }
  /// The lock as it was when `revision` had been applied.
  const Version& at(const std::string& path, Revision revision) const;
  /// Locks that were held or queued for then, by path.
  std::vector<std::string> present(Revision revision) const;

 private:
  struct Lock {
    std::vector<Holder> holders;  ///< by grant
    std::vector<Revision> queue;  ///< holder ids of acquires in acquires_
    Revision last_token;
    std::vector<Version> versions;
  };
  Lock& lock(const std::string& path);
  const Claim& claim_of(Revision holder_id, const std::string& path) const;
  static bool fits(const Lock& lock, const Claim& claim);
  bool could_have(const Acquire& acquire, const Closed& closed) const;
  void check_holders(const std::string& path, const Lock& lock) const;
  void forget_if_gone(Revision holder_id);

  Revision revision_;
  std::set<SessionId> live_;
  std::set<SessionId> ended_;  ///< in this entry
  std::map<std::string, Lock> locks_;
  std::map<Revision, Acquire> acquires_;
  std::set<std::string> touched_;
};

}  // namespace holdfast::sim
