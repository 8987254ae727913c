// What the engine and its parts count since the start. Plain numbers of the engine's thread;
// whoever publishes takes a copy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "coordinator/rsm/effects.h"
#include "lockmgr/types.h"

namespace holdfast::server {

struct EngineStats {
  uint64_t entries_applied = 0;
  uint64_t commands_answered = 0;
  uint64_t malformed_entries = 0;
  uint64_t leader_changes = 0;  ///< times another leader became known here, or this server led
};

/// Commands that came in by this server, and their ways.
struct CommandStats {
  uint64_t submitted = 0;
  uint64_t forwarded = 0;  ///< sent to another server that led; once for each time
  uint64_t received = 0;   ///< sent by other servers to this one
  uint64_t proposed = 0;   ///< to the log, the leader's own among them
  uint64_t repeated = 0;   ///< handed to a leader again
  /// By ErrorCode: answered without an outcome.
  std::array<uint64_t, static_cast<size_t>(ErrorCode::kInternal) + 1> refused{};
};

struct RenewalStats {
  uint64_t received = 0;      ///< from clients
  uint64_t forwarded = 0;     ///< to the leader; once for each time
  uint64_t acknowledged = 0;  ///< with a lease
  uint64_t refused = 0;       ///< answered without one
  uint64_t rounds = 0;        ///< quorum rounds for leases, as leader
};

/// What the replicated state came to here, entry by entry: alike on all servers that have applied
/// the same entries since they started.
struct StateStats {
  static constexpr size_t kReasons = static_cast<size_t>(lockmgr::EndReason::kRestored) + 1;

  uint64_t sessions_opened = 0;
  std::array<uint64_t, kReasons> sessions_ended{};  ///< by lockmgr::EndReason
  uint64_t late_marks = 0;
  uint64_t grants = 0;
  std::array<uint64_t, kReasons> tenures_ended{};  ///< by lockmgr::EndReason
  uint64_t waits_ended = 0;                        ///< without a grant
  uint64_t revocations = 0;                        ///< announced

  void count(const rsm::Effect& effect);
};

}  // namespace holdfast::server
