#include "raft/core/progress.h"

#include <algorithm>

namespace holdfast::raft {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

}  // namespace

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

int64_t Allowance::left(Instant now, uint64_t appended, const Pace& pace) const {
  const auto most = static_cast<int64_t>(pace.most_bytes);
  const auto rate = static_cast<int64_t>(pace.bytes_per_second);
  const int64_t us = std::max<int64_t>((now - since_) / 1us, 0);
  // An entry may have cost many seconds of the pace. No product goes beyond what time may fill.
  const bool filled = us >= (most - left_) * kSecondUs / rate;
  const int64_t rested = filled ? std::max(left_, most) : left_ + rate * us / kSecondUs;
  const auto kept_up =
      static_cast<int64_t>(std::min<uint64_t>(appended - appended_, pace.most_kept_up));
  return std::min(rested + kept_up, most + static_cast<int64_t>(pace.most_kept_up));
}

void Allowance::spend(size_t bytes, Instant now, uint64_t appended, const Pace& pace) {
  left_ = left(now, appended, pace) - static_cast<int64_t>(bytes);
  since_ = now;
  appended_ = appended;
}

void Allowance::forgo(uint64_t appended) { appended_ = appended; }

Instant Allowance::due(const Pace& pace) const {
  const int64_t lacks = std::max<int64_t>(0, 1 - left_);
  return since_ + (lacks * kSecondUs / static_cast<int64_t>(pace.bytes_per_second) + 1) * 1us;
}

void Peer::hear(Instant now) {
  heard = now;
  answered = true;
}

bool Peer::moves(Instant now, Duration limit) const {
  return inflights.empty() || now < moved + limit;
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
