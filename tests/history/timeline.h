// The first half of the judgement: what revisions and real time say by themselves, before any
// search. It turns operations into the commands, answers and reads of each lock, with the windows
// of revisions in which each must have taken effect, or finds a contradiction.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/history/history.h"

namespace holdfast::history {

constexpr uint64_t kNoRevision = std::numeric_limits<uint64_t>::max();

/// When something took effect: after `after` and at `until` at the latest, both revisions; and
/// between two moments.
struct Window {
  uint64_t after = 0;
  uint64_t until = kNoRevision;
  int64_t invoked = 0;
  int64_t returned = kNever;
};

/// A command of a session with all its attempts: it takes effect at most once (PROMISE 4).
struct Command {
  const Operation* first = nullptr;  ///< the first attempt that may have taken effect
  const Operation* told = nullptr;   ///< an attempt with an answer: it did take effect
  Window window;
  std::vector<std::pair<const Operation*, Window>> answers;  ///< of an acquire: all of them
  uint64_t holder_id = 0;  ///< acquire: revision of its entry, once anybody was told
  uint64_t token = 0;      ///< acquire: revision of its grant, once anybody was told
  uint64_t end_revision = 0;
  EndReason end_reason = EndReason::kNone;
};

struct Session {
  uint64_t alive_at = 0;  ///< it had not ended at this revision
  const Operation* alive_witness = nullptr;
  uint64_t ended_by = kNoRevision;  ///< it had ended at this revision
  const Operation* ended_witness = nullptr;
  const Operation* close = nullptr;  ///< a closeSession that may have ended it
};

/// Everything that concerns one lock.
struct LockHistory {
  std::string path;
  std::vector<Command> commands;
  std::vector<std::pair<const Operation*, Window>> reads;
  std::map<uint64_t, size_t> by_holder;                         ///< holder id -> acquire
  std::map<std::pair<uint64_t, uint64_t>, size_t> by_sequence;  ///< (session, sequence) -> command
  /// What checkToken showed of grants that nothing else told: they came at these revisions.
  std::set<uint64_t> stray_tokens;
};

struct Timeline {
  std::map<std::string, LockHistory> locks;
  std::map<uint64_t, Session> sessions;
  std::deque<Operation> made;  ///< a list is a read of each lock that it shows or leaves out
  std::string broken;          ///< the first contradiction, or empty
};

/// The windows refer to `history`, which must outlive them.
Timeline lay_out(const History& history);

}  // namespace holdfast::history
