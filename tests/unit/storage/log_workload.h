// A client of the log that knows what it may lose: it appends, truncates, votes and rotates as a
// seed says, and judges what a recovery gives back.
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
  explicit LogWorkload(uint64_t seed) : random_(seed) {}

  /// Opens the log, judges it, appends up to `batches` batches. Ends early at the first error,
  /// which only a crashed disk or an injected fault excuses (`faulty`). True if all went well.
  bool run(FakeFileSystem& disk, int batches, bool faulty = false);
  /// Opens the log and judges it.
  void check(FakeFileSystem& disk) { run(disk, 0); }

  const LogContent& durable() const { return durable_; }

 private:
  using Submitted = std::variant<HardState, Entry>;

  bool open_and_judge(FakeFileSystem& disk, bool faulty, std::unique_ptr<LogStore>& log);
  void judge(const LogContent& found);
  std::vector<Write> next_batch();
  Write next_write();
  void submit(const Write& write);

  SplitMix random_;
  LogContent durable_;              ///< acknowledged: must be there
  LogContent written_;              ///< with all that was submitted after it
  std::vector<Submitted> pending_;  ///< what leads from `durable_` to `written_`
  uint64_t next_number_ = 1;
};

}  // namespace holdfast::raft
