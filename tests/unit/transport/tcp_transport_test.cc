#include "raft/transport/tcp_transport.h"

#include "raft/transport/bootstrap.h"
#include "tests/unit/transport/transport_test_util.h"

namespace holdfast::raft {
namespace {

using Events = std::vector<std::pair<NodeId, PeerEvent>>;

TEST_F(TransportTest, ThreeServersReachEachOtherOnBothLanes) {
  connect(3);
  ASSERT_TRUE(all_up());
  for (uint64_t from : {1, 2, 3}) {
    for (uint64_t to : {1, 2, 3}) {
      EXPECT_EQ(nodes.at(from)->transport->send(heartbeat(from, to)), from != to);
      EXPECT_EQ(nodes.at(from)->transport->send(append(from, to, 10)), from != to);
    }
  }
  ASSERT_TRUE(until([&] {
    return nodes.at(1)->messages.size() == 4 && nodes.at(2)->messages.size() == 4 &&
           nodes.at(3)->messages.size() == 4;
  }));
  EXPECT_EQ(nodes.at(1)->status(2).messages_received, 2u);
  EXPECT_EQ(nodes.at(1)->status(2).messages_sent, 2u);
}

TEST_F(TransportTest, MessagesOfOneLaneKeepTheirOrderAndContent) {
  connect(2);
  ASSERT_TRUE(all_up());
  for (uint64_t round = 1; round <= 500; ++round) {
    ASSERT_TRUE(nodes.at(1)->transport->send(heartbeat(1, 2, round)));
  }
  auto& got = nodes.at(2)->messages;
  ASSERT_TRUE(until([&] { return got.size() == 500; }));
  for (uint64_t round = 1; round <= 500; ++round) EXPECT_EQ(got[round - 1].round, round);
}

TEST_F(TransportTest, MessagesOfOneTurnLeaveWithOneSendALane) {
  connect(2);
  ASSERT_TRUE(all_up());
  loop.turn(0ms);
  const uint64_t before = loop.stats().sends;
  for (int i = 0; i < 100; ++i) {
    nodes.at(1)->transport->send(heartbeat(1, 2));
    nodes.at(1)->transport->send(append(1, 2, 100));
  }
  ASSERT_TRUE(until([&] { return nodes.at(2)->messages.size() == 200; }));
  EXPECT_EQ(loop.stats().sends - before, 2u);
}

TEST_F(TransportTest, AppMessagesTravelOnTheLaneTheyAreGiven) {
  connect(2);
  ASSERT_TRUE(all_up());
  EXPECT_TRUE(nodes.at(1)->transport->send_app(NodeId(2), Lane::kControl, 7, "renew"));
  EXPECT_TRUE(nodes.at(2)->transport->send_app(NodeId(1), Lane::kBulk, 8, ""));
  ASSERT_TRUE(until([&] { return nodes.at(2)->apps.size() + nodes.at(1)->apps.size() == 2; }));
  EXPECT_EQ(nodes.at(2)->apps[0], (Node::App{NodeId(1), 7, "renew"}));
  EXPECT_EQ(nodes.at(1)->apps[0], (Node::App{NodeId(2), 8, ""}));
}

TEST_F(TransportTest, WhatCannotBeSentIsDroppedAndCounted) {
  connect(2);
  EXPECT_FALSE(nodes.at(1)->transport->send(heartbeat(1, 2))) << "not connected yet";
  EXPECT_FALSE(nodes.at(1)->transport->send(heartbeat(1, 9))) << "nobody";
  EXPECT_EQ(nodes.at(1)->status(2).messages_dropped, 1u);
  ASSERT_TRUE(all_up());
  EXPECT_FALSE(nodes.at(1)->transport->send(append(1, 2, kMaxPeerFrameBytes)))
      << "the other side would end the connection over it";
  EXPECT_TRUE(nodes.at(1)->transport->send(heartbeat(1, 2)));
}

TEST_F(TransportTest, TheNewestIsDroppedWhenAQueueIsFull) {
  node(1, {.bulk_queue_bytes = 10'000});
  connect(2);
  ASSERT_TRUE(all_up());
  int taken = 0;
  for (int i = 0; i < 20; ++i) taken += nodes.at(1)->transport->send(append(1, 2, 900));
  EXPECT_EQ(taken, 9);
  EXPECT_EQ(nodes.at(1)->status(2).messages_dropped, 11u);
  EXPECT_LE(nodes.at(1)->status(2).queued_bytes, 10'000u);
  EXPECT_TRUE(nodes.at(1)->transport->send(heartbeat(1, 2))) << "the other lane has room";
  ASSERT_TRUE(until([&] { return nodes.at(2)->messages.size() == 10; }));
}

TEST_F(TransportTest, HeartbeatsPassWhileTheBulkLaneIsJammed) {
  node(1).open();
  FakePeer jammed(loop, 2);
  jammed.deaf = true;
  nodes.at(1)->transport->set_peers({jammed.spec()});
  nodes.at(1)->transport->form(kCluster, "");
  ASSERT_TRUE(until([&] { return nodes.at(1)->up(2); }));
  bool full = false;
  for (int i = 0; i < 200 && !full; ++i) {
    full = !nodes.at(1)->transport->send(append(1, 2, 1 << 20));
    loop.turn(0ms);
  }
  ASSERT_TRUE(full) << "nobody reads the bulk lane";
  for (uint64_t round = 1; round <= 10; ++round) {
    EXPECT_TRUE(nodes.at(1)->transport->send(heartbeat(1, 2, round)));
    ASSERT_TRUE(until([&] { return jammed.messages.size() == round; }));
    EXPECT_EQ(jammed.messages.back().round, round);
  }
}

TEST_F(TransportTest, APeerThatReadsNothingIsGivenUpAndDialledAgain) {
  node(1, {.dead_after = 3s}).open();
  FakePeer jammed(loop, 2);
  jammed.deaf = true;
  nodes.at(1)->transport->set_peers({jammed.spec()});
  nodes.at(1)->transport->form(kCluster, "");
  ASSERT_TRUE(until([&] { return nodes.at(1)->up(2); }));
  bool full = false;
  for (int i = 0; i < 200 && !full; ++i) {
    full = !nodes.at(1)->transport->send(append(1, 2, 1 << 20));
    loop.turn(0ms);
  }
  const size_t before = jammed.hellos.size();
  clock.advance(4s);
  EXPECT_TRUE(until([&] { return jammed.hellos.size() > before && nodes.at(1)->up(2); }));
  EXPECT_EQ(nodes.at(1)->status(2).queued_bytes, 0u);
}

TEST_F(TransportTest, ADeadProcessIsKnownWithinMilliseconds) {
  node(1, {.backoff_min = 30s, .backoff_max = 30s});  // only the immediate redial can be that fast
  connect(2);
  ASSERT_TRUE(all_up());
  clock.advance(1s);  // it has been up for a while
  loop.turn(0ms);
  nodes.at(1)->events.clear();
  const Instant start = clock.now();
  nodes.at(2)->transport.reset();
  ASSERT_TRUE(until([&] { return nodes.at(1)->saw(PeerEvent::kRefused); }));
  EXPECT_LT(clock.now() - start, 2s);
  EXPECT_EQ(nodes.at(1)->events,
            (Events{{NodeId(2), PeerEvent::kLost}, {NodeId(2), PeerEvent::kRefused}}));
}

TEST_F(TransportTest, ARestartedProcessAnswersAsANewIncarnationBeforeItCountsAsConnected) {
  connect(2);
  ASSERT_TRUE(all_up());
  const uint64_t before = nodes.at(1)->status(2).incarnation;
  EXPECT_NE(before, 0u);
  nodes.at(1)->events.clear();
  nodes.at(2)->restart();
  introduce();
  ASSERT_TRUE(until([&] { return nodes.at(1)->saw(PeerEvent::kConnected); }));
  EXPECT_EQ(nodes.at(1)->events, (Events{{NodeId(2), PeerEvent::kLost},
                                         {NodeId(2), PeerEvent::kNewIncarnation},
                                         {NodeId(2), PeerEvent::kConnected}}));
  EXPECT_NE(nodes.at(1)->status(2).incarnation, before);
}

TEST_F(TransportTest, AReconnectToTheSameProcessIsNoNewIncarnation) {
  node(1).open();
  FakePeer peer(loop, 2);
  nodes.at(1)->transport->set_peers({peer.spec()});
  nodes.at(1)->transport->form(kCluster, "");
  ASSERT_TRUE(until([&] { return nodes.at(1)->up(2); }));
  peer.connections.clear();
  ASSERT_TRUE(until([&] { return nodes.at(1)->count(PeerEvent::kConnected) == 2; }));
  EXPECT_FALSE(nodes.at(1)->saw(PeerEvent::kNewIncarnation));
}

TEST_F(TransportTest, RedialsBackOffAndARefusalIsReportedOnce) {
  node(1, {.backoff_min = 20ms, .backoff_max = 1s}).open();
  node(2).open();
  const PeerSpec gone = nodes.at(2)->spec();
  nodes.at(2)->transport.reset();
  nodes.at(1)->transport->set_peers({gone});
  nodes.at(1)->transport->form(kCluster, "");
  ASSERT_TRUE(until([&] { return nodes.at(1)->saw(PeerEvent::kRefused); }));
  const uint64_t before = loop.stats().turns;
  const Instant limit = clock.now() + 300ms;
  while (clock.now() < limit) loop.turn(300ms);
  // Two lanes, pauses of at least 10, 20, 40, 80, 160 ms; each dial takes a few turns.
  EXPECT_LT(loop.stats().turns - before, 100u);
  EXPECT_EQ(nodes.at(1)->count(PeerEvent::kRefused), 1);
  EXPECT_NE(nodes.at(1)->status(2).last_problem.find("refused"), std::string::npos);
}

TEST_F(TransportTest, APeerThatComesBackAndDialsUsIsDialledAtOnce) {
  node(1, {.backoff_min = 5min, .backoff_max = 5min}).open();
  node(2).open();
  const PeerSpec second = nodes.at(2)->spec();
  nodes.at(2)->transport.reset();
  nodes.at(1)->transport->set_peers({second});
  nodes.at(1)->transport->form(kCluster, "");
  ASSERT_TRUE(until([&] { return nodes.at(1)->saw(PeerEvent::kRefused); }));
  nodes.at(2)->options.listen.port = second.address.port;
  nodes.at(2)->open().transport->set_peers({nodes.at(1)->spec()});
  EXPECT_TRUE(until([&] { return nodes.at(1)->up(2); })) << "without waiting five minutes";
}

TEST_F(TransportTest, AMismatchReachesBothSidesWithBothValues) {
  node(1, {.must_agree = {{"heartbeat_ms", "100"}}});
  node(2, {.must_agree = {{"heartbeat_ms", "250"}}});
  connect(2);
  ASSERT_TRUE(until([&] {
    return nodes.at(1)->saw(PeerEvent::kMismatch) && nodes.at(2)->saw(PeerEvent::kMismatch);
  }));
  for (const auto& [id, each] : nodes) {
    EXPECT_TRUE(each->said("heartbeat_ms")) << id;
    EXPECT_TRUE(each->said("100 on node 1")) << id;
    EXPECT_TRUE(each->said("250 on node 2")) << id;
    EXPECT_TRUE(each->logged("heartbeat_ms")) << id;
    const PeerLink other = each->status(3 - id);
    EXPECT_NE(other.last_problem.find("250 on node 2"), std::string::npos);
    EXPECT_EQ(other.refusal, other.last_problem) << "somebody has to act";
    EXPECT_FALSE(other.control_up || other.inbound_up);
  }
  EXPECT_FALSE(nodes.at(1)->transport->send(heartbeat(1, 2)));
}

TEST_F(TransportTest, ARefusalEndsWhenThePeerIsGoneOrAgrees) {
  node(1, {.must_agree = {{"a", "1"}}, .backoff_max = 20ms});
  node(2, {.must_agree = {{"a", "2"}}, .backoff_max = 20ms});
  connect(2);
  const auto refusal = [&] { return nodes.at(1)->status(2).refusal; };
  ASSERT_TRUE(until([&] { return !refusal().empty(); }));
  Node& second = *nodes.at(2);
  const PeerSpec where = second.spec();
  second.transport.reset();
  EXPECT_TRUE(until([&] { return refusal().empty(); })) << "a server that is down refuses nothing";
  second.options.listen.port = where.address.port;
  second.open();
  introduce();
  ASSERT_TRUE(until([&] { return !refusal().empty(); }));
  second.options.must_agree = {{"a", "1"}};
  second.restart();
  introduce();
  EXPECT_TRUE(until([&] { return nodes.at(1)->up(2) && refusal().empty(); }));
}

TEST_F(TransportTest, ARefusalThatRepeatsIsLoggedOnce) {
  node(1, {.must_agree = {{"a", "1"}}, .backoff_max = 20ms});
  node(2, {.must_agree = {{"a", "2"}}, .backoff_max = 20ms});
  connect(2);
  ASSERT_TRUE(until([&] { return nodes.at(1)->count(PeerEvent::kMismatch) > 6; }));
  EXPECT_LE(nodes.at(1)->log.size(), 3u);
  clock.advance(11s);
  nodes.at(1)->log.clear();
  EXPECT_TRUE(until([&] { return !nodes.at(1)->log.empty(); })) << "said again later";
}

TEST_F(TransportTest, AWipedDiskIsRefusedAndToldToJoinAsANewMember) {
  connect(2);
  ASSERT_TRUE(all_up());
  const PeerSpec bound = nodes.at(2)->spec();
  nodes.at(2)->self.store = StoreId(5555);
  nodes.at(2)->restart().transport->set_peers({nodes.at(1)->spec()});
  nodes.at(1)->events.clear();
  ASSERT_TRUE(until([&] {
    return nodes.at(2)->said("join as a new member") && nodes.at(1)->said("join as a new member");
  }));
  EXPECT_TRUE(nodes.at(1)->said("5555"));
  EXPECT_TRUE(nodes.at(1)->said(std::to_string(bound.store.value)));
  EXPECT_FALSE(nodes.at(1)->saw(PeerEvent::kConnected));
}

TEST_F(TransportTest, AnotherClusterIsRefused) {
  node(1).open();
  FakePeer stranger(loop, 2);
  stranger.reply.self.cluster = ClusterId(77);
  nodes.at(1)->transport->set_peers({stranger.spec()});
  nodes.at(1)->transport->form(kCluster, "");
  ASSERT_TRUE(until([&] { return nodes.at(1)->saw(PeerEvent::kMismatch); }));
  EXPECT_TRUE(nodes.at(1)->said("77"));
  EXPECT_TRUE(nodes.at(1)->said("4242"));
}

TEST_F(TransportTest, AServerThatIsRemovedIsCutOffAndTold) {
  connect(3);
  ASSERT_TRUE(all_up());
  const RemovedMember third{NodeId(3), nodes.at(3)->self.store, LogIndex(77)};
  nodes.at(1)->transport->set_peers({nodes.at(2)->spec()}, {third});
  EXPECT_FALSE(nodes.at(1)->transport->send(heartbeat(1, 3)));
  ASSERT_TRUE(until([&] { return nodes.at(3)->saw(PeerEvent::kRemoved); }));
  EXPECT_TRUE(nodes.at(3)->said("was removed from the cluster at entry 77"));
  EXPECT_FALSE(nodes.at(2)->saw(PeerEvent::kRemoved));
  EXPECT_TRUE(nodes.at(1)->up(2)) << "nobody else notices";
}

TEST_F(TransportTest, WhoAsksUnderARemovedIdIsTold) {
  connect(2);
  nodes.at(1)->transport->set_peers({nodes.at(2)->spec()},
                                    {{NodeId(3), StoreId(1003), LogIndex(77)}});
  const auto removed = [this](uint64_t asker) {
    std::optional<bool> told;
    const IdentityCall call(
        loop, IdentityQuery{NodeId(asker)}, nodes.at(1)->address(), 1s,
        [&](const Result<IdentityReply>& answer) { told = answer->asker_removed; });
    EXPECT_TRUE(until([&] { return told.has_value(); }));
    return told;
  };
  EXPECT_EQ(removed(3), true);
  EXPECT_EQ(removed(2), false) << "a member";
  EXPECT_EQ(removed(4), false) << "never heard of";
}

/// Node 1 belongs to the cluster and knows nobody; node 2 knows it.
struct GuestTest : TransportTest {
  void visit(TransportOptions options = {}) {
    node(1, std::move(options)).open().transport->form(kCluster, "");
    node(2).open().restart().transport->form(kCluster, "");
    nodes.at(2)->transport->set_peers({nodes.at(1)->spec()});
  }
};

TEST_F(GuestTest, AServerThatIsNotKnownIsHeardAndDialledBack) {
  visit();
  ASSERT_TRUE(until([&] { return nodes.at(1)->up(2) && nodes.at(2)->up(1); }));
  EXPECT_TRUE(nodes.at(1)->status(2).guest);
  ASSERT_EQ(nodes.at(1)->notes.size(), 1U);
  EXPECT_NE(nodes.at(1)->notes[0].find("is not a member as far as node 1 knows, and is heard"),
            std::string::npos);
  EXPECT_TRUE(nodes.at(1)->log.empty()) << "it may be on its way to become one";
  ASSERT_TRUE(nodes.at(2)->transport->send(heartbeat(2, 1)));
  ASSERT_TRUE(nodes.at(1)->transport->send(heartbeat(1, 2)));
  EXPECT_TRUE(until(
      [&] { return nodes.at(1)->messages.size() == 1 && nodes.at(2)->messages.size() == 1; }));
}

TEST_F(GuestTest, AGuestIsForgottenWhenItGoes) {
  visit();
  ASSERT_TRUE(until([&] { return nodes.at(1)->up(2); }));
  nodes.at(2)->transport.reset();
  EXPECT_TRUE(until([&] { return nodes.at(1)->transport->peers().empty(); }));
}

TEST_F(GuestTest, AGuestThatBecomesAMemberKeepsItsConnections) {
  visit();
  ASSERT_TRUE(until([&] { return nodes.at(1)->up(2) && nodes.at(2)->up(1); }));
  nodes.at(1)->transport->set_peers({nodes.at(2)->spec()});
  EXPECT_TRUE(nodes.at(1)->up(2));
  EXPECT_FALSE(nodes.at(1)->status(2).guest);
  ASSERT_TRUE(nodes.at(2)->transport->send(heartbeat(2, 1)));
  EXPECT_TRUE(until([&] { return nodes.at(1)->messages.size() == 1; }));
  EXPECT_EQ(nodes.at(1)->status(2).connects, 2U);
}

TEST_F(GuestTest, AGuestWhoseRemovalBecomesKnownIsCutOff) {
  visit();
  ASSERT_TRUE(until([&] { return nodes.at(1)->up(2) && nodes.at(2)->up(1); }));
  nodes.at(1)->transport->set_peers({}, {{NodeId(2), nodes.at(2)->self.store, LogIndex(9)}});
  EXPECT_TRUE(nodes.at(1)->transport->peers().empty());
  EXPECT_TRUE(until([&] { return nodes.at(2)->saw(PeerEvent::kRemoved); }));
}

// Else an empty server that is to get this id would be told that its disk was wiped.
TEST_F(GuestTest, AGuestHasItsIdForNobodyWhoAsks) {
  visit();
  ASSERT_TRUE(until([&] { return nodes.at(1)->up(2); }));
  const auto store_of_2 = [this] {
    std::optional<Result<StoreId>> store;
    const IdentityCall call(loop, IdentityQuery{NodeId(2)}, nodes.at(1)->address(), 1s,
                            [&](const Result<IdentityReply>& answer) {
                              store = answer.ok() ? Result<StoreId>(answer->asker_store)
                                                  : Result<StoreId>(answer.error());
                            });
    EXPECT_TRUE(until([&] { return store.has_value(); }));
    return *store;
  };
  // Who the members are it has not been told yet, since it formed.
  EXPECT_FALSE(store_of_2().ok());
  nodes.at(1)->transport->set_peers({});
  EXPECT_EQ(*store_of_2(), StoreId());
  nodes.at(1)->transport->set_peers({nodes.at(2)->spec()});
  EXPECT_EQ(*store_of_2(), nodes.at(2)->self.store);
}

TEST_F(GuestTest, ThereAreOnlySoManyGuests) {
  visit({.max_guests = 0});
  ASSERT_TRUE(until([&] { return nodes.at(2)->saw(PeerEvent::kMismatch); }));
  EXPECT_TRUE(nodes.at(2)->said("the limit is 0"));
  EXPECT_TRUE(nodes.at(1)->transport->peers().empty());
}

TEST_F(TransportTest, TheHandlerMayChangeThePeersFromAnyCallback) {
  connect(2);
  nodes.at(1)->react = [&](NodeId, PeerEvent event) {
    if (event == PeerEvent::kConnected) nodes.at(1)->transport->set_peers({});
  };
  ASSERT_TRUE(until([&] { return nodes.at(1)->saw(PeerEvent::kConnected); }));
  EXPECT_TRUE(nodes.at(1)->transport->peers().empty());
}

TEST_F(TransportTest, AnAcceptorThatNeverAnswersTheHelloIsGivenUp) {
  node(1, {.handshake_timeout = 2s}).open();
  FakePeer mute(loop, 2);
  mute.mute = true;
  nodes.at(1)->transport->set_peers({mute.spec()});
  nodes.at(1)->transport->form(kCluster, "");
  ASSERT_TRUE(until([&] { return mute.hellos.size() == 2; }));
  clock.advance(3s);
  ASSERT_TRUE(until([&] { return mute.closed == 2; }));
  mute.mute = false;
  EXPECT_TRUE(until([&] { return nodes.at(1)->up(2); }));
}

struct StrangerTest : TransportTest {
  StrangerTest() {
    node(1, {.handshake_timeout = 2s, .max_strangers = 4});
    connect(2);
    EXPECT_TRUE(all_up());
  }
  uint16_t port() { return nodes.at(1)->transport->port(); }
  bool closed(net::RawPeer& peer) {
    return until([&] { return peer.at_end(); });
  }
};

TEST_F(StrangerTest, SilentOnesAreCutOffAndTheirNumberIsBounded) {
  std::vector<std::unique_ptr<net::RawPeer>> silent;
  for (int i = 0; i < 4; ++i) silent.push_back(std::make_unique<net::RawPeer>(port()));
  for (int i = 0; i < 3; ++i) loop.turn(1ms);
  net::RawPeer fifth(port());
  EXPECT_TRUE(closed(*silent[0])) << "the oldest of them";
  EXPECT_TRUE(nodes.at(1)->logged("limit is 4"));
  for (size_t i = 1; i < silent.size(); ++i) EXPECT_FALSE(silent[i]->at_end()) << i;
  EXPECT_FALSE(fifth.at_end());
  clock.advance(3s);
  for (auto& each : silent) EXPECT_TRUE(closed(*each));
  EXPECT_TRUE(closed(fifth));
  net::RawPeer later(port());
  loop.turn(1ms);
  EXPECT_FALSE(later.at_end()) << "their places are free again";
}

// They come again at once, before any server does.
TEST_F(StrangerTest, SilentOnesThatComeAgainKeepNoServerOut) {
  std::vector<std::unique_ptr<net::RawPeer>> silent(4);
  const auto come_again = [&] {
    for (auto& each : silent) {
      if (each == nullptr || each->at_end()) each = std::make_unique<net::RawPeer>(port());
    }
    loop.turn(1ms);
  };
  for (int i = 0; i < 10; ++i) come_again();
  connect(3);
  ASSERT_TRUE(until([&] {
    come_again();
    return nodes.at(3)->up(1);
  }));
}

// An empty server waits for the entry 1 of whoever said hello to it.
TEST_F(StrangerTest, WhoHasSpokenDoesNotGiveWayToThoseWhoOnlyCome) {
  Node& empty = node(3, {.handshake_timeout = 2s, .max_strangers = 2});
  empty.self.cluster = ClusterId();
  empty.open();
  std::string hello;
  encode(Hello{.self = nodes.at(2)->self}, hello);
  net::RawPeer first(empty.transport->port());
  net::RawPeer second(empty.transport->port());
  for (net::RawPeer* each : {&first, &second}) each->write(net::frame_of(hello));
  for (int i = 0; i < 5; ++i) loop.turn(1ms);
  net::RawPeer third(empty.transport->port());
  EXPECT_TRUE(closed(third));
  EXPECT_TRUE(empty.logged("refused, 2 connections have not shaken hands yet"));
  EXPECT_FALSE(first.at_end() || second.at_end());
}

// Else a few that go on asking would keep the places in which servers shake hands, for ever.
TEST_F(StrangerTest, OnesThatGoOnAskingKeepNoPlace) {
  std::string question;
  encode(IdentityQuery{}, question);
  std::string offer;
  encode(GenesisOffer{"no entry 1"}, offer);
  std::vector<std::unique_ptr<net::RawPeer>> asking;
  for (int i = 0; i < 4; ++i) asking.push_back(std::make_unique<net::RawPeer>(port()));
  for (int second = 0; second < 3; ++second) {
    for (size_t i = 0; i < asking.size(); ++i) {
      const std::string frame = net::frame_of(i % 2 == 0 ? question : offer);
      static_cast<void>(::send(asking[i]->fd(), frame.data(), frame.size(), MSG_NOSIGNAL));
    }
    for (int i = 0; i < 5; ++i) loop.turn(1ms);
    clock.advance(1s);
  }
  net::RawPeer fifth(port());
  for (int i = 0; i < 5; ++i) loop.turn(1ms);
  EXPECT_FALSE(fifth.at_end());
  EXPECT_FALSE(nodes.at(1)->logged("limit is 4"));
}

TEST_F(StrangerTest, GarbageEndsTheConnectionAndNobodyElseNotices) {
  SplitMix random(5);
  for (int i = 0; i < 50; ++i) {
    std::string garbage(1 + random.below(300), '\0');
    for (char& byte : garbage) byte = static_cast<char>(random.next());
    net::RawPeer peer(port());
    peer.write(net::frame_of(garbage));
    ASSERT_TRUE(closed(peer));
  }
  net::RawPeer http(port());
  http.write("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(closed(http));
  EXPECT_TRUE(nodes.at(1)->up(2));
  EXPECT_TRUE(nodes.at(1)->transport->send(heartbeat(1, 2)));
  EXPECT_TRUE(until([&] { return nodes.at(2)->messages.size() == 1; }));
}

TEST_F(StrangerTest, MayNotSendMessagesBeforeTheHello) {
  std::string frame;
  encode_message(kCluster, heartbeat(2, 1), frame);
  net::RawPeer peer(port());
  peer.write(net::frame_of(frame));
  EXPECT_TRUE(closed(peer));
  EXPECT_TRUE(nodes.at(1)->messages.empty());
}

TEST_F(StrangerTest, MayNotSpeakForAnotherServer) {
  Hello hello;
  hello.self = nodes.at(2)->self;
  hello.expected_node = NodeId(1);
  std::string frame;
  encode(hello, frame);
  net::RawPeer peer(port());
  peer.write(net::frame_of(frame));
  for (const Message& forged : {heartbeat(3, 1), heartbeat(2, 3)}) {
    net::RawPeer forger(port());
    std::string bytes;
    encode_message(kCluster, forged, bytes);
    forger.write(net::frame_of(frame) + net::frame_of(bytes));
    for (int i = 0; i < 5; ++i) loop.turn(1ms);
  }
  EXPECT_TRUE(nodes.at(1)->messages.empty());
  EXPECT_TRUE(nodes.at(1)->logged("from node 3, expected 2"));
  EXPECT_TRUE(nodes.at(1)->logged("to node 3, expected 1"));
}

TEST_F(StrangerTest, AnAnnouncedGiantFrameEndsAStrangerEarly) {
  net::RawPeer peer(port());
  peer.write(std::string("\x00\x7f\xff\xff", 4));  // under a peer's limit, above a stranger's
  EXPECT_TRUE(closed(peer));
  EXPECT_TRUE(nodes.at(1)->logged("8388607"));
}

TEST_F(StrangerTest, AnotherProtocolVersionIsNamed) {
  std::string frame;
  encode(IdentityQuery{}, frame);
  frame[2] = 9;
  net::RawPeer peer(port());
  peer.write(net::frame_of(frame));
  EXPECT_TRUE(closed(peer));
  EXPECT_TRUE(nodes.at(1)->logged("version 9, this server speaks 1"));
}

TEST_F(TransportTest, ATakenPortIsNamed) {
  node(1).open();
  node(2).options.listen = nodes.at(1)->address();
  Node& second = *nodes.at(2);
  second.options.listen = nodes.at(1)->address();
  const auto opened =
      TcpTransport::open(loop, second.entropy, second.options, second.self, second, second);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find(net::to_string(nodes.at(1)->address())), std::string::npos);
  nodes.erase(2);
}

TEST_F(TransportTest, NothingIsCalledBackAfterClose) {
  connect(2);
  ASSERT_TRUE(all_up());
  nodes.at(1)->events.clear();
  nodes.at(2)->transport.reset();
  nodes.at(1)->transport->close();
  for (int i = 0; i < 5; ++i) loop.turn(1ms);
  EXPECT_TRUE(nodes.at(1)->events.empty());
}

}  // namespace
}  // namespace holdfast::raft
