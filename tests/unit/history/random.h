// What tests with random histories share: clients whose calls overlap, and the verdict on all of
// them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/entropy.h"
#include "tests/unit/history/story.h"

namespace holdfast::history {

/// Calls that take effect one after the other; each began before and ends later.
class Overlapping {
 public:
  explicit Overlapping(SplitMix& random) : random_(random) {}

  /// A client calls one at a time: until then its last call is out. True time goes on.
  void wait_for(int64_t free_at) { clock_ = std::max(clock_, free_at + 1); }

  /// The call takes effect now, at a revision. `free_at` is when its client's last call returned,
  /// and becomes when this one does.
  void append(Said said, uint64_t revision, int64_t& free_at) {
    clock_ += 10;
    const int64_t begun = std::max<int64_t>(free_at + 1, clock_ - 5 - draw());
    clock_ = std::max(clock_, begun + 1);
    free_at = clock_ + 1 + draw();
    operations_.push_back(std::move(said).at(begun, free_at).rev(revision).op);
  }

  const std::vector<Operation>& operations() const { return operations_; }

 private:
  int64_t draw() { return static_cast<int64_t>(random_.below(60)); }

  SplitMix& random_;
  std::vector<Operation> operations_;
  int64_t clock_ = 1000;
};

inline Verdict judge_all(const std::vector<Operation>& operations) {
  History history;
  for (const Operation& op : operations) EXPECT_EQ(history.record(op), std::nullopt);
  return check(history);
}

}  // namespace holdfast::history
