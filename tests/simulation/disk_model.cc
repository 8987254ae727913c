#include "tests/simulation/disk_model.h"

#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "tests/simulation/invariants.h"

namespace holdfast::sim {

namespace {

std::string num(LogIndex index) { return std::to_string(index.value); }
std::string num(Term term) { return std::to_string(term.value); }

}  // namespace

DiskModel::Print DiskModel::print_of(const raft::Entry& entry) {
  return {entry.term, checksum64(entry.data.view(), static_cast<uint64_t>(entry.type))};
}

void DiskModel::put(std::vector<Print>& log, LogIndex index, const Print& print) {
  log.resize(index.value - 1);
  log.push_back(print);
}

void DiskModel::submitted(const raft::Write& write) {
  PendingWrite pending;
  pending.number = write.number;
  pending.hard_state = write.hard_state;
  if (!write.entries.empty()) pending.first = write.entries.front().index;
  for (const raft::Entry& entry : write.entries) pending.entries.push_back(print_of(entry));
  pending_.push_back(std::move(pending));
}

void DiskModel::durable(uint64_t number) {
  while (!pending_.empty() && pending_.front().number <= number) {
    const PendingWrite& write = pending_.front();
    if (write.hard_state) hard_state_ = *write.hard_state;
    LogIndex index = write.first;
    for (const Print& print : write.entries) {
      put(log_, index, print);
      ++index;
    }
    pending_.pop_front();
  }
}

void DiskModel::check_promise(const raft::Message& m) const {
  using raft::MessageType;
  const auto refuse = [&](const std::string& what) {
    throw Broken(Rule::kI7, "node " + std::to_string(m.from.value) + " in term " + num(m.term) +
                                " sends " + what);
  };
  if (m.type == MessageType::kVoteResponse && !m.reject) {
    if (hard_state_ != raft::HardState{m.term, m.to}) refuse("a vote that is not on disk");
  } else if (m.type == MessageType::kVoteRequest) {
    if (hard_state_ != raft::HardState{m.term, m.from}) {
      refuse("a vote request before the vote for itself is on disk");
    }
    if (m.index.value > log_.size()) refuse("a vote request that claims entries not on disk");
  } else if (m.type == MessageType::kAppendResponse && !m.reject) {
    if (m.index.value > log_.size()) {
      refuse("an acknowledgement to " + num(m.index) + " with only " + num(last()) + " on disk");
    }
    if (hard_state_.term < m.term) refuse("an acknowledgement in a term that is not on disk");
  }
}

std::vector<DiskModel::Print> DiskModel::read_all(raft::LogStore& log) {
  std::vector<Print> prints;
  std::vector<raft::Entry> entries;
  const LogIndex end = log.last_index().next();
  for (LogIndex next = log.first_index(); next < end;) {
    entries.clear();
    const Status status = log.read(next, end, 1 << 20, entries);
    if (!status.ok()) throw Broken(Rule::kI10, status.error().message);
    for (const raft::Entry& entry : entries) {
      if (entry.index != next) {
        throw Broken(Rule::kI10, "entry " + num(next) + " reads as " + num(entry.index));
      }
      prints.push_back(print_of(entry));
      ++next;
    }
  }
  return prints;
}

// A cut may be undone by a crash: its files go later, one by one.
bool DiskModel::ends_with(const std::vector<Print>& log, LogIndex first,
                          const std::vector<Print>& disk) const {
  const size_t before = first.value - 1;
  return first <= first_ && log.size() == before + disk.size() &&
         std::equal(disk.begin(), disk.end(), log.begin() + static_cast<ptrdiff_t>(before));
}

void DiskModel::discarded(LogIndex last, Term term, const raft::HardState& hard_state,
                          bool spoiled) {
  bool known = spoiled || hard_state == hard_state_ ||
               (hard_state.term == term && term > hard_state_.term && !hard_state.vote);
  for (const PendingWrite& write : pending_) known = known || write.hard_state == hard_state;
  if (!known) {
    throw Broken(Rule::kI10, "a log that was discarded leaves term " + num(hard_state.term) +
                                 " and vote " + std::to_string(hard_state.vote.value) +
                                 "; acknowledged were term " + num(hard_state_.term) +
                                 " and vote " + std::to_string(hard_state_.vote.value));
  }
  hard_state_ = hard_state;
  log_.resize(last.value);
  pending_.clear();
  first_ = last.next();
}

DiskModel::Recovered DiskModel::restarted(const raft::HardState& hard_state, raft::LogStore& log) {
  std::vector<Print> disk = read_all(log);
  Recovered outcome;
  raft::HardState state = hard_state_;
  std::vector<Print> expected = log_;
  const LogIndex first = log.first_index();
  const auto is_there = [&] { return state == hard_state && ends_with(expected, first, disk); };
  bool found = is_there();
  // Of what was under way any first part of its records may have survived.
  for (const PendingWrite& write : pending_) {
    if (found) {
      outcome.unsynced_lost = true;
      break;
    }
    outcome.unsynced_kept = true;
    if (write.hard_state) state = *write.hard_state;
    found = is_there();
    LogIndex index = write.first;
    for (size_t i = 0; i < write.entries.size() && !found; ++i, ++index) {
      put(expected, index, write.entries[i]);
      found = is_there();
    }
  }
  if (!found) {
    throw Broken(Rule::kI10, "after a restart the disk holds term " + num(hard_state.term) +
                                 ", vote " + std::to_string(hard_state.vote.value) +
                                 " and entries " + num(first) + " to " + num(log.last_index()) +
                                 "; it had acknowledged term " + num(hard_state_.term) + ", vote " +
                                 std::to_string(hard_state_.vote.value) + " and entries to " +
                                 num(last()));
  }
  hard_state_ = hard_state;
  log_ = std::move(expected);
  pending_.clear();
  return outcome;
}

void DiskModel::found_nothing() const {
  if (log_.empty()) return;
  throw Broken(Rule::kI24, "a store begins again that had acknowledged term " +
                               num(hard_state_.term) + ", vote " +
                               std::to_string(hard_state_.vote.value) + " and entries to " +
                               num(last()));
}

void DiskModel::check_whole(raft::LogStore& log) const {
  if (!ends_with(log_, log.first_index(), read_all(log))) {
    throw Broken(Rule::kI10, "the log does not read back as what was acknowledged");
  }
}

bool DiskModel::adopt(const raft::HardState& hard_state, raft::LogStore& log) {
  const LogIndex first = log.first_index();
  const std::vector<Print> disk = read_all(log);
  std::vector<Print> given = log_;
  for (const PendingWrite& write : pending_) {
    LogIndex index = write.first;
    for (const Print& print : write.entries) {
      const uint64_t at = index.value - first.value;
      if (index >= first && at < disk.size() && disk[at] == print) put(given, index, print);
      ++index;
    }
  }
  const size_t end = first.value - 1 + disk.size();
  const bool known =
      end <= given.size() &&
      std::equal(disk.begin(), disk.end(), given.begin() + static_cast<ptrdiff_t>(first.value - 1));
  hard_state_ = hard_state;
  first_ = first;
  given.resize(first.value - 1);
  given.insert(given.end(), disk.begin(), disk.end());
  log_ = std::move(given);
  pending_.clear();
  return known;
}

std::optional<Result<uint64_t>> WatchedWriter::collect() {
  auto news = inner_.collect();
  if (news && news->ok()) model_.durable(**news);
  return news;
}

}  // namespace holdfast::sim
