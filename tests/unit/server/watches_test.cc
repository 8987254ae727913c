// Keys and watches through a server: what polls carry, on whichever server, behind the history too.
#include <set>

#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::DeliveryKind;
using api::ErrorCode;
using api::PollResult;

api::PutRequest put_of(const std::string& path, const std::string& value) {
  api::PutRequest request;
  request.path = path;
  request.value = value;
  return request;
}

api::WatchRequest watch_of(const std::string& path, api::WatchScope::type scope,
                           int64_t since = 0) {
  api::WatchRequest request;
  request.path = path;
  request.scope = scope;
  request.sinceRevision = since;
  request.withValues = true;
  return request;
}

class WatchTest : public ThreeServersTest {
 protected:
  explicit WatchTest(const EngineOptions& options = {}) : ThreeServersTest(options) {}
  int64_t put(const std::string& path, const std::string& value) {
    const Call call = leader.ask(&Engine::put, api::RequestContext{}, put_of(path, value));
    cluster.settle();
    return call.result<api::PutResult>().revision;
  }
  int64_t watch(TestServer& server, const api::WatchRequest& request) {
    const Call call = server.ask(&Engine::watch, client.context(), request);
    cluster.settle();
    return call.result<api::WatchResult>().watchId;
  }
  /// The next answer of a poll that acknowledges the one before.
  PollResult poll(TestServer& server, int64_t max_wait_ms = 0) {
    const Call call = server.poll(client.context(), poll_of(max_wait_ms, delivery));
    cluster.settle();
    const auto result = call.result<PollResult>();
    delivery = result.delivery;
    return result;
  }
  static std::vector<std::string> told(const PollResult& result) {
    std::vector<std::string> lines;
    for (const api::WatchDelivery& each : result.watches) {
      std::string line = std::to_string(each.kind) + "@" + std::to_string(each.revision);
      for (const api::WatchEvent& event : each.events) line += " " + event.path + "=" + event.value;
      lines.push_back(line);
    }
    return lines;
  }
  static std::string group(int64_t revision, const std::string& text) {
    return "1@" + std::to_string(revision) + " " + text;
  }

  Client client = cluster.client(1, "a");
  int64_t delivery = 0;
};

TEST_F(WatchTest, AParkedPollIsAnsweredWithTheChange) {
  put("/a", "0");
  watch(follower, watch_of("/a", api::WatchScope::NODE));
  poll(follower);
  const Call parked = follower.poll(client.context(), poll_of(5'000, delivery));
  cluster.settle();
  EXPECT_FALSE(parked.answered());
  const int64_t revision = put("/a", "1");
  EXPECT_THAT(told(parked.result<PollResult>()), ::testing::ElementsAre(group(revision, "/a=1")));
  EXPECT_EQ(parked.result<PollResult>().progressRevision, revision);
}

TEST_F(WatchTest, OneThatCouldTellNothingIsRefused) {
  api::WatchRequest request = watch_of("/a", api::WatchScope::NODE);
  const auto outcome = [&](api::WatchSpace::type space, api::EventType::type type) {
    request.space = space;
    request.filter = {type};
    const Call call = leader.ask(&Engine::watch, client.context(), request);
    cluster.settle();
    return call.outcome();
  };
  EXPECT_EQ(outcome(api::WatchSpace::KEYS, api::EventType::LOCK_GRANTED), "BAD_ARGUMENT");
  EXPECT_EQ(outcome(api::WatchSpace::UNSPECIFIED, api::EventType::LOCK_ENDED), "BAD_ARGUMENT");
  EXPECT_EQ(outcome(api::WatchSpace::LOCKS, api::EventType::KEY_CHANGED), "BAD_ARGUMENT");
  EXPECT_EQ(outcome(api::WatchSpace::LOCKS, api::EventType::LOCK_ENDED), "OK");
  EXPECT_EQ(outcome(api::WatchSpace::KEYS, api::EventType::KEY_REMOVED), "OK");
  EXPECT_EQ(outcome(api::WatchSpace::BOTH, api::EventType::LOCK_GRANTED), "OK");
}

// The client sent it before it knew that the server had started anew, and it arrives late.
TEST_F(WatchTest, AnUnwatchMeantForAnEarlierProcessEndsNothing) {
  put("/a", "0");
  const int64_t before = watch(follower, watch_of("/a", api::WatchScope::NODE));
  follower.crash();
  follower.start();
  ASSERT_TRUE(cluster.until([&] { return follower.engine().ready(); }));
  const int64_t after = watch(follower, watch_of("/a", api::WatchScope::NODE));
  EXPECT_NE(before, after);
  api::UnwatchRequest late;
  late.watchId = before;
  EXPECT_EQ(follower.ask(&Engine::unwatch, client.context(), late).outcome(), "OK");
  delivery = 0;
  poll(follower);
  const int64_t revision = put("/a", "1");
  EXPECT_THAT(told(poll(follower)), ::testing::ElementsAre(group(revision, "/a=1")));
}

// The grant wakes the poll while its entry is being applied: what the watches tell then must be at
// that entry, like the state that a resynchronisation walks.
TEST_F(WatchTest, APollThatAGrantWakesCarriesTheEventsOfThatEntryToo) {
  Client holder = cluster.client(2, "holder");
  const Call held = leader.acquire(holder.next(), acquire_of("/job"));
  cluster.settle();
  api::WatchRequest request = watch_of("/job", api::WatchScope::NODE);
  request.space = api::WatchSpace::LOCKS;
  watch(leader, request);
  leader.acquire(client.next(), acquire_of("/job", -1, /*enqueue=*/true));
  cluster.settle();
  poll(leader);
  const Call parked = leader.poll(client.context(), poll_of(5'000, delivery));
  cluster.settle();
  ASSERT_FALSE(parked.answered());
  leader.release(holder.next(), "/job", held.result<api::AcquireResult>().holderId);
  cluster.settle();
  const auto result = parked.result<PollResult>();
  ASSERT_EQ(result.grants.size(), 1u);
  ASSERT_EQ(result.watches.size(), 1u);
  EXPECT_EQ(result.watches[0].revision, result.grants[0].token);
  EXPECT_EQ(result.header.revision, result.grants[0].token);
}

TEST_F(WatchTest, WhatWasNotAcknowledgedIsToldAgainAndNothingTwiceAfterwards) {
  put("/a", "0");
  watch(leader, watch_of("/a", api::WatchScope::NODE));
  poll(leader);
  const int64_t one = put("/a", "1");
  const Call lost = leader.poll(client.context(), poll_of(0, delivery));
  cluster.settle();
  EXPECT_EQ(told(lost.result<PollResult>()).size(), 1u);
  const int64_t two = put("/a", "2");
  EXPECT_THAT(told(poll(leader)), ::testing::ElementsAre(group(one, "/a=1"), group(two, "/a=2")));
  EXPECT_THAT(told(poll(leader)), ::testing::IsEmpty());
}

TEST_F(WatchTest, APollThatArrivesAfterANewerOneTakesBackNothing) {
  watch(leader, watch_of("/a", api::WatchScope::NODE));
  poll(leader);
  put("/a", "1");
  const auto numbered = [&](int64_t number, int64_t acknowledged) {
    api::PollRequest request = poll_of(0, acknowledged);
    request.pollNumber = number;
    const Call call = leader.poll(client.context(), request);
    cluster.settle();
    return call;
  };
  const auto newer = numbered(12, delivery).result<PollResult>();
  EXPECT_EQ(told(newer).size(), 1u);
  EXPECT_THAT(numbered(11, delivery).error(), Refuses(ErrorCode::SUPERSEDED, "newer poll"));
  EXPECT_THAT(told(numbered(13, newer.delivery).result<PollResult>()), ::testing::IsEmpty());
}

// The client gave up the connection of poll 12; its copy arrives when 13 has acknowledged and
// parks.
TEST_F(WatchTest, ACopyOfAnOlderPollHasNothingToldAgain) {
  watch(leader, watch_of("/a", api::WatchScope::NODE));
  poll(leader);
  put("/a", "1");
  const auto numbered = [&](int64_t number, int64_t acknowledged) {
    api::PollRequest request = poll_of(5'000, acknowledged);
    request.pollNumber = number;
    const Call call = leader.poll(client.context(), request);
    cluster.settle();
    return call;
  };
  const auto told_once = numbered(12, delivery).result<PollResult>();
  const Call parked = numbered(13, told_once.delivery);
  EXPECT_THAT(numbered(12, delivery).error(), Refuses(ErrorCode::SUPERSEDED, "newer poll"));
  EXPECT_FALSE(parked.answered());
  const int64_t two = put("/a", "2");
  EXPECT_THAT(told(parked.result<PollResult>()), ::testing::ElementsAre(group(two, "/a=2")));
}

TEST_F(WatchTest, AllChangesOfOneEntryComeTogether) {
  put("/t", "");
  watch(follower, watch_of("/t", api::WatchScope::SUBTREE));
  poll(follower);
  api::TransactRequest both;
  both.thenOperations.resize(2);
  both.thenOperations[0].__set_put(put_of("/t/a", "1"));
  both.thenOperations[1].__set_put(put_of("/t/b", "2"));
  const Call call = leader.ask(&Engine::transact, api::RequestContext{}, both);
  cluster.settle();
  const int64_t revision = call.result<api::TransactResult>().revision;
  EXPECT_THAT(told(poll(follower)), ::testing::ElementsAre(group(revision, "/t/a=1 /t/b=2")));
}

TEST_F(WatchTest, AWatchGoesOnElsewhereFromTheLastRevisionSeen) {
  const int64_t seen = put("/a", "0");
  const int64_t one = put("/a", "1");
  watch(follower, watch_of("/a", api::WatchScope::NODE, seen));
  EXPECT_THAT(told(poll(follower)), ::testing::ElementsAre(group(one, "/a=1")));
}

TEST_F(WatchTest, FromNowOnMeansFromTheLastEntryThoughThatChangedNoKey) {
  put("/a", "0");
  leader.change_setting("tenures_kept", 5);
  cluster.settle();
  const Call call =
      leader.ask(&Engine::watch, client.context(), watch_of("/a", api::WatchScope::NODE));
  EXPECT_EQ(call.result<api::WatchResult>().revision,
            static_cast<int64_t>(leader.engine().host().applied.value));
}

TEST_F(WatchTest, WatchesEndWithTheirSession) {
  watch(leader, watch_of("/a", api::WatchScope::NODE));
  EXPECT_EQ(leader.engine().watches().watch_count(), 1u);
  leader.close(client.next());
  cluster.settle();
  EXPECT_EQ(leader.engine().watches().watch_count(), 0u);
}

TEST_F(WatchTest, WaitForChangeAnswersTheStateThatIsNewer) {
  const int64_t first = put("/a", "0");
  api::WaitForChangeRequest request;
  request.path = "/a";
  request.afterRevision = first;
  request.maxWaitMs = 1'000;
  const Call changes = follower.ask(&Engine::wait_for_change, api::RequestContext{}, request);
  cluster.settle();
  EXPECT_FALSE(changes.answered());
  EXPECT_EQ(follower.engine().parked_key_waits(), 1u);
  const int64_t second = put("/a", "1");
  const auto result = changes.result<api::WaitForChangeResult>();
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(result.key.stat.modifyRevision, second);
  request.afterRevision = second;
  const Call ends = follower.ask(&Engine::wait_for_change, api::RequestContext{}, request);
  cluster.advance(1'200ms);
  EXPECT_FALSE(ends.result<api::WaitForChangeResult>().changed);
  EXPECT_EQ(follower.engine().parked_calls(), 0u);
}

TEST_F(WatchTest, AWaitForAKeyThatIsNotThereEndsWithItsCreation) {
  const int64_t before = put("/other", "");
  api::WaitForChangeRequest request;
  request.path = "/new";
  request.afterRevision = before;
  request.maxWaitMs = 10'000;
  const Call call = leader.ask(&Engine::wait_for_change, api::RequestContext{}, request);
  cluster.settle();
  EXPECT_FALSE(call.answered());
  put("/new", "1");
  EXPECT_TRUE(call.result<api::WaitForChangeResult>().found);
  request.maxWaitMs = 60'001;
  const Call refused = leader.ask(&Engine::wait_for_change, api::RequestContext{}, request);
  EXPECT_THAT(refused.error(), Refuses(ErrorCode::BAD_ARGUMENT, "maxWaitMs is 60001"));
}

// docs/keys.md, Limits: a lowered limit takes nothing away.
TEST_F(WatchTest, WhatIsThereIsReadListedAndWatchedWhenTheLimitOfPathsIsLowered) {
  const std::string path = "/longer-than-sixteen-bytes";
  const int64_t first = put(path, "1");
  put(path + "2", "2");
  leader.change_setting("path_bytes_max", 16);
  cluster.settle();
  api::GetRequest get;
  get.path = path;
  const Call read = leader.ask(&Engine::get, api::RequestContext{}, get);
  api::ListKeysRequest list;
  list.path = "/";
  list.page = path;
  const Call listed = leader.ask(&Engine::list_keys, api::RequestContext{}, list);
  cluster.settle();
  EXPECT_TRUE(read.result<api::GetResult>().found);
  EXPECT_EQ(listed.result<api::ListKeysResult>().keys.at(0).path, path + "2");
  watch(leader, watch_of(path, api::WatchScope::NODE, first));
  const int64_t second = put(path, "3");
  EXPECT_THAT(told(poll(leader)), ::testing::ElementsAre(group(second, path + "=3")));
}

EngineOptions short_history() {
  EngineOptions options;
  options.history_events = 5;
  options.max_watches_per_session = 2;
  return options;
}

class ShortHistoryTest : public WatchTest {
 protected:
  ShortHistoryTest() : WatchTest(short_history()) {}
};

TEST_F(ShortHistoryTest, BehindItTheStateIsShownAnewAndEventsGoOn) {
  put("/a", "");
  const int64_t seen = put("/a/x", "0");
  put("/a/y", "1");
  for (int i = 1; i <= 20; ++i) put("/a/x", std::to_string(i));
  const Call held = leader.acquire(client.next(), acquire_of("/a/lock"));
  cluster.settle();
  ASSERT_EQ(held.outcome(), "OK");
  api::WatchRequest request = watch_of("/a", api::WatchScope::CHILDREN, seen);
  request.space = api::WatchSpace::BOTH;
  watch(follower, request);
  std::vector<std::string> lines;
  std::vector<api::WatchEvent> state;
  for (int i = 0; i < 5; ++i) {
    for (const api::WatchDelivery& each : poll(follower).watches) {
      lines.push_back(std::to_string(each.kind));
      if (each.kind == DeliveryKind::RESYNC_STATE) {
        state.insert(state.end(), each.events.begin(), each.events.end());
      }
    }
  }
  EXPECT_EQ(lines.front(), std::to_string(DeliveryKind::RESYNC_BEGIN));
  EXPECT_EQ(lines.back(), std::to_string(DeliveryKind::RESYNC_END));
  ASSERT_EQ(state.size(), 3u);
  EXPECT_EQ(state[0].path + state[0].value, "/a/x20");
  EXPECT_EQ(state[0].version, 21);
  EXPECT_EQ(state[1].path + state[1].value, "/a/y1");
  EXPECT_EQ(state[2].path, "/a/lock");
  EXPECT_EQ(state[2].eventType, api::EventType::LOCK_GRANTED);
  const int64_t next = put("/a/x", "21");
  EXPECT_THAT(told(poll(follower)), ::testing::ElementsAre(group(next, "/a/x=21")));
}

// Mirrors of quiet places would be read anew by every failover of a busy cluster.
TEST_F(ShortHistoryTest, AWatchThatHasNothingToTellGoesOnElsewhereThoughMuchWasWritten) {
  put("/quiet", "0");
  watch(follower, watch_of("/quiet", api::WatchScope::NODE));
  int64_t seen = poll(follower).progressRevision;
  Call parked = follower.poll(client.context(), poll_of(5'000, delivery));
  int answers = 0;
  for (int i = 0; i < 20; ++i) {
    put("/busy", std::to_string(i));
    cluster.advance(20ms);
    if (!parked.answered()) continue;
    ++answers;
    const auto result = parked.result<PollResult>();
    EXPECT_THAT(told(result), ::testing::IsEmpty());
    EXPECT_GT(result.progressRevision, seen);
    seen = result.progressRevision;
    delivery = result.delivery;
    parked = follower.poll(client.context(), poll_of(5'000, delivery));
    cluster.settle();
  }
  EXPECT_GE(answers, 3) << "of a history of five events the older half is soon gone";
  EXPECT_LE(answers, 10);
  watch(leader, watch_of("/quiet", api::WatchScope::NODE, seen));
  const int64_t next = put("/quiet", "1");
  EXPECT_THAT(told(poll(leader)), ::testing::ElementsAre(group(next, "/quiet=1")));
}

// It is as far behind as if it had been parked all the while.
TEST_F(ShortHistoryTest, APollThatComesAfterMuchWasWrittenIsAnsweredAtOnce) {
  put("/quiet", "0");
  watch(follower, watch_of("/quiet", api::WatchScope::NODE));
  const int64_t seen = poll(follower).progressRevision;
  for (int i = 0; i < 20; ++i) {
    put("/busy", std::to_string(i));
    cluster.advance(20ms);
  }
  const auto result = poll(follower, 5'000);
  EXPECT_THAT(told(result), ::testing::IsEmpty());
  EXPECT_GT(result.progressRevision, seen);
  const Call parked = follower.poll(client.context(), poll_of(5'000, delivery));
  cluster.settle();
  EXPECT_FALSE(parked.answered()) << "once is enough";
}

TEST_F(ShortHistoryTest, WhoWatchesNothingStaysParkedHoweverMuchIsWritten) {
  poll(follower);
  const Call parked = follower.poll(client.context(), poll_of(5'000, delivery));
  for (int i = 0; i < 20; ++i) {
    put("/busy", std::to_string(i));
    cluster.advance(20ms);
  }
  EXPECT_FALSE(parked.answered());
}

/// The holders that a watch of one lock knows of.
class HoldersSeen {
 public:
  /// True once the resynchronisation is over.
  bool take(const PollResult& result) {
    bool over = false;
    for (const api::WatchDelivery& each : result.watches) {
      over = over || each.kind == DeliveryKind::RESYNC_END;
      for (const api::WatchEvent& event : each.events) {
        if (event.eventType == api::EventType::LOCK_GRANTED) holders.insert(event.holderId);
        if (event.eventType == api::EventType::LOCK_ENDED) holders.erase(event.holderId);
      }
    }
    return over;
  }
  std::set<int64_t> holders;
};

// More holders than a reply may have: they are shown in parts, while some go and others come.
TEST_F(ShortHistoryTest, AllHoldersOfALockAreShownHoweverManyThereAre) {
  const std::string path = "/" + std::string(1'000, 'l');
  const auto acquire = [&](int number) {
    api::AcquireRequest request = acquire_of(path);
    request.mode = api::LockMode::SHARED;
    request.owner = std::to_string(number);
    api::RequestContext context = client.next();
    if (client.sequence > 100) {
      context.acknowledged.resize(1);
      context.acknowledged[0].first = 1;
      context.acknowledged[0].last = client.sequence - 100;
    }
    return leader.acquire(context, request);
  };
  put("/before", "");
  std::set<int64_t> holders;
  for (int batch = 0; batch < 22; ++batch) {
    std::vector<Call> calls;
    for (int i = 0; i < 50; ++i) calls.push_back(acquire(batch * 50 + i));
    cluster.settle();
    for (const Call& call : calls) {
      holders.insert(call.result<api::AcquireResult>().holderId);
    }
  }
  ASSERT_EQ(holders.size(), 1'100u);
  api::WatchRequest request = watch_of(path, api::WatchScope::NODE, 1);
  request.space = api::WatchSpace::LOCKS;
  watch(follower, request);
  HoldersSeen seen;
  ASSERT_FALSE(seen.take(poll(follower))) << "all in one reply: nothing can come between";
  EXPECT_LT(seen.holders.size(), 1'000u);
  for (const int64_t gone : {*holders.begin(), *holders.rbegin()}) {
    leader.release(client.next(), path, gone);
    holders.erase(gone);
  }
  const Call late = acquire(1'100);
  cluster.settle();
  holders.insert(late.result<api::AcquireResult>().holderId);
  for (int i = 0; i < 5 && !seen.take(poll(follower)); ++i) continue;
  EXPECT_EQ(seen.holders, holders);
}

TEST_F(ShortHistoryTest, ASessionHasOnlySoManyWatches) {
  watch(leader, watch_of("/a", api::WatchScope::NODE));
  watch(leader, watch_of("/b", api::WatchScope::NODE));
  const Call third =
      leader.ask(&Engine::watch, client.context(), watch_of("/c", api::WatchScope::NODE));
  EXPECT_THAT(third.error(), Refuses(ErrorCode::LIMIT_EXCEEDED, "2"));
}

}  // namespace
}  // namespace holdfast::server
