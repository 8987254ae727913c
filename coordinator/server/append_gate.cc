#include "coordinator/server/append_gate.h"

#include <iterator>
#include <utility>

namespace holdfast::server {
namespace {

uint64_t entry_bytes(const raft::Message& message) {
  uint64_t bytes = 0;
  for (const raft::Entry& entry : message.entries) bytes += entry.data.size();
  return bytes;
}

/// Takes the first `count` entries off, as a message of their own.
raft::Message take_front(raft::Message& message, size_t count) {
  const auto end = message.entries.begin() + static_cast<ptrdiff_t>(count);
  std::vector<raft::Entry> rest(std::make_move_iterator(end),
                                std::make_move_iterator(message.entries.end()));
  message.entries.resize(count);
  raft::Message front = message;
  message.entries = std::move(rest);
  message.index = front.entries.back().index;
  message.log_term = front.entries.back().term;
  return front;
}

}  // namespace

AppendGate::AppendGate(LogBudget& budget, Limits limits, Deliver deliver)
    : budget_(budget), limits_(limits), deliver_(std::move(deliver)) {}

void AppendGate::receive(raft::Message&& message) {
  if (message.type != raft::MessageType::kAppendRequest) return deliver_(std::move(message));
  if (waiting_.empty() && pass(message)) return;
  const uint64_t bytes = waiting_bytes_ + entry_bytes(message);
  if (budget_.full() || waiting_.size() >= limits_.messages || bytes > limits_.bytes) {
    ++lost_;
    return;
  }
  waiting_bytes_ = bytes;
  waiting_.push_back(std::move(message));
}

// What waits when the disk turns out to be full will find no room soon.
void AppendGate::turn() {
  while (!waiting_.empty()) {
    raft::Message& next = waiting_.front();
    const uint64_t before = entry_bytes(next);
    const bool passed = pass(next);
    waiting_bytes_ -= passed ? before : before - entry_bytes(next);
    if (!passed) break;
    waiting_.pop_front();
  }
  if (!budget_.full()) return;
  lost_ += waiting_.size();
  waiting_.clear();
  waiting_bytes_ = 0;
}

/// Delivers as much of it as there is room for; was that all?
bool AppendGate::pass(raft::Message& message) {
  size_t fits = 0;
  while (fits < message.entries.size() &&
         budget_.take(message.entries[fits].data.size(), LogBudget::Use::kFrees)) {
    ++fits;
  }
  const bool all = fits == message.entries.size();
  if (all) {
    deliver_(std::move(message));
  } else if (fits > 0) {
    deliver_(take_front(message, fits));
  }
  return all;
}

}  // namespace holdfast::server
