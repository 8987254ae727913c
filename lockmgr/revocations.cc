// Revocation with notice: ARCHITECTURE, sessions; PROMISE 5 holds for a revoked holder too.
#include <algorithm>

#include "base/check.h"
#include "base/saturate.h"
#include "lockmgr/state.h"

namespace holdfast::lockmgr {

size_t LockTable::revoke(const RevokeRequest& request) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  Lock* lock = s.find_lock(request.path);
  if (lock == nullptr) return 0;
  s.ending.clear();
  for (Place& holder : lock->holders) {
    if (!request.holder_id || holder_id_of(holder.id) == request.holder_id) {
      s.ending.push_back(&holder);
    }
  }
  for (Place* holder : s.ending) {
    if (request.force) {
      s.end_tenure(holder, EndReason::kRevoked, request.reason);
    } else if (holder->revocation == nullptr) {
      s.announce(holder, request.notice_ms, request.reason);
    }
  }
  return s.ending.size();
}

void LockTable::State::announce(Place* holder, int64_t notice_ms, std::string_view reason) {
  Revocation* revocation = revocation_pool.take();
  revocation->place = holder;
  revocation->notice_id = revision;
  revocation->announced_ms = now_ms;
  revocation->notice_ms = notice_ms;
  revocation->note.assign(reason);
  holder->revocation = revocation;
  holder->session->revocations.push_back(*revocation);
  uncounted.push_back(*revocation);
  mark_dirty(holder);
  effects.notices.push_back(notice_of(*revocation));
}

void LockTable::State::drop_revocation(Place* holder) {
  stop_timer(holder->timer);
  Revocation* revocation = holder->revocation;
  if (revocation == nullptr) return;
  if (revocation->clock_link.is_linked()) uncounted.erase(uncounted.iterator_to(*revocation));
  RevocationsOfSession& of_session = holder->session->revocations;
  of_session.erase(of_session.iterator_to(*revocation));
  holder->revocation = nullptr;
  revocation_pool.give_back(revocation);
}

void LockTable::State::give_away_by(Place* holder, int64_t due_ms) {
  mark_dirty(holder);
  if (!holder->timer.set() || due_ms < holder->timer.due_ms) set_timer(holder->timer, due_ms);
}

size_t LockTable::acknowledge_notices(SessionId session_id, std::span<const Revision> notice_ids) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  Session* session = s.find_session(session_id);
  if (session == nullptr || session->revocations.empty()) return 0;
  std::vector<Revision> ids(notice_ids.begin(), notice_ids.end());
  std::sort(ids.begin(), ids.end());
  size_t concerned = 0;
  for (Revocation& revocation : session->revocations) {
    if (revocation.acknowledged) continue;
    if (!std::binary_search(ids.begin(), ids.end(), revocation.notice_id)) continue;
    revocation.acknowledged = true;
    s.give_away_by(revocation.place, add_saturating(s.now_ms, revocation.notice_ms));
    ++concerned;
  }
  return concerned;
}

void LockTable::start_revocation_clocks(Revision applied) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  while (!s.uncounted.empty() && s.uncounted.front().notice_id <= applied) {
    Revocation& revocation = s.uncounted.front();
    s.uncounted.pop_front();
    revocation.clock_started = true;
    Place* holder = revocation.place;
    s.give_away_by(holder, add_saturating(s.now_ms, holder->session->ttl_ms));
  }
}

Notice LockTable::State::notice_of(const Revocation& revocation) const {
  const Place& holder = *revocation.place;
  return {.session = holder.session->id,
          .notice_id = revocation.notice_id,
          .holder_id = holder_id_of(holder.id),
          .token = holder.token,
          .path = holder.lock->path,
          .notice_ms = revocation.notice_ms,
          .reason = revocation.note,
          .acknowledged = revocation.acknowledged};
}

void LockTable::notices_of(SessionId session_id, std::vector<Notice>& out) const {
  const Session* session = state_->find_session(session_id);
  if (session == nullptr) return;
  for (const Revocation& revocation : session->revocations) {
    out.push_back(state_->notice_of(revocation));
  }
}

}  // namespace holdfast::lockmgr
