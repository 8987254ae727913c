#include "session/session_table.h"

#include <algorithm>

#include "base/check.h"
#include "session/rows.h"

namespace holdfast::session {

SessionTable::SessionTable(RowLog& rows)
    : rows_(rows), pool_(std::make_unique<std::pmr::unsynchronized_pool_resource>()) {}

SessionTable::~SessionTable() = default;

void SessionTable::begin(Revision revision, int64_t now_ms, int64_t unix_ms) {
  HF_CHECK(revision > revision_ && now_ms >= now_ms_, "entries come in order");
  revision_ = revision;
  now_ms_ = now_ms;
  unix_ms_ = unix_ms;
}

OpenOutcome SessionTable::open(const OpenRequest& request) {
  const auto [it, fresh] = by_secret_.try_emplace(request.secret_hash, revision_);
  if (!fresh) {
    return {.id = it->second, .ttl_ms = sessions_.at(it->second).ttl_ms, .created = false};
  }
  Session& session = sessions_.try_emplace(revision_, pool_.get()).first->second;
  session.id = revision_;
  session.ttl_ms = request.ttl_ms;
  session.opened_unix_ms = unix_ms_;
  session.secret_hash = request.secret_hash;
  session.name = request.name;
  session.attributes = request.attributes;
  ids_.insert(ids_.end(), revision_);
  mark_row_dirty(session);
  return {.id = revision_, .ttl_ms = request.ttl_ms, .created = true};
}

bool SessionTable::end(SessionId id) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return false;
  Session& session = it->second;
  for (auto& [sequence, kept] : session.window.kept_) {
    erase_row(RowTable::kResults, kept.row_id, kept.row_hash);
  }
  erase_row(RowTable::kWindows, id.value, session.window_hash);
  erase_row(RowTable::kSessions, id.value, session.row_hash);
  if (session.revocation) unset_due(session);
  by_secret_.erase(session.secret_hash);
  ids_.erase(id);
  sessions_.erase(it);
  return true;
}

bool SessionTable::mark_late(SessionId id, int64_t silent_ms) {
  Session* session = find(id);
  if (session == nullptr) return false;
  session->late = true;
  session->silent_ms = silent_ms;
  mark_row_dirty(*session);
  return true;
}

bool SessionTable::renew_late(SessionId id) {
  Session* session = find(id);
  if (session == nullptr || !session->late) return false;
  session->late = false;
  session->silent_ms = 0;
  mark_row_dirty(*session);
  return true;
}

Revision SessionTable::announce_revocation(Session& session, int64_t notice_ms,
                                           std::string_view reason) {
  if (!session.revocation) {
    session.revocation = std::make_unique<Revocation>();
    session.revocation->notice_id = revision_;
    session.revocation->notice_ms = notice_ms;
    session.revocation->reason = reason;
    unstarted_.emplace(revision_, session.id);
    mark_row_dirty(session);
  }
  return session.revocation->notice_id;
}

void SessionTable::acknowledge_notices(Session& session, std::span<const Revision> notice_ids) {
  Revocation* revocation = session.revocation.get();
  if (revocation == nullptr || revocation->acknowledged) return;
  if (std::ranges::find(notice_ids, revocation->notice_id) == notice_ids.end()) return;
  revocation->acknowledged = true;
  set_due(session, now_ms_ + revocation->notice_ms);
}

void SessionTable::start_revocation_clocks(Revision applied) {
  while (!unstarted_.empty() && unstarted_.begin()->first <= applied) {
    Session& session = sessions_.at(unstarted_.begin()->second);
    unstarted_.erase(unstarted_.begin());
    session.revocation->ttl_running = true;
    set_due(session, now_ms_ + session.ttl_ms);
  }
}

void SessionTable::set_due(Session& session, int64_t due_ms) {
  std::optional<int64_t>& due = session.revocation->due_ms;
  mark_row_dirty(session);
  if (due && *due <= due_ms) return;
  if (due) due_.erase({*due, session.id});
  due = due_ms;
  due_.emplace(due_ms, session.id);
}

void SessionTable::unset_due(const Session& session) {
  const Revocation& revocation = *session.revocation;
  if (revocation.due_ms) due_.erase({*revocation.due_ms, session.id});
  if (!revocation.ttl_running) unstarted_.erase({revocation.notice_id, session.id});
}

void SessionTable::due(size_t limit, std::vector<SessionId>& out) const {
  for (const auto& [due_ms, id] : due_) {
    if (due_ms > now_ms_ || limit == 0) return;
    out.push_back(id);
    --limit;
  }
}

std::optional<int64_t> SessionTable::next_due_ms() const {
  if (!unstarted_.empty()) return 0;
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

void SessionTable::acknowledge(Session& session, std::span<const SequenceRange> ranges,
                               const WindowLimits& limits) {
  size_t budget = kSkipsMax;
  for (const SequenceRange& range : ranges) {
    if (budget == 0) break;
    dropped_.clear();
    if (session.window.acknowledge(range, limits, budget, dropped_)) mark_window_dirty(session);
    for (ResultWindow::Dropped& row : dropped_) {
      erase_row(RowTable::kResults, row.row_id, row.row_hash);
    }
  }
}

void SessionTable::keep(Session& session, Sequence sequence, uint64_t content_hash,
                        const CommandResult& result) {
  insert(session, sequence, {.row_id = own_row(), .content_hash = content_hash, .result = result});
}

void SessionTable::keep_waiting(Session& session, Sequence sequence, uint64_t content_hash,
                                uint8_t kind) {
  insert(session, sequence,
         {.row_id = own_row(),
          .content_hash = content_hash,
          .waiting = true,
          .result = {.kind = kind}});
}

void SessionTable::keep_unseen(Session& session, Sequence sequence, const CommandResult& result) {
  insert(session, sequence,
         {.row_id = own_row() + 1, .content_hash = kAnyContent, .result = result});
}

void SessionTable::insert(Session& session, Sequence sequence, const KeptResult& kept) {
  mark_kept_dirty(session, sequence, session.window.insert(sequence, kept));
}

bool SessionTable::resolve(SessionId id, Sequence sequence, const CommandResult& result) {
  Session* session = find(id);
  KeptResult* kept = session == nullptr ? nullptr : session->window.find(sequence);
  if (kept == nullptr) return false;
  session->window.set_result(*kept, result);
  mark_kept_dirty(*session, sequence, *kept);
  return true;
}

const Session* SessionTable::find(SessionId id) const {
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : &it->second;
}

Session* SessionTable::find(SessionId id) {
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : &it->second;
}

SessionId SessionTable::find_by_secret(const SecretHash& hash) const {
  const auto it = by_secret_.find(hash);
  return it == by_secret_.end() ? SessionId{} : it->second;
}

void SessionTable::list(SessionId after, size_t count, std::vector<const Session*>& out) const {
  for (auto it = ids_.upper_bound(after); it != ids_.end() && count > 0; ++it, --count) {
    out.push_back(&sessions_.at(*it));
  }
}

}  // namespace holdfast::session
