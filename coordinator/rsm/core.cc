#include "coordinator/rsm/core.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace holdfast::rsm {

using command::CommandKind;

namespace {

/// Ids, revisions and times that cross the API are below 2^53.
constexpr int64_t kNumberEnd = int64_t{1} << 53;
/// Ranges that one command may acknowledge.
constexpr size_t kRangesMax = 1'024;

bool is_acquire(int kind) {
  return kind == CommandKind::ACQUIRE || kind == CommandKind::ACQUIRE_ALL;
}

/// Not in the middle of a UTF-8 character.
void cut(std::string& text, size_t size_max) {
  if (text.size() <= size_max) return;
  while (size_max > 0 && (static_cast<uint8_t>(text[size_max]) & 0xC0) == 0x80) --size_max;
  text.resize(size_max);
}

}  // namespace

StateMachine::Core::Core(const Options& options)
    : locks_(rows_, {.hash_seed = options.hash_seed}),
      keys_(rows_, {.hash_seed = options.hash_seed}),
      known_level_(options.feature_level) {}

const StateMachine::Core::Handler* StateMachine::Core::handler_of(CommandKind::type kind) {
  static const auto handlers = [] {
    std::array<Handler, CommandKind::RESTORE + 1> table{};
    table[CommandKind::OPEN_SESSION] = {&Core::open_session};
    table[CommandKind::CLOSE_SESSION] = {&Core::close_session, true};
    table[CommandKind::MARK_LATE] = {&Core::mark_late};
    table[CommandKind::RENEW_LATE] = {&Core::renew_late};
    table[CommandKind::EXPIRE_SESSIONS] = {&Core::expire_sessions};
    table[CommandKind::REVOKE_SESSION] = {&Core::revoke_session};
    table[CommandKind::TICK] = {&Core::tick};
    table[CommandKind::ACQUIRE] = {&Core::acquire, true, true};
    table[CommandKind::ACQUIRE_ALL] = {&Core::acquire_all, true, true};
    table[CommandKind::CANCEL_ACQUIRE] = {&Core::cancel_acquire, true, true};
    table[CommandKind::RELEASE] = {&Core::release, true, true};
    table[CommandKind::RELEASE_ALL] = {&Core::release_all, true, true};
    table[CommandKind::SET_HOLDER_VALUE] = {&Core::set_holder_value, true, true};
    table[CommandKind::REVOKE_LOCK] = {&Core::revoke_lock};
    table[CommandKind::ACKNOWLEDGE_NOTICES] = {&Core::acknowledge_notices, true};
    table[CommandKind::CHANGE_SETTINGS] = {&Core::change_settings};
    table[CommandKind::PUT_KEY] = {&Core::put_key};
    table[CommandKind::CREATE_KEY] = {&Core::create_key};
    table[CommandKind::REMOVE_KEY] = {&Core::remove_key};
    table[CommandKind::TRANSACT] = {&Core::transact};
    table[CommandKind::RESTORE] = {&Core::restore};
    return table;
  }();
  if (kind <= CommandKind::UNSPECIFIED || kind > CommandKind::RESTORE) return nullptr;
  return &handlers[kind];
}

// ---- the frame of an entry ------------------------------------------------------------------

ApplyStatus StateMachine::Core::apply(LogIndex index, Term entry_term, std::string_view payload,
                                      Effects& effects) {
  const Status decoded = decoder_.header(payload, header_);
  if (decoded.ok() && header_.level > known_level_) return ApplyStatus::kNeedsUpgrade;
  HF_CHECK(index > applied_, "entries are applied in order");
  rows_.clear();
  key_events_ = {};
  applied_ = index;
  entry_term_ = entry_term;
  effects_ = &effects;
  const bool stamped = header_.clusterTimeMs >= 0 && header_.clusterTimeMs < kNumberEnd;
  if (!decoded.ok()) {
    malformed(decoded.error());
  } else if (header_.level < 1 || !stamped) {
    malformed({ErrorCode::kBadArgument, "malformed command: level " +
                                            std::to_string(header_.level) + ", cluster time " +
                                            std::to_string(header_.clusterTimeMs)});
  } else {
    apply_decoded();
  }
  write_meta();
  return ApplyStatus::kApplied;
}

void StateMachine::Core::apply_decoded() {
  session_ = nullptr;
  level_ = std::max(level_, header_.level);
  cluster_time_ms_ = std::max(cluster_time_ms_, header_.clusterTimeMs);
  sessions_.begin(applied_, cluster_time_ms_, header_.wallUnixMs);
  locks_.begin(applied_, cluster_time_ms_, header_.wallUnixMs);
  keys_.begin(applied_, cluster_time_ms_, header_.wallUnixMs);
  tell_tenures_kept();
  run_due();
  run_command();
  settle();
  decide_cancel();
  record();
  reply();
  sessions_.finish();
}

/// The lock table takes its capacity within an entry only; after a load it has not heard of it.
void StateMachine::Core::tell_tenures_kept() {
  const uint64_t kept = settings_.limit(SettingId::kTenuresKept);
  if (kept == tenures_kept_) return;
  locks_.set_tenure_capacity(kept);
  tenures_kept_ = kept;
}

ApplyStatus StateMachine::Core::skip(LogIndex index, uint32_t level) {
  if (level > static_cast<uint32_t>(known_level_)) return ApplyStatus::kNeedsUpgrade;
  HF_CHECK(index > applied_, "entries are applied in order");
  rows_.clear();
  key_events_ = {};
  applied_ = index;
  level_ = std::max(level_, static_cast<int32_t>(level));
  write_meta();
  return ApplyStatus::kApplied;
}

void StateMachine::Core::malformed(const Error& error) {
  CommandResult& result = add(EffectKind::kMalformed).result;
  result.code = error.code;
  result.message = error.message;
}

// ---- what is due ----------------------------------------------------------------------------

void StateMachine::Core::run_due() {
  size_t removed = end_due_sessions();
  if (removed < kDueMax) removed += locks_.run_due(kDueMax - removed);
  if (removed < kDueMax) keys_.run_due(kDueMax - removed);
}

size_t StateMachine::Core::end_due_sessions() {
  due_.clear();
  ends_.clear();
  sessions_.due(kDueMax, due_);
  size_t removed = 0;
  for (const SessionId session : due_) {
    removed += 1 + owned_by(session);
    if (!ends_.empty() && removed > kDueMax) break;
    ends_.push_back(
        {session, lockmgr::EndReason::kSessionRevoked, note_of(*sessions_.find(session))});
  }
  end_sessions(ends_);
  return removed;
}

// ---- the command ----------------------------------------------------------------------------

void StateMachine::Core::run_command() {
  result_ = CommandResult{};
  result_.kind = static_cast<uint8_t>(header_.kind);
  sequence_ = late_cancel_ = Sequence{};
  to_be_kept_ = waiting_ = false;
  const Handler* handler = handler_of(header_.kind);
  // A program of a lower level knows none of that kind, so there is none at that level.
  if (handler == nullptr || header_.level < level_of(header_.kind)) {
    return reject(ErrorCode::kUnsupported,
                  "there is no command of kind " + std::to_string(header_.kind));
  }
  if (enter_session(*handler)) (this->*handler->run)();
}

/// Finds the command's session and what it knows of the sequence. False if the command is answered
/// already.
bool StateMachine::Core::enter_session(const Handler& handler) {
  if (handler.remembered && header_.sequence == 0) {
    reject(ErrorCode::kBadArgument, "a command of this kind needs a sequence");
    return false;
  }
  if (!handler.of_session && (header_.sessionId == 0 || header_.sequence == 0)) return true;
  const auto id = static_cast<uint64_t>(header_.sessionId);
  session_ = sessions_.find(SessionId(id));
  if (session_ == nullptr) {
    reject(ErrorCode::kSessionExpired, "session " + std::to_string(id) + " has ended");
    return false;
  }
  if (!take_acknowledged()) return false;
  if (header_.sequence == 0) return true;
  if (header_.sequence < 0 || header_.sequence >= kNumberEnd) {
    reject(ErrorCode::kBadArgument,
           "sequence " + std::to_string(header_.sequence) + " is not within 1 and 2^53 - 1");
    return false;
  }
  return enter_window();
}

bool StateMachine::Core::take_acknowledged() {
  if (header_.acknowledged.size() > kRangesMax) {
    reject(ErrorCode::kBadArgument, std::to_string(header_.acknowledged.size()) +
                                        " acknowledged ranges in one command, the limit is " +
                                        std::to_string(kRangesMax));
    return false;
  }
  ranges_.clear();
  for (const api::SequenceRange& range : header_.acknowledged) {
    if (range.first < 1 || range.last < range.first || range.last >= kNumberEnd) {
      reject(ErrorCode::kBadArgument, "acknowledged range " + std::to_string(range.first) + " to " +
                                          std::to_string(range.last) + " is not one");
      return false;
    }
    ranges_.push_back({Sequence(static_cast<uint64_t>(range.first)),
                       Sequence(static_cast<uint64_t>(range.last))});
  }
  sessions_.acknowledge(*session_, ranges_, window_limits());
  return true;
}

/// Exactly once (PROMISE 4). False if the command is answered already.
bool StateMachine::Core::enter_window() {
  sequence_ = Sequence(static_cast<uint64_t>(header_.sequence));
  content_hash_ = content_hash(header_.kind, decoder_.body_bytes());
  const session::ResultWindow& window = session_->window;
  switch (window.know(sequence_, content_hash_)) {
    case session::Known::kForgotten:
      reject(ErrorCode::kResultForgotten,
             "sequence " + std::to_string(sequence_.value) + " was acknowledged by the client");
      return false;
    case session::Known::kKept:
      // An acquire that was cancelled unseen matches any content, but only that of acquires.
      if (is_acquire(header_.kind) != is_acquire(window.find(sequence_)->result.kind)) {
        return refuse_other_content();
      }
      [[fallthrough]];
    case session::Known::kWaiting:
      // What is due in this very entry may have ended the wait or the tenure, and settle() has yet
      // to say so: record() looks at what it has come to then.
      to_be_kept_ = waiting_ = true;
      return false;
    case session::Known::kOtherContent:
      return refuse_other_content();
    case session::Known::kNew:
      break;
  }
  return check_window_room();
}

bool StateMachine::Core::refuse_other_content() {
  reject(ErrorCode::kBadArgument, "sequence " + std::to_string(sequence_.value) +
                                      " was used before for a command with other content");
  return false;
}

/// A command refused here is not recorded and may be sent again.
bool StateMachine::Core::check_window_room() {
  const session::WindowLimits limits = window_limits();
  const session::ResultWindow& window = session_->window;
  if (window.full(limits)) {
    reject(ErrorCode::kLimitExceeded,
           "session " + std::to_string(session_->id.value) + " has " +
               std::to_string(window.result_count()) + " unacknowledged results of " +
               std::to_string(window.result_bytes()) +
               " bytes, the limits are result_window = " + std::to_string(limits.results) +
               " and result_window_bytes = " + std::to_string(limits.bytes));
    result_.window_full = true;
    return false;
  }
  to_be_kept_ = true;
  return true;
}

session::WindowLimits StateMachine::Core::window_limits() const {
  return {.results = settings_.limit(SettingId::kResultWindow),
          .bytes = settings_.limit(SettingId::kResultWindowBytes)};
}

void StateMachine::Core::reject(ErrorCode code, std::string message) {
  result_ = CommandResult{};
  result_.kind = static_cast<uint8_t>(header_.kind);
  result_.code = code;
  result_.message = std::move(message);
  cut(result_.message, session::kResultMessageBytes);
}

void StateMachine::Core::record() {
  // A command that ended its own session has nobody left to be remembered for.
  if (!to_be_kept_ || session_ == nullptr) return;
  if (waiting_) {
    const session::KeptResult* kept = std::as_const(*session_).window.find(sequence_);
    result_ = kept->waiting ? waiting_result(session_->id, sequence_) : kept->result;
    return;
  }
  sessions_.keep(*session_, sequence_, content_hash_, result_);
}

void StateMachine::Core::reply() {
  Effect& effect = add(EffectKind::kReply);
  effect.origin_node = NodeId(static_cast<uint64_t>(header_.originNode));
  effect.origin_request = static_cast<uint64_t>(header_.originRequest);
  effect.session = SessionId(static_cast<uint64_t>(header_.sessionId));
  effect.sequence = Sequence(static_cast<uint64_t>(header_.sequence));
  effect.result = result_;
}

CommandResult StateMachine::Core::waiting_result(SessionId session, Sequence sequence) const {
  const std::optional<lockmgr::AcquireState> state = locks_.find(session, sequence);
  HF_CHECK(state && !state->granted, "what waits in the window waits in the queue");
  CommandResult result;
  result.kind = sessions_.find(session)->window.find(sequence)->result.kind;
  result.status = static_cast<uint8_t>(AcquireStatus::kWaiting);
  result.id = state->holder_id;
  result.position = state->position;
  return result;
}

// ---- grants and what else happened to locks ---------------------------------------------------

void StateMachine::Core::settle() {
  const lockmgr::Effects& effects = locks_.settle();
  for (const lockmgr::Ended& ended : effects.ended) take_ended(ended);
  for (const lockmgr::Refused& refused : effects.refused) take_refused(refused);
  for (const lockmgr::Granted& granted : effects.granted) take_granted(granted);
  for (const lockmgr::Notice& notice : effects.notices) take_notice(notice);
  key_events_ = keys_.settle().events;
}

/// A retried acquire answers NOT_HELD once its tenure has ended; of an acquireAll once the first of
/// its tenures has.
void StateMachine::Core::take_ended(const lockmgr::Ended& ended) {
  Effect& effect = add(EffectKind::kTenureEnded);
  effect.session = ended.session;
  effect.sequence = ended.sequence;
  effect.path = ended.path;
  effect.holder_id = ended.holder_id;
  effect.token = ended.token;
  effect.end_reason = ended.reason;
  const session::Session* session = std::as_const(sessions_).find(ended.session);
  const session::KeptResult* kept =
      session == nullptr ? nullptr : session->window.find(ended.sequence);
  if (kept == nullptr || kept->result.status != static_cast<uint8_t>(AcquireStatus::kGranted)) {
    return;
  }
  CommandResult result = kept->result;
  result.status = static_cast<uint8_t>(AcquireStatus::kNotHeld);
  result.end_reason = static_cast<uint8_t>(ended.reason);
  sessions_.resolve(ended.session, ended.sequence, result);
}

void StateMachine::Core::take_refused(const lockmgr::Refused& refused) {
  if (refused.reason == lockmgr::RefusalReason::kSessionEnded) return;  // nobody is left to be told
  Effect& effect = add(EffectKind::kWaitEnded);
  effect.session = refused.session;
  effect.sequence = refused.sequence;
  effect.path = refused.path;
  effect.holder_id = refused.holder_id;
  effect.result.status = static_cast<uint8_t>(AcquireStatus::kNotGranted);
  effect.result.reason = static_cast<uint8_t>(refused.reason);
  effect.result.id = refused.holder_id;
  sessions_.resolve(refused.session, refused.sequence, effect.result);
}

void StateMachine::Core::take_granted(const lockmgr::Granted& granted) {
  Effect& effect = add(EffectKind::kGranted);
  effect.session = granted.session;
  effect.sequence = granted.sequence;
  effect.path = granted.path;
  effect.holder_id = granted.holder_id;
  effect.token = granted.token;
  effect.result.status = static_cast<uint8_t>(AcquireStatus::kGranted);
  effect.result.id = granted.holder_id;
  effect.result.token = granted.token;
  if (granted.index == 0) sessions_.resolve(granted.session, granted.sequence, effect.result);
}

void StateMachine::Core::take_notice(const lockmgr::Notice& notice) {
  Effect& effect = add(EffectKind::kRevocationAnnounced);
  effect.session = notice.session;
  effect.path = notice.path;
  effect.holder_id = notice.holder_id;
  effect.token = notice.token;
  effect.notice_id = notice.notice_id;
  effect.notice_ms = notice.notice_ms;
  effect.result.message = notice.reason;
}

// ---- reads ----------------------------------------------------------------------------------

std::optional<CommandResult> StateMachine::Core::lookup(SessionId id, Sequence sequence) const {
  const session::Session* session = sessions_.find(id);
  const session::KeptResult* kept = session == nullptr ? nullptr : session->window.find(sequence);
  if (kept == nullptr) return std::nullopt;
  return kept->waiting ? waiting_result(id, sequence) : kept->result;
}

// Part of every renewal: the session itself is looked up only if any is to be ended at all.
void StateMachine::Core::notices_of(SessionId id, std::vector<lockmgr::Notice>& out) const {
  const session::Session* session = sessions_.any_revocation() ? sessions_.find(id) : nullptr;
  if (session != nullptr && session->revocation != nullptr) {
    const session::Revocation* revocation = session->revocation.get();
    out.push_back({.session = id,
                   .notice_id = revocation->notice_id,
                   .notice_ms = revocation->notice_ms,
                   .reason = revocation->reason,
                   .acknowledged = revocation->acknowledged});
  }
  locks_.notices_of(id, out);
}

std::optional<int64_t> StateMachine::Core::next_due_ms() const {
  const std::optional<int64_t> sessions = sessions_.next_due_ms();
  std::optional<int64_t> next = sessions;
  for (const auto& due : {locks_.next_due_ms(), keys_.next_due_ms()}) {
    if (due && (!next || *due < *next)) next = due;
  }
  // So that applied time passes it, and everybody sees that it is over.
  const int64_t held = held_until_ms();
  if (held > cluster_time_ms_ && (!next || held < *next)) next = held;
  return next;
}

}  // namespace holdfast::rsm
