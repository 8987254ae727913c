// Random schedules over real cores: loss, duplication, reordering, partitions, crashes that lose
// what was not persisted, slow disks, false evidence, transfers, reads, compaction and snapshots,
// changes of the configuration. After every input all invariants hold; at the end, healed, the
// members agree.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/entropy.h"
#include "raft/core/quorum.h"
#include "tests/support/core_cluster.h"

namespace holdfast::raft::testing {
namespace {

class Schedule {
 public:
  /// `newcomers`: so many servers may join, one after the other; 0: the configuration stays.
  Schedule(int nodes, uint64_t seed, int newcomers = 0)
      : random_(seed),
        changes_(newcomers > 0),
        newcomers_(newcomers),
        last_id_(nodes),
        cluster_(CoreCluster::of(nodes, draw_config(), seed)) {
    cluster_.auto_persist = false;
    cluster_.auto_apply = false;
    cluster_.on_breach = [this, nodes, seed](const std::string& text) {
      if (breach_.empty()) breach_ = text;
      ADD_FAILURE() << "nodes " << nodes << " seed " << seed << ": " << text;
    };
  }

  void run(int steps) {
    for (int i = 0; i < steps && breach_.empty(); ++i) {
      act();
      collect_reads();
    }
    if (breach_.empty()) calm_down();
  }
  uint64_t committed() { return cluster_.cluster_invariants().committed().value; }
  const Counters& totals() const { return totals_; }
  uint64_t installed() const { return installed_; }
  const std::map<ChangeOutcome, uint64_t>& outcomes() const { return outcomes_; }

 private:
  Config draw_config() {
    Config config;
    config.pre_vote = random_.below(4) != 0;
    config.check_quorum = random_.below(4) != 0;
    config.max_inflight_messages = static_cast<uint32_t>(1 + random_.below(4));
    config.max_append_bytes = 40 + random_.below(200);
    config.max_catchup_bytes = config.max_append_bytes + random_.below(400);
    config.far_behind_bytes = random_.below(600);
    config.paced_append_bytes = 40 + random_.below(200);
    config.catchup_bytes_per_second = 5000 + random_.below(20000);
    config.max_committed_bytes = 40 + random_.below(300);
    config.window_bytes = random_.below(400);
    return config;
  }

  int any() { return 1 + static_cast<int>(random_.below(static_cast<uint64_t>(last_id_))); }
  bool chance(uint64_t in) { return random_.below(in) == 0; }

  void act() {
    const int id = any();
    const uint64_t dice = random_.below(1000);
    if (dice < 350) return deliver_one();
    if (dice < 600) return let_time_pass();
    if (!cluster_.is_up(id)) {
      if (chance(5)) cluster_.start(id);
      return;
    }
    if (dice < 750) return cluster_.persist(id, 1 + random_.below(2));
    if (dice < 785) return cluster_.apply(id, 1 + random_.below(20));
    if (dice < 800) return shorten(id);
    if (dice < 900) return propose(id);
    if (dice < 940) return changes_ && chance(2) ? change(id) : read(id);
    if (dice < 955) return partition(id);
    if (dice < 963) return crash(id);
    rare(id, dice);
  }

  void rare(int id, uint64_t dice) {
    if (dice < 970) {
      cluster_.unreachable(id, any(), static_cast<Evidence>(random_.below(3)));
    } else if (dice < 978) {
      cluster_.transfer(id, any());
    } else if (dice < 982) {
      cluster_.step_down(id);
    } else if (dice < 986) {
      install(id);
    } else if (dice < 994) {
      cluster_.node(id).disk.available = !cluster_.node(id).disk.available;
    } else {
      cluster_.campaign(id);
    }
  }

  /// A snapshot of what is applied and durable, or of less; the log is cut to there or not as far.
  void shorten(int id) {
    const Raft& core = cluster_.core(id);
    const LogIndex most = std::min(core.applied_index(), core.log().durable());
    const LogIndex least = cluster_.node(id).disk.snapshot.index();
    if (most <= least) return;
    const LogIndex through = chance(2) ? most : least + 1 + random_.below(most - least);
    const uint64_t tail = chance(2) ? 0 : random_.below(std::min<uint64_t>(through.value, 4));
    cluster_.snapshot(id, through);
    cluster_.compact(id, through - tail);
  }

  /// What the driver does about the last offer, however old, if it can reach the leader.
  void install(int id) {
    std::vector<SnapshotOffer>& offers = cluster_.node(id).offers;
    if (offers.empty()) return;
    const int from = static_cast<int>(offers.back().from.value);
    offers.clear();
    if (!cluster_.is_up(from)) return;
    add(cluster_.core(id).counters());
    installed_ += cluster_.install(id, from) ? 1 : 0;
  }

  /// One step or two at once, some of them nonsense; some are forced.
  void change(int id) {
    ConfigurationChange change;
    change.force = chance(4);
    const bool joins = newcomers_ > 0 && chance(3);
    if (joins) {
      Member member = CoreCluster::member(NodeId(static_cast<uint64_t>(last_id_) + 1));
      member.promote = chance(2);
      (chance(3) ? change.voters : change.learners).push_back(member);
    }
    for (uint64_t more = (joins ? 0 : 1) + random_.below(2); more > 0; --more) {
      const NodeId member(static_cast<uint64_t>(any()));
      const bool learns = contains(cluster_.core(id).configuration().learners, member);
      std::vector<NodeId>& move = learns != chance(8) ? change.promote : change.demote;
      (chance(2) ? move : change.remove).push_back(member);
    }
    const ChangeResult result = cluster_.change(id, change);
    ++outcomes_[result.outcome];
    if (!joins || !result.accepted()) return;
    --newcomers_;
    cluster_.start(++last_id_);
  }

  /// Any message, so order does not hold; some are lost, some arrive twice.
  void deliver_one() {
    std::vector<Message>& network = cluster_.network();
    if (network.empty()) return;
    const size_t at = random_.below(network.size());
    Message m = network[at];
    const uint64_t fate = random_.below(20);
    if (fate != 0 || network.size() > 300) {
      network.erase(network.begin() + static_cast<ptrdiff_t>(at));
    }
    if (fate != 1 && cluster_.is_up(static_cast<int>(m.to.value))) {
      cluster_.step(static_cast<int>(m.to.value), std::move(m));
    }
  }

  void let_time_pass() {
    cluster_.pass(Duration(random_.below(30'000'000)));
    cluster_.tick(any());
  }

  void propose(int id) {
    std::vector<Proposal> batch(1 + random_.below(3));
    for (Proposal& proposal : batch) {
      proposal.data = Blob(std::to_string(++proposed_) + std::string(random_.below(60), '.'));
    }
    cluster_.propose_all(id, batch);
  }

  void read(int id) {
    const uint64_t context = ++reads_asked_;
    floor_[context] = cluster_.cluster_invariants().committed();
    cluster_.read(id, context);
  }

  /// A read sees everything that was committed before it was asked, and is answered once.
  void collect_reads() {
    for (int id : cluster_.ids()) {
      CoreNode& n = cluster_.node(id);
      for (const ReadResult& read : n.reads) {
        ASSERT_EQ(floor_.count(read.context), 1U) << "answered twice";
        EXPECT_GE(read.index, floor_[read.context]) << "stale read";
        floor_.erase(read.context);
        ++reads_answered_;
      }
      for (uint64_t context : n.failed_reads) {
        ASSERT_EQ(floor_.erase(context), 1U) << "failed twice";
      }
      n.reads.clear();
      n.failed_reads.clear();
    }
  }

  void partition(int id) {
    if (chance(2)) return cluster_.heal();
    const int other = any();
    if (chance(3)) {
      cluster_.isolate(id);
    } else if (chance(2)) {
      cluster_.cut(id, other);
    } else {
      cluster_.cut_one_way(id, other);
    }
  }

  void crash(int id) {
    add(cluster_.core(id).counters());
    cluster_.crash(id);
  }

  void add(const Counters& c) {
    totals_.truncations += c.truncations;
    totals_.log_reads += c.log_reads;
    totals_.elections_won += c.elections_won;
    totals_.inflight_full += c.inflight_full;
    totals_.fast_campaigns += c.fast_campaigns;
    totals_.transfers += c.transfers;
    totals_.compactions += c.compactions;
    totals_.snapshots_needed += c.snapshots_needed;
    totals_.snapshots_reached += c.snapshots_reached;
    totals_.appends_compacted += c.appends_compacted;
    totals_.configurations_appended += c.configurations_appended;
    totals_.configurations_truncated += c.configurations_truncated;
    totals_.retirements += c.retirements;
  }

  void calm_down() {
    cluster_.heal();
    cluster_.auto_persist = true;
    cluster_.auto_apply = true;
    for (int id = 1; id <= last_id_; ++id) {
      cluster_.node(id).disk.available = true;
      if (!cluster_.is_up(id)) cluster_.start(id);
      cluster_.persist(id);
    }
    cluster_.settle();
    for (int round = 0; round < 10; ++round) {
      cluster_.advance(1s);
      for (int id = 1; id <= last_id_; ++id) {
        if (cluster_.is_up(id)) install(id);
      }
      switch_off_removed();
    }
    cluster_.advance(2s);
    collect_reads();
    const int leader = cluster_.leader();
    ASSERT_NE(leader, 0) << "no leader after 20 election timeouts";
    ASSERT_TRUE(cluster_.propose(leader, "last").accepted());
    cluster_.settle();
    const Configuration& members = cluster_.core(leader).configuration();
    EXPECT_FALSE(is_joint(members));
    for (int id = 1; id <= last_id_; ++id) {
      EXPECT_FALSE(cluster_.node(id).violation.has_value());
      if (!cluster_.is_up(id)) continue;
      EXPECT_EQ(cluster_.core(id).status().pending_reads, 0U);
      add(cluster_.core(id).counters());
      if (!is_member(members, NodeId(static_cast<uint64_t>(id)))) continue;
      EXPECT_EQ(cluster_.core(id).configuration(), members) << "node " << id;
      EXPECT_EQ(cluster_.node(id).applied, cluster_.node(leader).applied) << "node " << id;
      EXPECT_EQ(cluster_.commands(id).back(), "last");
    }
  }

  /// Without check-quorum nobody refuses a removed server that stands again and again (dissertation
  /// 4.2.3): its operator ends it when the change is done.
  void switch_off_removed() {
    int furthest = 1;
    for (const int id : cluster_.ids()) {
      if (!cluster_.is_up(id)) continue;
      const bool further = !cluster_.is_up(furthest) ||
                           cluster_.core(id).commit() > cluster_.core(furthest).commit();
      if (further) furthest = id;
    }
    const Raft& core = cluster_.core(furthest);
    const bool done = core.configurations().latest_index() <= core.commit();
    if (core.config().check_quorum || !done || is_joint(core.configuration())) return;
    const Configuration members = core.configuration();
    for (const int id : cluster_.ids()) {
      const bool removed = !is_member(members, NodeId(static_cast<uint64_t>(id)));
      if (removed && cluster_.is_up(id)) crash(id);
    }
  }

  SplitMix random_;
  bool changes_;
  int newcomers_;
  int last_id_;  ///< of a server that is or was a member
  CoreCluster cluster_;
  std::string breach_;
  std::map<uint64_t, LogIndex> floor_;
  uint64_t proposed_ = 0;
  uint64_t reads_asked_ = 0;
  uint64_t reads_answered_ = 0;
  uint64_t installed_ = 0;
  std::map<ChangeOutcome, uint64_t> outcomes_;
  Counters totals_;
};

void run_seeds(int nodes, uint64_t seeds, int steps) {
  Counters sum;
  uint64_t committed = 0;
  uint64_t installed = 0;
  for (uint64_t seed = 1; seed <= seeds && !::testing::Test::HasFailure(); ++seed) {
    Schedule schedule(nodes, seed);
    schedule.run(steps);
    committed += schedule.committed();
    installed += schedule.installed();
    sum.compactions += schedule.totals().compactions;
    sum.snapshots_needed += schedule.totals().snapshots_needed;
    sum.snapshots_reached += schedule.totals().snapshots_reached;
    sum.appends_compacted += schedule.totals().appends_compacted;
    sum.truncations += schedule.totals().truncations;
    sum.log_reads += schedule.totals().log_reads;
    sum.inflight_full += schedule.totals().inflight_full;
    sum.fast_campaigns += schedule.totals().fast_campaigns;
    sum.transfers += schedule.totals().transfers;
    sum.elections_won += schedule.totals().elections_won;
  }
  // The schedules are worth something only if they reach the rare states.
  EXPECT_GT(committed, seeds * 20);
  EXPECT_GT(sum.elections_won, seeds);
  EXPECT_GT(sum.log_reads, 0U);
  EXPECT_GT(sum.inflight_full, 0U);
  EXPECT_GT(sum.compactions, seeds);
  if (nodes < 3) return;  // two nodes need each other: nothing can be replaced, few are elected
  EXPECT_GT(sum.truncations, 0U);
  EXPECT_GT(sum.fast_campaigns, 0U);
  EXPECT_GT(sum.transfers, 0U);
  EXPECT_GT(sum.snapshots_needed, 0U);
  EXPECT_GT(sum.snapshots_reached, 0U);
  EXPECT_GT(installed, 0U);
  if (nodes < 5) return;
  EXPECT_GT(sum.appends_compacted, 0U);
}

TEST(Schedules, ThreeNodesKeepEveryInvariant) { run_seeds(3, 40, 4000); }
TEST(Schedules, FiveNodesKeepEveryInvariant) { run_seeds(5, 20, 5000); }
TEST(Schedules, ChangesOfTheConfigurationKeepEveryInvariant) {
  Counters sum;
  std::map<ChangeOutcome, uint64_t> outcomes;
  for (uint64_t seed = 1; seed <= 80 && !::testing::Test::HasFailure(); ++seed) {
    Schedule schedule(1 + static_cast<int>(seed % 5), seed, 4);
    schedule.run(6000);
    for (const auto& [outcome, count] : schedule.outcomes()) outcomes[outcome] += count;
    sum.configurations_appended += schedule.totals().configurations_appended;
    sum.configurations_truncated += schedule.totals().configurations_truncated;
    sum.retirements += schedule.totals().retirements;
    sum.snapshots_reached += schedule.totals().snapshots_reached;
  }
  EXPECT_GT(sum.configurations_appended, 100U);
  EXPECT_GT(sum.configurations_truncated, 0U);
  EXPECT_GT(sum.retirements, 0U);
  EXPECT_GT(sum.snapshots_reached, 0U);
  for (const ChangeOutcome wanted :
       {ChangeOutcome::kAccepted, ChangeOutcome::kNotLeader, ChangeOutcome::kTransferring,
        ChangeOutcome::kUnderWay, ChangeOutcome::kOwnTermPending, ChangeOutcome::kUnknownMember,
        ChangeOutcome::kDuplicateMember, ChangeOutcome::kNoVoter, ChangeOutcome::kNotCaughtUp,
        ChangeOutcome::kWouldLoseQuorum}) {
    EXPECT_GT(outcomes[wanted], 0U) << change_outcome_name(wanted);
  }
}

TEST(Schedules, TwoNodesAndOneNodeToo) {
  run_seeds(2, 10, 3000);
  Schedule lone(1, 1);
  lone.run(2000);
}

}  // namespace
}  // namespace holdfast::raft::testing
