#include "coordinator/server/key_waits.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "coordinator/server/api_views.h"
#include "coordinator/tree/key_tree.h"

namespace holdfast::server {

bool KeyWaits::park(CallId call, int64_t sequence, const std::string& path, Instant until) {
  // Anybody may wait, without a session and over many connections: half of the room is left to
  // polls, which are one a session (PROMISE 13).
  const bool room = waits_.size() < host_.options.max_parked_calls / 2;
  if (!room || !host_.may_park()) return false;
  const uint64_t number = ++next_number_;
  waits_.emplace(number, Wait{call, sequence, path});
  by_path_[path].insert(number);
  by_call_.add(call, number);
  deadlines_.add(number, until);
  ++host_.parked;
  return true;
}

void KeyWaits::answer(CallId call, int64_t sequence, const std::string& path, bool changed) {
  api::WaitForChangeResult reply;
  host_.fill(reply.header, sequence);
  reply.changed = changed;
  const auto key = host_.machine.keys().get(path);
  reply.found = key.has_value();
  if (key) reply.key = api_key(path, *key);
  host_.complete(call, &reply);
}

void KeyWaits::abandon(CallId call) {
  const auto at = waits_.find(by_call_.find(call));
  if (at == waits_.end()) return;
  leave_path(at);
  refuse(at, {ErrorCode::kTimeout, "nobody waits for the answer", false, true, 0});
}

void KeyWaits::on_events(std::span<const tree::Event> events) {
  if (waits_.empty()) return;
  for (const tree::Event& event : events) {
    const auto of_path = by_path_.find(std::string(event.path));
    if (of_path == by_path_.end()) continue;
    for (const uint64_t number : of_path->second) end(number, waits_.at(number), true);
    by_path_.erase(of_path);
  }
}

void KeyWaits::sweep(Instant now) {
  deadlines_.take_due(now, [this](uint64_t number) {
    const auto at = waits_.find(number);
    if (at == waits_.end() || at->second.ended) return;
    leave_path(at);
    end(number, at->second, false);
  });
  while (!ended_.empty() && time_.left()) {
    const FairQueue::Taken next = ended_.take();
    const Instant began = host_.clock.now();
    if (const auto at = waits_.find(next.number); at != waits_.end()) {  // else abandoned since
      const Wait wait = take(at);
      answer(wait.call, wait.sequence, wait.path, wait.changed);
    }
    ended_.charge(next, host_.clock.now() - began);
  }
}

void KeyWaits::shut_down() {
  std::vector<uint64_t> numbers;
  for (const auto& [number, wait] : waits_) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  for (const uint64_t number : numbers) {
    refuse(waits_.find(number),
           {ErrorCode::kShuttingDown, "this server is stopping; use another", false, true, 0});
  }
  by_path_.clear();
  ended_.clear();
}

void KeyWaits::leave_path(Waits::iterator at) {
  if (at->second.ended) return;
  const auto of_path = by_path_.find(at->second.path);
  of_path->second.erase(at->first);
  if (of_path->second.empty()) by_path_.erase(of_path);
}

void KeyWaits::end(uint64_t number, Wait& wait, bool changed) {
  wait.ended = true;
  wait.changed = changed;
  ended_.add(host_.client_of(wait.call), number);
}

KeyWaits::Wait KeyWaits::take(Waits::iterator at) {
  Wait wait = std::move(at->second);
  waits_.erase(at);
  by_call_.erase(wait.call);
  --host_.parked;
  return wait;
}

void KeyWaits::refuse(Waits::iterator at, const Refusal& refusal) {
  const Wait wait = take(at);
  host_.fail(wait.call, refusal, wait.sequence);
}

}  // namespace holdfast::server
