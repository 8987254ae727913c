// Replicas: same entries, same state, same effects; and the rows are all of the state.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "coordinator/rsm/effects.h"
#include "coordinator/rsm/state_machine.h"
#include "coordinator/tree/key_tree.h"
#include "gen/cpp/command_constants.h"
#include "lockmgr/lock_table.h"
#include "session/session_table.h"
#include "tests/unit/rsm/kept_rows.h"
#include "tests/unit/rsm/workload.h"

namespace holdfast::rsm {
namespace {

void expect_equal(const Effects& a, const Effects& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_EQ(a[i], b[i]) << "effect " << i;
}

void expect_equal_events(const StateMachine& a, const StateMachine& b) {
  ASSERT_EQ(a.key_events().size(), b.key_events().size());
  for (size_t i = 0; i < a.key_events().size(); ++i) {
    const tree::Event& one = a.key_events()[i];
    const tree::Event& other = b.key_events()[i];
    ASSERT_EQ(one.path, other.path) << "event " << i;
    ASSERT_EQ(one.kind, other.kind) << "event " << i;
    ASSERT_EQ(one.value, other.value) << "event " << i;
    ASSERT_EQ(one.version, other.version) << "event " << i;
  }
}

TEST(Replicas, SameEntriesYieldTheSameStateAndEffectsWhateverTheHashSeed) {
  std::map<EffectKind, int> seen;
  std::map<ErrorCode, int> codes;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Workload workload(seed);
    StateMachine a(StateMachine::Options{.hash_seed = 1});
    StateMachine b(StateMachine::Options{.hash_seed = 2});
    Effects effects_a;
    Effects effects_b;
    for (uint64_t index = 1; index <= 1'500; ++index) {
      const Term term(2 + index / 300);
      const std::string payload = workload.next(index, term.value);
      effects_a.clear();
      effects_b.clear();
      a.apply(LogIndex(index), term, payload, effects_a);
      b.apply(LogIndex(index), term, payload, effects_b);
      expect_equal(effects_a, effects_b);
      expect_equal_events(a, b);
      ASSERT_EQ(a.digest(), b.digest()) << "seed " << seed << ", index " << index;
      ASSERT_EQ(a.next_due_ms(), b.next_due_ms());
      if (index % 50 == 0) {
        ASSERT_EQ(a.check_invariants(), "") << "seed " << seed << ", index " << index;
      }
      for (const Effect& effect : effects_a) {
        ++seen[effect.kind];
        if (effect.kind == EffectKind::kReply) ++codes[effect.result.code];
      }
    }
  }
  for (int kind = 0; kind <= static_cast<int>(EffectKind::kSettingsChanged); ++kind) {
    EXPECT_GT(seen[static_cast<EffectKind>(kind)], 10) << "the workload never causes " << kind;
  }
  for (const ErrorCode code :
       {ErrorCode::kOk, ErrorCode::kBadArgument, ErrorCode::kSessionExpired,
        ErrorCode::kResultForgotten, ErrorCode::kLimitExceeded, ErrorCode::kNoKey,
        ErrorCode::kKeyExists, ErrorCode::kBadVersion, ErrorCode::kNotEmpty, ErrorCode::kNotHeld}) {
    EXPECT_GT(codes[code], 5) << error_code_name(code);
  }
}

TEST(Replicas, TheWholeStateCanBeRebuiltFromRowChangesAloneAndBehavesTheSame) {
  for (uint64_t seed = 21; seed <= 28; ++seed) {
    Workload workload(seed);
    StateMachine original;
    std::unique_ptr<StateMachine> rebuilt;
    KeptRows rows;
    Effects effects;
    Effects again;
    for (uint64_t index = 1; index <= 1'500; ++index) {
      effects.clear();
      const Term term(2);
      const std::string payload = workload.next(index, term.value);
      if (workload.chance(3)) {
        original.skip(LogIndex(index));
        if (rebuilt) rebuilt->skip(LogIndex(index));
      } else {
        original.apply(LogIndex(index), term, payload, effects);
        if (rebuilt) {
          again.clear();
          rebuilt->apply(LogIndex(index), term, payload, again);
          expect_equal(effects, again);
        }
      }
      rows.take(original.row_changes());
      if (rebuilt) {
        ASSERT_EQ(rebuilt->digest(), original.digest()) << seed << ", " << index;
      }
      if (index % 97 != 0) continue;
      rebuilt = rows.load();
      ASSERT_EQ(rebuilt->digest(), original.digest()) << seed << ", " << index;
      ASSERT_EQ(rebuilt->applied(), original.applied());
      ASSERT_EQ(rebuilt->next_due_ms(), original.next_due_ms());
      ASSERT_EQ(rebuilt->check_invariants(), "");
    }
  }
}

TEST(Replicas, ARowThatIsMissingOrDamagedIsFoundAtLoad) {
  Workload workload(5);
  StateMachine original;
  Effects effects;
  KeptRows rows;
  for (uint64_t index = 1; index <= 300; ++index) {
    original.apply(LogIndex(index), Term(2), workload.next(index, 2), effects);
    rows.take(original.row_changes());
  }
  for (const auto& [lost, content] : rows.all()) {
    StateMachine machine;
    bool ok = true;
    for (const auto& [key, row] : rows.all()) {
      if (ok && key != lost) ok = machine.load(key.first, key.second, row).ok();
    }
    ok = ok && machine.finish_load().ok();
    // Either refused, or the digest tells.
    EXPECT_TRUE(!ok || machine.digest() != original.digest());
  }
}

// ---- hostile bytes --------------------------------------------------------------------------

TEST(HostileBytes, TruncatedAndFlippedEntriesAreAnsweredTheSameEverywhereAndBreakNothing) {
  for (uint64_t seed = 41; seed <= 46; ++seed) {
    Workload workload(seed);
    StateMachine a(StateMachine::Options{.hash_seed = 1});
    std::unique_ptr<StateMachine> b = std::make_unique<StateMachine>();
    KeptRows rows;
    Effects effects_a;
    Effects effects_b;
    for (uint64_t index = 1; index <= 2'000; ++index) {
      std::string payload = workload.next(index, 2);
      if (workload.chance(50)) {
        if (workload.chance(30)) payload.resize(workload.below(payload.size() + 1));
        const uint64_t flips = payload.empty() ? 0 : workload.below(4);
        for (uint64_t i = 0; i < flips; ++i) {
          payload[workload.below(payload.size())] = static_cast<char>(workload.below(256));
        }
      }
      effects_a.clear();
      effects_b.clear();
      const ApplyStatus status = a.apply(LogIndex(index), Term(2), payload, effects_a);
      ASSERT_EQ(b->apply(LogIndex(index), Term(2), payload, effects_b), status);
      expect_equal(effects_a, effects_b);
      ASSERT_EQ(a.digest(), b->digest());
      if (status == ApplyStatus::kApplied) rows.take(a.row_changes());
      // What a node decoded before must not matter: one that was just loaded does the same.
      if (index % 100 == 0) b = rows.load();
    }
    EXPECT_EQ(a.check_invariants(), "");
  }
}

TEST(HostileBytes, EveryPrefixOfAnEntryIsAnErrorNotACrash) {
  CommandEncoder encoder;
  command::CommandHeader header;
  header.level = 1;
  header.kind = command::CommandKind::ACQUIRE_ALL;
  header.sessionId = 5;
  header.sequence = 1;
  header.acknowledged.resize(3);
  command::AcquireAll body;
  body.claims.resize(3);
  const Blob whole = encoder.entry_of(header, body);
  StateMachine machine;
  Effects effects;
  for (size_t size = 0; size < whole.size(); ++size) {
    effects.clear();
    machine.apply(LogIndex(size + 1), Term(1), whole.view().substr(0, size), effects);
    ASSERT_EQ(effects.size(), 1u);
    EXPECT_NE(effects[0].result.code, ErrorCode::kOk);
  }
}

TEST(HostileBytes, LengthsThatTheEntryDoesNotHaveAllocateNothingLarge) {
  CommandEncoder encoder;
  command::CommandHeader header;
  header.level = 1;
  header.kind = command::CommandKind::MARK_LATE;
  // Field 1, a list of 2^28 structs; then nothing.
  const std::string list("\x19\xfc\xff\xff\xff\x7f", 6);
  StateMachine machine;
  Effects effects;
  machine.apply(LogIndex(1), Term(1), encoder.entry(header, list).view(), effects);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].result.code, ErrorCode::kBadArgument);
  EXPECT_NE(effects[0].result.message.find("malformed"), std::string::npos);
}

TEST(HostileBytes, AFieldThatIsLeftOutHasNoValueWhateverWasDecodedBefore) {
  CommandEncoder encoder;
  command::Acquire rich;
  rich.claim.path = "/x";
  rich.claim.mode = api::LockMode::EXCLUSIVE;
  rich.waitMs = -1;
  rich.value = "value";
  rich.owner = "owner";
  command::Acquire poor;
  poor.claim = rich.claim;
  // Behind the claim: five fields of two bytes each, and the end.
  std::string bytes(encoder.body(poor));
  bytes.resize(bytes.size() - 11);
  bytes.push_back('\0');

  StateMachine machine;
  Effects effects;
  command::CommandHeader header;
  header.level = 1;
  header.kind = command::CommandKind::OPEN_SESSION;
  command::OpenSession open;
  open.secretHash.resize(32);
  open.ttlMs = 10'000;
  machine.apply(LogIndex(1), Term(1), encoder.entry_of(header, open).view(), effects);
  header.kind = command::CommandKind::ACQUIRE;
  header.sessionId = 1;
  header.sequence = 1;
  machine.apply(LogIndex(2), Term(1), encoder.entry_of(header, rich).view(), effects);
  header.sequence = 2;
  machine.apply(LogIndex(3), Term(1), encoder.entry(header, bytes).view(), effects);
  // Without a waitMs it is a try, and does not wait as the one before would have.
  const std::optional<CommandResult> result = machine.lookup(SessionId(1), Sequence(2));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->code, ErrorCode::kOk) << result->message;
  EXPECT_EQ(result->status, static_cast<uint8_t>(AcquireStatus::kNotGranted));
}

TEST(FeatureLevel, ACommandOfAHigherLevelStopsTheNodeBeforeAnythingChanges) {
  CommandEncoder encoder;
  command::CommandHeader header;
  header.level = kFeatureLevel + 1;
  header.kind = command::CommandKind::TICK;
  StateMachine machine;
  machine.skip(LogIndex(1));
  const Digest before = machine.digest();
  Effects effects;
  const Blob entry = encoder.entry_of(header, command::Tick{});
  EXPECT_EQ(machine.apply(LogIndex(2), Term(1), entry.view(), effects), ApplyStatus::kNeedsUpgrade);
  EXPECT_EQ(machine.applied(), LogIndex(1));
  EXPECT_EQ(machine.digest(), before);
  EXPECT_TRUE(effects.empty());
}

TEST(FeatureLevel, ARecordedLevelThatIsNotKnownStopsTheNodeBeforeAnythingChanges) {
  StateMachine machine({.feature_level = 3});
  machine.skip(LogIndex(1));
  const Digest before = machine.digest();
  EXPECT_EQ(machine.skip(LogIndex(2), 4), ApplyStatus::kNeedsUpgrade);
  EXPECT_EQ(machine.applied(), LogIndex(1));
  EXPECT_EQ(machine.digest(), before);
  StateMachine upgraded({.feature_level = 4});
  EXPECT_EQ(upgraded.skip(LogIndex(2), 4), ApplyStatus::kApplied);
  EXPECT_EQ(upgraded.level(), 4);
}

TEST(FeatureLevel, WhatWasRecordedStaysInForce) {
  StateMachine machine;
  EXPECT_EQ(machine.level(), 1);
  machine.skip(LogIndex(1), 3);
  EXPECT_EQ(machine.level(), 3);
  machine.skip(LogIndex(2));
  machine.skip(LogIndex(3), 2);
  EXPECT_EQ(machine.level(), 3) << "it is never lowered";
}

TEST(FeatureLevel, AStateNeedsALevelThatWasRecorded) {
  StateMachine machine({.feature_level = 4});
  machine.skip(LogIndex(1), 4);
  const RowLog& rows = machine.row_changes();
  ASSERT_EQ(rows.size(), 1U);
  StateMachine same({.feature_level = 4});
  ASSERT_TRUE(same.load(rows[0].table, rows[0].id, rows[0].row).ok());
  EXPECT_EQ(same.level(), 4);
  StateMachine older({.feature_level = 3});
  const Status refused = older.load(rows[0].table, rows[0].id, rows[0].row);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(refused.error().message,
            "the state is of feature level 4, this program knows level 3: upgrade this server");
}

TEST(FeatureLevel, IsThatOfTheDefinitionOfTheCommands) {
  EXPECT_EQ(command::g_command_constants.FEATURE_LEVEL, kFeatureLevel);
}

TEST(FeatureLevel, ATimeThatCannotBeIsRefusedSoThatItNeverStops) {
  CommandEncoder encoder;
  command::CommandHeader header;
  header.level = 1;
  header.kind = command::CommandKind::TICK;
  StateMachine machine;
  Effects effects;
  uint64_t index = 0;
  for (const int64_t stamp : {int64_t{-1}, int64_t{1} << 53, INT64_MAX}) {
    header.clusterTimeMs = stamp;
    effects.clear();
    machine.apply(LogIndex(++index), Term(1), encoder.entry_of(header, command::Tick{}).view(),
                  effects);
    EXPECT_EQ(effects[0].kind, EffectKind::kMalformed);
    EXPECT_EQ(machine.cluster_time_ms(), 0);
  }
}

}  // namespace
}  // namespace holdfast::rsm
