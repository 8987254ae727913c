// The invariants catch what they claim to: each is shown a history that breaks it.
#include "raft/core/invariants.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using MT = MessageType;

/// A core alone, driven by hand, so that two of them can contradict each other.
class Loose {
 public:
  explicit Loose(uint64_t id, HardState hard_state = {}, std::vector<Entry> log = {}) {
    disk_.hard_state = hard_state;
    disk_.log = std::move(log);
    Configuration configuration{.voters = {NodeId(1), NodeId(2), NodeId(3)}};
    Config config;
    config.id = NodeId(id);
    config.pre_vote = false;
    core = std::make_unique<Raft>(config, disk_.recover(configuration), disk_, Instant(1s));
  }
  Loose(InitialState state, uint64_t id) {
    state.configuration.voters = {NodeId(1), NodeId(2), NodeId(3)};
    Config config;
    config.id = NodeId(id);
    core = std::make_unique<Raft>(config, std::move(state), disk_, Instant(1s));
  }
  void drain() {
    Ready ready;
    while (core->has_ready()) {
      core->take_ready(ready);
      if (ready.write) core->persisted(ready.write.number, Instant(1s));
      if (!ready.committed.empty()) core->applied(ready.committed.back().index);
    }
  }
  void step(Message m) {
    core->step(std::move(m), Instant(1s));
    drain();
  }
  void lead(int supporter) {
    core->campaign(Instant(1s));
    drain();
    const int me = static_cast<int>(core->id().value);
    step(message(MT::kVoteResponse, supporter, me, core->term().value));
  }
  std::unique_ptr<Raft> core;

 private:
  MemoryLog disk_;
};

std::string observe(ClusterInvariants& invariants, const Loose& node) {
  return invariants.observe(*node.core).value_or("");
}

TEST(Invariants, TwoLeadersOfOneTermAreCaught) {
  Loose one(1);
  Loose two(2);
  one.lead(3);
  two.lead(3);
  ClusterInvariants invariants;
  EXPECT_EQ(observe(invariants, one), "");
  EXPECT_EQ(observe(invariants, two), "node 2 term 1: second leader beside 1");
}

TEST(Invariants, TwoEntriesOfOneIndexAndTermAreCaught) {
  Loose two(2);
  Loose three(3);
  two.step(append(1, 2, 1, 0, 0, 0, {entry(1, 1, "a")}));
  three.step(append(1, 3, 1, 0, 0, 0, {entry(1, 1, "b")}));
  ClusterInvariants invariants;
  EXPECT_EQ(observe(invariants, two), "");
  EXPECT_EQ(observe(invariants, three), "node 3 term 1: two entries 1 of one term");
}

TEST(Invariants, OneEntryAfterTwoPrefixesIsCaught) {
  Loose two(2);
  Loose three(3);
  two.step(append(1, 2, 3, 0, 0, 0, {entry(1, 1), entry(2, 3)}));
  three.step(append(1, 3, 3, 0, 0, 0, {entry(1, 2), entry(2, 3)}));
  ClusterInvariants invariants;
  EXPECT_EQ(observe(invariants, two), "");
  EXPECT_EQ(observe(invariants, three), "node 3 term 3: two entries 2 of one term");
}

TEST(Invariants, ACommitWithoutADurableQuorumIsCaught) {
  Loose two(2);
  ClusterInvariants invariants;
  two.step(append(1, 2, 1, 0, 0, 1, {entry(1, 1)}));
  EXPECT_EQ(observe(invariants, two), "node 2 term 1: committed 1 without a durable quorum");
}

TEST(Invariants, TwoCommittedEntriesAtOneIndexAreCaught) {
  Loose one(1);
  Loose two(2);
  Loose three(3);
  ClusterInvariants invariants;
  one.step(append(2, 1, 1, 0, 0, 0, {entry(1, 1)}));
  two.step(append(1, 2, 1, 0, 0, 0, {entry(1, 1)}));
  EXPECT_EQ(observe(invariants, one), "");
  two.step(append(1, 2, 1, 1, 1, 1));
  EXPECT_EQ(observe(invariants, two), "");
  three.step(append(1, 3, 2, 0, 0, 1, {entry(1, 2)}));
  EXPECT_EQ(observe(invariants, three), "node 3 term 2: committed another entry at 1");
}

TEST(Invariants, ALeaderWithoutACommittedEntryIsCaught) {
  Loose one(1);
  Loose two(2);
  Loose three(3);
  ClusterInvariants invariants;
  one.step(append(2, 1, 1, 0, 0, 0, {entry(1, 1)}));
  EXPECT_EQ(observe(invariants, one), "");
  two.step(append(1, 2, 1, 0, 0, 1, {entry(1, 1)}));
  EXPECT_EQ(observe(invariants, two), "");
  three.step(heartbeat(1, 3, 1, 0));
  three.lead(2);
  EXPECT_EQ(observe(invariants, three), "node 3 term 2: leads without committed entry 1");
}

TEST(Invariants, ALateLeaderOfAnEarlierTermNeedNotHaveWhatALaterTermCommitted) {
  Loose one(1);
  Loose two(2);
  Loose three(3);
  ClusterInvariants invariants;
  one.step(append(2, 1, 3, 0, 0, 0, {entry(1, 3)}));
  EXPECT_EQ(observe(invariants, one), "");
  two.step(append(1, 2, 3, 0, 0, 1, {entry(1, 3)}));
  EXPECT_EQ(observe(invariants, two), "");
  three.step(heartbeat(1, 3, 1, 0));
  three.lead(2);
  EXPECT_EQ(observe(invariants, three), "");
}

TEST(Invariants, ASecondVoteOfOneTermOverARestartIsCaught) {
  ClusterInvariants invariants;
  Loose two(2, {Term(4), NodeId(1)});
  EXPECT_EQ(observe(invariants, two), "");
  invariants.crashed(NodeId(2));
  Loose forgetful(2, {Term(4), NodeId(3)});
  EXPECT_EQ(observe(invariants, forgetful), "node 2 term 4: voted before for 1");
}

TEST(Invariants, AnythingGoingBackOnOneNodeIsCaught) {
  NodeInvariants invariants;
  Loose ahead(2);
  ahead.step(append(1, 2, 5, 0, 0, 0, {entry(1, 5)}));
  EXPECT_EQ(invariants.check(*ahead.core), std::nullopt);
  Loose behind(2, {Term(4), NodeId()});
  EXPECT_EQ(invariants.check(*behind.core), "node 2 term 4: term went back from 5");
}

TEST(Invariants, ACommitIndexGoingBackIsCaught) {
  NodeInvariants invariants;
  Loose ahead(2);
  ahead.step(append(1, 2, 5, 0, 0, 1, {entry(1, 5)}));
  EXPECT_EQ(invariants.check(*ahead.core), std::nullopt);
  Loose behind(2, {Term(5), NodeId()}, {entry(1, 5)});
  EXPECT_EQ(invariants.check(*behind.core), "node 2 term 5: commit went back");
}

TEST(Invariants, AChangedVoteIsCaught) {
  NodeInvariants invariants;
  Loose first(2, {Term(4), NodeId(1)});
  Loose second(2, {Term(4), NodeId(3)});
  EXPECT_EQ(invariants.check(*first.core), std::nullopt);
  EXPECT_EQ(invariants.check(*second.core), "node 2 term 4: changed its vote from 1");
}

TEST(Invariants, ALeaderThatNeverStoodIsCaught) {
  NodeInvariants invariants;
  Loose follower(2);
  EXPECT_EQ(invariants.check(*follower.core), std::nullopt);
  Loose leader(2);
  leader.lead(3);
  EXPECT_EQ(invariants.check(*leader.core), "node 2 term 1: leads without having been a candidate");
}

TEST(Invariants, ALeaderThatDeletedEntriesIsCaught) {
  NodeInvariants invariants;
  Loose longer(2);
  longer.lead(3);
  longer.core->propose(std::vector<Proposal>(3), false, Instant(1s));
  EXPECT_EQ(invariants.check(*longer.core), std::nullopt);
  Loose shorter(2);
  shorter.lead(3);
  EXPECT_EQ(invariants.check(*shorter.core), "node 2 term 1: a leader deleted entries");
}

Configuration named(std::initializer_list<uint64_t> voters,
                    std::initializer_list<uint64_t> outgoing = {}) {
  Configuration c;
  for (const uint64_t id : voters) c.voters.emplace_back(id);
  for (const uint64_t id : outgoing) c.outgoing.emplace_back(id);
  for (const NodeId id : voter_ids(c)) c.members.push_back(CoreCluster::member(id));
  return c;
}

Entry configuration_entry(uint64_t index, uint64_t term, const Configuration& configuration) {
  return {Term(term), LogIndex(index), EntryType::kConfiguration,
          Blob(encode_configuration(configuration))};
}

TEST(Invariants, AConfigurationWithoutCommonQuorumsIsCaught) {
  ClusterInvariants invariants;
  Loose two(2);
  two.step(append(1, 2, 1, 0, 0, 0, {configuration_entry(1, 1, named({4, 5, 6}))}));
  EXPECT_EQ(observe(invariants, two),
            "node 2 term 1: goes to a configuration without common quorums at 1");
}

TEST(Invariants, ASecondUncommittedConfigurationIsCaught) {
  ClusterInvariants invariants;
  Loose two(2);
  two.step(append(1, 2, 1, 0, 0, 0,
                  {configuration_entry(1, 1, named({1, 2}, {1, 2, 3})),
                   configuration_entry(2, 1, named({1, 2}))}));
  EXPECT_EQ(observe(invariants, two),
            "node 2 term 1: holds a second uncommitted configuration at 2");
}

TEST(Invariants, AConfigurationThatIsNotInForceIsCaught) {
  ClusterInvariants invariants;
  InitialState state;
  state.hard_state = {Term(1), NodeId()};
  state.last_index = LogIndex(1);
  state.term_runs = {{LogIndex(1), Term(1)}};
  state.changes = {{LogIndex(1), named({1, 2}, {1, 2, 3})}};
  Loose two(state, 2);
  two.step(append(1, 2, 1, 1, 1, 0, {configuration_entry(2, 1, named({1, 2}))}));
  EXPECT_NE(observe(invariants, two), "") << "the joint one is not committed";
}

/// A core alone that was built behind a snapshot of `index` in `term`.
InitialState behind(uint64_t index, uint64_t term) {
  InitialState state;
  state.hard_state = {Term(term), NodeId()};
  state.first_index = LogIndex(index + 1);
  state.last_index = LogIndex(index);
  state.term_runs = {{LogIndex(index), Term(term)}};
  state.applied = LogIndex(index);
  return state;
}

TEST(Invariants, ALogThatBeginsBehindWhatNobodyCommittedIsCaught) {
  ClusterInvariants invariants;
  Loose two(behind(1, 3), 2);
  EXPECT_EQ(observe(invariants, two), "node 2 term 3: begins behind uncommitted 1");
}

TEST(Invariants, ALogThatBeginsBehindAnotherEntryThanWasCommittedIsCaught) {
  ClusterInvariants invariants;
  Loose one(1);
  one.step(append(2, 1, 3, 0, 0, 0, {entry(1, 3)}));
  EXPECT_EQ(observe(invariants, one), "");
  Loose two(2);
  two.step(append(1, 2, 3, 0, 0, 1, {entry(1, 3)}));
  EXPECT_EQ(observe(invariants, two), "");
  Loose same(behind(1, 3), 3);
  EXPECT_EQ(observe(invariants, same), "");
  invariants.crashed(NodeId(3));
  Loose other(behind(1, 2), 3);
  EXPECT_EQ(observe(invariants, other), "node 3 term 2: begins behind another entry 1");
}

TEST(Invariants, ALogWhoseStartGoesBackIsCaught) {
  NodeInvariants invariants;
  Loose compacted(2, {Term(5), NodeId()}, {entry(1, 5)});
  compacted.step(append(1, 2, 5, 1, 5, 1));
  compacted.core->compact(LogIndex(1));
  EXPECT_EQ(invariants.check(*compacted.core), std::nullopt);
  Loose whole(2, {Term(5), NodeId()}, {entry(1, 5)});
  whole.step(append(1, 2, 5, 1, 5, 1));
  EXPECT_EQ(invariants.check(*whole.core), "node 2 term 5: the log's start went back");
}

}  // namespace
}  // namespace holdfast::raft::testing
