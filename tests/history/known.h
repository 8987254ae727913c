// What anybody had been answered by a moment: no later operation may take effect before it.
#pragma once

#include <limits>
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

 private:
  std::vector<std::pair<int64_t, const Operation*>> highest_;
};

/// All operations in the order in which they were sent.
std::vector<const Operation*> by_time(const std::vector<Operation>& operations);

}  // namespace holdfast::history
