// What a command costs: no allocations in steady state, and nothing that grows with a queue.
#include "tests/counting/counted_new.h"
#include "tests/unit/lockmgr/table_fixture.h"

namespace holdfast::lockmgr {
namespace {

using counting::allocations;

class LockCosts : public ::testing::Test {
 protected:
  /// Acquires and releases `path` in two entries.
  void cycle(std::string_view path) {
    const Claim claim{.path = path};
    begin();
    const Revision holder_id(revision_);
    ASSERT_TRUE(table_
                    .acquire({.session = SessionId(1),
                              .sequence = Sequence(revision_),
                              .session_name = "a session with a long name, longer than a string is",
                              .owner = "main"},
                             {&claim, 1}, {.wait_ms = -1, .value = kValue}, {})
                    .ok());
    settle();
    begin();
    ASSERT_EQ(table_.release(path, holder_id, SessionId(1)), ReleaseStatus::kReleased);
    settle();
  }
  void begin() { table_.begin(Revision(++revision_), 0, 0); }
  void settle() {
    table_.settle();
    log_.clear();
  }

  static constexpr std::string_view kValue = "10.0.0.17:9000, a value longer than a string object";
  RowLog log_;
  LockTable table_{log_, {.tenure_capacity = 64}};
  uint64_t revision_ = 0;
};

TEST_F(LockCosts, AnUncontendedAcquireAndReleaseAllocatesNothingInSteadyState) {
  const std::string path = "/services/billing/leader/of/a/rather/deep/path";
  for (int i = 0; i < 500; ++i) cycle(path);
  const uint64_t before = allocations;
  for (int i = 0; i < 500; ++i) cycle(path);
  EXPECT_EQ(allocations, before);
}

TEST_F(LockCosts, TenThousandWaitersComeAndGoAndNoneIsSkipped) {
  constexpr uint64_t kWaiters = 10'000;
  const Claim claim{.path = "/jobs/nightly"};
  for (uint64_t s = 1; s <= kWaiters; ++s) {
    begin();
    ASSERT_TRUE(table_
                    .acquire({.session = SessionId(s), .sequence = Sequence(1)}, {&claim, 1},
                             {.wait_ms = static_cast<int64_t>(s)}, {})
                    .ok());
    settle();
  }
  EXPECT_EQ(table_.find(SessionId(kWaiters), Sequence(1))->position, kWaiters - 1);
  for (uint64_t s = 2; s < kWaiters; s += 2) {
    begin();
    EXPECT_TRUE(table_.cancel_acquire(claim.path, SessionId(s), Sequence(1)).ok());
    settle();
  }
  for (uint64_t s = 1; s + 2 < kWaiters; s += 2) {
    begin();
    ASSERT_EQ(table_.release(claim.path, Revision(s), SessionId(s)), ReleaseStatus::kReleased);
    settle();
    ASSERT_TRUE(table_.find(SessionId(s + 2), Sequence(1))->granted) << s;
  }
  EXPECT_EQ(table_.check_invariants(), "");
}

}  // namespace
}  // namespace holdfast::lockmgr
