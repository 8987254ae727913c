// A snapshot on its way from one server to another.
#include "tests/unit/server/snapshot_transfer.h"

namespace holdfast::server {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(SnapshotTransfer, TheStateComesOverWhole) {
  offer();
  expect_state(run());
  EXPECT_GT(fetch_->stats().pieces, 3u);
  EXPECT_EQ(fetch_->stats().bytes, give_->stats().bytes);
  EXPECT_FALSE(fetch_->under_way());
}

// By it the room for the next snapshot and for copies is reckoned (PROMISE 12).
TEST_F(SnapshotTransfer, AStateThatCameIsAsLargeAsItsDatabase) {
  offer();
  const auto state = run();
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(state->snapshot_bytes, std::filesystem::file_size(store_->copy_path()));
}

TEST_F(SnapshotTransfer, WhatIsLostIsAskedForAgainAndNothingElse) {
  int pieces = 0;
  offer();
  expect_state(run([&](TestTransport::Sent&) { return ++pieces % 2 == 1; }));
  EXPECT_EQ(give_->stats().copies, 1u);
  EXPECT_EQ(give_->stats().pieces, 2 * fetch_->stats().pieces);
}

TEST_F(SnapshotTransfer, ALatePieceIsNotTakenTwice) {
  std::vector<TestTransport::Sent> seen;
  offer();
  for (int i = 0; i < 400; ++i) {
    exchange([&](TestTransport::Sent& m) {
      seen.push_back(m);
      return false;
    });
    for (const auto& old : seen) fetch_->receive(kSource, old.bytes);
    if (auto state = fetch_->take()) return expect_state(state);
    pass(10ms);
  }
  FAIL() << "it never came";
}

TEST_F(SnapshotTransfer, APieceMayBeLongerOnItsWayThanTheNextQuestionIsAwaited) {
  std::vector<TestTransport::Sent> on_their_way;
  offer();
  for (int i = 0; i < 400; ++i) {
    for (const auto& late : std::exchange(on_their_way, {})) fetch_->receive(kSource, late.bytes);
    exchange([&](TestTransport::Sent& m) {
      on_their_way.push_back(m);
      return true;
    });
    if (auto state = fetch_->take()) return expect_state(state);
    pass(1500ms);
  }
  FAIL() << "no state in " << fetch_->stats().pieces << " pieces";
}

TEST_F(SnapshotTransfer, AnAlteredPieceEndsItAndTheNextAttemptGoesWell) {
  int pieces = 0;
  const auto alter = [&](TestTransport::Sent& m) {
    if (++pieces == 2) m.bytes[m.bytes.size() / 2] ^= 1;
    return false;
  };
  offer();
  EXPECT_FALSE(run(alter).has_value());
  EXPECT_THAT(said_, Contains(HasSubstr("what was received is not what was sent")));
  EXPECT_EQ(fetch_->stats().abandoned, 1u);
  offer();
  expect_state(run());
}

TEST_F(SnapshotTransfer, AfterWhatWasNotGoodNothingIsAskedForAWhile) {
  offer();
  for (int i = 0; i < 100 && fetch_->under_way(); ++i) {
    exchange([](TestTransport::Sent& m) {
      m.bytes[m.bytes.size() / 2] ^= 1;
      return false;
    });
    pass(100ms);
  }
  ASSERT_EQ(fetch_->stats().abandoned, 1u);
  offer();
  EXPECT_FALSE(fetch_->under_way());
  const Duration rest = fetch_->next_wakeup() - target_.clock.now();
  EXPECT_EQ(rest, SnapshotFetch::kPause - 100ms);
  pass(rest);
  offer();
  EXPECT_TRUE(fetch_->under_way());
}

TEST_F(SnapshotTransfer, ASlowSourceIsNotGivenUpNorItsCopyRemoved) {
  offer();
  std::optional<StoredState> state;
  Duration took{};
  while (!(state = fetch_->take()) && fetch_->under_way() && took < 10min) {
    exchange();
    pass(SnapshotFetch::kGiveUp - 1s);
    took += SnapshotFetch::kGiveUp - 1s;
  }
  expect_state(state);
  EXPECT_EQ(fetch_->stats().abandoned, 0u);
  EXPECT_GT(took, SnapshotSource::kIdle + SnapshotFetch::kGiveUp);
  EXPECT_EQ(give_->stats().copies, 1u);
}

TEST_F(SnapshotTransfer, ASourceThatDiesIsGivenUp) {
  offer();
  exchange();
  EXPECT_FALSE(run([](TestTransport::Sent&) { return true; }).has_value());
  EXPECT_FALSE(fetch_->under_way());
  EXPECT_THAT(said_, Contains(HasSubstr("it does not answer")));
}

// Else the next attempt might find no room beside what this one has left (PROMISE 12).
TEST_F(SnapshotTransfer, WhatCameOfAStateThatIsGivenUpTakesNoRoom) {
  offer();
  exchange();
  ASSERT_GT(fetch_->stats().pieces, 0u);
  ASSERT_THAT(parts(), SizeIs(1));
  pass(SnapshotFetch::kGiveUp);
  fetch_->turn_end();
  ASSERT_EQ(fetch_->stats().abandoned, 1u);
  target_work_.deliver();
  EXPECT_THAT(parts(), IsEmpty());
}

TEST_F(SnapshotTransfer, WhatCameOfAStateThatWasAlteredTakesNoRoom) {
  offer();
  EXPECT_FALSE(run([](TestTransport::Sent& m) {
                 m.bytes[m.bytes.size() / 2] ^= 1;
                 return false;
               }).has_value());
  ASSERT_EQ(fetch_->stats().abandoned, 1u);
  EXPECT_THAT(parts(), IsEmpty());
}

// A large state takes longer to be copied than a silence that tells of death.
TEST_F(SnapshotTransfer, ASourceThatMakesItsCopyIsWaitedFor) {
  source_disk_works_ = false;
  offer();
  exchange_for(3 * SnapshotFetch::kGiveUp);
  EXPECT_EQ(fetch_->stats().abandoned, 0u);
  source_disk_works_ = true;
  expect_state(run());
  EXPECT_EQ(give_->stats().copies, 1u);
}

TEST_F(SnapshotTransfer, ASourceWhoseCopyNeverComesIsGivenUp) {
  source_disk_works_ = false;
  offer();
  exchange_for(SnapshotFetch::kCopyMax - 1s);
  EXPECT_EQ(fetch_->stats().abandoned, 0u);
  exchange_for(1s);
  EXPECT_EQ(fetch_->stats().abandoned, 1u);
  EXPECT_THAT(said_, Contains(HasSubstr("it has no copy of its state yet")));
}

TEST_F(SnapshotTransfer, WhoOffersItsStateIsAskedInsteadOfOneThatStillMakesItsCopy) {
  source_disk_works_ = false;
  offer();
  exchange_for(SnapshotFetch::kTurnAway);
  target_.transport.sent.clear();
  fetch_->begin(NodeId(3), state_.head().applied);
  ASSERT_EQ(target_.transport.sent.size(), 1u);
  EXPECT_EQ(target_.transport.sent[0].to, NodeId(3));
}

// Whoever lost its state wakes a few times while it rests from an attempt, however often that is.
TEST_F(SnapshotTransfer, OfSourcesThatWillDoTheNextOneIsAskedAfterEachAttempt) {
  const std::vector<NodeId> sources = {NodeId(3), NodeId(4)};
  std::vector<NodeId> asked;
  for (int turn = 0; asked.size() < 4; ++turn) {
    ASSERT_LT(turn, 100);
    fetch_->turn_end();
    fetch_->begin_any(sources, state_.head().applied);
    if (fetch_->stats().started > asked.size()) asked.push_back(target_.transport.sent.back().to);
    pass(fetch_->next_wakeup() - target_.clock.now());
  }
  EXPECT_THAT(asked, ElementsAre(NodeId(3), NodeId(4), NodeId(3), NodeId(4)));
}

TEST_F(SnapshotTransfer, WhoOffersItsStateIsAskedInsteadOfOneThatIsSilent) {
  constexpr NodeId kOther{3};
  offer();
  target_.transport.sent.clear();
  pass(SnapshotFetch::kTurnAway - 1ms);
  fetch_->begin(kOther, state_.head().applied);
  EXPECT_TRUE(target_.transport.sent.empty()) << "the first may still answer";
  pass(1ms);
  offer();
  EXPECT_TRUE(target_.transport.sent.empty()) << "it has been asked";
  fetch_->begin(kOther, state_.head().applied);
  ASSERT_EQ(target_.transport.sent.size(), 1u);
  EXPECT_EQ(target_.transport.sent[0].to, kOther);
  EXPECT_THAT(said_, Contains(HasSubstr("it sends nothing, and node 3 offers its state")));
}

TEST_F(SnapshotTransfer, AnotherCopyIsTakenFromItsBeginning) {
  offer();
  exchange();
  exchange();
  ASSERT_EQ(fetch_->stats().pieces, 2u);
  source_.clock.advance(SnapshotSource::kIdle);
  give_->turn_end();  // nobody asked for long: the copy goes
  source_work_.deliver();
  grow(100);
  expect_state(run());
  EXPECT_EQ(give_->stats().copies, 2u);
}

TEST_F(SnapshotTransfer, NoPieceOfAnotherCopyGoesOnWithTheFirst) {
  offer();
  exchange();
  ASSERT_EQ(fetch_->stats().pieces, 1u);
  exchange([this](TestTransport::Sent& m) {
    peer::SnapshotPiece piece = piece_of(m);
    EXPECT_GT(piece.offset, 0);
    ++piece.copy;
    fetch_->receive(kSource, source_.codec.encode(piece));
    return true;
  });
  EXPECT_EQ(fetch_->stats().pieces, 1u);
  expect_state(run());
}

TEST_F(SnapshotTransfer, AnOlderCopyStaysForItsReaderAndIsGivenToNobodyElse) {
  offer();
  exchange();
  grow(100);
  begin_anew();
  offer();
  const uint64_t pieces = give_->stats().pieces;
  exchange();
  exchange();
  EXPECT_EQ(give_->stats().pieces, pieces);
  EXPECT_EQ(give_->stats().copies, 1u);
  expect_state(run());
  EXPECT_EQ(give_->stats().copies, 2u);
}

// It would turn to others, or begin again and again, and call a server silent that only has to give
// another one the rest of an older state first.
TEST_F(SnapshotTransfer, WhoNeedsALaterStateThanAnotherReadsIsToldToWait) {
  offer();
  exchange();
  ASSERT_EQ(fetch_->stats().pieces, 1u);
  peer::SnapshotAsk slow;
  slow.minIndex = static_cast<int64_t>(state_.head().applied.value);
  grow(100);
  begin_anew();
  offer();
  for (Duration passed{}; passed < 3 * SnapshotFetch::kGiveUp; passed += 500ms) {
    ++slow.request;
    give_->receive(NodeId(3), source_.codec.encode(slow));
    pass(500ms);
    exchange([](TestTransport::Sent& m) { return m.to != kTarget; });
  }
  EXPECT_EQ(fetch_->stats().pieces, 0u);
  EXPECT_EQ(fetch_->stats().abandoned, 0u);
  EXPECT_EQ(give_->stats().copies, 1u);
  expect_state(run());
  EXPECT_EQ(give_->stats().copies, 2u) << "as soon as nobody reads the first";
}

// Not when it has been idle for as long as one that is read may be.
TEST_F(SnapshotTransfer, ACopyThatIsTooOldForAllWhoWaitIsFollowedByAnotherAtOnce) {
  offer();
  for (auto& m : std::exchange(target_.transport.sent, {})) give_->receive(kTarget, m.bytes);
  give_->turn_end();
  ASSERT_EQ(source_work_.waiting.size(), 1u);
  source_work_.waiting.front().first();  // the copy is on the disk, and not yet reported
  source_work_.waiting.front().first = [] {};
  grow(100);
  begin_anew();
  offer();
  exchange();
  EXPECT_EQ(give_->stats().copies, 2u);
  exchange();
  EXPECT_EQ(fetch_->stats().pieces, 1u) << "no time has passed";
  expect_state(run());
}

TEST_F(SnapshotTransfer, APieceOfAStateThatIsTooOldIsNotTaken) {
  ask_for_a_later_one(0);
  EXPECT_EQ(fetch_->stats().pieces, 0u);
}

TEST_F(SnapshotTransfer, AStateThatIsOlderThanItsPiecesSayIsNotTaken) {
  ask_for_a_later_one(1);
  EXPECT_GT(fetch_->stats().pieces, 0u);
  EXPECT_THAT(said_, Contains(HasSubstr("or later")));
  EXPECT_THAT(said_, Contains(HasSubstr("is the state at revision")));
}

TEST_F(SnapshotTransfer, AStateThatTheDiskHasNoRoomForIsNotReceived) {
  no_room_here_ = "the disk has 3 MiB left";
  offer();
  exchange();
  EXPECT_FALSE(fetch_->under_way());
  EXPECT_EQ(fetch_->stats().pieces, 0u);
  EXPECT_THAT(said_, Contains(HasSubstr("3 MiB left")));
  no_room_here_.reset();
  pass(SnapshotFetch::kPause);
  offer();
  expect_state(run());
}

TEST_F(SnapshotTransfer, ACopyThatTheDiskHasNoRoomForIsNotMade) {
  no_room_there_ = "the disk has 3 MiB left";
  offer();
  exchange();
  EXPECT_EQ(give_->stats().copies, 0u);
  EXPECT_THAT(said_, Contains(HasSubstr("3 MiB left")));
  no_room_there_.reset();
  expect_state(run());
}

TEST_F(SnapshotTransfer, AStateThatIsTooOldIsNotTaken) {
  fetch_->begin(kSource, state_.head().applied.next());
  EXPECT_FALSE(run().has_value());
  EXPECT_EQ(give_->stats().copies, 0u);
}

TEST_F(SnapshotTransfer, TheLogIsKeptBehindACopyWhileSomebodyMayReadIt) {
  EXPECT_FALSE(give_->pinned().has_value());
  offer();
  for (auto& m : std::exchange(target_.transport.sent, {})) give_->receive(kTarget, m.bytes);
  give_->turn_end();
  EXPECT_EQ(give_->pinned(), state_.head().applied) << "while the copy is being made";
  exchange();
  EXPECT_EQ(give_->pinned(), state_.head().applied);
  EXPECT_TRUE(std::filesystem::exists(store_->copy_path()));
  pass(SnapshotSource::kIdle);
  give_->turn_end();
  source_work_.deliver();
  EXPECT_FALSE(give_->pinned().has_value());
  EXPECT_FALSE(std::filesystem::exists(store_->copy_path()));
}

TEST_F(SnapshotTransfer, ACopyWithoutTheLogBehindItIsNotGiven) {
  offer();
  exchange();
  first_in_log_ = state_.head().applied.next().next();
  fetch_.reset();
  begin_anew();
  offer();
  const uint64_t pieces = give_->stats().pieces;
  exchange();
  exchange();
  EXPECT_EQ(give_->stats().pieces, pieces) << "whoever took it would need another one at once";
}

TEST_F(SnapshotTransfer, GoesNoFasterThanTheRate) {
  offer();
  int turns = 0;
  while (!fetch_->take() && ++turns < 10'000) {
    exchange();
    pass(1ms);
  }
  const auto took = std::chrono::duration<double>(1ms * turns).count();
  const double burst = 8.0 * static_cast<double>(snapshot::PieceSum::kPieceBytes);
  const auto sent = static_cast<double>(give_->stats().bytes);
  EXPECT_GT(sent, burst) << "else no rate is seen";
  EXPECT_GE(took * static_cast<double>(kRate) + burst, sent);
}

TEST_F(SnapshotTransfer, BytesThatAreNoMessageAreNothing) {
  offer();
  exchange();
  const auto before = fetch_->stats().pieces;
  for (const std::string bytes : {"", "\x01", "nonsense"}) {
    fetch_->receive(kSource, bytes);
    give_->receive(kTarget, bytes);
  }
  EXPECT_EQ(fetch_->stats().pieces, before);
  expect_state(run());
}

TEST_F(SnapshotTransfer, WhatLiesAboutItsSizeIsNotTaken) {
  offer();
  exchange([this](TestTransport::Sent& m) {
    const peer::SnapshotPiece piece = piece_of(m);
    for (const int64_t bytes : {int64_t{-1}, int64_t{0}, int64_t{10}, int64_t{1} << 62}) {
      peer::SnapshotPiece lie = piece;
      lie.data.pop_back();
      lie.bytes = bytes;
      fetch_->receive(kSource, source_.codec.encode(lie));
    }
    peer::SnapshotPiece endless = piece;
    endless.bytes = -1;
    fetch_->receive(kSource, source_.codec.encode(endless));
    return true;
  });
  EXPECT_EQ(fetch_->stats().pieces, 0u);
  expect_state(run());
}

TEST_F(SnapshotTransfer, ASecondOfferChangesNothing) {
  offer();
  offer();
  fetch_->begin(NodeId(3), LogIndex(1));
  EXPECT_EQ(target_.transport.sent.size(), 1u);
  EXPECT_EQ(fetch_->stats().started, 1u);
}

TEST_F(SnapshotTransfer, AStateOfAnotherClusterIsRefused) {
  begin_anew(ClusterId(78));
  offer();
  EXPECT_FALSE(run().has_value());
  EXPECT_THAT(said_, Contains(HasSubstr("is of cluster 77")));
}

}  // namespace
}  // namespace holdfast::server
