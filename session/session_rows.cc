// The part of the session table that writes, loads and checks rows.
#include <algorithm>

#include "base/check.h"
#include "session/rows.h"
#include "session/session_table.h"

namespace holdfast::session {
namespace {

Error corrupt(const char* what, uint64_t id) {
  return {ErrorCode::kCorrupt, std::string(what) + " row " + std::to_string(id)};
}

std::string broken(const char* what, SessionId id) {
  return "session " + std::to_string(id.value) + ": " + what;
}

}  // namespace

void SessionTable::mark_dirty(Session& session) {
  if (!session.row_dirty && !session.window_dirty) dirty_.push_back(session.id);
}

void SessionTable::mark_row_dirty(Session& session) {
  mark_dirty(session);
  session.row_dirty = true;
}

void SessionTable::mark_window_dirty(Session& session) {
  mark_dirty(session);
  session.window_dirty = true;
}

void SessionTable::mark_kept_dirty(const Session& session, Sequence sequence, KeptResult& kept) {
  if (kept.dirty) return;
  kept.dirty = true;
  dirty_kept_.emplace_back(session.id, sequence);
}

void SessionTable::finish() {
  for (const SessionId id : dirty_) {
    if (Session* session = find(id)) write_rows(*session);
  }
  dirty_.clear();
  for (const auto& [id, sequence] : dirty_kept_) {
    Session* session = find(id);
    KeptResult* kept = session == nullptr ? nullptr : session->window.find(sequence);
    if (kept == nullptr) continue;
    replace_hash(kept->row_hash, put_result_row(rows_, id, sequence, *kept));
    kept->dirty = false;
  }
  dirty_kept_.clear();
}

void SessionTable::write_rows(Session& session) {
  if (session.row_dirty) replace_hash(session.row_hash, put_session_row(rows_, session));
  if (session.window_dirty) replace_hash(session.window_hash, put_window_row(rows_, session));
  session.row_dirty = session.window_dirty = false;
}

void SessionTable::erase_row(RowTable table, uint64_t id, Digest& hash) {
  if (hash == Digest{}) return;  // never written
  rows_.erase(table, id);
  replace_hash(hash, Digest{});
}

void SessionTable::replace_hash(Digest& hash, const Digest& fresh) {
  digest_.subtract(hash);
  digest_.add(fresh);
  hash = fresh;
}

Status SessionTable::load(RowTable table, uint64_t id, std::string_view row) {
  switch (table) {
    case RowTable::kSessions:
      return load_session(id, row);
    case RowTable::kResults:
      return load_result(id, row);
    case RowTable::kWindows:
      return load_window(id, row);
    default:
      return corrupt("no table of sessions:", id);
  }
}

Status SessionTable::load_session(uint64_t id, std::string_view row) {
  const auto [it, fresh] = sessions_.try_emplace(SessionId(id), pool_.get());
  Session& session = it->second;
  if (id == 0 || !fresh || !read_session_row(row, session)) return corrupt("session", id);
  session.id = SessionId(id);
  if (!by_secret_.emplace(session.secret_hash, session.id).second) {
    return corrupt("two sessions with one secret, second is session", id);
  }
  ids_.insert(ids_.end(), session.id);
  if (const Revocation* revocation = session.revocation.get()) {
    if (revocation->due_ms) due_.emplace(*revocation->due_ms, session.id);
    if (!revocation->ttl_running) unstarted_.emplace(revocation->notice_id, session.id);
  }
  replace_hash(session.row_hash, row_hash(RowTable::kSessions, id, row));
  return ok_status();
}

Status SessionTable::load_result(uint64_t id, std::string_view row) {
  ResultRow result;
  if (!read_result_row(row, result)) return corrupt("result", id);
  Session* session = find(result.session);
  if (session == nullptr || session->window.find(result.sequence) != nullptr) {
    return corrupt("result without a session, or twice:", id);
  }
  result.kept.row_id = id;
  KeptResult& kept = session->window.insert(result.sequence, result.kept);
  replace_hash(kept.row_hash, row_hash(RowTable::kResults, id, row));
  return ok_status();
}

Status SessionTable::load_window(uint64_t id, std::string_view row) {
  Session* session = find(SessionId(id));
  if (session == nullptr || !read_window_row(row, session->window.acknowledged_)) {
    return corrupt("window", id);
  }
  replace_hash(session->window_hash, row_hash(RowTable::kWindows, id, row));
  return ok_status();
}

Status SessionTable::finish_load() {
  const std::string problem = check_invariants();
  if (!problem.empty()) return Error{ErrorCode::kCorrupt, problem};
  return ok_status();
}

std::string SessionTable::check_session(const Session& session, Digest& sum) const {
  RowLog scratch;
  const ResultWindow& window = session.window;
  if (put_session_row(scratch, session) != session.row_hash) return "its row is not up to date";
  sum.add(session.row_hash);
  if (session.window_hash != Digest{} && put_window_row(scratch, session) != session.window_hash) {
    return "its window's row is not up to date";
  }
  if (session.window_hash == Digest{} && window.acknowledged() != SequenceSet{}) {
    return "its window has no row";
  }
  sum.add(session.window_hash);
  uint64_t results = 0;
  uint64_t bytes = 0;
  for (const auto& [sequence, kept] : window.kept()) {
    if (window.acknowledged().contains(sequence)) return "keeps an acknowledged result";
    if (put_result_row(scratch, session.id, sequence, kept) != kept.row_hash) {
      return "a result's row is not up to date";
    }
    sum.add(kept.row_hash);
    if (kept.waiting) continue;
    ++results;
    bytes += kept_bytes(kept.result);
  }
  if (results != window.result_count() || bytes != window.result_bytes())
    return "miscounts results";
  return "";
}

std::string SessionTable::check_invariants() const {
  if (ids_.size() != sessions_.size() || by_secret_.size() != sessions_.size()) {
    return "the indexes of sessions differ in size";
  }
  Digest sum;
  size_t timed = 0;
  size_t unstarted = 0;
  for (const SessionId id : ids_) {
    const Session* session = find(id);
    if (session == nullptr || session->id != id) return broken("listed but absent", id);
    if (find_by_secret(session->secret_hash) != id) return broken("not found by its secret", id);
    const std::string problem = check_session(*session, sum);
    if (!problem.empty()) return broken(problem.c_str(), id);
    if (const Revocation* revocation = session->revocation.get()) {
      if (revocation->due_ms && !due_.contains({*revocation->due_ms, id})) {
        return broken("its revocation has no timer", id);
      }
      timed += revocation->due_ms ? 1 : 0;
      unstarted += revocation->ttl_running ? 0 : 1;
    }
  }
  if (timed != due_.size() || unstarted != unstarted_.size()) return "stray revocation timers";
  if (sum != digest_) return "the digest of sessions is not the sum of their rows";
  return "";
}

}  // namespace holdfast::session
