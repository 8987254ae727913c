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

DiskModel::Recovered DiskModel::restarted(const raft::HardState& hard_state, raft::LogStore& log) {
  std::vector<Print> disk = read_all(log);
  Recovered outcome;
  raft::HardState state = hard_state_;
  std::vector<Print> expected = log_;
  bool found = state == hard_state && expected == disk;
  // Of what was under way any first part of its records may have survived.
  for (const PendingWrite& write : pending_) {
    if (found) {
      outcome.unsynced_lost = true;
      break;
    }
    outcome.unsynced_kept = true;
    if (write.hard_state) state = *write.hard_state;
    found = state == hard_state && expected == disk;
    LogIndex index = write.first;
    for (size_t i = 0; i < write.entries.size() && !found; ++i, ++index) {
      put(expected, index, write.entries[i]);
      found = state == hard_state && expected == disk;
    }
  }
  if (!found) {
    throw Broken(Rule::kI10, "after a restart the disk holds term " + num(hard_state.term) +
                                 ", vote " + std::to_string(hard_state.vote.value) +
                                 " and entries to " + std::to_string(disk.size()) +
                                 "; it had acknowledged term " + num(hard_state_.term) + ", vote " +
                                 std::to_string(hard_state_.vote.value) + " and entries to " +
                                 num(last()));
  }
  hard_state_ = hard_state;
  log_ = std::move(disk);
  pending_.clear();
  return outcome;
}

void DiskModel::check_whole(raft::LogStore& log) const {
  if (read_all(log) != log_) {
    throw Broken(Rule::kI10, "the log does not read back as what was acknowledged");
  }
}

bool DiskModel::adopt(const raft::HardState& hard_state, raft::LogStore& log) {
  std::vector<Print> disk = read_all(log);
  std::vector<Print> given = log_;
  for (const PendingWrite& write : pending_) {
    LogIndex index = write.first;
    for (const Print& print : write.entries) {
      if (disk.size() >= index.value && disk[index.value - 1] == print) put(given, index, print);
      ++index;
    }
  }
  const bool known =
      disk.size() <= given.size() && std::equal(disk.begin(), disk.end(), given.begin());
  hard_state_ = hard_state;
  log_ = std::move(disk);
  pending_.clear();
  return known;
}

std::optional<Result<uint64_t>> WatchedWriter::collect() {
  auto news = inner_.collect();
  if (news && news->ok()) model_.durable(**news);
  return news;
}

}  // namespace holdfast::sim
