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
  if (const uint64_t number = by_call_.find(call)) end(number, false);
}

void KeyWaits::on_events(std::span<const tree::Event> events) {
  if (waits_.empty()) return;
  for (const tree::Event& event : events) {
    const auto at = by_path_.find(std::string(event.path));
    if (at == by_path_.end()) continue;
    const auto of_path = by_path_.extract(at);
    for (const uint64_t number : of_path.mapped()) {
      const auto wait = waits_.find(number);
      if (wait != waits_.end()) finish(wait, true);
    }
  }
}

void KeyWaits::end(uint64_t number, bool changed) {
  const auto at = waits_.find(number);
  if (at == waits_.end()) return;
  const auto of_path = by_path_.find(at->second.path);
  of_path->second.erase(number);
  if (of_path->second.empty()) by_path_.erase(of_path);
  finish(at, changed);
}

void KeyWaits::finish(Waits::iterator at, bool changed) {
  const Wait wait = std::move(at->second);
  waits_.erase(at);
  by_call_.erase(wait.call);
  --host_.parked;
  answer(wait.call, wait.sequence, wait.path, changed);
}

void KeyWaits::sweep(Instant now) {
  deadlines_.take_due(now, [this](uint64_t number) { end(number, false); });
}

void KeyWaits::shut_down() {
  std::vector<uint64_t> numbers;
  for (const auto& [number, wait] : waits_) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  for (const uint64_t number : numbers) end(number, false);
}

}  // namespace holdfast::server
