// What a node's disk must hold, kept beside its real log from what was handed to that and what it
// said was durable. Judges what leaves the node (I7) and what comes back after a restart (I10).
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "raft/core/ready.h"
#include "raft/storage/log_store.h"
#include "raft/storage/log_writer.h"

namespace holdfast::sim {

class DiskModel {
 public:
  void submitted(const raft::Write& write);
  /// The log says that all writes to this number are on disk.
  void durable(uint64_t number);
  bool owes() const { return !pending_.empty(); }

  /// A vote, a vote request or an acknowledgement is about to leave: what it promises must be on
  /// disk. Throws Broken (I7).
  void check_promise(const raft::Message& message) const;
  /// After a restart: the disk holds what it must, and nothing that it was not given. Throws Broken
  /// (I10).
  struct Recovered {
    bool unsynced_kept = false;
    bool unsynced_lost = false;
  };
  Recovered restarted(const raft::HardState& hard_state, raft::LogStore& log);
  /// A start found neither a log nor anything that says there was one, and would begin as a new
  /// server. Throws Broken (I24) if the store has served.
  void found_nothing() const;
  /// The log was told that it may begin with `first` from now on.
  void cut(LogIndex first) { first_ = std::max(first_, first); }
  /// The log was discarded for a snapshot at `last`, and goes on behind it. Throws Broken (I10) if
  /// term and vote are not what they were, unless the disk was damaged or replaced.
  void discarded(LogIndex last, Term term, const raft::HardState& hard_state, bool spoiled);
  /// The log reads back as what was acknowledged. Throws Broken (I10).
  void check_whole(raft::LogStore& log) const;
  /// Takes what is on the disk for what must be there: of a disk that was damaged or replaced.
  /// False if it is not a prefix of what was there: made up, not merely lost.
  bool adopt(const raft::HardState& hard_state, raft::LogStore& log);
  Term term() const { return hard_state_.term; }
  LogIndex last() const { return LogIndex(log_.size()); }

 private:
  struct Print {
    Term term;
    uint64_t content = 0;
    friend bool operator==(const Print&, const Print&) = default;
  };
  struct PendingWrite {
    uint64_t number = 0;
    std::optional<raft::HardState> hard_state;
    LogIndex first;
    std::vector<Print> entries;
  };
  static Print print_of(const raft::Entry& entry);
  /// From the log's first entry on.
  static std::vector<Print> read_all(raft::LogStore& log);
  /// Is `disk`, which begins with entry `first`, the end of `log`?
  bool ends_with(const std::vector<Print>& log, LogIndex first,
                 const std::vector<Print>& disk) const;
  static void put(std::vector<Print>& log, LogIndex index, const Print& print);

  raft::HardState hard_state_;
  /// Entry 1 first; what was cut off is remembered, what a received snapshot covers is made up.
  std::vector<Print> log_;
  LogIndex first_{1};  ///< the log may begin no later
  std::deque<PendingWrite> pending_;
};

/// The simulator's way to a log's disk: nothing is written before run_one().
class WatchedWriter final : public raft::LogWriter {
 public:
  WatchedWriter(raft::LogStore& log, DiskModel& model) : inner_(log), model_(model) {}
  void submit(raft::Write write) override {
    model_.submitted(write);
    inner_.submit(std::move(write));
  }
  std::optional<Result<uint64_t>> collect() override;
  uint64_t waiting_bytes() const override { return inner_.waiting_bytes(); }
  bool run_one() { return inner_.run_one(); }
  bool prepare_one() { return inner_.prepare_one(); }
  raft::LogRoom room() const { return inner_.room(); }
  bool out_of_room() const { return inner_.out_of_room(); }

 private:
  raft::InlineLogWriter inner_;
  DiskModel& model_;
};

}  // namespace holdfast::sim
