#include "raft/transport/bootstrap.h"

#include <optional>

#include "tests/unit/transport/transport_test_util.h"

namespace holdfast::raft {
namespace {

/// Three empty servers; node 1 bootstraps.
struct BootstrapTest : TransportTest {
  BootstrapTest() {
    for (const uint64_t id : {1, 2, 3}) open_empty(id);
  }
  void open_empty(uint64_t id) {
    Node& each = node(id);
    each.self.cluster = ClusterId();
    each.options.listed = {NodeId(1), NodeId(2), NodeId(3)};
    // Empty servers advertise where they listen: the port must be known before opening.
    each.open();
    each.restart();
  }
  void bootstrap(BootstrapOptions options = {}) { bootstrap_on(1, std::move(options)); }
  void bootstrap_on(uint64_t self, BootstrapOptions options = {}) {
    options.self = nodes.at(self)->transport->self();
    for (const uint64_t id : {1, 2, 3}) {
      if (id != self) options.others.push_back({NodeId(id), where(id), StoreId()});
    }
    options.log = [this](const std::string& line) { waiting.push_back(line); };
    outcome.reset();
    bootstrapper = std::make_unique<Bootstrapper>(
        loop, entropy, std::move(options),
        [this](Result<Genesis> result) { outcome = std::move(result); });
  }
  bool decided() {
    return until([&] { return outcome.has_value(); });
  }
  /// Makes node 2 one of a formed cluster that knows node 1 under this store; 0: not at all.
  void form_node_2(uint64_t store_of_node_1) {
    TcpTransport& second = *nodes.at(2)->transport;
    second.form(ClusterId(777), "");
    if (store_of_node_1 == 0) return second.set_peers({});
    second.set_peers({{NodeId(1), nodes.at(1)->address(), StoreId(store_of_node_1)}});
  }
  void expect_refused(ErrorCode code, const std::vector<std::string>& parts) {
    ASSERT_TRUE(decided());
    ASSERT_FALSE(outcome->ok());
    EXPECT_EQ(outcome->error().code, code);
    for (const std::string& part : parts) {
      EXPECT_NE(outcome->error().message.find(part), std::string::npos) << outcome->error().message;
    }
  }
  net::Address where(uint64_t id) {
    return addresses.contains(id) ? addresses[id] : nodes.at(id)->address();
  }
  /// What the server does once entry 1 is on its disk.
  void adopt(uint64_t id, const Genesis& genesis) {
    TcpTransport& transport = *nodes.at(id)->transport;
    std::vector<PeerSpec> peers;
    for (const Member& member : genesis.configuration.members) {
      peers.push_back({member.id, *net::parse_address(member.peer_address), member.store});
    }
    transport.form(genesis.cluster, encode_genesis(genesis));
    transport.set_peers(peers);
  }

  SystemEntropy entropy;
  std::map<uint64_t, net::Address> addresses;  ///< where a test wants a server to be looked for
  std::optional<Result<Genesis>> outcome;
  std::vector<std::string> waiting;
  std::unique_ptr<Bootstrapper> bootstrapper;
};

TEST_F(BootstrapTest, MintsAClusterOfAllListedServersWhenAllAreEmpty) {
  bootstrap();
  ASSERT_TRUE(decided());
  ASSERT_TRUE(outcome->ok()) << outcome->error().message;
  const Genesis& genesis = **outcome;
  EXPECT_TRUE(genesis.cluster);
  EXPECT_EQ(genesis.configuration.voters, (std::vector<NodeId>{NodeId(1), NodeId(2), NodeId(3)}));
  for (const uint64_t id : {1, 2, 3}) {
    const Member* const member = find_member(genesis.configuration, NodeId(id));
    ASSERT_NE(member, nullptr);
    EXPECT_EQ(member->store, StoreId(kStoreBase + id));
    EXPECT_EQ(member->peer_address, net::to_string(nodes.at(id)->address()));
    EXPECT_EQ(member->client_address, "client." + std::to_string(id) + ":1");
  }
  EXPECT_TRUE(decode_genesis(encode_genesis(genesis)).ok());
}

TEST_F(BootstrapTest, TheClusterBeginsAtTheLevelThatAllServersKnow) {
  for (const uint64_t id : {1, 2, 3}) {
    nodes.at(id)->self.feature_level = id == 2 ? 3 : 4;
    nodes.at(id)->restart();
  }
  bootstrap();
  ASSERT_TRUE(decided());
  ASSERT_TRUE(outcome->ok()) << outcome->error().message;
  EXPECT_EQ((*outcome)->configuration.level, 3U);
  EXPECT_EQ(find_member((*outcome)->configuration, NodeId(3))->feature_level, 4U);
}

TEST_F(BootstrapTest, ASingleServerNeedsNobody) {
  nodes.erase(2);
  nodes.erase(3);
  BootstrapOptions options;
  options.self = nodes.at(1)->transport->self();
  bootstrapper = std::make_unique<Bootstrapper>(
      loop, entropy, std::move(options),
      [this](Result<Genesis> result) { outcome = std::move(result); });
  ASSERT_TRUE(decided());
  EXPECT_EQ((*outcome)->configuration.voters, std::vector<NodeId>{NodeId(1)});
}

TEST_F(BootstrapTest, EntryOneReachesTheEmptyServersAndAllConnect) {
  bootstrap();
  ASSERT_TRUE(decided());
  const Genesis genesis = **outcome;
  adopt(1, genesis);
  for (const uint64_t id : {2, 3}) {
    Node& each = *nodes.at(id);
    ASSERT_TRUE(until([&] { return !each.offered.empty(); }));
    EXPECT_EQ(each.offered[0], genesis);
    EXPECT_EQ(each.offered_bytes, encode_genesis(genesis));
    adopt(id, each.offered[0]);
    each.genesis_done(ok_status());
  }
  ASSERT_TRUE(all_up());
  EXPECT_EQ(nodes.at(2)->offered.size(), 1u) << "never a second time";
  EXPECT_TRUE(nodes.at(3)->transport->send([&] {
    Message message = heartbeat(3, 2);
    return message;
  }()));
  EXPECT_TRUE(until([&] { return nodes.at(2)->messages.size() == 1; }));
}

TEST_F(BootstrapTest, AnyFormedServerFinishesWhatTheBootstrapperLeft) {
  bootstrap();
  ASSERT_TRUE(decided());
  const Genesis genesis = **outcome;
  adopt(1, genesis);
  ASSERT_TRUE(until([&] { return !nodes.at(2)->offered.empty(); }));
  adopt(2, genesis);
  nodes.at(2)->genesis_done(ok_status());
  // The bootstrapper dies, and node 3 comes back empty: node 2 delivers.
  nodes.at(1)->transport.reset();
  nodes.at(3)->restart();
  nodes.at(3)->offered.clear();
  EXPECT_TRUE(until([&] { return !nodes.at(3)->offered.empty(); }));
}

TEST_F(BootstrapTest, WaitsForAllAndSaysForWhom) {
  const net::Address third = nodes.at(3)->address();
  addresses[3] = third;
  nodes.at(3)->transport.reset();
  bootstrap({.round = 20ms});
  ASSERT_TRUE(until([&] { return waiting.size() >= 2; }));
  EXPECT_FALSE(outcome.has_value());
  EXPECT_NE(waiting[0].find("3: " + net::to_string(third)), std::string::npos) << waiting[0];
  EXPECT_EQ(waiting[0].find("2: "), std::string::npos);
  nodes.at(3)->options.listen = third;
  nodes.at(3)->open();
  ASSERT_TRUE(decided());
  EXPECT_TRUE(outcome->ok());
}

TEST_F(BootstrapTest, GivesUpAfterTheTimeItWasGiven) {
  addresses[3] = nodes.at(3)->address();
  nodes.at(3)->transport.reset();
  bootstrap({.round = 10ms, .give_up_after = 40ms});
  ASSERT_TRUE(decided());
  ASSERT_FALSE(outcome->ok());
  EXPECT_EQ(outcome->error().code, ErrorCode::kTimeout);
  EXPECT_NE(outcome->error().message.find("3: "), std::string::npos);
}

TEST_F(BootstrapTest, RefusesWhenAPeerIsFormedAndNamesTheIds) {
  form_node_2(0);
  bootstrap();
  expect_refused(ErrorCode::kNotEmpty, {"cluster 777", "node 2", "store 1002", "has no node 1"});
}

TEST_F(BootstrapTest, RefusesWhenItsOwnDiskWasWiped) {
  form_node_2(55);
  bootstrap();
  expect_refused(ErrorCode::kNotEmpty,
                 {"cluster 777", "has node 1 under store 55", "empty store 1001", "wiped"});
}

TEST_F(BootstrapTest, WaitsForEntryOneWhereAPeerFormedTheClusterWithThisVeryStore) {
  form_node_2(kStoreBase + 1);
  bootstrap({.round = 10ms});
  ASSERT_TRUE(until([&] { return waiting.size() >= 2; }));
  EXPECT_FALSE(outcome.has_value());
  EXPECT_NE(waiting[0].find("2: formed cluster 777 with this server"), std::string::npos)
      << waiting[0];
}

TEST_F(BootstrapTest, OfTwoThatBootstrapTheOneWithTheLowestIdGoesFirst) {
  for (const uint64_t id : {1, 2}) {
    nodes.at(id)->options.bootstraps = true;
    nodes.at(id)->restart();
  }
  bootstrap_on(2, {.round = 10ms});
  ASSERT_TRUE(until([&] { return waiting.size() >= 2; }));
  EXPECT_FALSE(outcome.has_value()) << "both would mint a cluster, and one stay without a quorum";
  EXPECT_EQ(waiting[0],
            "bootstrap waits for all of --initial_cluster: 1: has --bootstrap too, goes first");
  bootstrap_on(1);
  ASSERT_TRUE(decided());
  EXPECT_TRUE(outcome->ok());
}

TEST_F(BootstrapTest, RefusesWhenTheListsDiffer) {
  nodes.at(3)->options.listed = {NodeId(2), NodeId(3)};
  nodes.at(3)->restart();
  bootstrap();
  expect_refused(ErrorCode::kBadArgument,
                 {"3=" + net::to_string(nodes.at(3)->address()), "of nodes 2,3", "of nodes 1,2,3"});
}

TEST_F(BootstrapTest, RefusesWhenAnotherNodeAnswersThanListed) {
  addresses[2] = nodes.at(3)->address();
  bootstrap();
  expect_refused(ErrorCode::kBadArgument,
                 {"2=" + net::to_string(nodes.at(3)->address()) + " says it is node 3"});
}

TEST_F(BootstrapTest, RefusesOneStoreUnderTwoIds) {
  nodes.at(3)->self.store = nodes.at(2)->self.store;
  nodes.at(3)->restart();
  bootstrap();
  expect_refused(ErrorCode::kBadArgument, {"store 1002"});
}

/// A formed server, and node 2 as the empty one it offers a genesis to.
struct GenesisTest : BootstrapTest {
  Genesis genesis_for(StoreId store) {
    Genesis genesis;
    genesis.cluster = kCluster;
    genesis.configuration.voters = {NodeId(1), NodeId(2)};
    genesis.configuration.members = {
        {NodeId(1), StoreId(1001), net::to_string(nodes.at(1)->address()), "", 1},
        {NodeId(2), store, net::to_string(nodes.at(2)->address()), "", 1}};
    return genesis;
  }
  std::string offer(const Genesis& genesis) {
    const std::string bytes = encode_genesis(genesis);
    std::string frame;
    encode(GenesisOffer{bytes}, frame);
    return net::frame_of(frame);
  }
  /// The answer to what was written, or the end of the connection.
  std::optional<PeerFrame> answer(net::RawPeer& peer) {
    char head[4];
    const auto arrived = [&] {
      return recv(peer.fd(), head, 4, MSG_PEEK | MSG_DONTWAIT) == 4 || peer.at_end();
    };
    if (!until(arrived)) return {};
    if (recv(peer.fd(), head, 4, MSG_DONTWAIT) != 4) return {};
    uint32_t length = 0;
    memcpy(&length, head, 4);
    const std::string payload = peer.read(ntohl(length));
    auto frame = decode_frame(payload);
    return frame.ok() ? std::optional<PeerFrame>(std::move(*frame)) : std::nullopt;
  }
  GenesisReply genesis_answer(net::RawPeer& peer) {
    const auto frame = answer(peer);
    return frame ? std::get<GenesisReply>(*frame) : GenesisReply{false, "no answer"};
  }
};

TEST_F(GenesisTest, NothingIsAnsweredUntilEntryOneIsSynced) {
  net::RawPeer giver(nodes.at(2)->transport->port());
  giver.write(offer(genesis_for(StoreId(1002))));
  ASSERT_TRUE(until([&] { return !nodes.at(2)->offered.empty(); }));
  std::string query;
  encode(IdentityQuery{}, query);
  net::RawPeer asker(nodes.at(2)->transport->port());
  asker.write(net::frame_of(query));
  EXPECT_FALSE(answer(asker).has_value()) << "closed without an answer";
  nodes.at(2)->transport->form(kCluster, nodes.at(2)->offered_bytes);
  nodes.at(2)->transport->set_peers({});
  nodes.at(2)->genesis_done(ok_status());
  EXPECT_TRUE(genesis_answer(giver).accepted);
  net::RawPeer later(nodes.at(2)->transport->port());
  later.write(net::frame_of(query));
  const auto identity = answer(later);
  ASSERT_TRUE(identity.has_value());
  EXPECT_EQ(std::get<IdentityReply>(*identity).self.cluster, kCluster);
}

TEST_F(GenesisTest, ASecondGenesisIsNeverTaken) {
  nodes.at(2)->transport->form(ClusterId(5), "");
  net::RawPeer giver(nodes.at(2)->transport->port());
  giver.write(offer(genesis_for(StoreId(1002))));
  const GenesisReply reply = genesis_answer(giver);
  EXPECT_FALSE(reply.accepted);
  EXPECT_NE(reply.reason.find("cluster 5"), std::string::npos) << reply.reason;
  EXPECT_NE(reply.reason.find("4242"), std::string::npos);
  EXPECT_TRUE(nodes.at(2)->offered.empty());
}

TEST_F(GenesisTest, AnOfferOfTheGenesisThatItHasTakenIsNoMistake) {
  net::RawPeer first(nodes.at(2)->transport->port());
  first.write(offer(genesis_for(StoreId(1002))));
  ASSERT_TRUE(until([&] { return !nodes.at(2)->offered.empty(); }));
  nodes.at(2)->transport->form(kCluster, nodes.at(2)->offered_bytes);
  nodes.at(2)->genesis_done(ok_status());
  EXPECT_TRUE(genesis_answer(first).accepted);
  net::RawPeer second(nodes.at(2)->transport->port());
  second.write(offer(genesis_for(StoreId(1002))));
  EXPECT_TRUE(genesis_answer(second).accepted);
  EXPECT_EQ(nodes.at(2)->offered.size(), 1U) << "and not taken again";
  EXPECT_TRUE(nodes.at(2)->log.empty()) << nodes.at(2)->log[0];
}

// Two members that know of it bring it: a third lane finds it empty, and one of them finds it
// taken.
TEST_F(GenesisTest, AnEmptyServerIsMadeAMemberWithoutAWarning) {
  const Genesis genesis = genesis_for(StoreId(1002));
  for (const uint64_t id : {1, 3}) {
    nodes.at(id)->transport->form(kCluster, encode_genesis(genesis));
    nodes.at(id)->transport->set_peers({nodes.at(2)->spec()});
  }
  ASSERT_TRUE(until([&] { return !nodes.at(2)->offered.empty(); }));
  for (const uint64_t id : {1, 3}) {
    EXPECT_TRUE(until([&] { return !nodes.at(id)->status(2).last_problem.empty(); }));
  }
  nodes.at(2)->transport->form(kCluster, encode_genesis(genesis));
  nodes.at(2)->transport->set_peers({nodes.at(1)->spec(), nodes.at(3)->spec()});
  nodes.at(2)->genesis_done(ok_status());
  EXPECT_TRUE(until([&] { return nodes.at(1)->up(2) && nodes.at(3)->up(2); }));
  for (const auto& [id, each] : nodes) {
    EXPECT_TRUE(each->log.empty()) << id << ": " << each->log[0];
    EXPECT_FALSE(each->saw(PeerEvent::kMismatch)) << id;
  }
}

// Nobody here can give it what it lacks.
TEST_F(GenesisTest, AnEmptyServerIsAMismatchForOneThatHasNoEntryOne) {
  nodes.at(1)->transport->form(kCluster, "");
  nodes.at(1)->transport->set_peers({nodes.at(2)->spec()});
  EXPECT_TRUE(until([&] { return nodes.at(1)->saw(PeerEvent::kMismatch); }));
  EXPECT_TRUE(nodes.at(1)->logged("node 2 is empty: store 1002"));
}

TEST_F(GenesisTest, AGenesisThatNamesAnotherStoreIsRefused) {
  net::RawPeer giver(nodes.at(2)->transport->port());
  giver.write(offer(genesis_for(StoreId(9))));
  const GenesisReply reply = genesis_answer(giver);
  EXPECT_FALSE(reply.accepted);
  EXPECT_NE(reply.reason.find("store 9"), std::string::npos);
  EXPECT_NE(reply.reason.find("store 1002"), std::string::npos);
  EXPECT_TRUE(nodes.at(2)->offered.empty());
  EXPECT_FALSE(nodes.at(2)->transport->self().formed());
}

TEST_F(GenesisTest, AGenesisThatCannotBeReadIsRefused) {
  std::string frame;
  encode(GenesisOffer{"nonsense"}, frame);
  net::RawPeer giver(nodes.at(2)->transport->port());
  giver.write(net::frame_of(frame));
  EXPECT_FALSE(genesis_answer(giver).accepted);
  EXPECT_TRUE(nodes.at(2)->offered.empty());
}

TEST_F(GenesisTest, AFailedSyncLeavesTheServerEmptyAndWillingToTryAgain) {
  net::RawPeer giver(nodes.at(2)->transport->port());
  giver.write(offer(genesis_for(StoreId(1002))));
  ASSERT_TRUE(until([&] { return nodes.at(2)->offered.size() == 1; }));
  nodes.at(2)->genesis_done(Error{ErrorCode::kNoSpace, "disk full"});
  EXPECT_NE(genesis_answer(giver).reason.find("disk full"), std::string::npos);
  net::RawPeer again(nodes.at(2)->transport->port());
  again.write(offer(genesis_for(StoreId(1002))));
  EXPECT_TRUE(until([&] { return nodes.at(2)->offered.size() == 2; }));
}

TEST_F(GenesisTest, TheSyncMayOutliveItsGiverAndTheTransport) {
  {
    net::RawPeer giver(nodes.at(2)->transport->port());
    giver.write(offer(genesis_for(StoreId(1002))));
    ASSERT_TRUE(until([&] { return !nodes.at(2)->offered.empty(); }));
  }
  for (int i = 0; i < 3; ++i) loop.turn(1ms);
  const auto done = nodes.at(2)->genesis_done;
  nodes.at(2)->transport->form(kCluster, "");
  done(ok_status());
  nodes.at(2)->transport.reset();
  done(ok_status());
}

TEST_F(GenesisTest, AnEmptyServerWithAnotherStoreIsNotOfferedTheGenesis) {
  nodes.at(1)->transport->form(kCluster, encode_genesis(genesis_for(StoreId(9))));
  nodes.at(1)->transport->set_peers({{NodeId(2), nodes.at(2)->address(), StoreId(9)}});
  ASSERT_TRUE(until([&] { return nodes.at(1)->saw(PeerEvent::kMismatch); }));
  EXPECT_TRUE(nodes.at(1)->said("node 2 is empty: store 1002"));
  EXPECT_TRUE(nodes.at(2)->offered.empty());
}

TEST_F(GenesisTest, AWipedServerSaysSoItself) {
  nodes.at(1)->transport->form(kCluster, encode_genesis(genesis_for(StoreId(9))));
  nodes.at(1)->transport->set_peers({{NodeId(2), nodes.at(2)->address(), StoreId(9)}});
  ASSERT_TRUE(until([&] { return !nodes.at(2)->log.empty(); }));
  const std::string& line = nodes.at(2)->log[0];
  for (const char* part : {"cluster 4242", "node 2 under store 9", "empty store 1002", "wiped"}) {
    EXPECT_NE(line.find(part), std::string::npos) << line;
  }
  EXPECT_TRUE(until([&] { return nodes.at(2)->said("under store 9"); }));
  EXPECT_TRUE(until([&] { return !nodes.at(1)->status(2).refusal.empty(); }));
  EXPECT_NE(nodes.at(1)->status(2).refusal.find("the member's store is 9"), std::string::npos);
}

TEST_F(GenesisTest, OfferedFramesReachAFakeEmptyPeerOnce) {
  FakePeer empty(loop, 2);
  empty.reply.accepted = false;
  empty.reply.reason = "empty";
  empty.reply.self.cluster = ClusterId();
  nodes.at(1)->transport->form(kCluster, encode_genesis(genesis_for(StoreId(1002))));
  nodes.at(1)->transport->set_peers({empty.spec()});
  ASSERT_TRUE(until([&] { return empty.offers == 1 && empty.hellos.size() >= 2; }));
  for (int i = 0; i < 5; ++i) loop.turn(1ms);
  EXPECT_EQ(empty.offers, 1) << "on the control lane only";
}

}  // namespace
}  // namespace holdfast::raft
