// A client of the log that knows what it may lose: it appends, truncates, votes, rotates and cuts
// as a seed says, and judges what a recovery gives back. What it cuts off, it remembers all the
// same.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/entropy.h"
#include "tests/unit/storage/log_support.h"

namespace holdfast::raft {

class LogWorkload {
 public:
  enum class Kind {
    kWhole,    ///< keeps its log
    kCut,      ///< cuts it behind snapshots
    kReceive,  ///< cuts it, and starts beside snapshots that have left it behind, too
  };
  explicit LogWorkload(uint64_t seed, Kind kind = Kind::kWhole) : random_(seed), kind_(kind) {}

  /// Opens the log, judges it, appends up to `batches` batches. Ends early at the first error,
  /// which only a crashed disk or an injected fault excuses (`faulty`). True if all went well.
  bool run(FakeFileSystem& disk, int batches, bool faulty = false);
  /// Opens the log and judges it.
  void check(FakeFileSystem& disk) { run(disk, 0); }
  /// Opens the log beside the client's snapshot.
  Result<std::unique_ptr<LogStore>> open(FakeFileSystem& disk) const {
    return open_log(disk, snapshot_);
  }

 private:
  using Submitted = std::variant<HardState, Entry>;

  bool open_and_judge(FakeFileSystem& disk, bool faulty, std::unique_ptr<LogStore>& log);
  void receive();
  void take_up_received(const LogContent& found);
  void judge(const LogContent& found);
  bool matches(const LogContent& expected, const LogContent& found) const;
  void snapshot_and_cut(LogStore& log);
  void prepare_some(LogStore& log);
  std::vector<Write> next_batch();
  Write next_write();
  void submit(const Write& write);

  SplitMix random_;
  Kind kind_;
  LogContent durable_;              ///< acknowledged: must be there, unless it was cut off
  LogContent written_;              ///< with all that was submitted after it
  std::vector<Submitted> pending_;  ///< what leads from `durable_` to `written_`
  uint64_t next_number_ = 1;
  SnapshotPosition snapshot_;  ///< entries to it are committed
  LogIndex gone_;              ///< entries to it are on no disk any more
};

}  // namespace holdfast::raft
