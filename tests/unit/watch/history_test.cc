// What the history covers, what it costs, and that an event is encoded once.
#include "coordinator/watch/history.h"

#include "tests/unit/watch/watch_fixture.h"

namespace holdfast::watch {
namespace {

using HistoryTest = WatchFixture;

TEST_F(HistoryTest, ItStartsEmptyAtAnyRevision) {
  Watches later({.start = Revision(1'000)});
  EXPECT_EQ(later.history().floor(), Revision(1'000));
  EXPECT_EQ(later.history().last(), Revision(1'000));
  EXPECT_TRUE(later.watch(kAnn, {.path = "/a", .since = Revision(999)}, 1)->resync);
  EXPECT_FALSE(later.watch(kBob, {.path = "/a", .since = Revision(1'000)}, 1)->resync);
}

TEST_F(HistoryTest, EntriesWithoutEventsMoveTheLastRevisionOnly) {
  append();
  append();
  EXPECT_EQ(watches_.history().last(), Revision(2));
  EXPECT_EQ(watches_.history().floor(), Revision(0));
  EXPECT_EQ(watches_.history().size(), 0u);
}

TEST_F(HistoryTest, TheOldestRevisionGoesFirstAndWhole) {
  keep(4);
  append({created("/a"), created("/b")});
  append({changed("/a"), changed("/b")});
  EXPECT_EQ(watches_.history().floor(), Revision(0));
  append();
  append({changed("/a")});
  EXPECT_EQ(watches_.history().size(), 3u);
  EXPECT_EQ(watches_.history().floor(), Revision(1));
}

TEST_F(HistoryTest, AnEntryLargerThanTheBoundStaysAloneUntilTheNextOne) {
  keep(2);
  append({created("/x")});
  append({created("/a"), created("/b"), created("/c")});
  EXPECT_EQ(watches_.history().size(), 3u);
  EXPECT_EQ(watches_.history().floor(), Revision(1));
  append();
  EXPECT_EQ(watches_.history().size(), 3u);
  append({changed("/a")});
  EXPECT_EQ(watches_.history().size(), 1u);
  EXPECT_EQ(watches_.history().floor(), Revision(2));
}

TEST_F(HistoryTest, BytesCountPayloadEncodingsAndWhatInterestsList) {
  const auto bytes = [this] { return watches_.history().bytes(); };
  append({created("/a", std::string(1'000, 'v'))});
  const uint64_t bare = bytes();
  EXPECT_GT(bare, 1'000u);
  EXPECT_LT(bare, 1'300u);
  append({created("/b", "")});
  EXPECT_LT(bytes() - bare, 300u);
  const uint64_t before = bytes();
  watch(kAnn, {.path = "/a", .since = Revision(0).next()});
  EXPECT_EQ(bytes(), before);
  const Registered all = watch(kBob, {.path = "/", .scope = Scope::kSubtree, .since = Revision(1)});
  EXPECT_EQ(bytes(), before + 8);
  take(kBob);
  EXPECT_EQ(bytes(), before + 8 + 8 + std::string("/b=").size());
  watches_.unwatch(kBob, all.id);
  EXPECT_EQ(bytes(), before + 8 + std::string("/b=").size());
}

TEST_F(HistoryTest, BytesCountWhatTextsLeaveUnusedOfTheirBlocks) {
  const std::string value(ByteQueue::kSharedMax - 100, 'v');
  constexpr uint64_t kOfABlock = 16;
  append({created("/a", value)});
  const uint64_t one = watches_.history().bytes();
  for (uint64_t i = 1; i < kOfABlock; ++i) append({changed("/a", value)});
  EXPECT_EQ(watches_.history().bytes(), kOfABlock * one);
  append({changed("/a", value)});
  const uint64_t rest = ByteQueue::kBlockBytes - kOfABlock * (2 + value.size());
  EXPECT_EQ(watches_.history().bytes(), (kOfABlock + 1) * one + rest);
}

TEST_F(HistoryTest, ThousandsOfWatchersShareOneEncodingPerForm) {
  append();
  for (uint64_t owner = 1; owner <= 1'000; ++owner) watch(OwnerId(owner), {.path = "/a"});
  append({created("/a", "value")});
  uint64_t encoded = 0;
  const auto encode = [&](const Event& event, bool value, std::string& out) {
    ++encoded;
    out.append(event.path());
    if (value) out.append(event.payload());
  };
  const Event& event = watches_.history().at(0);
  for (uint64_t owner = 1; owner <= 1'000; ++owner) {
    for (size_t protocol = 0; protocol < kProtocols; ++protocol) {
      EXPECT_EQ(watches_.history().encoded(event, protocol, true, encode).view(), "/avalue");
      EXPECT_EQ(watches_.history().encoded(event, protocol, false, encode).view(), "/a");
    }
  }
  EXPECT_EQ(encoded, 4u);
}

TEST_F(HistoryTest, AnEventWithoutAValueHasOneForm) {
  const NewEvent gone{.type = EventType::kRemoved, .path = "/a", .payload = "who"};
  watches_.append(Revision(1), {&gone, 1});
  uint64_t encoded = 0;
  const auto encode = [&](const Event&, bool value, std::string& out) {
    ++encoded;
    EXPECT_FALSE(value);
    out = "gone";
  };
  const Event& event = watches_.history().at(0);
  watches_.history().encoded(event, 0, true, encode);
  watches_.history().encoded(event, 0, false, encode);
  EXPECT_EQ(encoded, 1u);
}

TEST_F(HistoryTest, AnEncodingOutlivesItsEvent) {
  keep(1);
  append({created("/a", "kept")});
  const auto encode = [](const Event& event, bool, std::string& out) { out = event.payload(); };
  const Blob held = watches_.history().encoded(watches_.history().at(0), 0, true, encode);
  append({created("/b")});
  EXPECT_EQ(watches_.history().floor(), Revision(1));
  EXPECT_EQ(held.view(), "kept");
}

TEST_F(HistoryTest, EncodingsPushOldEventsOutWhenADeliveryIsMade) {
  append();
  watch(kAnn, {.path = "/", .scope = Scope::kSubtree});
  for (int i = 0; i < 10; ++i) append({created("/k" + std::to_string(i), std::string(500, 'v'))});
  const uint64_t plain = watches_.history().bytes();
  watches_.set_bounds({.bytes = plain});
  EXPECT_EQ(watches_.history().size(), 10u);
  EXPECT_EQ(take(kAnn).entries, 10u);
  EXPECT_LT(watches_.history().size(), 10u);
  EXPECT_LE(watches_.history().bytes(), plain);
}

}  // namespace
}  // namespace holdfast::watch
