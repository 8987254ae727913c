// Exactly-once for one session: which sequences were applied, with what content, and what came of
// them, until the client has acknowledged the result (PROMISE 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory_resource>
#include <vector>

#include "base/checksum.h"
#include "base/ids.h"
#include "session/command_result.h"
#include "session/sequence_set.h"

namespace holdfast::session {

/// Replicated limits of a window.
struct WindowLimits {
  uint64_t results = 1'024;  ///< kept results; waiting acquires do not count
  uint64_t bytes = 262'144;  ///< of kept results, kept_bytes() each
};

/// Content hash of an acquire that was cancelled before it was seen: whatever its late copy asks
/// for, the answer is this.
inline constexpr uint64_t kAnyContent = 0;

/// One applied, unacknowledged command.
struct KeptResult {
  uint64_t row_id = 0;        ///< in kResults: see session/rows.h
  uint64_t content_hash = 0;  ///< of kind and body; kAnyContent matches all
  bool waiting = false;       ///< an acquire still in its queue: the lock table knows the rest
  bool dirty = false;         ///< its row is due to be written; not state
  Digest row_hash;            ///< of its present row; zero while it has none
  CommandResult result;       ///< not waiting: what the command came to
};

/// What the window knows of a sequence.
enum class Known : uint8_t {
  kNew,           ///< never seen: apply it
  kKept,          ///< applied: answer with the kept result
  kWaiting,       ///< an acquire that waits in its queue
  kForgotten,     ///< acknowledged: RESULT_FORGOTTEN, never applied again
  kOtherContent,  ///< seen with another content: BAD_ARGUMENT
};

/// Nodes of the map come from the table's pool, so that a busy session allocates nothing in steady
/// state. Row writing is the table's affair.
class ResultWindow {
 public:
  explicit ResultWindow(std::pmr::memory_resource* pool) : kept_(pool) {}

  Known know(Sequence sequence, uint64_t content_hash) const;
  bool full(const WindowLimits& limits) const;
  const KeptResult* find(Sequence sequence) const;

  const std::pmr::map<Sequence, KeptResult>& kept() const { return kept_; }
  const SequenceSet& acknowledged() const { return acknowledged_; }
  /// Kept results that are not waiting, and their bytes.
  uint64_t result_count() const { return result_count_; }
  uint64_t result_bytes() const { return result_bytes_; }
  uint64_t waiting_count() const { return kept_.size() - result_count_; }

 private:
  friend class SessionTable;

  /// A row that went with its result.
  struct Dropped {
    uint64_t row_id = 0;
    Digest row_hash;
  };

  KeptResult& insert(Sequence sequence, const KeptResult& kept);
  KeptResult* find(Sequence sequence);
  void set_result(KeptResult& kept, const CommandResult& result);
  /// Marks `range` acknowledged but for waiting acquires in it, which keep their place; results
  /// that go are appended to `dropped`. `budget` counts the steps over waiting ones down; at zero
  /// the rest is ignored. True if anything changed.
  bool acknowledge(SequenceRange range, const WindowLimits& limits, size_t& budget,
                   std::vector<Dropped>& dropped);
  bool acknowledge_results(SequenceRange range, const WindowLimits& limits, size_t& budget,
                           std::vector<Dropped>& dropped);
  void count(const CommandResult& result);
  void uncount(const CommandResult& result);

  std::pmr::map<Sequence, KeptResult> kept_;
  SequenceSet acknowledged_;
  uint64_t result_count_ = 0;
  uint64_t result_bytes_ = 0;
};

/// What a kept result counts against WindowLimits::bytes.
uint64_t kept_bytes(const CommandResult& result);

}  // namespace holdfast::session
