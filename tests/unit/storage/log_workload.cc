#include "tests/unit/storage/log_workload.h"

#include <algorithm>

namespace holdfast::raft {
namespace {

void apply_one(LogContent& content, const std::variant<HardState, Entry>& record) {
  std::visit([&content](const auto& each) { content.apply(each); }, record);
}

}  // namespace

bool LogWorkload::open_and_judge(FakeFileSystem& disk, bool faulty,
                                 std::unique_ptr<LogStore>& log) {
  auto opened = open_log(disk);
  if (!opened) {
    EXPECT_TRUE(disk.crashed() || faulty) << opened.error().message;
    return false;
  }
  log = std::move(*opened);
  judge(content_of(*log));
  return true;
}

// Nothing acknowledged is lost, nothing is invented: what is there is what some number of the
// submitted records, in order, leads to. Term and vote are among them, so they never go back.
void LogWorkload::judge(const LogContent& found) {
  LogContent expected = durable_;
  bool matches = found == expected;
  for (size_t i = 0; i < pending_.size() && !matches; ++i) {
    apply_one(expected, pending_[i]);
    matches = found == expected;
  }
  EXPECT_TRUE(matches) << "found " << found.entries.size() << " entries in term "
                       << found.hard_state.term << ", acknowledged " << durable_.entries.size()
                       << " in term " << durable_.hard_state.term << ", submitted "
                       << pending_.size() << " more records";
  // open() has made it durable, whatever it is.
  durable_ = written_ = found;
  pending_.clear();
}

Write LogWorkload::next_write() {
  const LogContent& now = written_;
  const uint64_t last = now.entries.size();
  Write write;
  write.number = next_number_++;
  const uint64_t kind = random_.below(8);
  const bool new_term = kind == 0 || !now.hard_state.term;
  if (new_term) write.hard_state = HardState{now.hard_state.term.next(), NodeId()};
  const uint64_t term = (new_term ? write.hard_state->term : now.hard_state.term).value;
  if (kind == 1 && !now.hard_state.vote && !new_term) {
    write.hard_state = HardState{now.hard_state.term, NodeId(1 + random_.below(5))};
  }
  if (kind == 2) return write;
  // A new term replaces a part of the tail, as a new leader does.
  const uint64_t replaced = new_term ? random_.below(std::min<uint64_t>(last, 12) + 1) : 0;
  const uint64_t count = 1 + random_.below(4);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t size = random_.below(10) == 0 ? 1400 : random_.below(160);
    write.entries.push_back(make_entry(term, last - replaced + 1 + i, size));
  }
  return write;
}

void LogWorkload::submit(const Write& write) {
  if (write.hard_state) pending_.emplace_back(*write.hard_state);
  for (const Entry& entry : write.entries) pending_.emplace_back(entry);
  written_.apply(write);
}

std::vector<Write> LogWorkload::next_batch() {
  std::vector<Write> batch;
  const uint64_t writes = 1 + random_.below(3);
  for (uint64_t i = 0; i < writes; ++i) {
    batch.push_back(next_write());
    submit(batch.back());
  }
  return batch;
}

bool LogWorkload::run(FakeFileSystem& disk, int batches, bool faulty) {
  std::unique_ptr<LogStore> log;
  if (!open_and_judge(disk, faulty, log)) return false;
  for (int i = 0; i < batches; ++i) {
    if (random_.below(2) == 0) log->preparer().step();
    const std::vector<Write> batch = next_batch();
    if (const Status done = append(*log, batch); !done) {
      EXPECT_TRUE(disk.crashed() || faulty) << done.error().message;
      return false;
    }
    durable_ = written_;
    pending_.clear();
  }
  return true;
}

}  // namespace holdfast::raft
