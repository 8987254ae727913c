// One entry from begin() to settle().
#include "lockmgr/lock_table.h"

#include "base/check.h"
#include "lockmgr/state.h"

namespace holdfast::lockmgr {

LockTable::LockTable(RowLog& rows, const Options& options)
    : state_(std::make_unique<State>(rows, options)) {}

LockTable::~LockTable() = default;

void LockTable::begin(Revision revision, int64_t now_ms, int64_t unix_ms) {
  State& s = *state_;
  HF_CHECK(!s.in_entry, "the entry before was not settled");
  HF_CHECK(revision > s.revision, "revisions ascend: a token is a revision");
  HF_CHECK(now_ms >= s.now_ms, "cluster time does not go back");
  s.in_entry = true;
  s.revision = revision;
  s.now_ms = now_ms;
  s.unix_ms = unix_ms;
  s.locks_made = 0;
  s.effects.granted.clear();
  s.effects.refused.clear();
  s.effects.ended.clear();
  s.effects.notices.clear();
  for (Lock* lock : s.gone_locks) s.lock_pool.give_back(lock);
  s.gone_locks.clear();
}

size_t LockTable::run_due(size_t limit) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  size_t done = 0;
  while (done < limit && !s.timers.empty() && s.timers.begin()->due_ms <= s.now_ms) {
    done += s.fire(*s.timers.begin());
  }
  return done;
}

size_t LockTable::State::fire(Timer& timer) {
  if (timer.lock != nullptr) {
    open_lock(timer.lock);
    return 1;
  }
  Place* place = timer.place;
  if (!place->holding()) return refuse(place, RefusalReason::kTimedOut);
  end_tenure(place, EndReason::kRevoked);
  return 1;
}

void LockTable::State::open_lock(Lock* lock) {
  stop_timer(lock->timer);
  lock->closed_until_ms = 0;
  mark_dirty(lock);
  touch(lock);
}

const Effects& LockTable::settle() {
  State& s = *state_;
  HF_CHECK(s.in_entry, "settle() ends what begin() began");
  s.grant_touched();
  for (Place* place : s.tries) {
    if (!place->gone && !place->holding()) s.refuse(place, RefusalReason::kBusy);
  }
  s.tries.clear();
  s.grant_touched();
  for (Lock* lock : s.entry_locks) s.leave_entry(lock);
  s.entry_locks.clear();
  s.flush();
  for (Place* place : s.gone_places) s.place_pool.give_back(place);
  s.gone_places.clear();
  s.in_entry = false;
  return s.effects;
}

void LockTable::State::leave_entry(Lock* lock) {
  lock->in_entry = false;
  if (!lock->unused()) return;
  if (lock->closed_until_ms == 0) {
    forget_lock(lock);
  } else if (lock->limit != 0) {
    lock->limit = 0;
    mark_dirty(lock);
  }
}

void LockTable::set_tenure_capacity(uint64_t capacity) {
  HF_CHECK(state_->in_entry, "commands stand between begin() and settle()");
  state_->tenures.set_capacity(capacity);
}

std::optional<int64_t> LockTable::next_due_ms() const {
  const State& s = *state_;
  std::optional<int64_t> due;
  if (!s.timers.empty()) due = s.timers.begin()->due_ms;
  if (!s.uncounted.empty()) {
    const int64_t announced_ms = s.uncounted.front().announced_ms;
    due = due ? std::min(*due, announced_ms) : announced_ms;
  }
  return due;
}

}  // namespace holdfast::lockmgr
