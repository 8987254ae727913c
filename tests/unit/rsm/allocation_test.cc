// Steady state allocates nothing: a loop that applies tens of thousands of entries a second must
// not live on the heap.
#include "tests/counting/counted_new.h"
#include "tests/unit/rsm/machine_fixture.h"

namespace holdfast::rsm {
namespace {

using command::CommandKind;
using counting::allocations;

class AllocationTest : public MachineTest {
 protected:
  /// Applies an entry that was encoded before, counting what apply alone allocates.
  uint64_t count(const Blob& entry) {
    effects_.clear();
    const uint64_t before = allocations;
    machine_.apply(++index_, term_, entry.view(), effects_);
    return allocations - before;
  }
  command::CommandHeader acknowledging(CommandKind::type kind, SessionId session,
                                       uint64_t sequence) {
    command::CommandHeader head = header(kind, session, sequence);
    head.acknowledged.emplace_back();
    head.acknowledged.back().first = head.acknowledged.back().last =
        static_cast<int64_t>(sequence) - 1;
    return head;
  }
};

TEST_F(AllocationTest, AnAcquireAndReleasePairAllocatesNothingInSteadyState) {
  change({{"tenures_kept", 100}});
  const SessionId a = opened("a");
  acquire(a, 1, "/svc/leader");
  uint64_t total = 0;
  constexpr uint64_t kWarm = 1'000;  // the ring of tenures fills up
  constexpr uint64_t kPairs = 1'000;
  const std::string path = "/svc/leader";
  for (uint64_t i = 1; i <= kWarm + kPairs; ++i) {
    const Revision holder = index_;
    const Blob release =
        encoder_.entry_of(acknowledging(CommandKind::RELEASE, a, 2 * i), release_of(path, holder));
    const Blob acquire =
        encoder_.entry_of(acknowledging(CommandKind::ACQUIRE, a, 2 * i + 1), acquire_of(path));
    const uint64_t released = count(release);
    ASSERT_EQ(reply().status, static_cast<int>(lockmgr::ReleaseStatus::kReleased));
    const uint64_t acquired = count(acquire);
    ASSERT_THAT(reply(), IsGranted());
    if (i > kWarm) total += released + acquired;
  }
  EXPECT_LE(total, kPairs / 100) << "over " << kPairs << " pairs";
}

TEST_F(AllocationTest, EncodingAnEntryIsOneAllocationAtMost) {
  const command::CommandHeader head = header(CommandKind::ACQUIRE, SessionId(5), 9);
  const command::Acquire body = acquire_of("/svc/leader");
  encoder_.entry_of(head, body);
  const uint64_t before = allocations;
  const Blob entry = encoder_.entry_of(head, body);
  EXPECT_LE(allocations - before, 1u);
}

}  // namespace
}  // namespace holdfast::rsm
