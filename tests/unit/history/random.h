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

using Operations = std::vector<Operation>;

inline Verdict judge_all(const Operations& operations) {
  History history;
  for (const Operation& op : operations) EXPECT_EQ(history.record(op), std::nullopt);
  return check(history);
}

/// The history of each seed from 1 on, which `tell` makes, is one that a right server may have.
template <class Tell>
void expect_accepted(uint64_t seeds, Tell&& tell) {
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const Verdict verdict = judge_all(tell(seed));
    ASSERT_TRUE(verdict.good()) << "seed " << seed << ": " << verdict.explanation;
  }
}

inline void expect_steps_each(uint64_t steps, const Operations& operations) {
  const Verdict verdict = judge_all(operations);
  ASSERT_TRUE(verdict.good()) << verdict.explanation;
  EXPECT_LT(verdict.steps, steps * operations.size());
}

/// Of the history of each seed the last answer that `fits` is altered by `lie`, and then it is none
/// that a right server may have. Every history has such an answer.
template <class Tell, class Fits, class Lie>
void expect_refused(Tell&& tell, Fits&& fits, Lie&& lie) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Operations operations = tell(seed);
    const auto told = std::find_if(operations.rbegin(), operations.rend(), fits);
    ASSERT_NE(told, operations.rend()) << "seed " << seed;
    lie(*told);
    ASSERT_EQ(judge_all(operations).kind, Verdict::Kind::kBroken) << "seed " << seed;
  }
}

}  // namespace holdfast::history
