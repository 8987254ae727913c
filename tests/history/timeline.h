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

#include "tests/history/known.h"

namespace holdfast::history {

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
  uint64_t ended_at = 0;             ///< the entry that ended it, once anybody was told
  const Operation* close = nullptr;  ///< a closeSession that may have ended it

  void saw_alive(uint64_t revision, const Operation& witness);
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

/// A write of keys with all its attempts.
struct KeyCommand {
  const Operation* first = nullptr;
  const Operation* told = nullptr;  ///< an attempt with an outcome
  Window window;
  uint64_t revision = 0;   ///< of its entry, if an answer, a read or the course tells it
  std::string made;        ///< the path of a sequential key that its own answer does not tell
  bool otherwise = false;  ///< without an answer: its conditions did not hold, as others tell
  bool hides = false;      ///< a sequential key whose path nobody was told counts as a child

  const Arguments& asked() const { return first->arguments; }
  bool refused() const { return told != nullptr && !told->answer.error.empty(); }
  /// It has a condition on a lock.
  bool asks_lock() const;
  /// What it did then, or what it may do.
  std::string path_of(const KeyWrite& write, size_t step) const;
  std::vector<std::string> paths() const;
};

/// A read of one key.
struct KeyRead {
  const Operation* op = nullptr;
  std::string path;
  const SeenKey* seen = nullptr;  ///< nullptr: no such key
};

/// Keys that nothing ties to others.
struct KeyHistory {
  std::vector<KeyCommand> commands;
  std::vector<KeyRead> reads;
  /// Keys for which it matters what is below them: all that is, is in this history.
  std::set<std::string> parents;

  /// The first of the keys above `path` that is one of these; empty if none is.
  std::string top_of(const std::string& path) const;
};

struct Timeline {
  std::map<std::string, LockHistory> locks;
  std::vector<KeyHistory> keys;
  std::map<uint64_t, Session> sessions;
  /// A list of locks is a read of each that it shows or leaves out; a guard a command of its lock.
  std::deque<Operation> made;
  std::string broken;  ///< the first contradiction, or empty
};

/// The windows refer to `history`, which must outlive them. `known` is of its operations.
Timeline lay_out(const History& history, const Known& known);

}  // namespace holdfast::history
