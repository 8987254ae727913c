#include "coordinator/server/reads.h"

#include <algorithm>
#include <utility>

namespace holdfast::server {

// As commands under way, and each of its own bound: one alone passes however large it is.
std::optional<Refusal> Reads::no_room_for(const PendingRead& read) const {
  const auto overloaded = [](const std::string& what) {
    return Refusal{ErrorCode::kOverloaded, "this server has its " + what, false, true, 20};
  };
  if (pending_.size() >= host_.options.max_pending_reads) {
    return overloaded(std::to_string(host_.options.max_pending_reads) + " reads under way");
  }
  const uint64_t bytes_max =
      host_.options.raft.max_uncommitted_bytes * (read.bytes <= kSmallBytes ? 2 : 1);
  if (pending_bytes_ > 0 && pending_bytes_ + read.bytes > bytes_max) {
    return overloaded(std::to_string(bytes_max) + " bytes of reads and of calls that wait");
  }
  return std::nullopt;
}

uint64_t Reads::keep(PendingRead&& read) {
  if (const auto refusal = no_room_for(read)) {
    host_.fail(read.call, *refusal, read.sequence);
    return 0;
  }
  deadlines_.add_in_steps(++next_number_, read.deadline, host_.clock.now());
  const bool of_the_future = read.min_revision > host_.applied;
  if (of_the_future && !read.outlives_client) left_with_client_.add(read.call, next_number_);
  pending_bytes_ += read.bytes;
  pending_.emplace(next_number_, std::move(read));
  return next_number_;
}

void Reads::linearizable(PendingRead read) {
  if (const uint64_t number = keep(std::move(read))) gathered_.push_back(number);
}

void Reads::local(PendingRead read) {
  if (read.min_revision <= host_.applied && may_run(read)) return read.run();
  if (const uint64_t number = keep(std::move(read))) wait_for_apply(number, pending_.at(number));
}

void Reads::wait_for_apply(uint64_t number, PendingRead& read) {
  if (read.min_revision <= host_.applied) return run_in_turn(number, read);
  // What waits for a revision may wait for one that never comes: half of the room is left to reads
  // that do not (PROMISE 13).
  if (waiting_.size() >= host_.options.max_pending_reads / 2) {
    return fail(number, {ErrorCode::kOverloaded,
                         "this server has its " + std::to_string(waiting_.size()) +
                             " reads waiting for revisions still to come",
                         false, true, 20});
  }
  waiting_.emplace(read.min_revision, number);
}

void Reads::abandon(CallId call) {
  const uint64_t number = left_with_client_.find(call);
  if (number == 0) return;
  waiting_.erase({pending_.at(number).min_revision, number});
  fail(number, {ErrorCode::kTimeout, "nobody waits for the answer", false, true, 0});
}

// What waits to be judged carries no value, and others than its client may wait for it.
void Reads::run_in_turn(uint64_t number, PendingRead& read) {
  if (may_run(read)) return run(number);
  const uint64_t client = host_.client_of(read.call);
  const bool full = ready_.size() >= host_.options.max_pending_reads / 4;
  if (full && ready_.size_of(client) >= kReadyForAll) {
    return fail(number, {ErrorCode::kOverloaded,
                         "this connection has its " + std::to_string(ready_.size_of(client)) +
                             " reads that wait for time, and others too",
                         false, true, 100});
  }
  read.ready = true;
  left_with_client_.add(read.call, number);
  ready_.add(client, number);
}

void Reads::run_ready() {
  while (!ready_.empty() && time_.left()) {
    const FairQueue::Taken next = ready_.take();
    const Instant began = host_.clock.now();
    if (pending_.contains(next.number)) run(next.number);
    ready_.charge(next, host_.clock.now() - began);
  }
}

// Forgotten before it runs: what it does may come back here.
void Reads::run(uint64_t number) { take(number).run(); }

PendingRead Reads::take(uint64_t number) {
  const auto at = pending_.find(number);
  PendingRead read = std::move(at->second);
  pending_.erase(at);
  pending_bytes_ -= read.bytes;
  left_with_client_.erase(read.call);
  return read;
}

void Reads::flush() {
  // Without a leader they keep waiting; sweep() ends what waits too long.
  if (gathered_.empty() || !host_.may_read_index()) return;
  const uint64_t context = host_.new_read_context(ReadPurpose::kReads);
  asked_.emplace(context, std::exchange(gathered_, {}));
  host_.node->read_index(context);
}

void Reads::on_read(uint64_t context, LogIndex index) {
  auto confirmed = asked_.extract(context);
  if (confirmed.empty()) return;
  for (const uint64_t number : confirmed.mapped()) {
    const auto at = pending_.find(number);
    if (at == pending_.end()) continue;
    at->second.min_revision = std::max(at->second.min_revision, index);
    wait_for_apply(number, at->second);
  }
}

// Asked again under the next leader, with a new context: nothing was read.
void Reads::on_read_failed(uint64_t context) {
  const auto failed = asked_.extract(context);
  if (failed.empty()) return;
  for (const uint64_t number : failed.mapped()) {
    if (pending_.contains(number)) gathered_.push_back(number);
  }
}

void Reads::on_applied() {
  while (!waiting_.empty() && waiting_.begin()->first <= host_.applied) {
    const uint64_t number = waiting_.begin()->second;
    waiting_.erase(waiting_.begin());
    run_in_turn(number, pending_.at(number));
  }
}

void Reads::sweep(Instant now) {
  run_ready();
  deadlines_.take_due(now, [this, now](uint64_t number) {
    const auto at = pending_.find(number);
    if (at == pending_.end()) return;
    const Instant deadline = at->second.deadline;
    if (now < deadline) return deadlines_.add_in_steps(number, deadline, now);
    if (at->second.ready) {
      return fail(number,
                  {ErrorCode::kOverloaded,
                   "this server had no time for the read before its deadline", false, true, 100});
    }
    if (waiting_.erase({at->second.min_revision, number}) == 0) {
      return fail(number, Host::no_leader("no quorum confirmed the read before its deadline"));
    }
    fail(number, {ErrorCode::kTimeout,
                  "this server has applied revision " + std::to_string(host_.applied.value) +
                      ", the call needs " + std::to_string(at->second.min_revision.value),
                  false, true, 0});
  });
  // Without a leader nobody takes them from there, however long that lasts.
  if (gathered_.size() > 2 * pending_.size()) {
    std::erase_if(gathered_, [this](uint64_t number) { return !pending_.contains(number); });
  }
}

void Reads::shut_down() {
  std::vector<uint64_t> all;
  for (const auto& [number, read] : pending_) all.push_back(number);
  std::sort(all.begin(), all.end());
  for (const uint64_t number : all) {
    fail(number,
         {ErrorCode::kShuttingDown, "this server is stopping; use another", false, true, 0});
  }
  gathered_.clear();
  asked_.clear();
  waiting_.clear();
  ready_.clear();
}

void Reads::fail(uint64_t number, const Refusal& refusal) {
  const PendingRead read = take(number);
  host_.fail(read.call, refusal, read.sequence);
}

}  // namespace holdfast::server
