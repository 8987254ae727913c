// The judge of a watch fires on what no server may tell (I19), and only on that.
#include "coordinator/rsm/command_codec.h"
#include "tests/simulation/watch_stream.h"
#include "tests/unit/simulation/broken.h"

namespace holdfast::sim {
namespace {

using api::DeliveryKind;
using command::CommandKind;

class Nobody final : public HistoryListener {
 public:
  void tenure_ended(const rsm::Effect&, bool) override {}
  void session_ended(const rsm::Effect&, bool) override {}
  bool is_dead(SessionId) const override { return false; }
};

class WatchesTest : public testing::Test {
 protected:
  template <class Body>
  int64_t commit(CommandKind::type kind, const Body& body) {
    command::CommandHeader header;
    header.level = rsm::kFeatureLevel;
    header.kind = kind;
    header.originNode = 1;
    history_.commit({Term(1), history_.last().next(), raft::EntryType::kCommand,
                     encoder_.entry_of(header, body)});
    return static_cast<int64_t>(history_.last().value);
  }
  int64_t put(const std::string& path, const std::string& value = "v") {
    command::PutKey body;
    body.path = path;
    body.value = value;
    body.makeParents = true;
    history_.sessionless().sent("");
    return commit(CommandKind::PUT_KEY, body);
  }
  int64_t remove(const std::string& path) {
    command::RemoveKey body;
    body.path = path;
    history_.sessionless().sent(removal_tag(path));
    return commit(CommandKind::REMOVE_KEY, body);
  }
  /// All that an entry did.
  api::WatchDelivery group(int64_t revision) const {
    api::WatchDelivery group;
    group.kind = DeliveryKind::EVENTS;
    group.revision = revision;
    group.events = history_.keys().entry(revision)->events;
    return group;
  }
  static api::WatchDelivery mark(DeliveryKind::type kind, int64_t revision) {
    api::WatchDelivery mark;
    mark.kind = kind;
    mark.revision = revision;
    return mark;
  }
  /// A key as a snapshot at that revision shows it.
  api::WatchDelivery item(const std::string& path, int64_t revision) const {
    const KeyHistory::Version& key = history_.keys().at(path, revision);
    api::WatchDelivery item = mark(DeliveryKind::RESYNC_STATE, revision);
    api::WatchEvent& event = item.events.emplace_back();
    event.eventType = api::EventType::KEY_CREATED;
    event.path = path;
    event.version = key.version;
    event.createRevision = key.create_revision;
    event.modifyRevision = key.modify_revision;
    event.value = key.value;
    return item;
  }
  /// A watch of all keys with their values, from now on.
  WatchStream& watch() {
    stream_.emplace(world_, history_, "watch",
                    WatchSpec{"/", api::WatchScope::SUBTREE, api::WatchSpace::KEYS, true, {}}, 0);
    stream_->registered(static_cast<int64_t>(history_.last().value));
    return *stream_;
  }
  std::string told(const api::WatchDelivery& delivery, int64_t floor = 1'000) {
    return broken_by([&] { stream_->take(delivery, newest(), floor); });
  }
  std::string progressed(int64_t revision) {
    return broken_by([&] { stream_->progressed(revision, newest()); });
  }
  int64_t newest() const { return static_cast<int64_t>(history_.last().value); }

  Weather weather_;
  Draws draws_{uint64_t{1}};
  World world_{weather_, draws_};
  Nobody nobody_;
  History history_{world_, nobody_};
  rsm::CommandEncoder encoder_;
  std::optional<WatchStream> stream_;
};

TEST_F(WatchesTest, EveryChangeInOrderIsSound) {
  watch();
  const int64_t first = put("/a");
  const int64_t second = put("/a", "w");
  const int64_t third = remove("/a");
  EXPECT_EQ(told(group(first)), "");
  EXPECT_EQ(told(group(second)), "");
  EXPECT_EQ(told(group(third)), "");
  EXPECT_EQ(stream_->position(), third);
}

TEST_F(WatchesTest, AGapBreaksI19) {
  watch();
  put("/a");
  EXPECT_EQ(told(group(put("/b"))), "I19");
}

TEST_F(WatchesTest, WhatWasToldBeforeOrIsOlderBreaksI19) {
  watch();
  const int64_t first = put("/a");
  EXPECT_EQ(told(group(first)), "");
  EXPECT_EQ(told(group(first)), "I19");
}

TEST_F(WatchesTest, AnotherChangeThanTheEntryMadeBreaksI19) {
  watch();
  api::WatchDelivery group = this->group(put("/a"));
  group.events[0].value = "x";
  EXPECT_EQ(told(group), "I19");
}

TEST_F(WatchesTest, WhatTheWatchDoesNotSeeBreaksI19) {
  stream_.emplace(world_, history_, "watch",
                  WatchSpec{"/a", api::WatchScope::CHILDREN, api::WatchSpace::KEYS, true, {}}, 0);
  stream_->registered(0);
  const int64_t own = put("/a");
  EXPECT_EQ(told(group(own)), "I19");
  EXPECT_EQ(told(group(put("/a/b"))), "");
  EXPECT_EQ(told(group(put("/a/b/c"))), "I19");
}

TEST_F(WatchesTest, AnEntryMayComeInPartsButNotByHalves) {
  watch();
  const int64_t revision = put("/a/b");
  api::WatchDelivery half = group(revision);
  half.events.pop_back();
  EXPECT_EQ(told(half), "I19");
  const int64_t next = put("/c/d");
  stream_.emplace(world_, history_, "watch",
                  WatchSpec{"/", api::WatchScope::SUBTREE, api::WatchSpace::KEYS, true, {}},
                  revision);
  stream_->registered(revision);
  half = group(next);
  half.partial = true;
  api::WatchDelivery rest = half;
  half.events.pop_back();
  rest.events.erase(rest.events.begin());
  rest.partial = false;
  EXPECT_EQ(told(half), "");
  EXPECT_EQ(progressed(next), "I19");
  EXPECT_EQ(told(group(put("/e"))), "I19");
  EXPECT_EQ(told(rest), "");
  EXPECT_EQ(world_.marks().of(Mark::kGroupInParts), 1u);
}

TEST_F(WatchesTest, AWholeEntryThatIsSaidToBeAPartBreaksI19) {
  watch();
  api::WatchDelivery group = this->group(put("/a"));
  group.partial = true;
  EXPECT_EQ(told(group), "I19");
}

TEST_F(WatchesTest, ARevisionFromTheFutureBreaksI19) {
  watch();
  const int64_t revision = put("/a");
  EXPECT_EQ(broken_by([&] { stream_->take(group(revision), revision - 1, 0); }), "I19");
  EXPECT_EQ(broken_by([&] { stream_->progressed(revision, revision - 1); }), "I19");
}

TEST_F(WatchesTest, ProgressPastWhatIsNotToldBreaksI19) {
  watch();
  const int64_t revision = put("/a");
  EXPECT_EQ(progressed(revision - 1), "");
  EXPECT_EQ(progressed(revision), "I19");
  EXPECT_EQ(told(group(revision)), "");
  EXPECT_EQ(progressed(revision), "");
}

TEST_F(WatchesTest, AWatchThatGoesOnElsewhereThanAskedBreaksI19) {
  watch();
  EXPECT_EQ(told(group(put("/a"))), "");
  stream_->restart();
  EXPECT_EQ(broken_by([&] { stream_->registered(stream_->position() + 1); }), "I19");
  EXPECT_EQ(broken_by([&] { stream_->registered(stream_->position()); }), "");
}

TEST_F(WatchesTest, AnEndedResynchronisationShowsTheState) {
  put("/a");
  watch();
  put("/b");
  put("/c");
  const int64_t began = newest();
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_BEGIN, began)), "");
  EXPECT_EQ(told(item("/a", began)), "");
  EXPECT_EQ(progressed(began), "I19");
  const int64_t behind = put("/a", "w");
  const int64_t ahead = put("/b", "w");
  EXPECT_EQ(told(group(ahead)), "I19") << "/b was not walked past";
  EXPECT_EQ(told(group(behind)), "I19") << "older than what was told";
}

TEST_F(WatchesTest, ChangesOfWhatWasWalkedAreToldWithinIt) {
  put("/a");
  put("/b");
  watch();
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_BEGIN, newest())), "");
  EXPECT_EQ(told(item("/a", newest())), "");
  EXPECT_EQ(told(group(put("/a", "w"))), "");
  put("/b", "w");
  EXPECT_EQ(told(item("/b", newest())), "");
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_END, newest())), "");
  EXPECT_EQ(stream_->position(), newest());
  EXPECT_EQ(world_.marks().of(Mark::kChangedBehind), 1u);
  EXPECT_EQ(world_.marks().of(Mark::kChangedAhead), 1u);
}

TEST_F(WatchesTest, NoKeyIsAnItemOnceChangesSayThatAllKeysWereWalked) {
  put("/a");
  put("/b");
  stream_.emplace(world_, history_, "watch",
                  WatchSpec{"/", api::WatchScope::SUBTREE, api::WatchSpace::BOTH, true, {}}, 0);
  stream_->registered(newest());
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_BEGIN, newest())), "");
  EXPECT_EQ(told(item("/a", newest())), "");
  EXPECT_EQ(told(group(put("/b", "w"))), "");
  EXPECT_EQ(told(item("/b", newest())), "I19");
}

TEST_F(WatchesTest, AResynchronisationThatLeavesOutAChangeOrAKeyBreaksI19) {
  put("/a");
  put("/b");
  watch();
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_BEGIN, newest())), "");
  EXPECT_EQ(told(item("/a", newest())), "");
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_END, newest())), "I19") << "/b is missing";
  EXPECT_EQ(told(item("/b", newest())), "");
  put("/a", "w");
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_END, newest())), "I19") << "/a is an old one";
}

TEST_F(WatchesTest, ItemsOutOfOrderOrUnlikeTheStateBreakI19) {
  put("/a");
  put("/b");
  watch();
  EXPECT_EQ(told(item("/a", newest())), "I19") << "no resynchronisation has begun";
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_BEGIN, newest())), "");
  EXPECT_EQ(told(item("/b", newest())), "");
  EXPECT_EQ(told(item("/a", newest())), "I19");
  api::WatchDelivery wrong = item("/b", newest());
  wrong.events[0].version = 2;
  stream_->restart();
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_BEGIN, newest())), "");
  EXPECT_EQ(told(wrong), "I19");
}

TEST_F(WatchesTest, AResynchronisationWithoutNeedBreaksI19) {
  put("/a");
  watch();
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_BEGIN, newest()), newest()), "I19");
  EXPECT_EQ(told(mark(DeliveryKind::RESYNC_BEGIN, newest()), newest() + 1), "");
}

TEST_F(WatchesTest, OneReplyGoesByRevisionAndThenByWatch) {
  const auto of = [](int64_t watch, int64_t revision) {
    api::WatchDelivery group = mark(DeliveryKind::EVENTS, revision);
    group.watchId = watch;
    return group;
  };
  const auto order = [](std::vector<api::WatchDelivery> deliveries, std::set<int64_t> live) {
    return broken_by([&] { check_order("client", deliveries, live); });
  };
  EXPECT_EQ(order({of(1, 5), of(2, 5), of(1, 6)}, {1, 2}), "");
  EXPECT_EQ(order({of(2, 5), of(1, 5)}, {1, 2}), "I19");
  EXPECT_EQ(order({of(1, 6), of(2, 5)}, {1, 2}), "I19");
  EXPECT_EQ(order({of(1, 6), of(2, 5)}, {1}), "") << "2 is being resynchronised";
}

}  // namespace
}  // namespace holdfast::sim
