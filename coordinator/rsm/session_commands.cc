// Commands on sessions, time and settings.
#include <algorithm>
#include <utility>

#include "base/saturate.h"
#include "coordinator/rsm/core.h"
#include "coordinator/rsm/path.h"

namespace holdfast::rsm {

namespace {

/// Sessions in one MarkLate, RenewLate or ExpireSessions.
constexpr size_t kBatchMax = 1'000;
/// As long as a session may live.
constexpr int64_t kHoldMsMax = 7 * 86'400'000;

session::SecretHash secret_hash_of(std::string_view bytes) {
  session::SecretHash hash;
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

}  // namespace

// ---- checks shared by commands --------------------------------------------------------------

bool StateMachine::Core::check_range(const char* what, int64_t value, int64_t smallest,
                                     int64_t largest) {
  if (value >= smallest && value <= largest) return true;
  reject(ErrorCode::kBadArgument, std::string(what) + " is " + std::to_string(value) +
                                      ", allowed are " + std::to_string(smallest) + " to " +
                                      std::to_string(largest));
  return false;
}

bool StateMachine::Core::check_bytes(const char* what, size_t size, SettingId limit) {
  if (size <= settings_.limit(limit)) return true;
  reject(ErrorCode::kTooLarge, std::string(what) + " has " + std::to_string(size) +
                                   " bytes, the limit is " +
                                   std::to_string(settings_.limit(limit)));
  return false;
}

bool StateMachine::Core::check_text(const char* what, std::string_view text, SettingId limit) {
  if (!check_bytes(what, text.size(), limit)) return false;
  if (is_plain_text(text)) return true;
  reject(ErrorCode::kBadArgument,
         std::string(what) + " " + quote(text) + " is not UTF-8 without control characters");
  return false;
}

bool StateMachine::Core::check_batch(const char* what, size_t size) {
  if (size <= kBatchMax) return true;
  reject(ErrorCode::kBadArgument, std::string(what) + " names " + std::to_string(size) +
                                      " sessions, the limit is " + std::to_string(kBatchMax));
  return false;
}

bool StateMachine::Core::check_notice(int64_t notice_ms, std::string_view reason) {
  return check_range("noticeMs", notice_ms, 0, settings_.get(SettingId::kNoticeMsMax)) &&
         check_text("reason", reason, SettingId::kReasonBytesMax);
}

// ---- open and close -------------------------------------------------------------------------

void StateMachine::Core::open_session() {
  command::OpenSession body;
  if (!decode(body)) return;
  if (body.secretHash.size() != session::SecretHash{}.size()) {
    return reject(
        ErrorCode::kBadArgument,
        "the secret's hash has " + std::to_string(body.secretHash.size()) + " bytes, not 32");
  }
  const session::SecretHash hash = secret_hash_of(body.secretHash);
  // Idempotent by the secret: what a limit would say today no longer matters to a session there is.
  if (!sessions_.find_by_secret(hash) && !check_open(body)) return;
  const session::OpenOutcome outcome = sessions_.open({.secret_hash = hash,
                                                       .ttl_ms = body.ttlMs,
                                                       .name = body.name,
                                                       .attributes = body.attributes});
  result_.id = outcome.id;
  result_.ttl_ms = outcome.ttl_ms;
  if (!outcome.created) return;
  Effect& effect = add(EffectKind::kSessionOpened);
  effect.session = outcome.id;
  effect.ttl_ms = outcome.ttl_ms;
}

bool StateMachine::Core::check_open(const command::OpenSession& body) {
  if (sessions_.size() >= settings_.limit(SettingId::kSessionsMax)) {
    reject(ErrorCode::kLimitExceeded, std::to_string(sessions_.size()) +
                                          " sessions are open, the limit is sessions_max = " +
                                          std::to_string(settings_.limit(SettingId::kSessionsMax)));
    return false;
  }
  return check_range("ttlMs", body.ttlMs, settings_.get(SettingId::kSessionTtlMsMin),
                     settings_.get(SettingId::kSessionTtlMsMax)) &&
         check_text("name", body.name, SettingId::kSessionNameBytesMax) &&
         check_bytes("attributes", body.attributes.size(), SettingId::kAttributesBytesMax);
}

void StateMachine::Core::close_session() {
  command::CloseSession body;
  if (!decode(body)) return;
  const lockmgr::SessionEnd end{session_->id, lockmgr::EndReason::kSessionClosed,
                                note_of(*session_)};
  end_sessions({&end, 1});
}

/// What the tenures of a session that ends tell of it: the words with which an operator announced
/// its end, however it comes. Lives as long as the session.
std::string_view StateMachine::Core::note_of(const session::Session& session) const {
  if (level_ < kLevelOfSessionNotes || session.revocation == nullptr) return {};
  return session.revocation->reason;
}

/// Ends sessions and what they own in this entry (PROMISE 7): ephemeral keys, places and locks. The
/// lock table takes all places away before it releases any lock, and grants nothing before
/// settle().
void StateMachine::Core::end_sessions(std::span<const lockmgr::SessionEnd> ends) {
  if (ends.empty()) return;
  locks_.end_sessions(ends);  // first, for what it notes may be the sessions' own
  ended_.clear();
  for (const lockmgr::SessionEnd& end : ends) {
    if (session_ != nullptr && session_->id == end.session) session_ = nullptr;
    if (!sessions_.end(end.session)) continue;
    ended_.push_back(end.session);
    Effect& effect = add(EffectKind::kSessionEnded);
    effect.session = end.session;
    effect.end_reason = end.reason;
  }
  keys_.end_sessions(ended_);
}

// ---- silence (ARCHITECTURE, sessions, leases, time) -------------------------------------------

void StateMachine::Core::mark_late() {
  command::MarkLate body;
  if (!decode(body) || !check_batch("a late mark", body.sessions.size()) || is_void()) return;
  for (const command::LateSession& late : body.sessions) {
    const SessionId id(static_cast<uint64_t>(late.sessionId));
    if (late.silentMs < 0 || !sessions_.mark_late(id, late.silentMs)) continue;
    ++result_.count;
    Effect& effect = add(EffectKind::kLateMarked);
    effect.session = id;
    effect.silent_ms = late.silentMs;
  }
}

void StateMachine::Core::renew_late() {
  command::RenewLate body;
  if (!decode(body) || !check_batch("a renewal", body.sessionIds.size())) return;
  for (const int64_t number : body.sessionIds) {
    const SessionId id(static_cast<uint64_t>(number));
    if (sessions_.find(id) == nullptr) continue;
    sessions_.renew_late(id);
    ++result_.count;
    add(EffectKind::kLateRenewed).session = id;
  }
}

void StateMachine::Core::expire_sessions() {
  command::ExpireSessions body;
  if (!decode(body) || !check_batch("an expiry", body.sessionIds.size()) || is_void()) return;
  ends_.clear();
  for (const int64_t number : body.sessionIds) {
    const SessionId id(static_cast<uint64_t>(number));
    const session::Session* session = std::as_const(sessions_).find(id);
    if (session == nullptr) continue;
    ends_.push_back({id, lockmgr::EndReason::kSessionExpired, note_of(*session)});
  }
  result_.count = static_cast<uint32_t>(ends_.size());
  end_sessions(ends_);
}

// ---- the operator ---------------------------------------------------------------------------

void StateMachine::Core::revoke_session() {
  command::RevokeSession body;
  if (!decode(body) || !check_notice(body.noticeMs, body.reason)) return;
  session::Session* session = sessions_.find(SessionId(static_cast<uint64_t>(body.sessionId)));
  if (session == nullptr) {
    return reject(ErrorCode::kSessionExpired,
                  "there is no session " + std::to_string(body.sessionId));
  }
  result_.count = 1;
  if (body.force) {
    std::string_view note = note_of(*session);
    if (level_ >= kLevelOfSessionNotes && !body.reason.empty()) note = body.reason;
    const lockmgr::SessionEnd end{session->id, lockmgr::EndReason::kSessionRevoked, note};
    return end_sessions({&end, 1});
  }
  result_.id = sessions_.announce_revocation(*session, body.noticeMs, body.reason);
  if (result_.id != applied_) return;  // under notice already: the first one stands
  Effect& effect = add(EffectKind::kRevocationAnnounced);
  effect.session = session->id;
  effect.notice_id = result_.id;
  effect.notice_ms = body.noticeMs;
  effect.result.message = body.reason;
}

void StateMachine::Core::tick() {
  command::Tick body;
  if (!decode(body)) return;
  const Revision applied(static_cast<uint64_t>(std::max<int64_t>(body.appliedRevision, 0)));
  // What this very entry announces cannot have been applied when it was stamped.
  const Revision before = std::min(applied, applied_.prev());
  sessions_.start_revocation_clocks(before);
  locks_.start_revocation_clocks(before);
}

void StateMachine::Core::change_settings() {
  command::ChangeSettings body;
  if (!decode(body)) return;
  const int64_t held_before = held_until_ms();
  const Status status = settings_.change(body.changes);
  if (!status.ok()) return reject(status.error());
  write_settings(body.changes);
  shorten_hold(held_before);
  tell_tenures_kept();
  add(EffectKind::kSettingsChanged);
}

// ---- a state that a new cluster begins with ---------------------------------------------------

/// Nobody knows whether the clients of these sessions still believe to hold their locks: they are
/// given the time after which they do not (PROMISE 5), as far as this state knows of them.
void StateMachine::Core::restore() {
  command::Restore body;
  if (!decode(body) || !check_range("holdMs", body.holdMs, 0, kHoldMsMax)) return;
  int64_t hold_ms = body.holdMs;
  std::vector<const session::Session*> all;
  sessions_.list(SessionId{}, sessions_.size(), all);
  ends_.clear();
  for (const session::Session* session : all) {
    hold_ms = std::max(hold_ms, session->ttl_ms);
    ends_.push_back({session->id, lockmgr::EndReason::kRestored});
  }
  result_.count = static_cast<uint32_t>(ends_.size());
  end_sessions(ends_);
  settings_.hold_until(std::max(held_until_ms(), add_saturating(cluster_time_ms_, hold_ms)));
  write_setting(SettingId::kRestoreHoldUntilMs);
}

/// Locks that the hold has closed so far are opened when it ends now.
void StateMachine::Core::shorten_hold(int64_t before_ms) {
  if (held_until_ms() == before_ms || before_ms <= cluster_time_ms_) return;
  locks_.open_sooner(before_ms, held_until_ms());
}

}  // namespace holdfast::rsm
