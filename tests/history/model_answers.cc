// What the model says to answers and reads: they change nothing, and must describe what is.
#include <algorithm>

#include "tests/history/model.h"

namespace holdfast::history {
namespace {

using Kind = LockModel::Outcome::Kind;

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "not applied yet";
    case Kind::kWaiting:
      return "waiting";
    case Kind::kGranted:
      return "granted";
    case Kind::kNotGranted:
      return "not granted";
    case Kind::kEnded:
      return "granted and ended";
    case Kind::kDone:
      return "done";
  }
  return "?";
}

const char* name_of(Status status) {
  switch (status) {
    case Status::kNone:
      return "nothing";
    case Status::kGranted:
      return "GRANTED";
    case Status::kWaiting:
      return "WAITING";
    case Status::kNotGranted:
      return "NOT_GRANTED";
    case Status::kNotHeld:
      return "NOT_HELD";
  }
  return "?";
}

Kind kind_of(Status status) {
  switch (status) {
    case Status::kGranted:
      return Kind::kGranted;
    case Status::kWaiting:
      return Kind::kWaiting;
    case Status::kNotGranted:
      return Kind::kNotGranted;
    case Status::kNotHeld:
      return Kind::kEnded;
    case Status::kNone:
      break;
  }
  return Kind::kNone;
}

std::string ids(const std::vector<Seen>& list) {
  std::string text;
  for (const Seen& seen : list) text += (text.empty() ? "" : ", ") + std::to_string(seen.holder_id);
  return text.empty() ? "nobody" : text;
}

}  // namespace

bool LockModel::answer(size_t index, const Operation& told) {
  const Outcome& outcome = outcomes_[index];
  const Answer& answer = told.answer;
  // Of an acquireAll the first tenure that ended is told, which may be that of another lock.
  const bool ended = asked(index).together && answer.status == Status::kNotHeld &&
                     (outcome.kind == Kind::kGranted || outcome.kind == Kind::kEnded);
  if (ended) return true;
  const bool same_kind = outcome.kind == kind_of(answer.status);
  const bool same_reason = outcome.kind != Kind::kNotGranted || outcome.reason == answer.reason;
  const bool same_end = outcome.kind != Kind::kEnded || outcome.end == EndReason::kNone ||
                        outcome.end == answer.end_reason;
  if (!same_kind || !same_reason || !same_end) {
    return impossible([&] {
      return std::string("it was answered ") + name_of(answer.status) + ", but is " +
             name_of(outcome.kind) + ": " + describe();
    });
  }
  if (answer.status != Status::kWaiting || answer.position == 0) return true;
  const auto at = std::find_if(state_.queue.begin(), state_.queue.end(),
                               [&](const Claim& c) { return c.command == index; });
  const auto position = static_cast<uint32_t>(at - state_.queue.begin()) + 1;
  if (position == answer.position) return true;
  return impossible([&] {
    return "it was answered position " + std::to_string(answer.position) + ", but has position " +
           std::to_string(position) + ": " + describe();
  });
}

bool LockModel::read(const Operation& told) {
  if (told.call == Call::kListLocks) return list_lock(told);
  return told.call == Call::kCheckToken ? check_token(told) : describe_lock(told);
}

bool LockModel::check_token(const Operation& told) {
  uint64_t latest = 0;
  bool current = false;
  for (const Claim& claim : state_.holders) {
    latest = std::max(latest, claim.token);
    current = current || claim.token == told.arguments.token;
  }
  if (current == told.answer.current && latest == told.answer.token) return true;
  return impossible([&] {
    return "it was answered that token " + std::to_string(told.arguments.token) + " is " +
           (told.answer.current ? "current" : "not current") + " and the latest is " +
           std::to_string(told.answer.token) + ", but the lock is " + describe();
  });
}

bool LockModel::describe_lock(const Operation& told) {
  if (told.answer.closed && state_.closed_until == 0) {
    return impossible([&] { return "it shows a lock-delay, but the lock is " + describe(); });
  }
  return same_holders(told) && same_waiters(told) && same_tenures(told);
}

bool LockModel::list_lock(const Operation& told) {
  const Listed& seen = told.answer.locks.front();
  const bool counted =
      seen.holder_count == state_.holders.size() && seen.waiter_count == state_.queue.size();
  const bool whole = seen.holders.size() == seen.holder_count;
  if (counted) return !whole || same_holders(told);
  return impossible([&] {
    return "it lists " + std::to_string(seen.holder_count) + " holders and " +
           std::to_string(seen.waiter_count) + " waiters, but the lock is " + describe();
  });
}

bool LockModel::same_holders(const Operation& told) {
  const auto same = [&](const Claim& claim, const Seen& seen) {
    return command(claim.command).holder_id == seen.holder_id && claim.token == seen.token &&
           claim.value == seen.value && asked(claim.command).session == seen.session;
  };
  // Oldest first; those that were granted in one entry are equally old, in any order.
  const auto& seen = told.answer.holders;
  const bool sorted = std::is_sorted(
      seen.begin(), seen.end(), [](const Seen& a, const Seen& b) { return a.token < b.token; });
  const bool all = std::ranges::all_of(state_.holders, [&](const Claim& claim) {
    return std::ranges::any_of(seen, [&](const Seen& each) { return same(claim, each); });
  });
  if (sorted && all && seen.size() == state_.holders.size()) return true;
  return impossible([&] {
    std::string text = "it shows as holders " + ids(seen);
    for (const Seen& each : seen) {
      text += " (token " + std::to_string(each.token) + ", value '" + each.value + "')";
    }
    text += ", but the lock is " + describe();
    for (const Claim& claim : state_.holders) text += " (value '" + claim.value + "')";
    return text;
  });
}

bool LockModel::same_waiters(const Operation& told) {
  const auto same = [&](const Claim& claim, const Seen& seen) {
    return command(claim.command).holder_id == seen.holder_id &&
           asked(claim.command).session == seen.session;
  };
  const auto& seen = told.answer.waiters;
  if (std::equal(state_.queue.begin(), state_.queue.end(), seen.begin(), seen.end(), same)) {
    return true;
  }
  return impossible(
      [&] { return "it shows as waiters " + ids(seen) + ", but the lock is " + describe(); });
}

bool LockModel::same_tenures(const Operation& told) {
  for (const Seen& seen : told.answer.tenures) {
    const auto at = lock_.by_holder.find(seen.holder_id);
    if (at != lock_.by_holder.end() && outcomes_[at->second].kind == Kind::kEnded) continue;
    return impossible([&] {
      return "it shows that holder id " + std::to_string(seen.holder_id) +
             " had ended, but the lock is " + describe();
    });
  }
  return true;
}

}  // namespace holdfast::history
