// The verbs of raftlab: a group of real cores with memory storage, moved by nothing but the lines
// of a script. docs/raftlab.md is the reference of the language.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/raftlab/command.h"
#include "tests/support/core_cluster.h"

namespace holdfast::raftlab {

/// A tick is the heartbeat interval; an election timeout is drawn from [10, 20) ticks.
inline constexpr Duration kTick = 100ms;
inline constexpr int kElectionTicksMin = 10;
inline constexpr int kElectionTicksMax = 20;

inline constexpr uint64_t kNodeIdMax = 1'000'000;
inline constexpr uint64_t kTicksMax = 10'000;  ///< of one command
/// Commands that may send are refused while as many messages are in flight.
inline constexpr size_t kInFlightMax = 100'000;
inline constexpr size_t kLineBytesMax = size_t{1} << 20;

class Lab {
 public:
  /// Runs one line and returns what it prints, each line of it with its end.
  std::string run(std::string_view line);
  /// A safety property is broken. It was printed; the lab is of no further use.
  bool broken() const { return broken_; }
  /// For tests that do what no script can; null before `nodes`.
  raft::testing::CoreCluster* cluster() { return cluster_ ? &*cluster_ : nullptr; }

 private:
  using Handler = void (Lab::*)(Command&);
  struct Verb {
    Handler handler;
    bool needs_nodes = true;
    bool sends = false;
  };
  static const std::map<std::string_view, Verb>& verbs();

  /// Which messages of a link a verb is about.
  struct Selection {
    raft::testing::CoreCluster::Filter link;
    raft::testing::CoreCluster::Filter wanted;
    size_t k = SIZE_MAX;
  };

  void dispatch(Command& c);
  void report_violation();

  // Arguments.
  int node(Command& c);
  int live_node(Command& c);
  Selection selection(Command& c, bool counted);

  // Verbs.
  void nodes(Command& c);
  void tick(Command& c);
  void campaign(Command& c);
  void propose(Command& c);
  void read(Command& c);
  void transfer(Command& c);
  void conf(Command& c);
  void deliver(Command& c);
  void drop(Command& c);
  void dup(Command& c);
  void hold(Command& c);
  void persist(Command& c);
  void apply(Command& c);
  void snapshot(Command& c);
  void compact(Command& c);
  void crash(Command& c);
  void restart(Command& c);
  void status(Command& c);

  void parse_change(Command& c, const raft::Configuration& now, raft::ConfigurationChange& change);
  void parse_options(Command& c, raft::Configuration& group, raft::Config& config);
  bool parse_option(Command& c, raft::Config& config);
  void found(const raft::Configuration& group, const raft::Config& config);
  bool crowded(Command& c, size_t more = 0);
  void fetch_snapshot(const raft::Message& offer);
  void forget_state(int id);

  std::optional<raft::testing::CoreCluster> cluster_;
  std::set<int> added_;                  ///< named as new members; not all of them live
  std::map<int, uint64_t> digests_;      ///< of the commands that a node applied
  std::vector<std::string> read_names_;  ///< by the context that the core is given
  std::string out_;
  std::optional<std::string> breach_;
  bool broken_ = false;
};

}  // namespace holdfast::raftlab
