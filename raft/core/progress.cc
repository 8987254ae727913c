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

void CatchUp::sent(LogIndex last, Instant now) {
  level_since_.reset();
  if (goal_) return;
  goal_ = last;
  began_ = now;
}

void CatchUp::acknowledged(LogIndex match, LogIndex last, Instant now) {
  if (match == last && !level_since_) level_since_ = now;
  if (!goal_ || match < goal_) return;
  last_round_ = now - began_;
  goal_ = match < last ? last : LogIndex();
  began_ = now;
}

bool CatchUp::caught_up(Instant now, Duration limit) const {
  const bool last_was_short = last_round_.has_value() && *last_round_ < limit;
  const bool in_time = last_was_short && (!goal_ || now < began_ + limit);
  return in_time || (level_since_ && now >= *level_since_ + limit);
}

void Peer::hear(Instant now) {
  heard = now;
  answered = true;
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
