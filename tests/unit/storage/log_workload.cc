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
  const bool formed = durable_.last().index > LogIndex();
  if (kind_ == Kind::kReceive && formed && random_.below(4) == 0) receive();
  auto opened = open(disk);
  if (!opened) {
    EXPECT_TRUE(disk.crashed() || faulty) << opened.error().message;
    return false;
  }
  log = std::move(*opened);
  const LogContent found = content_of(*log);
  if (snapshot_.received && found.before == snapshot_.last) take_up_received(found);
  judge(found);
  return true;
}

/// Another server's snapshot, of which the log may lack the last entry.
void LogWorkload::receive() {
  const HardState& now = durable_.hard_state;
  const LogIndex last =
      std::max({durable_.last().index, written_.last().index, snapshot_.last.index});
  const Term term = std::max({now.term, written_.hard_state.term, snapshot_.last.term, Term(1)});
  snapshot_ = {{last + 1 + random_.below(20), term + random_.below(2)}, true};
}

void LogWorkload::take_up_received(const LogContent& found) {
  const HardState state = found.hard_state;
  if (durable_.before == snapshot_.last) return;
  EXPECT_TRUE(found.entries.empty());
  // A later term than any that was submitted is the snapshot's own, without a vote.
  if (state.term > std::max(durable_.hard_state.term, written_.hard_state.term)) {
    EXPECT_EQ(state, (HardState{snapshot_.last.term, NodeId()}));
    durable_.hard_state = state;
    pending_.clear();
  }
  durable_.entries.clear();
  durable_.before = snapshot_.last;
  std::erase_if(pending_,
                [](const Submitted& each) { return std::holds_alternative<Entry>(each); });
}

// Nothing acknowledged is lost, nothing is invented: what is there is what some number of the
// submitted records, in order, leads to. Term and vote are among them, so they never go back.
void LogWorkload::judge(const LogContent& found) {
  LogContent expected = durable_;
  bool as_expected = matches(expected, found);
  for (size_t i = 0; i < pending_.size() && !as_expected; ++i) {
    apply_one(expected, pending_[i]);
    as_expected = matches(expected, found);
  }
  EXPECT_TRUE(as_expected) << "found entries " << found.before.index << " to " << found.last().index
                           << " in term " << found.hard_state.term << ", acknowledged to "
                           << durable_.last().index << " in term " << durable_.hard_state.term
                           << ", submitted " << pending_.size() << " more records, gone to "
                           << gone_;
  // open() has made it durable, whatever it is.
  durable_ = written_ = expected;
  gone_ = found.before.index;
  pending_.clear();
}

/// Whether it is what a cut left of what was to be expected, and a cut that was asked for.
bool LogWorkload::matches(const LogContent& expected, const LogContent& found) const {
  const LogIndex begin = found.before.index;
  const LogIndex lowest = std::max(gone_, expected.before.index);
  const LogIndex highest = std::min(snapshot_.last.index, expected.last().index);
  return begin >= lowest && begin <= highest && found == expected.behind(begin);
}

void LogWorkload::snapshot_and_cut(LogStore& log) {
  const LogIndex last = durable_.last().index;
  if (last <= snapshot_.last.index) return;
  const LogIndex through = snapshot_.last.index + 1 + random_.below(last - snapshot_.last.index);
  snapshot_ = {durable_.behind(through).before, false};
  const LogIndex first = log.cut(through - random_.below(2));
  EXPECT_GE(first.prev(), gone_);
  EXPECT_EQ(read_all(log), durable_.behind(first.prev()).entries);
  EXPECT_EQ(log.term(first.prev()).value_or(Term()), durable_.behind(first.prev()).before.term);
}

void LogWorkload::prepare_some(LogStore& log) {
  for (uint64_t steps = random_.below(kind_ == Kind::kWhole ? 2 : 4); steps > 0; --steps) {
    if (log.preparer().step() == SegmentPreparer::Step::kIdle) gone_ = log.first_index().prev();
  }
}

Write LogWorkload::next_write() {
  const LogContent& now = written_;
  const uint64_t last = now.last().index.value;
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
  // A new term replaces a part of the tail, as a new leader does, but nothing that is committed.
  const uint64_t open = last - snapshot_.last.index.value;
  const uint64_t replaced = new_term ? random_.below(std::min<uint64_t>(open, 12) + 1) : 0;
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
    prepare_some(*log);
    const std::vector<Write> batch = next_batch();
    if (const Status done = append(*log, batch); !done) {
      EXPECT_TRUE(disk.crashed() || faulty) << done.error().message;
      return false;
    }
    durable_ = written_;
    pending_.clear();
    if (kind_ != Kind::kWhole && random_.below(3) == 0) snapshot_and_cut(*log);
  }
  return true;
}

}  // namespace holdfast::raft
