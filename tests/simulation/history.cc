#include "tests/simulation/history.h"

#include <algorithm>

#include "coordinator/tree/key_tree.h"
#include "lockmgr/lock_table.h"
#include "raft/transport/genesis.h"
#include "session/session_table.h"
#include "tests/simulation/invariants.h"

namespace holdfast::sim {

using command::CommandKind;
using rsm::EffectKind;

namespace {

/// A recount of the whole state is made every so many entries.
constexpr uint64_t kRecountEvery = 64;

SessionId session_id(int64_t number) { return SessionId(static_cast<uint64_t>(number)); }
Revision revision_id(int64_t number) { return Revision(static_cast<uint64_t>(number)); }
std::string num(LogIndex index) { return std::to_string(index.value); }

std::string name_of_command(SessionId session, Sequence sequence) {
  return "session " + std::to_string(session.value) + " sequence " + std::to_string(sequence.value);
}

/// That of any server's program.
int32_t highest_level(const Weather& weather) {
  return std::max(rsm::kFeatureLevel, static_cast<int32_t>(weather.old_level) + 1);
}

bool ends_lock(lockmgr::EndReason reason) {
  return reason == lockmgr::EndReason::kReleased || reason == lockmgr::EndReason::kHandedOver;
}

}  // namespace

History::History(World& world, HistoryListener& listener)
    : world_(world),
      listener_(listener),
      machine_({.hash_seed = 1, .feature_level = highest_level(world.weather())}) {}

template <class Body>
Body History::body() {
  // The decoder gives a body once after its header.
  command::CommandHeader again;
  Body body;
  static_cast<void>(decoder_.header(payload_, again));
  const Status status = decoder_.body(body);
  if (!status.ok()) throw Broken(Rule::kI5, "a committed body: " + status.error().message);
  return body;
}
// For history_keys.cc.
template command::PutKey History::body();
template command::CreateKey History::body();
template command::RemoveKey History::body();
template command::Transact History::body();

void History::commit(const raft::Entry& entry) {
  if (entry.index != last().next()) throw Broken(Rule::kI5, "a gap before " + num(entry.index));
  if (entry.type == raft::EntryType::kCommand) {
    apply_command(entry);
  } else {
    machine_.skip(entry.index, raft::recorded_level(entry));
  }
  digests_.push_back(machine_.digest());
  world_.trace(digests_.back().low);
  if (entry.index.value % kRecountEvery == 0) recount();
}

void History::recount() const {
  recount_keys();
  const std::string keys = machine_.keys().check_invariants();
  if (!keys.empty()) throw Broken(Rule::kI15, "a recount at " + num(last()) + ": " + keys);
  const std::string broken = machine_.check_invariants();
  if (!broken.empty()) throw Broken(Rule::kI11, "a recount at " + num(last()) + ": " + broken);
}

void History::apply_command(const raft::Entry& entry) {
  payload_ = entry.data.view();
  const Status decoded = decoder_.header(payload_, header_);
  if (!decoded.ok()) throw Broken(Rule::kI5, "a committed command: " + decoded.error().message);
  Applied applied{.revision = entry.index, .term = entry.term};
  const auto due = machine_.next_due_ms();
  applied.nothing_due = !due || *due > std::max(machine_.cluster_time_ms(), header_.clusterTimeMs);
  const Digest before = machine_.locks().digest();
  effects_.clear();
  static_cast<void>(machine_.apply(entry.index, entry.term, entry.data.view(), effects_));
  applied.locks_changed = !(machine_.locks().digest() == before);
  for (const rsm::Effect& effect : effects_) {
    if (effect.kind == EffectKind::kReply) applied.reply = &effect;
  }
  if (applied.reply == nullptr) throw Broken(Rule::kI5, num(entry.index) + " has no outcome");
  keys_.take(static_cast<int64_t>(entry.index.value), machine_.key_events(), effects_,
             machine_.keys());
  note_key_ends(entry.index);
  locks_.begin(Revision(entry.index.value));
  check_decided(applied);
  check_once(applied);
  enter(applied);
  enter_keys(applied);
  for (const rsm::Effect& effect : effects_) take(applied, effect);
  locks_.finish([this](const std::string& path) {
    const auto until = machine_.locks().describe(path, {0, 0, 0}).closed_until_ms;
    if (until <= machine_.cluster_time_ms()) return false;
    world_.mark(Mark::kClosedLock);
    return true;
  });
  mark(applied);
}

// ------------------------------------------------------------------------------- the command

/// What the command says it does, before its effects are looked at.
void History::enter(Applied& applied) {
  const bool refused = applied.reply->result.code != ErrorCode::kOk;
  switch (header_.kind) {
    case CommandKind::ACQUIRE:
    case CommandKind::ACQUIRE_ALL:
      if (!refused) enter_acquire(applied);
      return;
    case CommandKind::RELEASE:
    case CommandKind::RELEASE_ALL:
    case CommandKind::SET_HOLDER_VALUE:
      return enter_release(applied);
    case CommandKind::REVOKE_LOCK: {
      const auto revoke = body<command::RevokeLock>();
      applied.forced = revoke.force;
      applied.reason = revoke.reason;
      break;
    }
    case CommandKind::REVOKE_SESSION: {
      const auto revoke = body<command::RevokeSession>();
      applied.forced = revoke.force;
      applied.reason = revoke.reason;
      break;
    }
    default:
      return;
  }
  if (applied.reason.empty()) return;
  if (forbidden_reasons_.contains(applied.reason)) {
    throw Broken(Rule::kI18, "'" + applied.reason +
                                 "' was answered NOT APPLIED and is applied at " +
                                 num(applied.revision));
  }
  if (!reasons_.insert(applied.reason).second) {
    throw Broken(Rule::kI17, "'" + applied.reason + "' has no session and is applied twice, at " +
                                 num(applied.revision));
  }
}

void History::enter_acquire(const Applied& applied) {
  // A copy of an acquire that is known does nothing.
  const auto known = fates_.find(
      {session_id(header_.sessionId), Sequence(static_cast<uint64_t>(header_.sequence))});
  if (known == fates_.end() || known->second.first != Revision(applied.revision.value)) return;
  LockHistory::Acquire acquire;
  acquire.holder_id = Revision(applied.revision.value);
  acquire.session = known->first.first;
  acquire.sequence = known->first.second;
  const auto add = [&](const command::LockClaim& claim) {
    acquire.claims.push_back({claim.path, static_cast<lockmgr::LockMode>(claim.mode),
                              static_cast<uint32_t>(claim.permits),
                              static_cast<uint32_t>(claim.limit)});
  };
  if (header_.kind == CommandKind::ACQUIRE) {
    add(body<command::Acquire>().claim);
  } else {
    for (const command::LockClaim& claim : body<command::AcquireAll>().claims) add(claim);
  }
  locks_.queued(acquire);
}

/// Release, releaseAll and setHolderValue touch only what their session's holder holds (I13).
void History::enter_release(Applied& applied) {
  const rsm::CommandResult& result = applied.reply->result;
  const SessionId session = session_id(header_.sessionId);
  const auto known = fate(session, Sequence(static_cast<uint64_t>(header_.sequence)));
  if (known == nullptr || known->first != Revision(applied.revision.value)) return;
  bool held = false;
  Revision holder_id;
  if (header_.kind == CommandKind::RELEASE_ALL) {
    holder_id = revision_id(body<command::ReleaseAll>().holderId);
    held = locks_.holds_any(holder_id, session);
  } else if (header_.kind == CommandKind::RELEASE) {
    const auto release = body<command::Release>();
    holder_id = revision_id(release.holderId);
    const auto* holder = locks_.holder(release.path, holder_id);
    held = holder != nullptr && holder->session == session;
    if (result.status == static_cast<uint8_t>(lockmgr::ReleaseStatus::kHandedOver)) {
      applied.handed_to = revision_id(release.to);
    }
  } else {
    const auto set = body<command::SetHolderValue>();
    holder_id = revision_id(set.holderId);
    const auto* holder = locks_.holder(set.path, holder_id);
    held = holder != nullptr && holder->session == session;
  }
  // What time took away in this very entry is told by its effects.
  const bool value = header_.kind == CommandKind::SET_HOLDER_VALUE;
  const bool done =
      value ? result.code == ErrorCode::kOk
            : result.code == ErrorCode::kOk &&
                  result.status != static_cast<uint8_t>(lockmgr::ReleaseStatus::kNotHeld);
  LockHistory::judge(
      {.what = "holder " + std::to_string(holder_id.value) + " of session " +
               std::to_string(session.value) + " at " + num(applied.revision),
       .held = held,
       .done = done,
       .refused = result.code != ErrorCode::kOk && result.code != ErrorCode::kNotHeld,
       .nothing_due = applied.nothing_due,
       .changed = applied.locks_changed});
}

// ------------------------------------------------------------------------------ exactly once

/// The first copy of a command decides; any other changes nothing (I17).
void History::check_once(const Applied& applied) {
  const Id id{session_id(header_.sessionId), Sequence(static_cast<uint64_t>(header_.sequence))};
  if (header_.sessionId == 0 || header_.sequence == 0) return;
  const rsm::CommandResult& result = applied.reply->result;
  const auto known = fates_.find(id);
  if (known != fates_.end()) return check_repeat(applied, known->second);
  // Not recorded, so not done: it may come again.
  const bool recorded = machine_.lookup(id.first, id.second).has_value();
  const bool closes = header_.kind == CommandKind::CLOSE_SESSION && result.code == ErrorCode::kOk;
  if (!recorded && !closes) return;
  if (forbidden_.contains(id)) {
    throw Broken(Rule::kI18, name_of_command(id.first, id.second) +
                                 " was answered NOT APPLIED and is applied at " +
                                 num(applied.revision));
  }
  fates_[id] = {.first = Revision(applied.revision.value), .result = result};
  if (header_.kind == CommandKind::CANCEL_ACQUIRE && result.code == ErrorCode::kOk) {
    const Sequence target(static_cast<uint64_t>(body<command::CancelAcquire>().acquireSequence));
    if (fates_.contains({id.first, target})) return;
    // The acquire has not come yet: when it does, it is a copy of this.
    Fate unseen{.first = Revision(applied.revision.value), .result = result, .unseen = true};
    unseen.refusal = static_cast<uint8_t>(lockmgr::RefusalReason::kCancelled);
    fates_[{id.first, target}] = unseen;
  }
}

void History::check_repeat(const Applied& applied, const Fate& fate) {
  const rsm::CommandResult& result = applied.reply->result;
  const std::string what = "a copy of what was applied at " + num(LogIndex(fate.first.value)) + " ";
  if (applied.nothing_due && applied.locks_changed) {
    throw Broken(Rule::kI17, what + "changed locks at " + num(applied.revision));
  }
  if (result.code == ErrorCode::kResultForgotten) return world_.mark(Mark::kForgotten);
  if (result.code == ErrorCode::kSessionExpired) return;
  world_.mark(Mark::kRetryMetOutcome);
  const bool acquire =
      header_.kind == CommandKind::ACQUIRE || header_.kind == CommandKind::ACQUIRE_ALL;
  if (!acquire) {
    if (!(result == fate.result)) throw Broken(Rule::kI17, what + "came to another outcome");
    return;
  }
  if (result.code != fate.result.code) throw Broken(Rule::kI17, what + "came to another code");
  if (result.status == static_cast<uint8_t>(rsm::AcquireStatus::kNotHeld)) {
    world_.mark(Mark::kRetryNotHeld);
  }
  if (fate.unseen) world_.mark(Mark::kCancelCameFirst);
  if (fate.token && result.token && result.token != *fate.token) {
    throw Broken(Rule::kI17, what + "has another token");
  }
  if (result.id && fate.result.id && result.id != fate.result.id) {
    throw Broken(Rule::kI17, what + "has another holder id");
  }
}

// ----------------------------------------------------------------------------------- effects

void History::take(const Applied& applied, const rsm::Effect& effect) {
  const auto known = fates_.find({effect.session, effect.sequence});
  switch (effect.kind) {
    case EffectKind::kSessionOpened:
      return locks_.session_opened(effect.session);
    case EffectKind::kSessionEnded:
      return take_session_end(applied, effect);
    case EffectKind::kGranted:
      locks_.granted(effect.holder_id, effect.token, effect.path,
                     effect.holder_id == applied.handed_to);
      if (known != fates_.end()) known->second.token = effect.token;
      return;
    case EffectKind::kWaitEnded:
      locks_.wait_ended(effect.holder_id);
      if (known != fates_.end()) known->second.refusal = effect.result.reason;
      return;
    case EffectKind::kTenureEnded:
      locks_.tenure_ended(effect.path, effect.holder_id, effect.token);
      if (known != fates_.end()) {
        known->second.end_reasons.insert(static_cast<uint8_t>(effect.end_reason));
      }
      if (!ends_lock(effect.end_reason)) listener_.tenure_ended(effect, applied.forced);
      return;
    default:
      return;
  }
}

/// I16, the half that the log shows: who expires is named by an entry decided in its own term.
void History::take_session_end(const Applied& applied, const rsm::Effect& effect) {
  for (const std::string& path : locks_.held_by(effect.session)) {
    const auto queue = locks_.queue_of(path);
    const bool rare = queue.size() > 1 && listener_.is_dead(queue.front());
    if (rare) world_.mark(Mark::kDeadFirstWaiter);
  }
  locks_.session_ended(effect.session);
  session_ends_[effect.session] = applied.revision;
  if (machine_.locks().places_of(effect.session) != 0) {
    throw Broken(Rule::kI12, "session " + std::to_string(effect.session.value) + " ended at " +
                                 num(applied.revision) + " and still owns locks or places");
  }
  if (effect.end_reason == lockmgr::EndReason::kSessionExpired) {
    const bool expiry = header_.kind == CommandKind::EXPIRE_SESSIONS;
    const auto named = expiry ? body<command::ExpireSessions>().sessionIds : std::vector<int64_t>{};
    if (std::find(named.begin(), named.end(), static_cast<int64_t>(effect.session.value)) ==
        named.end()) {
      throw Broken(Rule::kI16, "session " + std::to_string(effect.session.value) + " expired at " +
                                   num(applied.revision) + " by an entry that does not name it");
    }
    expiries_.push_back({effect.session, applied.term});
  }
  listener_.session_ended(effect, applied.forced);
}

/// A leader decides an expiry or a late mark and appends it in one turn, in which no other term can
/// begin (Engine::turn_end). So no entry's own term is another than the one it was decided in:
/// that apply makes such an entry void (tests/unit/rsm/sessions_test.cc) is the second line.
void History::check_decided(const Applied& applied) const {
  const bool decision =
      header_.kind == CommandKind::EXPIRE_SESSIONS || header_.kind == CommandKind::MARK_LATE;
  if (!decision || header_.decidedTerm == static_cast<int64_t>(applied.term.value)) return;
  throw Broken(Rule::kI16, num(applied.revision) + " of term " +
                               std::to_string(applied.term.value) + " was decided in term " +
                               std::to_string(header_.decidedTerm));
}

// ------------------------------------------------------------------------------------- checks

void History::check_state(int node, LogIndex applied, const Digest& digest) const {
  if (applied > last()) {
    throw Broken(Rule::kI6, "node " + std::to_string(node) + " applied " + num(applied) +
                                ", which nobody knows to be committed");
  }
  if (is_state(applied, digest)) return;
  throw Broken(Rule::kI5, "node " + std::to_string(node) + " at " + num(applied) +
                              " has another state than the log says");
}

void History::check_snapshot(int node, LogIndex applied, const Digest& digest) const {
  if (applied <= last() && is_state(applied, digest)) return;
  throw Broken(Rule::kI9, "node " + std::to_string(node) + " starts at " + num(applied) +
                              " with another state than the log says");
}

void History::forbid(SessionId session, Sequence sequence) {
  // Of an acquire that was cancelled before it came nothing was applied.
  const Fate* known = fate(session, sequence);
  if (known != nullptr && !known->unseen) {
    throw Broken(Rule::kI18, name_of_command(session, sequence) +
                                 " was applied, and all its copies were answered NOT APPLIED");
  }
  forbidden_.insert({session, sequence});
}

void History::forbid(const std::string& reason) {
  if (reasons_.contains(reason)) {
    throw Broken(Rule::kI18, "'" + reason + "' was applied, and answered NOT APPLIED");
  }
  forbidden_reasons_.insert(reason);
}

const History::Fate* History::fate(SessionId session, Sequence sequence) const {
  const auto at = fates_.find({session, sequence});
  return at == fates_.end() ? nullptr : &at->second;
}

void History::check_reply(SessionId session, Sequence sequence,
                          const api::AcquireResult& result) const {
  const Fate* known = fate(session, sequence);
  const auto refuse = [&](const char* what) {
    throw Broken(Rule::kI17, name_of_command(session, sequence) + " was answered " + what);
  };
  if (known == nullptr) return refuse("before it was committed");
  const auto token = revision_id(result.token);
  switch (result.status) {
    case api::AcquireStatus::GRANTED:
      if (known->token != token || revision_id(result.holderId) != known->first) {
        refuse("with a grant that is not in the log");
      }
      return;
    case api::AcquireStatus::WAITING:
      if (revision_id(result.holderId) != known->first) refuse("with another's place");
      return;
    case api::AcquireStatus::NOT_HELD:
      if (known->token != token ||
          !known->end_reasons.contains(static_cast<uint8_t>(result.endReason))) {
        refuse("NOT_HELD of a tenure that did not end so");
      }
      return;
    default:
      if (known->refusal != static_cast<uint8_t>(result.reason)) {
        refuse("with a refusal that is not in the log");
      }
  }
}

void History::check_reply(SessionId session, Sequence sequence,
                          const api::ReleaseResult& result) const {
  const Fate* known = fate(session, sequence);
  if (known != nullptr && known->result.status == static_cast<uint8_t>(result.status)) return;
  throw Broken(Rule::kI17, name_of_command(session, sequence) +
                               " was answered with a release that is not in the log");
}

void History::check_reply(SessionId session, Sequence sequence,
                          const api::CancelAcquireResult& result) const {
  const Fate* known = fate(session, sequence);
  if (known != nullptr && known->result.status == static_cast<uint8_t>(result.status)) return;
  throw Broken(Rule::kI17, name_of_command(session, sequence) +
                               " was answered with a cancel that is not in the log");
}

}  // namespace holdfast::sim
