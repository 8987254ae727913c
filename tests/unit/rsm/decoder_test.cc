// Entries that stop the decoder in the middle of a value leave nothing behind: a server that has
// met them decodes the next entry as one does that was started from a snapshot behind them.
#include <string>

#include "tests/unit/rsm/machine_fixture.h"

namespace holdfast::rsm {
namespace {

/// So many structs of no known field, each within the one before, and a boolean in the innermost.
std::string nested(size_t levels) { return std::string(levels, '\x1c') + '\x11'; }

class DecoderTest : public MachineTest {
 protected:
  void apply_malformed(const std::string& bytes) {
    EXPECT_EQ(apply_bytes(bytes), ApplyStatus::kApplied);
    EXPECT_EQ(effects(EffectKind::kMalformed).size(), 1u);
  }
};

TEST_F(DecoderTest, EntriesNestedTooDeepDoNotMakeTheNextOneTooDeep) {
  for (int i = 0; i < 100; ++i) apply_malformed(nested(100));
  EXPECT_EQ(open("a").code, ErrorCode::kOk) << reply().message;
}

TEST_F(DecoderTest, ABodyNestedTooDeepDoesNotMakeTheNextOneTooDeep) {
  const SessionId a = opened("a");
  for (uint64_t i = 1; i <= 100; ++i) {
    const auto head = header(command::CommandKind::ACQUIRE, a, i);
    apply_bytes(encoder_.entry(head, nested(100)).view());
    EXPECT_EQ(reply().code, ErrorCode::kBadArgument);
  }
  EXPECT_EQ(acquire(a, 101, "/x").status, number(AcquireStatus::kGranted)) << reply().message;
}

TEST_F(DecoderTest, ABooleanThatWasNotReadIsNotTakenForTheNextEntrys) {
  // A field 0 that is a list of two booleans; what follows is the entry as it would be without.
  const std::string list("\x09\x00\x21\x01\x02", 5);
  for (size_t levels = 0; levels < 100; ++levels) {
    apply_malformed(nested(levels));
    const auto head = header(command::CommandKind::TICK);
    apply_bytes(list + std::string(encoder_.entry_of(head, command::Tick{}).view()));
    EXPECT_TRUE(effects(EffectKind::kMalformed).empty()) << levels << " levels";
  }
}

}  // namespace
}  // namespace holdfast::rsm
