#include "raft/core/progress.h"

#include <algorithm>

namespace holdfast::raft {

void Inflights::add(LogIndex last, size_t bytes) {
  appends_.push_back({last, bytes});
  bytes_ += bytes;
}

void Inflights::free_to(LogIndex match) {
  while (!appends_.empty() && appends_.front().last <= match) {
    bytes_ -= appends_.front().bytes;
    appends_.pop_front();
  }
}

void Inflights::clear() {
  appends_.clear();
  bytes_ = 0;
}

void Peer::probe_from(LogIndex index) {
  state = ProgressState::kProbe;
  next = std::max(index, match.next());
  probe_outstanding = false;
  verify = false;
  reader_unavailable = false;
  inflights.clear();
}

void Peer::replicate() {
  state = ProgressState::kReplicate;
  next = match.next();
  probe_outstanding = false;
  inflights.clear();
}

void Peer::need_snapshot() {
  state = ProgressState::kSnapshot;
  inflights.clear();
}

bool Peer::acknowledge(LogIndex index) {
  const bool news = index > match;
  match = std::max(match, index);
  next = std::max(next, match.next());
  inflights.free_to(match);
  acked_since_send = true;
  return news;
}

}  // namespace holdfast::raft
