#include "coordinator/server/reads.h"

#include <algorithm>
#include <utility>

namespace holdfast::server {

void Reads::linearizable(PendingRead read) { gathered_.push_back(std::move(read)); }

void Reads::local(PendingRead read) {
  if (read.min_revision <= host_.applied) return read.run();
  const LogIndex until = read.min_revision;
  waiting_.emplace(until, std::move(read));
}

void Reads::flush() {
  // Without a leader they keep waiting; sweep() ends what waits too long.
  if (gathered_.empty() || !host_.soft.leader) return;
  if (host_.soft.role == raft::Role::kLeader && !host_.serving) return;
  const uint64_t context = host_.new_read_context(ReadPurpose::kReads);
  asked_.emplace(context, std::move(gathered_));
  gathered_.clear();
  host_.node->read_index(context);
}

void Reads::on_read(uint64_t context, LogIndex index) {
  const auto at = asked_.find(context);
  if (at == asked_.end()) return;
  std::vector<PendingRead> confirmed = std::move(at->second);
  asked_.erase(at);
  for (PendingRead& read : confirmed) {
    read.min_revision = std::max(read.min_revision, index);
    local(std::move(read));
  }
}

// Asked again under the next leader, with a new context: nothing was read.
void Reads::on_read_failed(uint64_t context) {
  const auto at = asked_.find(context);
  if (at == asked_.end()) return;
  for (PendingRead& read : at->second) gathered_.push_back(std::move(read));
  asked_.erase(at);
}

void Reads::on_applied() {
  if (waiting_.empty() || waiting_.begin()->first > host_.applied) return;
  const auto end = waiting_.upper_bound(host_.applied);
  for (auto at = waiting_.begin(); at != end; ++at) runnable_.push_back(std::move(at->second));
  waiting_.erase(waiting_.begin(), end);
  for (size_t i = 0; i < runnable_.size(); ++i) runnable_[i].run();
  runnable_.clear();
}

void Reads::take_expired(std::vector<PendingRead>& from, Instant now,
                         std::vector<PendingRead>& expired) {
  const auto late = std::stable_partition(from.begin(), from.end(),
                                          [&](const PendingRead& r) { return r.deadline > now; });
  std::move(late, from.end(), std::back_inserter(expired));
  from.erase(late, from.end());
}

void Reads::sweep(Instant now) {
  std::vector<PendingRead> expired;
  take_expired(gathered_, now, expired);
  for (auto at = asked_.begin(); at != asked_.end();) {
    take_expired(at->second, now, expired);
    at = at->second.empty() ? asked_.erase(at) : std::next(at);
  }
  for (const PendingRead& read : expired) {
    fail(read, Host::no_leader("no quorum confirmed the read before its deadline"));
  }
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    if (at->second.deadline > now) {
      ++at;
      continue;
    }
    fail(at->second, {ErrorCode::kTimeout,
                      "this server has applied revision " + std::to_string(host_.applied.value) +
                          ", the call needs " + std::to_string(at->first.value),
                      false, true, 0});
    at = waiting_.erase(at);
  }
}

void Reads::shut_down() {
  const Refusal stopping{ErrorCode::kShuttingDown, "this server is stopping; use another", false,
                         true, 0};
  for (const PendingRead& read : gathered_) fail(read, stopping);
  for (const auto& [context, reads] : asked_) {
    for (const PendingRead& read : reads) fail(read, stopping);
  }
  for (const auto& [revision, read] : waiting_) fail(read, stopping);
  gathered_.clear();
  asked_.clear();
  waiting_.clear();
}

void Reads::fail(const PendingRead& read, const Refusal& refusal) {
  host_.fail(read.call, refusal, read.sequence);
}

size_t Reads::size() const { return gathered_.size() + asked_.size() + waiting_.size(); }

}  // namespace holdfast::server
