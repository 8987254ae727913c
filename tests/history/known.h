// What anybody had been answered by a moment: no later operation may take effect before it.
#pragma once

#include <limits>
#include <optional>
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

class Known {
 public:
  explicit Known(const std::vector<Operation>& operations);

  /// The answer with the highest revision before a moment; nullptr before the first.
  const Operation* witness(int64_t moment) const;
  uint64_t revision(int64_t moment) const;
  Window window(const Operation& op) const;
  /// Why an operation contradicts what had been answered before it began.
  std::string stale(const Operation& op, const std::string& what) const;
  /// Why a read contradicts real time or the revision that it asked for, or nothing.
  std::optional<std::string> stale_read(const Operation& op, const Window& window) const;

  /// The entry of a revision came after this moment: a command that it has was sent then, or an
  /// earlier entry's. Of a command with several attempts the first counts.
  int64_t sent_by(uint64_t revision) const;
  /// The first revision whose entry may have come at a moment or later.
  uint64_t first_at(int64_t moment) const { return revision(moment) + 1; }

 private:
  void learn_entries(const std::vector<Operation>& operations);

  std::vector<std::pair<int64_t, const Operation*>> highest_;
  std::vector<std::pair<uint64_t, int64_t>> entries_;  ///< revision, and sent_by() from there on
};

/// What cluster time may run fast: leaders count on their own clocks, within the drift bound (at
/// most 20 %), and between leaders it stands still. So this share of a span of it passes on the
/// clock of a history, too.
constexpr int64_t kSpanPermille = 750;
constexpr int64_t least_ns(int64_t span_ms) { return span_ms * 1'000 * kSpanPermille; }

/// All operations in the order in which they were sent.
std::vector<const Operation*> by_time(const std::vector<Operation>& operations);

}  // namespace holdfast::history
