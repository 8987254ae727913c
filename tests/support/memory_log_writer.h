// The driver's way to a disk in memory: writes become durable when the test says so, or fail.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "raft/storage/log_writer.h"
#include "tests/support/core_cluster.h"

namespace holdfast::raft::testing {

class MemoryLogWriter final : public LogWriter {
 public:
  explicit MemoryLogWriter(MemoryLog& log) : log_(log) {}

  void submit(Write write) override { waiting_.push_back(std::move(write)); }
  std::optional<Result<uint64_t>> collect() override {
    if (failure_) return Result<uint64_t>(*failure_);
    if (told_ == durable_) return std::nullopt;
    told_ = durable_;
    return Result<uint64_t>(durable_);
  }
  uint64_t waiting_bytes() const override { return 0; }

  /// The oldest `count` waiting writes reach the disk; false if none waited.
  bool sync(size_t count = SIZE_MAX) {
    count = std::min(count, waiting_.size());
    for (size_t i = 0; i < count; ++i) {
      log_.sync(waiting_.front());
      durable_ = waiting_.front().number;
      waiting_.pop_front();
    }
    return count > 0;
  }
  /// From now on collect() answers with this error.
  void fail(Error error) { failure_ = std::move(error); }
  const std::deque<Write>& waiting() const { return waiting_; }

 private:
  MemoryLog& log_;
  std::deque<Write> waiting_;
  std::optional<Error> failure_;
  uint64_t durable_ = 0;
  uint64_t told_ = 0;
};

}  // namespace holdfast::raft::testing
