// Commands on locks.
#include <limits>
#include <utility>

#include "coordinator/rsm/core.h"
#include "coordinator/rsm/path.h"
#include "gen/cpp/command_types.h"

namespace holdfast::rsm {

using command::CommandKind;

namespace {

Revision revision_of(int64_t number) { return Revision(static_cast<uint64_t>(number)); }

/// `claim` was checked before.
lockmgr::Claim claim_of(const command::LockClaim& claim) {
  return {.path = claim.path,
          .mode = static_cast<lockmgr::LockMode>(claim.mode),
          .permits = static_cast<uint32_t>(claim.permits),
          .limit = static_cast<uint32_t>(claim.limit)};
}

template <class Body>
lockmgr::AcquireOptions options_of(const Body& body) {
  return {.wait_ms = body.waitMs,
          .value = body.value,
          .lock_delay_ms = body.lockDelayMs,
          .max_queue = static_cast<uint32_t>(body.maxQueue)};
}

bool is_acquire(const CommandResult& result) {
  return result.kind == CommandKind::ACQUIRE || result.kind == CommandKind::ACQUIRE_ALL;
}

}  // namespace

bool StateMachine::Core::check_path(std::string_view path) {
  const Status status = rsm::check_path(path, settings_.limit(SettingId::kPathBytesMax),
                                        settings_.limit(SettingId::kPathDepthMax));
  if (!status.ok()) reject(status.error());
  return status.ok();
}

bool StateMachine::Core::check_form(std::string_view path) {
  const Status status = rsm::check_form(path);
  if (!status.ok()) reject(status.error());
  return status.ok();
}

bool StateMachine::Core::check_id(const char* what, int64_t id) {
  return check_range(what, id, 1, (int64_t{1} << 53) - 1);
}

// ---- acquire --------------------------------------------------------------------------------

bool StateMachine::Core::check_claim(const command::LockClaim& claim) {
  if (!check_path(claim.path)) return false;
  if (claim.mode < api::LockMode::EXCLUSIVE || claim.mode > api::LockMode::SEMAPHORE) {
    reject(ErrorCode::kUnsupported, "there is no lock mode " + std::to_string(claim.mode));
    return false;
  }
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  return check_range("permits", claim.permits, 0, kMost) &&
         check_range("limit", claim.limit, 0, kMost);
}

template <class Body>
bool StateMachine::Core::check_options(const Body& body) {
  return check_range("waitMs", body.waitMs, -1, (int64_t{1} << 53) - 1) &&
         check_range("lockDelayMs", body.lockDelayMs, 0,
                     settings_.get(SettingId::kLockDelayMsMax)) &&
         check_range("maxQueue", body.maxQueue, 0, std::numeric_limits<int32_t>::max()) &&
         check_bytes("value", body.value.size(), SettingId::kHolderValueBytesMax) &&
         check_text("owner", body.owner, SettingId::kOwnerBytesMax);
}

void StateMachine::Core::acquire() {
  const command::Acquire& body = acquire_body_;
  if (!decode(acquire_body_) || !check_claim(body.claim) || !check_options(body)) return;
  const lockmgr::Claim claim = claim_of(body.claim);
  start_acquire({&claim, 1}, options_of(body), body.owner);
}

void StateMachine::Core::acquire_all() {
  const command::AcquireAll& body = acquire_all_body_;
  if (!decode(acquire_all_body_) || !check_options(body)) return;
  if (!check_range("the number of locks", static_cast<int64_t>(body.claims.size()), 1,
                   lockmgr::kMaxClaims)) {
    return;
  }
  claims_.clear();
  for (const command::LockClaim& claim : body.claims) {
    if (!check_claim(claim)) return;
    claims_.push_back(claim_of(claim));
  }
  start_acquire(claims_, options_of(body), body.owner);
}

void StateMachine::Core::start_acquire(std::span<const lockmgr::Claim> claims,
                                       const lockmgr::AcquireOptions& options,
                                       std::string_view owner) {
  const lockmgr::Acquirer who{.session = session_->id,
                              .sequence = sequence_,
                              .session_name = session_->name,
                              .session_ttl_ms = session_->ttl_ms,
                              .owner = owner};
  const lockmgr::Limits limits{
      .waiters_of_a_lock = settings_.limit(SettingId::kWaitersPerLockMax),
      .places_of_a_session = settings_.limit(SettingId::kOwnedPerSessionMax),
      .locks = settings_.limit(SettingId::kLocksMax),
      .held_until_ms = held_until_ms()};
  const Status status = locks_.acquire(who, claims, options, limits);
  if (!status.ok()) return reject(status.error());
  sessions_.keep_waiting(*session_, sequence_, content_hash_, result_.kind);
  waiting_ = true;
}

// ---- cancel ---------------------------------------------------------------------------------

void StateMachine::Core::cancel_acquire() {
  const command::CancelAcquire& body = cancel_body_;
  if (!decode(cancel_body_) || !check_form(body.path)) return;
  if (!check_id("acquireSequence", body.acquireSequence)) return;
  const Sequence target(static_cast<uint64_t>(body.acquireSequence));
  if (target == sequence_) {
    return reject(ErrorCode::kBadArgument,
                  "sequence " + std::to_string(target.value) + " cannot cancel itself");
  }
  // An acquireAll that lost one of its locks may hold others yet: its outcome is the loss,
  // whichever of its paths is named.
  const session::KeptResult* kept = std::as_const(*session_).window.find(target);
  if (kept != nullptr && kept->result.status == static_cast<uint8_t>(AcquireStatus::kNotHeld)) {
    return cancel_unknown(target);
  }
  const Result<lockmgr::CancelResult> cancelled =
      locks_.cancel_acquire(body.path, session_->id, target);
  const bool left = cancelled.ok() && cancelled->status == lockmgr::CancelStatus::kCancelled;
  if (!cancelled.ok()) reject(cancelled.error());
  if (!left && level_ >= kLevelOfLateCancels) late_cancel_ = target;
  if (!cancelled.ok() || late_cancel_) return;
  switch (cancelled->status) {
    case lockmgr::CancelStatus::kUnknown:
      return cancel_unknown(target);
    case lockmgr::CancelStatus::kGranted:
      result_.status = static_cast<uint8_t>(AcquireStatus::kGranted);
      result_.id = cancelled->holder_id;
      result_.token = cancelled->token;
      return;
    case lockmgr::CancelStatus::kCancelled:
      result_ = cancelled_result();
  }
}

/// A cancel of an acquire that is in no queue. What was due in this very entry may have ended its
/// wait or its tenure, or one of its tenures, which is known now that the entry has settled.
void StateMachine::Core::decide_cancel() {
  if (!late_cancel_) return;
  const session::KeptResult* kept = std::as_const(*session_).window.find(late_cancel_);
  const bool lost =
      kept != nullptr && kept->result.status == static_cast<uint8_t>(AcquireStatus::kNotHeld);
  // Refused: it holds its locks, and the path named is none of them.
  if (result_.code != ErrorCode::kOk && !lost) return;
  if (level_ < kLevelOfAcknowledgedCancels || !answer_held(late_cancel_)) {
    cancel_unknown(late_cancel_);
  }
}

/// Nothing is kept of an acknowledged acquire, but the table knows what it holds: whoever counts
/// what waits among what he has (docs/locks.md) must not be left with a lock he cannot name. That
/// an acquireAll has lost one of its locks is told as it would be of a kept result.
bool StateMachine::Core::answer_held(Sequence target) {
  if (!std::as_const(*session_).window.acknowledged().contains(target)) return false;
  const std::optional<lockmgr::AcquireState> held = locks_.find(session_->id, target);
  if (!held || !held->granted) return false;
  const std::optional<lockmgr::TenureInfo> lost = locks_.find_tenure(session_->id, target);
  result_.status = static_cast<uint8_t>(lost ? AcquireStatus::kNotHeld : AcquireStatus::kGranted);
  if (lost) result_.end_reason = static_cast<uint8_t>(lost->reason);
  result_.id = held->holder_id;
  result_.token = held->token;
  return true;
}

CommandResult StateMachine::Core::cancelled_result() const {
  CommandResult result;
  result.kind = result_.kind;
  result.status = static_cast<uint8_t>(AcquireStatus::kNotGranted);
  result.reason = static_cast<uint8_t>(lockmgr::RefusalReason::kCancelled);
  return result;
}

/// The acquire is not present: it has its final result, or has not come yet.
void StateMachine::Core::cancel_unknown(Sequence target) {
  const session::ResultWindow& window = std::as_const(*session_).window;
  const std::string name = "sequence " + std::to_string(target.value);
  if (window.acknowledged().contains(target)) {
    return reject(ErrorCode::kResultForgotten, name + " was acknowledged by the client");
  }
  const session::KeptResult* kept = window.find(target);
  if (kept != nullptr && !is_acquire(kept->result)) {
    return reject(ErrorCode::kBadArgument, name + " is no acquire");
  }
  if (kept != nullptr && kept->waiting) {
    // Below kLevelOfLateCancels: it left its queues in this very entry, its time was up.
    result_ = cancelled_result();
    result_.reason = static_cast<uint8_t>(lockmgr::RefusalReason::kTimedOut);
    return;
  }
  if (kept != nullptr) {
    const uint8_t kind = result_.kind;
    result_ = kept->result;
    result_.kind = kind;
    return;
  }
  result_ = cancelled_result();
  // Its late copy, whatever it asks for, finds this and changes nothing.
  CommandResult unseen = result_;
  unseen.kind = CommandKind::ACQUIRE;
  sessions_.keep_unseen(*session_, target, unseen);
}

// ---- release --------------------------------------------------------------------------------

void StateMachine::Core::release() {
  const command::Release& body = release_body_;
  if (!decode(release_body_) || !check_form(body.path) || !check_id("holderId", body.holderId)) {
    return;
  }
  if (body.to != 0 && !check_id("to", body.to)) return;
  result_.status = static_cast<uint8_t>(
      locks_.release(body.path, revision_of(body.holderId), session_->id, revision_of(body.to)));
}

void StateMachine::Core::release_all() {
  command::ReleaseAll body;
  if (!decode(body) || !check_id("holderId", body.holderId)) return;
  result_.count =
      static_cast<uint32_t>(locks_.release_all(revision_of(body.holderId), session_->id));
  const bool any = result_.count > 0;
  result_.status = static_cast<uint8_t>(any ? lockmgr::ReleaseStatus::kReleased
                                            : lockmgr::ReleaseStatus::kNotHeld);
}

void StateMachine::Core::set_holder_value() {
  const command::SetHolderValue& body = value_body_;
  if (!decode(value_body_) || !check_form(body.path) || !check_id("holderId", body.holderId) ||
      !check_bytes("value", body.value.size(), SettingId::kHolderValueBytesMax)) {
    return;
  }
  if (!locks_.set_holder_value(body.path, revision_of(body.holderId), session_->id, body.value)) {
    reject(ErrorCode::kNotHeld, "holder " + std::to_string(body.holderId) +
                                    " of this session does not hold " + quote(body.path));
  }
}

// ---- revocation -----------------------------------------------------------------------------

void StateMachine::Core::revoke_lock() {
  command::RevokeLock body;
  if (!decode(body) || !check_form(body.path) || !check_notice(body.noticeMs, body.reason)) return;
  if (body.holderId != 0 && !check_id("holderId", body.holderId)) return;
  const size_t holders = locks_.revoke({.path = body.path,
                                        .holder_id = revision_of(body.holderId),
                                        .notice_ms = body.noticeMs,
                                        .reason = body.reason,
                                        .force = body.force});
  result_.count = static_cast<uint32_t>(holders);
  if (holders > 0) result_.id = applied_;
}

void StateMachine::Core::acknowledge_notices() {
  command::AcknowledgeNotices body;
  if (!decode(body)) return;
  notice_ids_.clear();
  for (const int64_t id : body.noticeIds) notice_ids_.push_back(revision_of(id));
  sessions_.acknowledge_notices(*session_, notice_ids_);
  result_.count = static_cast<uint32_t>(locks_.acknowledge_notices(session_->id, notice_ids_));
}

}  // namespace holdfast::rsm
