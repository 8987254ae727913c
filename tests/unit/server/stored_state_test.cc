// What a server starts with: its snapshot as far as its log agrees, or the log alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/server/stored_state.h"
#include "raft/core/configuration.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/file_system_vfs.h"
#include "tests/support/seeded_entropy.h"
#include "tests/unit/snapshot/written_state.h"

namespace holdfast::server {
namespace {

using testing::HasSubstr;

class StoredStates : public testing::Test {
 protected:
  StoredStates() {
    EXPECT_TRUE(files_.create_directory("/log"));
    EXPECT_TRUE(files_.create_directory("/snapshot"));
    state_.apply(250);
    head_ = state_.head();
  }
  /// Writes the snapshot with this head, and the log to `last` with its entry `head` in `term`.
  void write(const snapshot::SnapshotHead& head, uint64_t last, Term term, bool killed = false) {
    auto store = snapshot::SnapshotStore::open(files_, "/snapshot", vfs_.name());
    snapshot::Span span = state_.take_span();
    span.head = head;
    ASSERT_TRUE((*store)->write(span).ok());
    if (killed) {
      files_.halt();
      store->reset();
      files_.process_crash();
    }
    raft::LogOptions options;
    options.directory = "/log";
    options.store = StoreId(77);
    auto log = raft::LogStore::open(files_, entropy_, options);
    ASSERT_TRUE(log.ok());
    log_ = std::move(*log);
    raft::Write write;
    write.number = 1;
    write.hard_state = raft::HardState{Term(9), NodeId(1)};
    for (uint64_t index = 1; index <= last; ++index) {
      const Term of_entry = LogIndex(index) < head.applied ? Term(1) : term;
      write.entries.push_back(
          {of_entry, LogIndex(index), raft::EntryType::kCommand, Blob(std::string("x"))});
    }
    const auto appended = log_->append(std::span(&write, 1));
    ASSERT_TRUE(appended.ok());
    log_->publish(*appended);
  }
  Result<StoredState> load() {
    auto store = snapshot::SnapshotStore::open(files_, "/snapshot", vfs_.name());
    EXPECT_TRUE(store.ok());
    const StoredStateQuestion question{
        .cluster = ClusterId(77),
        .node = NodeId(3),
        .hash_seed = 1,
        .log = [](const std::string&) {},
        .warn = [&](const std::string& line) { said_ += line + "\n"; }};
    return load_stored_state(question, **store, *log_);
  }
  std::string refusal(ErrorCode code) {
    const auto state = load();
    EXPECT_FALSE(state.ok());
    if (state.ok()) return "loaded";
    EXPECT_EQ(state.error().code, code);
    EXPECT_EQ(files_.content("/snapshot/CURRENT"), "state-1.db\n") << "it must stay as it is";
    return state.error().message;
  }

  raft::FakeFileSystem files_{3};
  snapshot::FileSystemVfs vfs_{files_, 4};
  SeededEntropy entropy_{5};
  snapshot::WrittenState state_{6};
  snapshot::SnapshotHead head_;
  std::unique_ptr<raft::LogStore> log_;
  std::string said_;
};

TEST_F(StoredStates, AreWhatTheSnapshotHoldsIfTheLogHasItsEntry) {
  write(head_, 260, head_.applied_term);
  const auto state = load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->machine->applied(), head_.applied);
  EXPECT_EQ(state->machine->digest(), head_.digest);
  EXPECT_EQ(state->applied_term, head_.applied_term);
}

// A process that was killed leaves it, and a span that fills it takes no more room.
TEST_F(StoredStates, KnowHowLargeTheWalIsThatIsThereToBeFilled) {
  write(head_, 260, head_.applied_term, /*killed=*/true);
  const uint64_t wal = files_.content("/snapshot/state-1.db-wal").size();
  ASSERT_GT(wal, 10'000U);
  const auto state = load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->wal_bytes, wal);
  EXPECT_EQ(state->snapshot_room(), state->snapshot_bytes - std::min(state->snapshot_bytes, wal));
}

TEST_F(StoredStates, HaveNoWalAfterAnOrderlyEnd) {
  write(head_, 260, head_.applied_term);
  const auto state = load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->wal_bytes, 0U);
  EXPECT_EQ(state->snapshot_room(), state->snapshot_bytes);
}

TEST_F(StoredStates, BeginAnewIfTheRowsAreNotTheStateOfTheHead) {
  snapshot::SnapshotHead other = head_;
  other.digest.add(Digest{1, 0});
  write(other, 260, head_.applied_term);
  const auto state = load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->machine->applied(), LogIndex());
  EXPECT_THAT(said_, HasSubstr("its rows are not the state that its head names"));
  EXPECT_THAT(said_, HasSubstr("it is set aside"));
  EXPECT_THAT(files_.paths(), testing::Contains("/snapshot/state-1.db.damaged"));
}

TEST_F(StoredStates, BeginAnewIfTheHeadNamesAnotherRevision) {
  snapshot::SnapshotHead other = head_;
  other.applied = head_.applied.next();
  write(other, 260, head_.applied_term);
  const auto state = load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->machine->applied(), LogIndex());
}

TEST_F(StoredStates, RefuseALogThatEndsBeforeTheSnapshot) {
  write(head_, head_.applied.value - 1, Term(1));
  EXPECT_THAT(refusal(ErrorCode::kCorrupt), HasSubstr("which the log beside it does not hold"));
}

TEST_F(StoredStates, RefuseALogThatHasAnotherEntryThere) {
  write(head_, 260, Term(head_.applied_term.value + 1));
  EXPECT_THAT(refusal(ErrorCode::kCorrupt), HasSubstr("which the log beside it does not hold"));
}

TEST_F(StoredStates, RefuseASnapshotOfAnotherCluster) {
  snapshot::SnapshotHead other = head_;
  other.cluster = ClusterId(78);
  write(other, 260, head_.applied_term);
  EXPECT_THAT(refusal(ErrorCode::kBadArgument), HasSubstr("is of cluster 78"));
}

// ------------------------------------------------------------------------------------ members

raft::Configuration members_of(std::initializer_list<uint64_t> ids) {
  raft::Configuration c;
  for (const uint64_t id : ids) {
    c.voters.push_back(NodeId(id));
    c.members.push_back({NodeId(id), StoreId(100 + id), "p:1", "c:1", 1});
  }
  return c;
}

raft::Entry entry_of(uint64_t index, const raft::Configuration& configuration) {
  return {Term(1), LogIndex(index), raft::EntryType::kConfiguration,
          Blob(raft::encode_configuration(configuration))};
}

TEST_F(StoredStates, BringTheMembersOfTheSnapshotAndOfTheLogBehindIt) {
  head_.membership = {LogIndex(200), raft::encode_configuration(members_of({1, 2}))};
  write(head_, 260, head_.applied_term);
  const auto state = load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  raft::RecoveredLog log = log_->recovered();
  log.last_index = log_->last_index();
  log.configurations = {entry_of(100, members_of({1})), entry_of(200, members_of({1, 2})),
                        entry_of(255, members_of({1, 2, 3}))};
  const auto initial = initial_state_of(*state, members_of({1}), log);
  ASSERT_TRUE(initial.ok()) << initial.error().message;
  EXPECT_EQ(initial->applied, head_.applied);
  EXPECT_EQ(initial->configuration, members_of({1, 2}));
  EXPECT_EQ(initial->configuration_index, LogIndex(200));
  ASSERT_EQ(initial->changes.size(), 1U);
  EXPECT_EQ(initial->changes[0].index, LogIndex(255));
  EXPECT_EQ(initial->changes[0].configuration, members_of({1, 2, 3}));
}

TEST_F(StoredStates, WithoutMembersHaveThoseOfEntry1) {
  write(head_, 260, head_.applied_term);
  const auto state = load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  raft::RecoveredLog log = log_->recovered();
  log.last_index = log_->last_index();
  log.configurations = {entry_of(255, members_of({1, 2}))};
  const auto initial = initial_state_of(*state, members_of({1}), log);
  ASSERT_TRUE(initial.ok()) << initial.error().message;
  EXPECT_EQ(initial->configuration, members_of({1}));
  EXPECT_EQ(initial->configuration_index, LogIndex());
  EXPECT_EQ(initial->changes.size(), 1U);
}

// A cluster that began with one server: by entry 1 it would have nobody to get its state from.
TEST_F(StoredStates, ThatAreSetAsideStillSayWhoTheOthersAre) {
  head_.membership = {LogIndex(200), raft::encode_configuration(members_of({1, 2}))};
  head_.digest.add(Digest{1, 0});
  write(head_, 260, head_.applied_term);
  ASSERT_TRUE(load().ok());
  ASSERT_THAT(said_, HasSubstr("it is set aside"));
  const raft::Genesis genesis{ClusterId(77), members_of({1})};
  raft::RecoveredLog log;
  const auto known = [&] {
    const auto store = snapshot::SnapshotStore::open(files_, "/snapshot", vfs_.name());
    return last_known_members(genesis, **store, log);
  };
  EXPECT_EQ(known(), members_of({1, 2})) << "after a restart too";
  log.configurations = {entry_of(255, members_of({1, 2, 3}))};
  EXPECT_EQ(known(), members_of({1, 2, 3}));
}

// Whoever asks a server that has not loaded it yet is not told that a member is none.
TEST_F(StoredStates, SayBeforeTheyAreLoadedWhoTheOthersAre) {
  head_.membership = {LogIndex(200), raft::encode_configuration(members_of({1, 2}))};
  write(head_, 260, head_.applied_term);
  const auto store = snapshot::SnapshotStore::open(files_, "/snapshot", vfs_.name());
  EXPECT_EQ(last_known_members({ClusterId(77), members_of({1})}, **store, raft::RecoveredLog()),
            members_of({1, 2}));
}

TEST_F(StoredStates, WithoutAnyMembersAreThoseOfEntry1) {
  write(head_, 260, head_.applied_term);
  const auto store = snapshot::SnapshotStore::open(files_, "/snapshot", vfs_.name());
  EXPECT_EQ(last_known_members({ClusterId(77), members_of({1})}, **store, raft::RecoveredLog()),
            members_of({1}));
}

TEST_F(StoredStates, WithMembersThatCannotBeAreDamaged) {
  head_.membership = {LogIndex(200), "no configuration"};
  write(head_, 260, head_.applied_term);
  const auto state = load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->machine->applied(), LogIndex());
  EXPECT_THAT(said_, HasSubstr("its members: "));
}

}  // namespace
}  // namespace holdfast::server
