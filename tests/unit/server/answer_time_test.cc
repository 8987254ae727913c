// Answers that take long, for what they carry or for how many there are: a turn makes some of them,
// the rest follows in the next ones, in order (PROMISES 6 and 13).
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;

constexpr int kCalls = 40;
constexpr Duration kEach = 1ms;
/// Answers of one kind in a turn, of `kEach`.
constexpr int kATurn = AnswerTime::kATurn / kEach;

class AnswerTimeTest : public OneServerTest {
 protected:
  explicit AnswerTimeTest(const EngineOptions& options = {}) : OneServerTest(options) {
    server.answer_takes = kEach;
  }
  ~AnswerTimeTest() override { server.answer_takes = 0ms; }

  api::RequestContext within(int64_t deadline_ms) const {
    api::RequestContext context;
    context.deadlineMs = deadline_ms;
    return context;
  }
  std::vector<Call> local_reads(int count) {
    std::vector<Call> calls;
    for (int i = 0; i < count; ++i) {
      calls.push_back(server.describe(within(1'000), "/a", api::Consistency::LOCAL));
    }
    return calls;
  }
  Call wait_for_change(const std::string& path) {
    api::WaitForChangeRequest request;
    request.path = path;
    request.afterRevision = static_cast<int64_t>(server.engine().host().applied.value);
    request.maxWaitMs = 5'000;
    return server.ask(&Engine::wait_for_change, within(10'000), request);
  }
  static int answered(const std::vector<Call>& calls) {
    return static_cast<int>(std::count_if(calls.begin(), calls.end(),
                                          [](const Call& call) { return call.answered(); }));
  }
  /// How many of them each turn answers, until all are; those that came first, first.
  std::vector<int> by_turns(const std::vector<Call>& calls) {
    std::vector<int> turns;
    for (int before = answered(calls); before < kCalls; before = answered(calls)) {
      const bool more = server.engine().turn_end(true);
      EXPECT_EQ(more, answered(calls) < kCalls) << "else the loop sleeps, or never does";
      turns.push_back(answered(calls) - before);
      EXPECT_TRUE(std::is_partitioned(calls.begin(), calls.end(),
                                      [](const Call& call) { return call.answered(); }));
      if (turns.size() > size_t{kCalls}) break;
    }
    return turns;
  }
  int64_t put(const std::string& path) {
    api::PutRequest request;
    request.path = path;
    const Call call = server.ask(&Engine::put, api::RequestContext{}, request);
    cluster.settle();
    return call.result<api::PutResult>().revision;
  }
  /// Sessions that watch the key, all of it told.
  std::vector<Client> watchers(const std::string& path) {
    std::vector<Client> clients;
    for (int i = 0; i < kCalls; ++i) {
      clients.push_back(cluster.client(1, "watcher" + std::to_string(i)));
      api::WatchRequest request;
      request.path = path;
      server.ask(&Engine::watch, clients.back().context(), request);
      told.push_back(0);
      cluster.settle();
    }
    const std::vector<Call> first = polls(clients, 0);
    cluster.settle();
    note_told(first);
    return clients;
  }
  std::vector<Call> polls(const std::vector<Client>& clients, int64_t max_wait_ms) {
    std::vector<Call> calls;
    for (size_t i = 0; i < clients.size(); ++i) {
      calls.push_back(server.poll(clients[i].context(), poll_of(max_wait_ms, told[i])));
    }
    return calls;
  }
  void note_told(const std::vector<Call>& calls) {
    for (size_t i = 0; i < calls.size(); ++i) {
      told[i] = calls[i].result<api::PollResult>().delivery;
    }
  }

  const std::vector<int> even_turns = std::vector<int>(kCalls / kATurn, kATurn);
  std::vector<int64_t> told;  ///< to each of the watchers
};

TEST_F(AnswerTimeTest, LocalReadsAreAnsweredAtOnceAsLongAsTheTurnHasTime) {
  const std::vector<Call> calls = local_reads(kCalls);
  EXPECT_EQ(answered(calls), kATurn);
  server.engine().turn_end(true);  // the same turn, whose time is up
  EXPECT_EQ(answered(calls), kATurn);
  EXPECT_EQ(by_turns(calls).size(), even_turns.size() - 1);
}

TEST_F(AnswerTimeTest, OneThatComesLaterWaitsBehindThoseThatWait) {
  const std::vector<Call> calls = local_reads(2 * kATurn);
  server.engine().turn_end(true);
  const std::vector<Call> late = local_reads(1);
  EXPECT_FALSE(late[0].answered());
  server.engine().turn_end(true);
  EXPECT_EQ(answered(calls), 2 * kATurn);
  EXPECT_FALSE(late[0].answered());
  server.engine().turn_end(true);
  EXPECT_TRUE(late[0].answered());
}

TEST_F(AnswerTimeTest, ReadsThatOneQuorumConfirmsAreAnsweredOverSeveralTurns) {
  std::vector<Call> calls;
  for (int i = 0; i < kCalls; ++i) calls.push_back(server.describe(within(1'000), "/a"));
  EXPECT_EQ(by_turns(calls), even_turns);
}

TEST_F(AnswerTimeTest, ReadsThatWaitedForTheSameRevisionToo) {
  api::RequestContext next = within(1'000);
  next.minRevision = static_cast<int64_t>(server.engine().host().applied.value) + 1;
  std::vector<Call> calls;
  for (int i = 0; i < kCalls; ++i) {
    calls.push_back(server.describe(next, "/a", api::Consistency::LOCAL));
  }
  server.ask(&Engine::put, api::RequestContext{}, api::PutRequest());
  EXPECT_EQ(answered(calls), 0);
  server.disk_works = false;
  server.engine().turn_end(true);
  server.writer().sync();
  EXPECT_EQ(by_turns(calls), even_turns);
  server.disk_works = true;
}

TEST_F(AnswerTimeTest, AReadThatWaitsForTimeIsNotMadeForAClientThatIsGone) {
  const std::vector<Call> calls = local_reads(kATurn + 1);
  server.abandon_latest();
  server.engine().turn_end(true);
  EXPECT_EQ(calls.back().outcome(), "TIMEOUT");
  EXPECT_EQ(server.engine().pending_reads(), 0u);
}

TEST_F(AnswerTimeTest, AReadForWhichThereWasNoTimeBeforeItsDeadlineSaysSo) {
  local_reads(kATurn);
  const Call last = server.describe(within(1), "/a", api::Consistency::LOCAL);
  EXPECT_FALSE(last.answered());
  cluster.clock.advance(20ms);
  server.engine().turn_end(true);
  EXPECT_THAT(last.error(), Refuses(ErrorCode::OVERLOADED, "no time for the read"));
  EXPECT_EQ(last.error().applied, api::Applied::NO);
  EXPECT_TRUE(last.error().retryable);
}

TEST_F(AnswerTimeTest, AServerThatStopsRefusesWhatWaitsForTime) {
  const std::vector<Call> calls = local_reads(kATurn + 1);
  server.engine().finish_drain();
  EXPECT_THAT(calls.back().error(), Refuses(ErrorCode::SHUTTING_DOWN, "use another"));
  EXPECT_FALSE(server.engine().turn_end(true));
}

TEST_F(AnswerTimeTest, WaitsForAChangeAreAnsweredOverSeveralTurns) {
  std::vector<Call> calls;
  for (int i = 0; i < kCalls; ++i) calls.push_back(wait_for_change("/a"));
  api::PutRequest put;
  put.path = "/a";
  server.ask(&Engine::put, api::RequestContext{}, put);
  server.engine().turn_end(true);
  server.writer().sync();
  EXPECT_EQ(by_turns(calls), even_turns);
}

TEST_F(AnswerTimeTest, PollsThatAChangeWakesAreAnsweredOverSeveralTurns) {
  const std::vector<Client> clients = watchers("/hot");
  const std::vector<Call> parked = polls(clients, 5'000);
  cluster.settle();
  ASSERT_EQ(answered(parked), 0);
  api::PutRequest put;
  put.path = "/hot";
  server.ask(&Engine::put, api::RequestContext{}, put);
  server.engine().turn_end(true);
  server.writer().sync();
  std::vector<int> turns;
  for (int before = 0; before < kCalls; before = answered(parked)) {
    const bool more = server.engine().turn_end(true);
    EXPECT_EQ(more, answered(parked) < kCalls);
    turns.push_back(answered(parked) - before);
    ASSERT_LE(turns.size(), even_turns.size());
  }
  EXPECT_EQ(turns, even_turns);
  for (const Call& call : parked) EXPECT_EQ(call.result<api::PollResult>().watches.size(), 1u);
  note_told(parked);
  const std::vector<Call> again = polls(clients, 5'000);
  cluster.settle();
  ASSERT_EQ(answered(again), 0);
  server.ask(&Engine::put, api::RequestContext{}, put);
  cluster.settle();
  EXPECT_EQ(answered(again), kCalls);
}

// Each kind has its own time, though polls are answered at several moments of a turn.
TEST_F(AnswerTimeTest, PollsWithNewsGoOnThoughReadsTakeAllTheTimeTheyHave) {
  const std::vector<Client> clients = watchers("/hot");
  put("/hot");
  const std::vector<Call> calls = polls(clients, 5'000);
  const std::vector<Call> reads = local_reads(10 * kCalls);
  for (int turns = 0, before = 0; turns < 4; ++turns, before = answered(calls)) {
    const Client& renews = clients[clients.size() - 1 - static_cast<size_t>(turns)];
    server.poll(renews.context(), poll_of(5'000, 0, /*renew_now=*/true));
    server.engine().turn_end(true);
    EXPECT_GE(answered(calls), before + kATurn);
  }
  EXPECT_LT(answered(reads), 10 * kCalls);
}

TEST_F(AnswerTimeTest, PollsThatFindNewsAreAnsweredOverSeveralTurns) {
  const std::vector<Client> clients = watchers("/hot");
  put("/hot");
  const std::vector<Call> calls = polls(clients, 5'000);
  for (const int in_a_turn : by_turns(calls)) EXPECT_LE(in_a_turn, 2 * kATurn);
  for (const Call& call : calls) EXPECT_EQ(call.result<api::PollResult>().watches.size(), 1u);
}

// One client that asks for very much holds up itself.
TEST_F(AnswerTimeTest, ReadsOfAnotherClientDoNotWaitForAllOfOne) {
  server.asking = 1;
  const std::vector<Call> greedy = local_reads(kCalls);
  server.asking = 2;
  const std::vector<Call> other = local_reads(2);
  server.engine().turn_end(true);
  EXPECT_EQ(answered(other), 0) << "the time of this turn is up";
  server.engine().turn_end(true);
  EXPECT_EQ(answered(other), 2);
  EXPECT_EQ(answered(greedy), 2 * kATurn - 2);
}

TEST_F(AnswerTimeTest, WaitsOfAnotherClientDoNotWaitForAllOfOne) {
  server.asking = 1;
  std::vector<Call> greedy;
  for (int i = 0; i < kCalls; ++i) greedy.push_back(wait_for_change("/a"));
  server.asking = 2;
  const Call other = wait_for_change("/a");
  api::PutRequest put;
  put.path = "/a";
  server.ask(&Engine::put, api::RequestContext{}, put);
  server.engine().turn_end(true);
  server.writer().sync();
  server.engine().turn_end(true);
  EXPECT_TRUE(other.answered());
  EXPECT_EQ(answered(greedy), kATurn - 1);
}

class FewReadsTest : public AnswerTimeTest {
 protected:
  FewReadsTest() : AnswerTimeTest(few_reads()) {}
  static EngineOptions few_reads() {
    EngineOptions options;
    options.max_pending_reads = 160;
    return options;
  }
};

TEST_F(FewReadsTest, ThoseOfOneClientThatWaitForTimeLeaveRoomForOthers) {
  server.asking = 1;
  const std::vector<Call> greedy = local_reads(200);
  EXPECT_EQ(server.engine().pending_reads(), 40u) << "a quarter";
  EXPECT_THAT(greedy.back().error(), Refuses(ErrorCode::OVERLOADED, "its 40 reads that wait"));
  for (server.asking = 2; server.asking < 5; ++server.asking) {
    for (const Call& call : local_reads(16)) EXPECT_FALSE(call.answered());
    EXPECT_EQ(local_reads(1)[0].outcome(), "OVERLOADED");
  }
  const Call linearizable = server.describe(within(1'000), "/a");
  server.engine().turn_end(true);
  server.engine().turn_end(true);
  EXPECT_EQ(linearizable.outcome(), "OK") << "its client has had no time yet";
}

// What it waits for is a judgement, which carries nothing.
TEST_F(AnswerTimeTest, ACommandThatWaitedForARevisionDoesNotWaitForReads) {
  Client client = cluster.client(1, "a");
  api::RequestContext later = client.next();
  later.minRevision = static_cast<int64_t>(server.engine().host().applied.value) + 1;
  const Call command = server.release(later, "/a", 1);
  const std::vector<Call> reads = local_reads(kCalls);
  api::PutRequest put;
  put.path = "/b";
  server.ask(&Engine::put, api::RequestContext{}, put);
  // The put is written, then applied; the command is written, then applied.
  for (int turns = 0; turns < 3; ++turns) {
    server.engine().turn_end(true);
    server.writer().sync();
  }
  EXPECT_TRUE(command.answered());
  EXPECT_LT(answered(reads), kCalls);
}

TEST_F(AnswerTimeTest, APollWithNothingLargeToTellDoesNotWaitForThoseThatHave) {
  const std::vector<Client> clients = watchers("/hot");
  Client idle = cluster.client(1, "idle");
  server.poll(idle.context(), poll_of(0));
  cluster.settle();
  const Call parked = server.poll(idle.context(), poll_of(50));
  cluster.settle();
  ASSERT_FALSE(parked.answered());
  put("/hot");
  const std::vector<Call> calls = polls(clients, 5'000);
  cluster.clock.advance(60ms);
  server.engine().turn_end(true);
  EXPECT_TRUE(parked.answered()) << "its time is up";
  const Call renewal = server.poll(idle.context(), poll_of(5'000, 0, /*renew_now=*/true));
  server.engine().turn_end(true);
  EXPECT_GT(renewal.result<api::PollResult>().leaseMs, 0);
  EXPECT_LE(answered(calls), 4 * kATurn);
}

TEST_F(AnswerTimeTest, ARenewalDoesNotWaitForWhatItsOwnWatchesTell) {
  const std::vector<Client> clients = watchers("/hot");
  put("/hot");
  std::vector<Client> others(clients.begin(), clients.end() - 1);
  const std::vector<Call> calls = polls(others, 5'000);
  const Call renewal =
      server.poll(clients.back().context(), poll_of(5'000, told.back(), /*renew_now=*/true));
  server.engine().turn_end(true);
  const auto renewed = renewal.result<api::PollResult>();
  EXPECT_GT(renewed.leaseMs, 0);
  EXPECT_TRUE(renewed.more);
  EXPECT_TRUE(renewed.watches.empty());
  EXPECT_EQ(renewed.progressRevision, 0) << "of what it does not tell it says nothing";
  EXPECT_EQ(renewed.serverEpoch, calls.front().result<api::PollResult>().serverEpoch);
  const Call next = server.poll(clients.back().context(), poll_of(5'000, renewed.delivery));
  cluster.settle();
  EXPECT_EQ(next.result<api::PollResult>().watches.size(), 1u);
}

// All of them are told of their locks in the entry that grants them; what they watch may be large.
TEST_F(AnswerTimeTest, GrantsToManyDoNotBringAllTheirWatchesTellWithThem) {
  std::vector<Client> clients = watchers("/hot");
  Client holder = cluster.client(1, "holder");
  const Call held = server.acquire(holder.next(), acquire_of("/lock"));
  cluster.settle();
  for (Client& client : clients) {
    api::AcquireRequest shared = acquire_of("/lock", -1, /*enqueue=*/true);
    shared.mode = api::LockMode::SHARED;
    server.acquire(client.next(), shared);
  }
  cluster.settle();
  const std::vector<Call> parked = polls(clients, 5'000);
  cluster.settle();
  ASSERT_EQ(answered(parked), 0);
  server.disk_works = false;
  api::PutRequest put;
  put.path = "/hot";
  server.ask(&Engine::put, api::RequestContext{}, put);
  server.engine().turn_end(true);
  server.release(holder.next(), "/lock", held.result<api::AcquireResult>().holderId);
  server.engine().turn_end(true);
  server.writer().sync();
  server.engine().turn_end(true);
  ASSERT_EQ(answered(parked), kCalls);
  int with_values = 0;
  for (const Call& call : parked) {
    const auto result = call.result<api::PollResult>();
    ASSERT_EQ(result.grants.size(), 1u);
    with_values += !result.watches.empty();
    EXPECT_EQ(result.more, result.watches.empty());
  }
  EXPECT_LE(with_values, kATurn);
  server.disk_works = true;
  note_told(parked);
  const std::vector<Call> next = polls(clients, 5'000);
  cluster.settle();
  for (size_t i = 0; i < next.size(); ++i) {
    const bool told_before = !parked[i].result<api::PollResult>().watches.empty();
    ASSERT_EQ(next[i].answered(), !told_before);
    if (told_before) continue;
    EXPECT_EQ(next[i].result<api::PollResult>().watches.size(), 1u);
  }
}

// Who has lost a lock is the first to know it, and does not wait behind large values.
TEST_F(AnswerTimeTest, ALockThatIsLostIsToldAtOnce) {
  const std::vector<Client> clients = watchers("/hot");
  Client holder = cluster.client(1, "holder");
  server.acquire(holder.next(), acquire_of("/lock"));
  server.poll(holder.context(), poll_of(0));
  cluster.settle();
  api::RevokeLockRequest revoke;
  revoke.path = "/lock";
  revoke.noticeMs = 60'000;
  server.ask(&Engine::revoke_lock, api::RequestContext{}, revoke);
  cluster.settle();
  put("/hot");
  const std::vector<Call> calls = polls(clients, 5'000);
  const Call told_of_loss = server.poll(holder.context(), poll_of(5'000));
  server.engine().turn_end(true);
  EXPECT_LE(answered(calls), 2 * kATurn);
  EXPECT_EQ(told_of_loss.result<api::PollResult>().revocations.size(), 1u);
}

TEST_F(AnswerTimeTest, APollThatANewerOneTookThePlaceOfIsNotAnsweredForIt) {
  const std::vector<Client> clients = watchers("/hot");
  put("/hot");
  const std::vector<Call> calls = polls(clients, 5'000);
  server.engine().turn_end(true);
  ASSERT_FALSE(calls.back().answered());
  const Call newer = server.poll(clients.back().context(), poll_of(5'000, told.back()));
  EXPECT_EQ(calls.back().outcome(), "SUPERSEDED");
  cluster.settle();
  EXPECT_EQ(newer.result<api::PollResult>().watches.size(), 1u);
  const Call next = server.poll(clients.back().context(),
                                poll_of(5'000, newer.result<api::PollResult>().delivery));
  cluster.settle();
  EXPECT_FALSE(next.answered()) << "it has nothing to tell";
}

}  // namespace
}  // namespace holdfast::server
