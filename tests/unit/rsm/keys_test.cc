// Keys as commands: exactly once, guarded, ended with their session, rebuilt from rows.
#include "coordinator/tree/key_tree.h"
#include "tests/unit/rsm/kept_rows.h"
#include "tests/unit/rsm/machine_fixture.h"

namespace holdfast::rsm {
namespace {

using command::CommandKind;
using ::testing::HasSubstr;

command::PutKey put_of(std::string path, std::string value = "v", int64_t version = 0) {
  command::PutKey body;
  body.path = std::move(path);
  body.value = std::move(value);
  body.expectedVersion = version;
  return body;
}

command::CreateKey create_of(std::string path, api::KeyKind::type kind = api::KeyKind::PERSISTENT) {
  command::CreateKey body;
  body.path = std::move(path);
  body.kind = kind;
  return body;
}

command::RemoveKey remove_of(std::string path, bool recursive = false) {
  command::RemoveKey body;
  body.path = std::move(path);
  body.recursive = recursive;
  return body;
}

command::KeyOperation step(const command::PutKey& body) {
  command::KeyOperation operation;
  operation.__set_put(body);
  return operation;
}

command::KeyOperation step(const command::CreateKey& body) {
  command::KeyOperation operation;
  operation.__set_create(body);
  return operation;
}

command::KeyOperation step(const command::RemoveKey& body) {
  command::KeyOperation operation;
  operation.__set_remove(body);
  return operation;
}

command::KeyCompare compare_of(api::CompareTarget::type target, std::string path, int64_t number) {
  command::KeyCompare compare;
  compare.target = target;
  compare.relation = api::CompareRelation::EQUAL;
  compare.path = std::move(path);
  compare.number = number;
  return compare;
}

class KeysTest : public MachineTest {
 protected:
  CommandResult put(const command::PutKey& body, SessionId session = {}, uint64_t sequence = 0) {
    return run(CommandKind::PUT_KEY, session, sequence, body);
  }
  CommandResult create(const command::CreateKey& body, SessionId session = {},
                       uint64_t sequence = 0) {
    return run(CommandKind::CREATE_KEY, session, sequence, body);
  }
  CommandResult remove(const command::RemoveKey& body) {
    return run(CommandKind::REMOVE_KEY, SessionId{}, 0, body);
  }
  std::optional<std::string> value(const std::string& path) const {
    const auto key = machine_.keys().get(path);
    return key ? std::optional(std::string(key->value)) : std::nullopt;
  }
};

TEST_F(KeysTest, AWriteAnswersItsRevisionAndTheVersion) {
  const CommandResult first = put(put_of("/a"));
  EXPECT_EQ(first.code, ErrorCode::kOk) << first.message;
  EXPECT_EQ(first.id, machine_.applied());
  EXPECT_EQ(first.version, 1u);
  EXPECT_EQ(put(put_of("/a", "w", 1)).version, 2u);
  EXPECT_EQ(put(put_of("/a", "x", 1)).code, ErrorCode::kBadVersion);
  EXPECT_EQ(put(put_of("/a", "x", -1)).code, ErrorCode::kBadVersion);
  EXPECT_EQ(value("/a"), "w");
}

TEST_F(KeysTest, ARetryOfAWriteIsAnsweredFromTheFirst) {
  const SessionId session = opened("a");
  const CommandResult first = put(put_of("/a"), session, 1);
  put(put_of("/a", "other"));
  const CommandResult again = put(put_of("/a"), session, 1);
  EXPECT_EQ(again, first);
  EXPECT_EQ(value("/a"), "other") << "the retry is not applied again";
}

TEST_F(KeysTest, ASequentialKeyKeepsItsNumberForARetry) {
  const SessionId session = opened("a");
  command::CreateKey body = create_of("/n");
  body.sequential = true;
  const CommandResult first = create(body, session, 1);
  ASSERT_EQ(first.code, ErrorCode::kOk) << first.message;
  EXPECT_EQ(create(body, session, 1).payload, first.payload);
  EXPECT_NE(create(body, session, 2).payload, first.payload);
}

TEST_F(KeysTest, AGuardIsJudgedWhenTheWriteIsApplied) {
  const SessionId session = opened("a");
  const SessionId other = opened("b");
  const CommandResult held = acquire(session, 1, "/lock");
  command::PutKey guarded = put_of("/a");
  guarded.guard.path = "/lock";
  guarded.guard.holderId = static_cast<int64_t>(held.id.value);
  EXPECT_EQ(put(guarded, session, 2).code, ErrorCode::kOk);
  const CommandResult foreign = put(guarded, other, 1);
  EXPECT_EQ(foreign.code, ErrorCode::kNotHeld);
  EXPECT_THAT(foreign.message, HasSubstr("\"/lock\""));
  EXPECT_EQ(put(guarded).code, ErrorCode::kBadArgument) << "nobody holds without a session";
  release(session, 3, "/lock", held.id);
  EXPECT_EQ(put(guarded, session, 4).code, ErrorCode::kNotHeld);
  EXPECT_EQ(machine_.keys().get("/a")->stat.version, 1u) << "I13: nothing else was written";
}

TEST_F(KeysTest, EphemeralKeysGoInTheEntryThatEndsTheirSession) {
  const SessionId session = opened("a");
  EXPECT_EQ(create(create_of("/e", api::KeyKind::EPHEMERAL)).code, ErrorCode::kBadArgument);
  create(create_of("/e", api::KeyKind::EPHEMERAL), session, 1);
  acquire(session, 2, "/lock");
  expire({session});
  EXPECT_EQ(value("/e"), std::nullopt);
  EXPECT_EQ(holder("/lock"), SessionId{});
  ASSERT_EQ(machine_.key_events().size(), 1u);
  EXPECT_EQ(machine_.key_events()[0].reason, tree::RemoveReason::kSessionEnded);
}

TEST_F(KeysTest, WhatASessionsEndTakesAwayIsKnownBefore) {
  const SessionId session = opened("a");
  EXPECT_EQ(machine_.owned_by(session), 0u);
  acquire(session, 1, "/lock");
  create(create_of("/e", api::KeyKind::EPHEMERAL), session, 2);
  create(create_of("/p"), session, 3);
  EXPECT_EQ(machine_.owned_by(session), 2u);
}

TEST_F(KeysTest, ATtlKeyGoesWithTheTickThatIsDue) {
  command::CreateKey body = create_of("/t", api::KeyKind::TTL);
  body.ttlMs = 5'000;
  EXPECT_EQ(create(body).code, ErrorCode::kOk);
  ASSERT_TRUE(machine_.next_due_ms());
  now_ms_ = *machine_.next_due_ms() - 1;
  tick();
  EXPECT_TRUE(value("/t"));
  ++now_ms_;
  tick();
  EXPECT_FALSE(value("/t"));
  body.ttlMs = 1;
  EXPECT_THAT(create(body).message, HasSubstr("ttlMs is 1, allowed are 1000 to"));
}

TEST_F(KeysTest, ATransactionIsAllOrNothingAndSaysWhichStepFailed) {
  put(put_of("/a"));
  command::Transact body;
  body.compares = {compare_of(api::CompareTarget::VERSION, "/a", 1)};
  body.thenOperations = {step(put_of("/b")), step(remove_of("/missing"))};
  body.otherwiseOperations = {step(remove_of("/a"))};
  const CommandResult failed = run(CommandKind::TRANSACT, SessionId{}, 0, body);
  EXPECT_EQ(failed.code, ErrorCode::kNoKey);
  EXPECT_THAT(failed.message, HasSubstr("thenOperations[1]: "));
  EXPECT_EQ(value("/b"), std::nullopt);
  EXPECT_TRUE(machine_.key_events().empty());
  put(put_of("/a", "w"));
  const CommandResult otherwise = run(CommandKind::TRANSACT, SessionId{}, 0, body);
  EXPECT_EQ(otherwise.code, ErrorCode::kOk) << otherwise.message;
  EXPECT_EQ(otherwise.status, 0);
  EXPECT_EQ(value("/a"), std::nullopt);
}

TEST_F(KeysTest, ATransactionMayRestOnALock) {
  const SessionId session = opened("a");
  const CommandResult held = acquire(session, 1, "/lock");
  command::Transact body;
  body.compares = {
      compare_of(api::CompareTarget::HOLDS, "/lock", static_cast<int64_t>(held.id.value))};
  body.thenOperations = {step(put_of("/a"))};
  EXPECT_EQ(run(CommandKind::TRANSACT, session, 2, body).status, 1);
  const SessionId other = opened("b");
  EXPECT_EQ(run(CommandKind::TRANSACT, other, 1, body).status, 0);
  EXPECT_EQ(run(CommandKind::TRANSACT, SessionId{}, 0, body).code, ErrorCode::kBadArgument);
  EXPECT_EQ(machine_.keys().get("/a")->stat.version, 1u);
}

// docs/keys.md, Limits: a lowered limit takes nothing away.
TEST_F(KeysTest, WhatIsThereStaysWithinReachWhenTheLimitsOfPathsAreLowered) {
  const std::string path = "/longer/than/sixteen/bytes";
  const SessionId session = opened("a");
  command::PutKey first = put_of(path);
  first.makeParents = true;
  ASSERT_EQ(put(first).code, ErrorCode::kOk);
  const CommandResult held = acquire(session, 1, path);
  ASSERT_EQ(change({{"path_bytes_max", 16}, {"path_depth_max", 1}}).code, ErrorCode::kOk);
  EXPECT_EQ(put(put_of(path, "w")).version, 2u);
  command::Transact body;
  body.compares = {
      compare_of(api::CompareTarget::VERSION, path, 2),
      compare_of(api::CompareTarget::HOLDS, path, static_cast<int64_t>(held.id.value))};
  body.thenOperations = {step(remove_of(path))};
  EXPECT_EQ(run(CommandKind::TRANSACT, session, 2, body).status, 1);
  EXPECT_EQ(release(session, 3, path, held.id).code, ErrorCode::kOk);
  EXPECT_EQ(machine_.locks().holder_count(), 0u);
  for (const CommandResult& refused :
       {put(put_of(path)), create(create_of(path)), acquire(session, 4, path)}) {
    EXPECT_EQ(refused.code, ErrorCode::kTooLarge) << refused.message;
  }
}

TEST_F(KeysTest, BadTransactionsAreRefusedWithTheValueAndTheLimit) {
  command::Transact body;
  body.thenOperations.resize(1'025, step(put_of("/a")));
  CommandResult refused = run(CommandKind::TRANSACT, SessionId{}, 0, body);
  EXPECT_EQ(refused.code, ErrorCode::kTooLarge);
  EXPECT_THAT(refused.message, HasSubstr("1025 compares and operations, the limit is 1024"));
  command::CreateKey numbered = create_of("/" + std::string(100, 'n'));
  numbered.sequential = true;
  body.thenOperations.assign(500, step(numbered));
  refused = run(CommandKind::TRANSACT, SessionId{}, 0, body);
  EXPECT_EQ(refused.code, ErrorCode::kTooLarge);
  EXPECT_THAT(refused.message, HasSubstr("76500 bytes, the limit is 65536"));
  body.thenOperations = {command::KeyOperation{}};
  refused = run(CommandKind::TRANSACT, SessionId{}, 0, body);
  EXPECT_THAT(refused.message, HasSubstr("thenOperations[0]: an operation is one of"));
  body.thenOperations.clear();
  body.compares = {compare_of(static_cast<api::CompareTarget::type>(99), "/a", 1)};
  EXPECT_EQ(run(CommandKind::TRANSACT, SessionId{}, 0, body).code, ErrorCode::kUnsupported);
  EXPECT_EQ(put(put_of("/")).code, ErrorCode::kBadArgument);
  EXPECT_EQ(put(put_of("a")).code, ErrorCode::kBadArgument);
  EXPECT_EQ(put(put_of("/large", std::string((1 << 20) + 1, 'x'))).code, ErrorCode::kTooLarge);
}

TEST_F(KeysTest, AllStateWithKeysIsRebuiltFromItsRows) {
  KeptRows rows;
  const auto keep = [&] { rows.take(machine_.row_changes()); };
  const SessionId session = opened("a");
  keep();
  command::CreateKey numbered = create_of("/n");
  numbered.sequential = true;
  create(numbered, session, 1);
  keep();
  create(create_of("/e", api::KeyKind::EPHEMERAL), session, 2);
  keep();
  put(put_of("/e", "value"));
  keep();
  remove(remove_of("/none"));
  keep();
  const auto copy = rows.load();
  EXPECT_EQ(copy->digest(), machine_.digest());
  EXPECT_EQ(copy->check_invariants(), "");
  EXPECT_EQ(copy->lookup(session, Sequence(1)), machine_.lookup(session, Sequence(1)));
  EXPECT_EQ(copy->keys().get("/e")->value, "value");
}

}  // namespace
}  // namespace holdfast::rsm
