#include "tests/history/plan.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace holdfast::history {

uint64_t Planned::earliest(uint64_t cursor) const {
  const uint64_t revision = cursor / kSlots;
  const uint64_t at = cursor % kSlots;
  const bool alone = slot == 1;
  const bool behind = alone ? at >= slot : at > slot;
  return std::max(first, revision + (behind ? 1 : 0));
}

void Chain::build(const std::vector<size_t>& order, size_t steps) {
  next_.assign(steps + 1, kAbsent);
  previous_.assign(steps + 1, kAbsent);
  size_t last = steps;
  for (const size_t step : order) {
    next_[last] = step;
    previous_[step] = last;
    last = step;
  }
  next_[last] = steps;
  previous_[steps] = last;
}

void Chain::take(size_t step) {
  if (!has(step)) return;
  next_[previous_[step]] = next_[step];
  previous_[next_[step]] = previous_[step];
}

void Chain::put_back(size_t step) {
  if (!has(step)) return;
  next_[previous_[step]] = step;
  previous_[next_[step]] = step;
}

Plan::Plan(const LockHistory& lock, const std::map<uint64_t, Session>& sessions) {
  for (size_t i = 0; i < lock.commands.size(); ++i) add_command(lock, i);
  for (size_t i = 0; i < lock.reads.size(); ++i) {
    const auto& [op, when] = lock.reads[i];
    steps_.push_back({.step = {.kind = Step::Kind::kRead, .index = i},
                      .slot = 3,
                      .first = op->revision,
                      .last = op->revision,
                      .invoked = when.invoked,
                      .returned = when.returned,
                      .name = name_of(*op)});
  }
  add_sessions(lock, sessions);
  add_pins(lock);
  taken_.assign(steps_.size(), false);
  std::vector<size_t> order(steps_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto sorted = [&](auto key) {
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return key(steps_[a]) < key(steps_[b]); });
    return order;
  };
  std::vector<size_t> timed = sorted([](const Planned& s) { return s.invoked; });
  std::erase_if(timed, [&](size_t i) { return steps_[i].is_timeless(); });
  by_invoked_.build(timed, steps_.size());
  std::erase_if(order, [&](size_t i) { return !steps_[i].mandatory; });
  mandatory_left_ = order.size();
  by_returned_.build(sorted([](const Planned& s) { return s.returned; }), steps_.size());
  by_last_.build(sorted([](const Planned& s) { return s.last_position(); }), steps_.size());
}

/// An acquire of which nothing is known but that it was cancelled: if the cancel came first, a
/// server that had applied it answered, and the acquire itself may never have become an entry.
bool Plan::may_be_unseen(const Command& command) {
  return command.holder_id == 0 && std::ranges::all_of(command.answers, [](const auto& answer) {
           return answer.first->answer.status == Status::kNotGranted &&
                  answer.first->answer.reason == Reason::kCancelled;
         });
}

void Plan::add_command(const LockHistory& lock, size_t index) {
  const Command& command = lock.commands[index];
  const uint64_t exact = command.holder_id;
  const bool unseen = command.first->call == Call::kAcquire && may_be_unseen(command);
  const size_t applied = steps_.size();
  ++commands_;
  steps_.push_back({.step = {.kind = Step::Kind::kCommand, .index = index},
                    .slot = 1,
                    .first = exact != 0 ? exact : command.window.after + 1,
                    .last = exact != 0 ? exact : command.window.until,
                    .invoked = command.window.invoked,
                    .returned = command.window.returned,
                    .mandatory = (command.told != nullptr && !unseen) || exact != 0,
                    .name = name_of(*command.first)});
  for (size_t i = 0; i < command.answers.size(); ++i) {
    const auto& [op, when] = command.answers[i];
    steps_.push_back({.step = {.kind = Step::Kind::kAnswer, .index = index, .answer = i},
                      .slot = 3,
                      .first = op->revision,
                      .last = op->revision,
                      .invoked = when.invoked,
                      .returned = when.returned,
                      .after = unseen ? Planned::kNoStep : applied,
                      .name = name_of(*op)});
  }
}

void Plan::add_sessions(const LockHistory& lock, const std::map<uint64_t, Session>& sessions) {
  std::set<uint64_t> concerned;
  for (const Command& command : lock.commands) {
    if (command.first->call == Call::kAcquire) concerned.insert(command.first->arguments.session);
  }
  for (const uint64_t id : concerned) {
    const auto at = sessions.find(id);
    const Session session = at == sessions.end() ? Session{} : at->second;
    steps_.push_back({.step = {.kind = Step::Kind::kSessionEnd, .session = id},
                      .slot = 0,
                      .first = session.alive_at + 1,
                      .last = session.ended_by,
                      .invoked = kAlways,
                      .mandatory = session.ended_by != kNoRevision,
                      .name = "the end of session " + std::to_string(id)});
  }
}

void Plan::add_pins(const LockHistory& lock) {
  for (size_t i = 0; i < lock.commands.size(); ++i) {
    const Command& command = lock.commands[i];
    if (command.token != 0) pins_.push_back({command.token, i, false});
    if (command.end_revision != 0) pins_.push_back({command.end_revision, i, true});
  }
  std::stable_sort(pins_.begin(), pins_.end(),
                   [](const Pin& a, const Pin& b) { return a.revision < b.revision; });
}

size_t Plan::least(const Chain& chain) const {
  return chain.first() == chain.end() ? Planned::kNoStep : chain.first();
}

bool Plan::may_come(size_t i, uint64_t cursor) const {
  const Planned& step = steps_[i];
  if (step.after != Planned::kNoStep && !taken_[step.after]) return false;
  const uint64_t revision = step.earliest(cursor);
  if (revision > step.last) return false;
  const size_t urgent = most_urgent();
  return urgent == Planned::kNoStep || urgent == i ||
         revision * kSlots + step.slot <= steps_[urgent].last_position();
}

std::vector<size_t> Plan::candidates(uint64_t cursor) const {
  std::vector<size_t> found;
  const size_t returns_first = least(by_returned_);
  const int64_t until = returns_first == Planned::kNoStep ? kNever : steps_[returns_first].returned;
  for (size_t i = by_invoked_.first(); i != by_invoked_.end(); i = by_invoked_.next(i)) {
    if (steps_[i].invoked > until) break;
    if (may_come(i, cursor)) found.push_back(i);
  }
  const size_t urgent = most_urgent();
  for (size_t i = by_last_.first(); i != by_last_.end(); i = by_last_.next(i)) {
    if (steps_[i].last_position() > steps_[urgent].last_position()) break;
    if (steps_[i].is_timeless() && may_come(i, cursor)) found.push_back(i);
  }
  std::stable_sort(found.begin(), found.end(), [&](size_t a, size_t b) {
    return steps_[a].last_position() < steps_[b].last_position();
  });
  return found;
}

void Plan::take(size_t step) {
  taken_[step] = true;
  for (Chain* chain : {&by_invoked_, &by_returned_, &by_last_}) chain->take(step);
  if (steps_[step].mandatory) --mandatory_left_;
}

void Plan::put_back(size_t step) {
  taken_[step] = false;
  for (Chain* chain : {&by_invoked_, &by_returned_, &by_last_}) chain->put_back(step);
  if (steps_[step].mandatory) ++mandatory_left_;
}

}  // namespace holdfast::history
