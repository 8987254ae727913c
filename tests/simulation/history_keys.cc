// What commands on keys may do: once, only as their answer says, and guarded ones only for the
// holder that they name. Written from docs/keys.md.
#include <algorithm>

#include "session/session_table.h"
#include "tests/simulation/history.h"
#include "tests/simulation/invariants.h"

namespace holdfast::sim {

using command::CommandKind;

namespace {

/// Kinds of compares that are many for one transaction.
constexpr size_t kManyTargets = 4;

std::string at_revision(LogIndex revision) { return " at " + std::to_string(revision.value); }

bool by_command(const api::WatchEvent& event) {
  switch (event.eventType) {
    case api::EventType::KEY_CREATED:
    case api::EventType::KEY_CHANGED:
      return true;
    case api::EventType::KEY_REMOVED:
      return event.removal == api::RemovalReason::REMOVED;
    default:
      return false;
  }
}

bool is_key_command(CommandKind::type kind) {
  return kind == CommandKind::PUT_KEY || kind == CommandKind::CREATE_KEY ||
         kind == CommandKind::REMOVE_KEY || kind == CommandKind::TRANSACT;
}

const std::string& path_of(const command::KeyOperation& operation) {
  if (operation.__isset.put) return operation.put.path;
  return operation.__isset.create ? operation.create.path : operation.remove.path;
}

const command::Guard& guard_of(const command::KeyOperation& operation) {
  if (operation.__isset.put) return operation.put.guard;
  return operation.__isset.create ? operation.create.guard : operation.remove.guard;
}

/// The event of the key that the operation names; of a sequential one, with its number.
bool is_own(const command::KeyOperation& operation, const api::WatchEvent& event) {
  const std::string& path = path_of(operation);
  const bool numbered = operation.__isset.create && operation.create.sequential;
  if (!numbered) return event.path == path;
  return event.path.size() == path.size() + 20 && event.path.rfind(path, 0) == 0;
}

/// A parent that is made, or a child that goes.
bool is_on_the_way(const command::KeyOperation& operation, const api::WatchEvent& event) {
  if (operation.__isset.remove) {
    return operation.remove.recursive && event.eventType == api::EventType::KEY_REMOVED &&
           is_below(event.path, operation.remove.path);
  }
  const bool makes =
      operation.__isset.put ? operation.put.makeParents : operation.create.makeParents;
  return makes && event.eventType == api::EventType::KEY_CREATED && event.value.empty() &&
         is_below(path_of(operation), event.path);
}

/// Was this made of its key?
bool did(const command::KeyOperation& operation, const api::WatchEvent& event, int64_t session) {
  if (operation.__isset.remove) return event.eventType == api::EventType::KEY_REMOVED;
  if (operation.__isset.put) {
    return event.eventType != api::EventType::KEY_REMOVED && event.value == operation.put.value;
  }
  const bool owned = operation.create.kind == api::KeyKind::EPHEMERAL;
  return event.eventType == api::EventType::KEY_CREATED && event.value == operation.create.value &&
         event.ephemeralOwner == (owned ? session : 0);
}

template <class Number>
bool relates(Number left, api::CompareRelation::type relation, Number right) {
  switch (relation) {
    case api::CompareRelation::NOT_EQUAL:
      return left != right;
    case api::CompareRelation::LESS:
      return left < right;
    case api::CompareRelation::GREATER:
      return left > right;
    default:
      return left == right;
  }
}

}  // namespace

void History::note_key_ends(LogIndex revision) {
  const KeyHistory::Entry* entry = keys_.entry(static_cast<int64_t>(revision.value));
  if (entry == nullptr) return;
  for (const api::WatchEvent& event : entry->events) {
    const bool by_itself = event.removal == api::RemovalReason::TTL_PASSED ||
                           event.removal == api::RemovalReason::CONTAINER_EMPTY;
    if (by_itself) key_ends_.push_back({event.path, revision, world_.now()});
  }
}

std::optional<History::Write> History::write_of(SessionId session, Sequence sequence) const {
  const Fate* known = fate(session, sequence);
  if (known == nullptr || known->result.code != ErrorCode::kOk) return std::nullopt;
  return Write{known->first, known->result.status != 0};
}

std::optional<History::Write> History::write_of(const std::string& value) const {
  const auto written = written_values_.find(value);
  if (written == written_values_.end()) return std::nullopt;
  return written->second;
}

std::vector<api::WatchEvent> History::written(LogIndex revision) const {
  std::vector<api::WatchEvent> written;
  const KeyHistory::Entry* entry = keys_.entry(static_cast<int64_t>(revision.value));
  if (entry == nullptr) return written;
  std::copy_if(entry->events.begin(), entry->events.end(), std::back_inserter(written), by_command);
  return written;
}

/// Only the first copy of a command that is answered OK writes anything (I17).
void History::enter_keys(const Applied& applied) {
  const std::vector<api::WatchEvent> events = written(applied.revision);
  const rsm::CommandResult& result = applied.reply->result;
  const Fate* known = fate(SessionId(static_cast<uint64_t>(header_.sessionId)),
                           Sequence(static_cast<uint64_t>(header_.sequence)));
  // Without a session there is nothing by which copies would be known.
  if (header_.sessionId == 0 && is_key_command(header_.kind)) enter_sessionless(applied);
  const bool first = header_.sessionId == 0 ||
                     (known != nullptr && known->first == Revision(applied.revision.value));
  const bool writes = is_key_command(header_.kind) && first && result.code == ErrorCode::kOk;
  if (!writes && !events.empty()) {
    throw Broken(Rule::kI17, events.front().path + " was written" + at_revision(applied.revision) +
                                 " by what is no write, refused, or a further copy");
  }
  if (!is_key_command(header_.kind) || !first) return;
  switch (header_.kind) {
    case CommandKind::PUT_KEY:
      return enter_put(applied, events);
    case CommandKind::CREATE_KEY:
      return enter_create(applied, events);
    case CommandKind::REMOVE_KEY:
      return enter_remove(applied, events);
    default:
      return enter_transaction(applied, events);
  }
}

/// Every copy is a command of its own: what it came to is known by its revision.
void History::enter_sessionless(const Applied& applied) {
  const auto revision = static_cast<int64_t>(applied.revision.value);
  const rsm::CommandResult& result = applied.reply->result;
  sessionless_fates_[revision] = {.first = Revision(applied.revision.value), .result = result};
  sessionless_.applied(tag(), revision, result.code);
  if (result.code != ErrorCode::kOk) return;
  written_values_[written_value()] = {Revision(applied.revision.value), result.status != 0};
}

std::string History::written_value() {
  switch (header_.kind) {
    case CommandKind::PUT_KEY:
      return body<command::PutKey>().value;
    case CommandKind::CREATE_KEY:
      return body<command::CreateKey>().value;
    case CommandKind::REMOVE_KEY:
      return {};
    default: {
      const auto transact = body<command::Transact>();
      return tagged_value(transact.thenOperations, transact.otherwiseOperations);
    }
  }
}

std::string History::tag() {
  switch (header_.kind) {
    case CommandKind::PUT_KEY:
      return write_tag(body<command::PutKey>().value);
    case CommandKind::CREATE_KEY:
      return write_tag(body<command::CreateKey>().value);
    case CommandKind::REMOVE_KEY:
      return removal_tag(body<command::RemoveKey>().path);
    default: {
      const auto transact = body<command::Transact>();
      return write_tag(transact.thenOperations, transact.otherwiseOperations);
    }
  }
}

void History::enter_put(const Applied& applied, const std::vector<api::WatchEvent>& events) {
  const auto put = body<command::PutKey>();
  const rsm::CommandResult& result = applied.reply->result;
  judge_guard(applied, put.guard);
  if (result.code != ErrorCode::kOk) return;
  command::KeyOperation operation;
  operation.__set_put(put);
  explain(applied, {&operation, 1}, events);
  const auto version = static_cast<int64_t>(result.version);
  const int64_t before = version == 1 ? -1 : version - 1;
  const bool expected = put.expectedVersion == 0 || put.expectedVersion == before;
  if (events.back().version != version || !expected) refuse_write(applied, put.path);
}

void History::enter_create(const Applied& applied, const std::vector<api::WatchEvent>& events) {
  const auto create = body<command::CreateKey>();
  const rsm::CommandResult& result = applied.reply->result;
  judge_guard(applied, create.guard);
  if (result.code != ErrorCode::kOk) return;
  command::KeyOperation operation;
  operation.__set_create(create);
  explain(applied, {&operation, 1}, events);
  const std::string& path = create.sequential ? result.payload : create.path;
  if (events.back().path != path) refuse_write(applied, create.path);
}

void History::enter_remove(const Applied& applied, const std::vector<api::WatchEvent>& events) {
  const auto remove = body<command::RemoveKey>();
  const rsm::CommandResult& result = applied.reply->result;
  judge_guard(applied, remove.guard);
  if (result.code != ErrorCode::kOk) return;
  command::KeyOperation operation;
  operation.__set_remove(remove);
  explain(applied, {&operation, 1}, events);
  if (events.size() != result.count) refuse_write(applied, remove.path);
}

/// Each operation in its turn did what it says, parents before and children first; nothing else
/// happened.
void History::explain(const Applied& applied, std::span<const command::KeyOperation> operations,
                      std::span<const api::WatchEvent> events) const {
  size_t at = 0;
  for (const command::KeyOperation& operation : operations) {
    const std::string& path = path_of(operation);
    while (at < events.size() && !is_own(operation, events[at])) {
      if (!is_on_the_way(operation, events[at])) refuse_write(applied, path);
      ++at;
    }
    const bool done = at < events.size() && did(operation, events[at], header_.sessionId);
    if (!done) refuse_write(applied, path);
    ++at;
  }
  if (at != events.size()) refuse_write(applied, events[at].path);
}

void History::refuse_write(const Applied& applied, const std::string& path) const {
  throw Broken(Rule::kI17, path + " was not written as its command was answered" +
                               at_revision(applied.revision));
}

/// A write that names a lock is done only while its session's holder holds that (I13).
void History::judge_guard(const Applied& applied, const command::Guard& guard) {
  if (guard.path.empty()) return;
  const rsm::CommandResult& result = applied.reply->result;
  const bool done = result.code == ErrorCode::kOk;
  const bool refused = result.code == ErrorCode::kNotHeld;
  if (done) world_.mark(Mark::kGuardAccepted);
  if (refused) world_.mark(Mark::kGuardRefused);
  LockHistory::judge({.what = "a write guarded by holder " + std::to_string(guard.holderId) +
                              " of " + guard.path + at_revision(applied.revision),
                      .held = held_by_writer(guard),
                      .done = done,
                      .refused = !done && !refused,
                      .nothing_due = applied.nothing_due});
}

bool History::held_by_writer(const command::Guard& guard) const {
  const auto* holder = locks_.holder(guard.path, Revision(static_cast<uint64_t>(guard.holderId)));
  return holder != nullptr &&
         holder->session == SessionId(static_cast<uint64_t>(header_.sessionId));
}

void History::enter_transaction(const Applied& applied,
                                const std::vector<api::WatchEvent>& events) {
  const rsm::CommandResult& result = applied.reply->result;
  const auto transact = body<command::Transact>();
  const bool holds = std::all_of(transact.compares.begin(), transact.compares.end(),
                                 [&](const auto& compare) { return held_true(applied, compare); });
  // Of a refused one the branch is known only if time took nothing away before it.
  const bool done = result.code == ErrorCode::kOk;
  const bool chosen = done ? result.status == 1 : holds;
  const auto& steps = chosen ? transact.thenOperations : transact.otherwiseOperations;
  if (done || applied.nothing_due) judge_step_guards(applied, steps);
  if (!done) return;
  if (!chosen) world_.mark(Mark::kElseBranch);
  explain(applied, steps, events);
  // What time took away in this entry went before the conditions were looked at.
  if (applied.nothing_due && holds != chosen) {
    throw Broken(Rule::kI17, "a transaction took the other branch" + at_revision(applied.revision));
  }
  mark_transaction(applied, transact);
}

/// One guard that does not hold keeps all steps from being done (I13), and nothing else may be
/// called NOT_HELD.
void History::judge_step_guards(const Applied& applied,
                                std::span<const command::KeyOperation> operations) {
  size_t guards = 0;
  size_t first_refused = operations.size();
  for (size_t i = 0; i < operations.size(); ++i) {
    const command::Guard& guard = guard_of(operations[i]);
    if (guard.path.empty()) continue;
    ++guards;
    if (!held_by_writer(guard)) first_refused = std::min(first_refused, i);
  }
  const bool held = first_refused == operations.size();
  const ErrorCode code = applied.reply->result.code;
  LockHistory::judge({.what = "a transaction with guards" + at_revision(applied.revision),
                      .held = held,
                      .done = code == ErrorCode::kOk,
                      .refused = code != ErrorCode::kOk && code != ErrorCode::kNotHeld,
                      .nothing_due = applied.nothing_due});
  if (code == ErrorCode::kOk && guards > 0) world_.mark(Mark::kStepGuardAccepted);
  const bool later = !held && first_refused > 0;
  if (code == ErrorCode::kNotHeld && later) world_.mark(Mark::kStepGuardRefused);
}

void History::mark_transaction(const Applied& applied, const command::Transact& transact) {
  std::set<api::CompareTarget::type> targets;
  bool changed = false;
  for (const command::KeyCompare& compare : transact.compares) {
    targets.insert(compare.target);
    const bool equal = compare.relation == api::CompareRelation::EQUAL;
    if (!equal || compare.target != api::CompareTarget::MODIFY_REVISION) continue;
    const bool was_so = keys_.at(compare.path, compare.number).modify_revision == compare.number;
    changed |= was_so && !held_true(applied, compare);
  }
  const bool succeeded = applied.reply->result.status == 1;
  if (succeeded && targets.size() >= kManyTargets) world_.mark(Mark::kMixedCompares);
  if (!succeeded && changed) world_.mark(Mark::kChangedBetween);
}

/// Did the condition hold before this entry?
bool History::held_true(const Applied& applied, const command::KeyCompare& compare) const {
  if (compare.target == api::CompareTarget::HOLDS) {
    command::Guard guard;
    guard.path = compare.path;
    guard.holderId = compare.number;
    return held_by_writer(guard);
  }
  const KeyHistory::Version& key =
      keys_.at(compare.path, static_cast<int64_t>(applied.revision.value) - 1);
  switch (compare.target) {
    case api::CompareTarget::VALUE:
      return key.present && relates<std::string>(key.value, compare.relation, compare.value);
    case api::CompareTarget::VERSION:
      return relates(key.version, compare.relation, compare.number);
    case api::CompareTarget::MODIFY_REVISION:
      return relates(key.modify_revision, compare.relation, compare.number);
    case api::CompareTarget::CREATE_REVISION:
      return relates(key.create_revision, compare.relation, compare.number);
    default:
      return relates(int64_t{key.present}, compare.relation, compare.number);
  }
}

void History::recount_keys() const {
  std::set<int64_t> live;
  for (const SessionId session : machine_.keys().sessions()) {
    if (locks_.live(session)) live.insert(static_cast<int64_t>(session.value));
  }
  keys_.recount(machine_.keys(), live);
}

// ------------------------------------------------------------------------------------ answers

const History::Fate* History::write_fate(SessionId session, Sequence sequence,
                                         int64_t revision) const {
  if (session) return fate(session, sequence);
  const auto at = sessionless_fates_.find(revision);
  return at == sessionless_fates_.end() ? nullptr : &at->second;
}

void History::check_write(SessionId session, Sequence sequence, int64_t revision,
                          const std::string& what, bool alike) const {
  const Fate* known = write_fate(session, sequence, revision);
  const bool first = known != nullptr && known->result.code == ErrorCode::kOk &&
                     static_cast<int64_t>(known->first.value) == revision;
  if (first && alike) return;
  throw Broken(Rule::kI17, "session " + std::to_string(session.value) + " sequence " +
                               std::to_string(sequence.value) + " was answered with a " + what +
                               " that is not in the log");
}

void History::check_reply(SessionId session, Sequence sequence,
                          const api::PutResult& result) const {
  const Fate* known = write_fate(session, sequence, result.revision);
  const bool alike =
      known != nullptr && static_cast<int64_t>(known->result.version) == result.version;
  check_write(session, sequence, result.revision, "put", alike);
}

void History::check_reply(SessionId session, Sequence sequence,
                          const api::CreateResult& result) const {
  const bool there = keys_.at(result.path, result.revision).create_revision == result.revision;
  check_write(session, sequence, result.revision, "create", there);
}

void History::check_reply(SessionId session, Sequence sequence,
                          const api::RemoveResult& result) const {
  const Fate* known = write_fate(session, sequence, result.revision);
  const bool alike = known != nullptr && known->result.count == result.removed;
  check_write(session, sequence, result.revision, "remove", alike);
}

void History::check_reply(SessionId session, Sequence sequence,
                          const api::TransactResult& result) const {
  const Fate* known = write_fate(session, sequence, result.revision);
  const bool alike = known != nullptr && (known->result.status == 1) == result.succeeded;
  check_write(session, sequence, result.revision, "transaction", alike);
}

void History::check_refusal(SessionId session, Sequence sequence,
                            const api::HoldfastError& error) const {
  const Fate* known = fate(session, sequence);
  if (known == nullptr || static_cast<int>(known->result.code) == error.code) return;
  if (error.code == api::ErrorCode::RESULT_FORGOTTEN) return;
  throw Broken(Rule::kI17, "session " + std::to_string(session.value) + " sequence " +
                               std::to_string(sequence.value) +
                               " was refused with another error than the log says");
}

}  // namespace holdfast::sim
