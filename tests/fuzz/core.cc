// Lying peers against real cores. The cores talk to each other as they should, and between their
// messages come others that no correct server would send, well-formed or not. What Raft promises
// does not outlive a lying peer, so the cluster's invariants are not looked at; but no core
// crashes, each core's own state stays in order, and one that finds a contradiction stops for good.
#include "base/check.h"
#include "raft/core/quorum.h"
#include "tests/fuzz/input.h"
#include "tests/support/core_cluster.h"
#include "tests/support/core_messages.h"

namespace holdfast::raft::testing {
namespace {

using fuzz::Input;

constexpr int kSteps = 400;

Config config_from(Input& input) {
  const uint8_t flags = input.byte();
  Config config;
  config.pre_vote = (flags & 1) == 0;
  config.check_quorum = (flags & 2) == 0;
  config.fast_failover = (flags & 4) == 0;
  if ((flags & 8) != 0) config.max_inflight_messages = 2;
  if ((flags & 16) != 0) config.max_inflight_bytes = 200;
  if ((flags & 32) != 0) config.max_append_bytes = config.max_catchup_bytes = 100;
  if ((flags & 64) != 0) config.window_bytes = 100;
  if ((flags & 128) != 0) config.max_pending_reads = 2;
  return config;
}

Configuration configuration_from(Input& input) {
  const uint8_t shape = input.byte();
  Configuration configuration;
  for (uint64_t id = 1; id <= 1 + shape % 5U; ++id) configuration.voters.push_back(NodeId(id));
  if (shape >= 128) configuration.learners.push_back(NodeId(configuration.voters.size() + 1));
  return configuration;
}

class Liars {
 public:
  explicit Liars(Input& input)
      : input_(input),
        configuration_(configuration_from(input)),
        cluster_(configuration_, config_from(input), input.byte()) {
    const uint8_t pace = input.byte();
    cluster_.auto_persist = pace % 2 == 0;
    cluster_.auto_apply = pace % 4 < 2;
    cluster_.check_cluster = false;
    members_ = static_cast<int>(configuration_.voters.size() + configuration_.learners.size());
    for (int id = 1; id <= members_; ++id) cluster_.start(id);
  }

  void run() {
    for (int i = 0; i < kSteps && !input_.empty(); ++i) {
      step(1 + static_cast<int>(input_.below(static_cast<uint64_t>(members_))));
      for (const int id : cluster_.ids()) check_stopped(id);
    }
  }

 private:
  void step(int id) {
    const uint8_t what = input_.byte() % 16;
    if (!cluster_.is_up(id)) return restart(id);
    switch (what) {
      case 0:
        return cluster_.pass(std::chrono::milliseconds(input_.byte()));
      case 1:
        return cluster_.tick(id);
      case 2:
        return cluster_.tick_alone(id, std::chrono::milliseconds(input_.byte() * 8));
      case 3:
        return static_cast<void>(cluster_.deliver(any(), input_.byte()));
      case 4:
        return static_cast<void>(cluster_.drop(any(), input_.byte()));
      case 5:
        return static_cast<void>(cluster_.campaign(id));
      case 6:
        return propose(id);
      case 7:
        return cluster_.read(id, ++read_);
      case 8:
        return static_cast<void>(cluster_.transfer(id, input_.byte() % 8));
      case 9:
        return evidence(id);
      case 10:
        return cluster_.persist(id, input_.byte());
      case 11:
        return cluster_.apply(id, input_.byte());
      case 12:
        return shorten_or_change(id);
      case 13:
        return input_.flag() ? cluster_.step_down(id) : cluster_.crash(id);
      default:
        return cluster_.step(id, lie_to(id));
    }
  }

  static CoreCluster::Filter any() {
    return [](const Message&) { return true; };
  }

  void restart(int id) {
    cluster_.node(id).violation.reset();
    cluster_.start(id);
  }

  void propose(int id) {
    const size_t size = input_.byte();
    cluster_.propose(id, std::string(size, 'p'), input_.flag());
  }

  void evidence(int id) {
    const auto kind = static_cast<Evidence>(input_.byte() % 3);
    cluster_.unreachable(id, input_.byte() % 8, kind);
  }

  void shorten_or_change(int id) {
    if (input_.flag()) return cluster_.shorten(id);
    ConfigurationChange change;
    change.force = input_.flag();
    std::vector<NodeId>* moves[] = {&change.promote, &change.demote, &change.remove};
    moves[input_.byte() % 3]->push_back(NodeId(input_.byte() % 8));
    if (input_.flag()) change.learners.push_back(CoreCluster::member(NodeId(input_.byte() % 8)));
    cluster_.change(id, change);
  }

  /// One that can be read, and follows from nothing.
  std::string lied_configuration() {
    Configuration configuration;
    const uint8_t voters = input_.byte();
    const uint8_t others = input_.byte();
    for (uint64_t id = 1; id <= 8; ++id) {
      const bool votes = (voters >> (id - 1) & 1) != 0;
      const bool other = (others >> (id - 1) & 1) != 0;
      if (votes) configuration.voters.push_back(NodeId(id));
      if (other && input_.flag()) configuration.outgoing.push_back(NodeId(id));
      if (other && !votes) configuration.learners.push_back(NodeId(id));
    }
    for (const NodeId id : member_ids(configuration)) {
      configuration.members.push_back(CoreCluster::member(id));
    }
    return encode_configuration(configuration);
  }

  /// A number that means something to its receiver, or any.
  uint64_t near(uint64_t value) {
    const uint8_t distance = input_.byte();
    if (distance >= 128) return input_.number();
    return value + distance % 16U - std::min<uint64_t>(value, distance / 16U);
  }

  Message lie_to(int id) {
    const Raft& core = cluster_.core(id);
    Message m = message(static_cast<MessageType>(input_.byte() % (kMessageTypes + 1)),
                        input_.byte() % 8, id, near(core.term().value));
    m.index = LogIndex(near(core.log().last().value));
    m.log_term = Term(near(core.log().last_term().value));
    m.commit = LogIndex(near(core.commit().value));
    m.hint = LogIndex(near(core.commit().value));
    m.round = near(core.counters().read_rounds);
    m.context = near(read_);
    const uint8_t flags = input_.byte();
    m.reject = (flags & 1) != 0;
    m.transfer = (flags & 2) != 0;
    const LogView& log = core.log();
    if ((flags & 4) != 0)
      m.log_term = log.term(std::clamp(m.index, log.first().prev(), log.last()));
    for (uint64_t i = 1; i <= flags / 64U; ++i) {
      Entry more = entry(m.index.value + i, near(m.term.value), "lie");
      more.type = static_cast<EntryType>(input_.byte() % 4);
      if (more.type == EntryType::kConfiguration && input_.flag()) {
        more.data = Blob(lied_configuration());
      }
      m.entries.push_back(std::move(more));
    }
    return m;
  }

  void check_stopped(int id) {
    const CoreNode& node = cluster_.node(id);
    if (node.core == nullptr) return;
    HF_CHECK(node.core->inert() == node.violation.has_value(), "a violation is told, and stops");
    HF_CHECK(!node.core->inert() || !node.core->has_ready(), "a stopped core hands nothing out");
  }

  Input& input_;
  const Configuration configuration_;
  CoreCluster cluster_;
  int members_ = 0;
  uint64_t read_ = 0;
};

}  // namespace
}  // namespace holdfast::raft::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::fuzz::Input input(data, size);
  holdfast::raft::testing::Liars(input).run();
  return 0;
}
