// States that differ: who is odd is found by a majority alone, is told, and serves nobody.
#include "coordinator/server/digest_watch.h"

#include <map>
#include <string>
#include <vector>

#include "gen/cpp/peer_types.tcc"
#include "tests/unit/server/test_cluster.h"

namespace holdfast::server {
namespace {

using api::ErrorCode;

std::map<std::string, std::string> alarm_messages_of(TestServer& server) {
  const auto status = server.ask(&Engine::status, api::RequestContext{}, api::StatusRequest{})
                          .result<api::StatusResult>();
  std::map<std::string, std::string> messages;
  for (const api::Alarm& alarm : status.alarms) messages[alarm.name] = alarm.message;
  return messages;
}

std::vector<std::string> alarms_of(TestServer& server) {
  std::vector<std::string> names;
  for (const auto& [name, message] : alarm_messages_of(server)) names.push_back(name);
  return names;
}

/// Servers whose state came to differ: a disk's log entry is another one, and nothing but the state
/// that comes of it tells.
class DigestWatchTest : public testing::Test {
 protected:
  void form(int servers) {
    cluster.emplace(servers);
    cluster->lead(1);
    cluster->client(1, "the-session");
    cluster->advance(2s);
  }
  TestServer& server(int id) { return cluster->server(id); }

  void diverge(int id, const std::string& name) {
    server(id).crash();
    for (raft::Entry& entry : server(id).disk().log) {
      std::string bytes(entry.data.view());
      const size_t at = bytes.find("the-session");
      if (at == std::string::npos) continue;
      bytes.replace(at, name.size(), name);
      entry.data = Blob(bytes);
    }
    server(id).start();
  }
  /// Server 1 leads, and nobody has told it anything yet: what it was told before would count.
  void lead_anew() {
    server(1).crash();
    server(1).start();
    cluster->lead(1);
  }
  void hold_reports() {
    cluster->hold([](const Parcel& parcel) { return parcel.is(PeerKind::kDigestReport); });
  }
  bool quarantined(int id) { return !server(id).engine().quarantine().empty(); }
  bool mismatch(int id) { return server(id).engine().digests().mismatch(); }

  std::optional<TestCluster> cluster;
};

TEST_F(DigestWatchTest, EqualStatesAreComparedAndNothingIsRaised) {
  form(3);
  cluster->advance(10s);
  EXPECT_GT(server(1).engine().digests().stats().compared, 15U);
  for (int id : {1, 2, 3}) {
    EXPECT_EQ(server(id).engine().digests().stats().mismatches, 0U);
    EXPECT_FALSE(quarantined(id));
    EXPECT_TRUE(alarms_of(server(id)).empty());
  }
}

TEST_F(DigestWatchTest, TheOddFollowerIsFoundAndRemembersIt) {
  form(3);
  diverge(3, "odd-session");
  ASSERT_TRUE(cluster->until([&] { return quarantined(3); }, 5s));
  EXPECT_THAT(server(3).engine().quarantine(), testing::HasSubstr("nodes 1 and 2 had"));
  EXPECT_EQ(server(3).quarantine, server(3).engine().quarantine());
  EXPECT_THAT(alarms_of(server(3)), testing::Contains("QUARANTINED"));
  EXPECT_FALSE(server(3).engine().ready());
  EXPECT_FALSE(quarantined(1) || quarantined(2));
  cluster->advance(2s);
  EXPECT_THAT(alarms_of(server(1)), testing::Contains("NODE_QUARANTINED"));
  cluster->advance(10s);
  EXPECT_FALSE(mismatch(1)) << "it is over: nobody serves the odd state";
}

// What a session asked for another server tells when it is asked again; the rest nobody.
TEST_F(DigestWatchTest, OfWhatIsUnderWayTheOddServerTellsNoOutcome) {
  form(3);
  Client client = cluster->client(1, "another-session");
  diverge(3, "odd-session");
  ASSERT_TRUE(cluster->until([&] { return server(3).engine().ready(); }, 2s));
  cluster->hold([](const Parcel& parcel) { return parcel.is(PeerKind::kForwardBatch); });
  const Call plain = server(3).change_setting("sessions_max", 777, 20'000);
  api::RequestContext context = client.next();
  context.deadlineMs = 20'000;
  const Call of_session = server(3).acquire(context, acquire_of("/job"));
  ASSERT_TRUE(cluster->until([&] { return quarantined(3); }, 5s));
  EXPECT_THAT(plain.error(), Refuses(ErrorCode::OUTCOME_UNKNOWN, "may still be applied"));
  EXPECT_FALSE(plain.error().retryable);
  EXPECT_THAT(of_session.error(), Refuses(ErrorCode::SHUTTING_DOWN, "quarantined; use another"));
  EXPECT_TRUE(of_session.error().retryable);
  for (const Call& call : {plain, of_session}) {
    EXPECT_EQ(call.error().applied, api::Applied::UNKNOWN);
  }
  cluster->release();
  cluster->settle();
  EXPECT_EQ(server(1).setting("sessions_max"), 777);
}

TEST_F(DigestWatchTest, OneThatIsRemovedIsNoAlarmAnyMore) {
  form(3);
  diverge(3, "odd-session");
  ASSERT_TRUE(cluster->until([&] { return quarantined(3); }, 5s));
  cluster->advance(2s);
  ASSERT_THAT(alarms_of(server(1)), testing::Contains("NODE_QUARANTINED"));
  api::ChangeMembersRequest request;
  request.removed = {3};
  const Call call = server(1).ask(&Engine::change_members, api::RequestContext{}, request);
  ASSERT_TRUE(cluster->until([&] { return call.answered(); }));
  ASSERT_TRUE(call.result<api::ChangeMembersResult>().changed);
  EXPECT_THAT(alarms_of(server(1)), testing::Not(testing::Contains("NODE_QUARANTINED")));
}

TEST_F(DigestWatchTest, TheOddLeaderHandsOverToOneOfTheMajority) {
  form(3);
  diverge(3, "odd-session");
  hold_reports();  // it leads before anybody has compared
  cluster->advance(1s);
  cluster->lead(3);
  EXPECT_FALSE(quarantined(3));
  cluster->drop_held();
  ASSERT_TRUE(cluster->until([&] { return quarantined(3); }, 5s));
  ASSERT_TRUE(cluster->until([&] { return cluster->leader() != nullptr; }, 1s));
  EXPECT_NE(cluster->leader(), &server(3));
  EXPECT_FALSE(quarantined(1) || quarantined(2));
  cluster->advance(5s);
  EXPECT_NE(cluster->client(1, "after").id.value, 0U);
}

TEST_F(DigestWatchTest, ASecondThatDiffersFromAllIsNotAMajority) {
  form(3);
  hold_reports();
  diverge(2, "two");
  diverge(3, "odd-session");
  lead_anew();
  cluster->drop_held();
  cluster->advance(5s);
  for (int id : {1, 2, 3}) EXPECT_FALSE(quarantined(id)) << id;
  for (int id : {1, 2, 3}) EXPECT_THAT(alarms_of(server(id)), testing::Contains("DIGEST_MISMATCH"));
}

TEST_F(DigestWatchTest, OfTwoNobodyIsQuarantined) {
  form(2);
  diverge(2, "odd-session");
  cluster->advance(5s);
  EXPECT_FALSE(quarantined(1) || quarantined(2));
  EXPECT_THAT(alarms_of(server(1)), testing::Contains("DIGEST_MISMATCH"));
  EXPECT_THAT(alarms_of(server(2)), testing::Contains("DIGEST_MISMATCH"));
}

TEST_F(DigestWatchTest, HalfOfFourIsNoMajority) {
  form(4);
  hold_reports();
  diverge(3, "odd-session");
  diverge(4, "odd-session");
  lead_anew();
  cluster->drop_held();
  cluster->advance(5s);
  for (int id : {1, 2, 3, 4}) EXPECT_FALSE(quarantined(id)) << id;
  EXPECT_TRUE(mismatch(1));
}

TEST_F(DigestWatchTest, WithoutTheThirdItIsAnAlarmAndWithItADecision) {
  form(3);
  server(2).crash();
  diverge(3, "odd-session");
  lead_anew();
  cluster->advance(5s);
  EXPECT_FALSE(quarantined(1) || quarantined(3));
  EXPECT_THAT(alarms_of(server(1)), testing::Contains("DIGEST_MISMATCH"));
  server(2).start();
  ASSERT_TRUE(cluster->until([&] { return quarantined(3); }, 10s));
  EXPECT_FALSE(quarantined(1) || quarantined(2));
}

TEST_F(DigestWatchTest, OfOneThatIsSilentADifferencePasses) {
  form(5);
  // Past an entry whose digest goes into every report that follows.
  for (uint64_t i = 0; i < DigestPoints::kStep; ++i) {
    cluster->client(1, "another-" + std::to_string(i));
  }
  server(2).crash();
  hold_reports();
  diverge(4, "odd-session");
  lead_anew();
  cluster->drop_held();
  // As of one that waits for a state: it is part of the quorum, and has nothing to report.
  cluster->hold([](const Parcel& parcel) {
    return parcel.from == NodeId(5) && parcel.is(PeerKind::kDigestReport);
  });
  ASSERT_TRUE(cluster->until([&] { return mismatch(1); }, 5s));
  cluster->advance(DigestWatch::kFresh);
  EXPECT_TRUE(mismatch(1)) << "two against one of five decide nothing, and it is shown again";
  server(4).crash();
  cluster->advance(DigestWatch::kFresh);
  EXPECT_TRUE(mismatch(1));
  ASSERT_TRUE(cluster->until([&] { return !mismatch(1); }, DigestWatch::kFresh + 1s));
}

class QuarantineTest : public DigestWatchTest {
 protected:
  void SetUp() override {
    form(3);
    hold_reports();
    diverge(3, "odd-session");
    cluster->advance(1s);
    client = cluster->client(3, "client");
    first = server(3).poll(client->context(), poll_of(2'000));
    cluster->settle();
    parked = server(3).poll(client->context(), poll_of(2'000, 1));
    cluster->settle();
    ASSERT_FALSE(parked->answered());
    cluster->drop_held();
    ASSERT_TRUE(cluster->until([&] { return quarantined(3); }, 5s));
  }
  void expect_refused(const Call& call) {
    EXPECT_THAT(call.error(), Refuses(ErrorCode::SHUTTING_DOWN, "quarantined; use another"));
    EXPECT_TRUE(call.error().retryable);
  }
  std::optional<Client> client;
  std::optional<Call> first;
  std::optional<Call> parked;
};

TEST_F(QuarantineTest, NothingIsServedAndWhatWasParkedIsRefused) {
  TestServer& odd = server(3);
  expect_refused(*parked);
  EXPECT_EQ(odd.outstanding(), 0U);
  expect_refused(odd.acquire(client->next(), acquire_of("/a")));
  expect_refused(odd.poll(client->context(), poll_of(0)));
  expect_refused(odd.keep_alive(client->context()));
  expect_refused(odd.open("b"));
  expect_refused(odd.describe({}, "/a"));
  expect_refused(odd.describe({}, "/a", api::Consistency::LOCAL));
  expect_refused(odd.change_setting("sessions_max", 777));
  expect_refused(
      odd.ask(&Engine::list_sessions, api::RequestContext{}, api::ListSessionsRequest{}));
  expect_refused(odd.ask(&Engine::get, api::RequestContext{}, api::GetRequest{}));
  expect_refused(
      odd.ask(&Engine::snapshot_piece, api::RequestContext{}, api::SnapshotPieceRequest{}));
  EXPECT_EQ(odd.ask(&Engine::members, api::RequestContext{}, api::MembersRequest{}).outcome(),
            "OK");
}

TEST_F(QuarantineTest, ItsAcknowledgementsAndVotesCount) {
  server(2).crash();
  cluster->advance(1s);
  EXPECT_NE(cluster->client(1, "by two").id.value, 0U);
  server(2).start();
  cluster->advance(1s);
  server(1).crash();
  ASSERT_TRUE(cluster->until([&] { return cluster->leader() == &server(2); }));
  EXPECT_NE(cluster->client(2, "again").id.value, 0U);
}

TEST_F(QuarantineTest, ItNeverLeadsNotEvenAlone) {
  server(1).crash();
  server(2).crash();
  cluster->advance(10s);
  EXPECT_EQ(server(3).engine().node().core().role(), raft::Role::kFollower);
  server(2).start();
  ASSERT_TRUE(cluster->until([&] { return cluster->leader() != nullptr; }));
  EXPECT_EQ(cluster->leader(), &server(2));
  api::TransferLeadershipRequest to_three;
  to_three.nodeId = 3;
  cluster->advance(2s);
  const Call call = server(2).ask(&Engine::transfer_leadership, api::RequestContext{}, to_three);
  cluster->advance(1s);
  EXPECT_THAT(call.error(), Refuses(ErrorCode::BAD_ARGUMENT, "quarantined"));
}

TEST_F(QuarantineTest, ItOutlivesTheProcess) {
  server(3).crash();
  server(3).start();
  EXPECT_TRUE(quarantined(3));
  expect_refused(server(3).open("b"));
  cluster->advance(2s);
  EXPECT_TRUE(quarantined(3));
}

class UnkeptQuarantineTest : public DigestWatchTest {
 protected:
  void refuse_and_diverge(const Error& error) {
    form(3);
    server(3).forgets = error;
    diverge(3, "odd-session");
    ASSERT_TRUE(cluster->until([&] { return quarantined(3); }, 5s));
  }
};

TEST_F(UnkeptQuarantineTest, OnAFullDiskItIsRememberedOnceThereIsRoom) {
  refuse_and_diverge({holdfast::ErrorCode::kNoSpace, "no room"});
  ASSERT_EQ(server(3).remembering, 1);
  cluster->advance(3s);
  EXPECT_EQ(server(3).remembering, 4) << "once a second";
  EXPECT_THAT(server(3).fatal, testing::IsEmpty());
  EXPECT_FALSE(server(3).quarantine);
  EXPECT_THAT(server(3).open("b").error(), Refuses(ErrorCode::SHUTTING_DOWN, "quarantined"));
  const auto alarm = [&] { return alarm_messages_of(server(3))["QUARANTINED"]; };
  EXPECT_THAT(alarm(), testing::HasSubstr("no room to remember"));
  server(3).forgets.reset();
  cluster->advance(2s);
  EXPECT_EQ(server(3).quarantine, server(3).engine().quarantine());
  EXPECT_THAT(alarm(), testing::Not(testing::HasSubstr("no room to remember")));
}

TEST_F(UnkeptQuarantineTest, AnyOtherFailureEndsTheServer) {
  refuse_and_diverge({holdfast::ErrorCode::kDiskFailed, "no disk"});
  ASSERT_FALSE(server(3).fatal.empty());
  EXPECT_EQ(server(3).fatal.front().message, "no disk");
}

/// What the leader would say, as it goes over the wire.
class NewsTest : public DigestWatchTest {
 protected:
  void SetUp() override {
    form(3);
    cluster->hold([&](const Parcel& parcel) { return parcel.is(PeerKind::kDigestReport); });
    cluster->advance(1s);
    for (const Parcel& parcel : cluster->held()) {
      if (parcel.from != NodeId(3)) continue;
      ASSERT_TRUE(codec.decode(std::get<AppMessage>(parcel.content).bytes, report = {}));
    }
    ASSERT_FALSE(report.points.empty());
    news.term = report.term;
    news.index = 1'000'000;  // of which server 3 remembers nothing else
    news.votes = {vote(1, 11, 5), vote(2, 12, 5), vote(3, report.state, 6)};
  }
  static peer::DigestVote vote(int32_t node, int64_t state, int64_t low) {
    peer::DigestVote vote;
    vote.nodeId = node;
    vote.state = state;
    vote.low = low;
    return vote;
  }
  void tell(int from = 1) {
    const std::string bytes(codec.encode(news));
    server(3).engine().on_app(NodeId(static_cast<uint64_t>(from)),
                              static_cast<uint8_t>(PeerKind::kDigestNews), bytes);
  }
  PeerCodec codec;
  peer::DigestReport report;
  peer::DigestNews news;
};

TEST_F(NewsTest, AWordOfTheLeaderAboutTheStateThatIsHereCounts) {
  tell();
  EXPECT_TRUE(quarantined(3));
}

TEST_F(NewsTest, OfAFormerStateItDoesNot) {
  news.votes[2].state += 1;
  tell();
  EXPECT_FALSE(quarantined(3));
}

TEST_F(NewsTest, OfAnotherTermOrNotTheLeaderItDoesNot) {
  tell(2);
  EXPECT_FALSE(quarantined(3));
  news.term -= 1;
  tell();
  EXPECT_FALSE(quarantined(3));
}

TEST_F(NewsTest, WithoutAMajorityByItsOwnConfigurationItDoesNot) {
  news.votes = {vote(1, 11, 5), vote(9, 12, 5), vote(3, report.state, 6)};
  tell();
  EXPECT_FALSE(quarantined(3));
  EXPECT_TRUE(mismatch(3));
}

TEST_F(NewsTest, WhatItRemembersOtherwiseItDoesNotBelieve) {
  news.index = report.points.front().index;
  tell();
  EXPECT_FALSE(quarantined(3));
}

TEST_F(NewsTest, BytesThatAreNoNewsChangeNothing) {
  server(3).engine().on_app(NodeId(1), static_cast<uint8_t>(PeerKind::kDigestNews), "x");
  server(1).engine().on_app(NodeId(3), static_cast<uint8_t>(PeerKind::kDigestReport), "x");
  EXPECT_FALSE(quarantined(3) || quarantined(1));
}

/// What the leader makes of reports, whoever sends them.
class ReportTest : public NewsTest {
 protected:
  void report_as(int from) {
    const std::string bytes(codec.encode(report));
    server(1).engine().on_app(NodeId(static_cast<uint64_t>(from)),
                              static_cast<uint8_t>(PeerKind::kDigestReport), bytes);
  }
};

TEST_F(ReportTest, AnotherIndexIsNotComparedWithThisOne) {
  report.points = {report.points.front()};
  report.points.front().index += 1;
  report.number += 1;
  report_as(3);
  EXPECT_FALSE(mismatch(1));
  report.points.front().index -= 1;
  report.points.front().low += 1;
  report.number += 1;
  report_as(3);
  EXPECT_TRUE(mismatch(1));
}

TEST_F(ReportTest, RepeatedOvertakenAndFormerOnesCountForNothing) {
  report.number += 5;
  report_as(3);
  const peer::DigestReport right = report;
  report.points.front().low += 1;
  report_as(3);  // the same number
  report.number -= 1;
  report_as(3);
  EXPECT_FALSE(mismatch(1));
  const int64_t former = report.state;
  report = right;
  report.state += 1;  // it was rebuilt
  report_as(3);
  report.state = former;
  report.number += 100;
  report.points.front().low += 1;
  report_as(3);  // late
  EXPECT_FALSE(mismatch(1));
}

// What was silent before is heard again, and not only once another leads.
TEST_F(ReportTest, OneThatIsLateOverTwoRestartsSilencesNobodyForLong) {
  const int64_t first = report.state;
  for (int restarts = 0; restarts < 3; ++restarts) {
    report.state = first + restarts;
    report_as(3);
  }
  report.state = first;
  report.number += 1;
  report_as(3);
  cluster->advance(DigestWatch::kFresh);
  report.state = first + 2;
  report.number += 1;
  report.points.front().low += 1;
  report_as(3);
  EXPECT_TRUE(mismatch(1));
}

/// Servers report after different entries, and with one the leader alone can be compared.
class WithholdingTest : public ReportTest {
 protected:
  bool withholds() { return server(1).engine().digests().withholds(); }
  peer::DigestPoint point_after_another_entry() {
    cluster->client(1, "session-" + std::to_string(++sessions_));
    const Host& host = server(1).engine().host();
    peer::DigestPoint point;
    point.index = static_cast<int64_t>(host.applied.value);
    point.high = static_cast<int64_t>(host.machine.digest().high);
    point.low = static_cast<int64_t>(host.machine.digest().low);
    return point;
  }
  void shows(int node, const peer::DigestPoint& point) { shows(node, std::vector{point}); }
  void shows(int node, const std::vector<peer::DigestPoint>& points) {
    report.points = points;
    report.number += 1;
    report_as(node);
  }
  void differs(int node, peer::DigestPoint point) {
    point.low += 1;
    shows(node, point);
  }

 private:
  int sessions_ = 0;
};

TEST_F(WithholdingTest, AnOldDifferenceIsNoneOnceAMajorityAgreesLater) {
  const peer::DigestPoint early = point_after_another_entry();
  const peer::DigestPoint late = point_after_another_entry();
  differs(3, early);
  ASSERT_TRUE(mismatch(1));
  EXPECT_TRUE(withholds());
  shows(2, late);
  differs(3, early);
  EXPECT_TRUE(mismatch(1)) << "the alarm stays";
  EXPECT_FALSE(withholds());
}

TEST_F(WithholdingTest, ALaterDifferenceIsOpenThoughAnEarlierOneIsShownAgain) {
  const peer::DigestPoint early = point_after_another_entry();
  shows(2, early);
  const peer::DigestPoint late = point_after_another_entry();
  differs(3, late);
  EXPECT_TRUE(withholds());
  differs(3, early);
  EXPECT_TRUE(withholds());
  cluster->advance(DigestWatch::kFresh);
  EXPECT_FALSE(withholds()) << "nobody shows it any more";
}

TEST_F(WithholdingTest, AnEarlierDifferenceThatIsShownKeepsALaterOneOpen) {
  const peer::DigestPoint early = point_after_another_entry();
  const peer::DigestPoint late = point_after_another_entry();
  differs(3, late);
  cluster->advance(DigestWatch::kFresh - 1s);
  differs(3, early);
  cluster->advance(1s);
  EXPECT_TRUE(withholds());
  shows(2, early);
  EXPECT_TRUE(withholds()) << "the later one is not decided";
}

// Its own report to the next leader is still on its way, and who asked it for its state asks on.
TEST_F(WithholdingTest, ADifferenceStaysOpenWhenAnotherLeads) {
  differs(3, point_after_another_entry());
  ASSERT_TRUE(withholds());
  cluster->lead(2);
  EXPECT_FALSE(mismatch(1));
  EXPECT_TRUE(withholds());
  cluster->advance(DigestWatch::kFresh);
  EXPECT_FALSE(withholds());
}

// The newest come first in a report.
TEST_F(WithholdingTest, TheLastAgreementOfAReportCounts) {
  const peer::DigestPoint early = point_after_another_entry();
  const peer::DigestPoint middle = point_after_another_entry();
  const peer::DigestPoint late = point_after_another_entry();
  shows(2, {late, early});
  differs(3, middle);
  EXPECT_TRUE(mismatch(1));
  EXPECT_FALSE(withholds());
}

TEST_F(WithholdingTest, AgreementOfLessThanAMajorityCoversNothing) {
  form(5);
  hold_reports();
  lead_anew();
  report.term = static_cast<int64_t>(server(1).engine().host().soft.term.value);
  const peer::DigestPoint early = point_after_another_entry();
  const peer::DigestPoint late = point_after_another_entry();
  differs(5, early);
  shows(2, late);
  for (int node : {3, 4}) differs(node, late);
  EXPECT_TRUE(withholds()) << "two of five are no majority, and nor are the other two";
}

TEST_F(ReportTest, OfAnotherTermOrNobodyCountsForNothing) {
  report.points.front().low += 1;
  report.number += 1;
  report_as(9);
  report.term -= 1;
  report_as(3);
  EXPECT_FALSE(mismatch(1));
}

TEST(AgreedDigest, InAJointConfigurationBothListsMustAgree) {
  const auto vote = [](uint64_t node, uint64_t low) {
    return DigestVote{NodeId(node), 1, {.low = low, .high = 0}};
  };
  const raft::Configuration joint{.voters = {NodeId(1), NodeId(2), NodeId(3)},
                                  .outgoing = {NodeId(3), NodeId(4), NodeId(5)},
                                  .learners = {NodeId(6)}};
  EXPECT_EQ(agreed_digest(joint, {vote(1, 7), vote(2, 7), vote(3, 8)}), std::nullopt);
  EXPECT_EQ(agreed_digest(joint, {vote(1, 7), vote(2, 7), vote(4, 7)}), std::nullopt);
  EXPECT_EQ(agreed_digest(joint, {vote(1, 7), vote(2, 7), vote(4, 7), vote(6, 7)}), std::nullopt);
  EXPECT_EQ(agreed_digest(joint, {vote(1, 7), vote(2, 7), vote(3, 8), vote(4, 7), vote(5, 7)}),
            (Digest{.low = 7, .high = 0}));
}

}  // namespace
}  // namespace holdfast::server
