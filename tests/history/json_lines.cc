#include "tests/history/json_lines.h"

#include <istream>

#include "tests/history/json_keys.h"

namespace holdfast::history {
namespace {

const Names<Call>& calls() {
  static const Names<Call> kNames = {{"openSession", Call::kOpenSession},
                                     {"renew", Call::kRenew},
                                     {"closeSession", Call::kCloseSession},
                                     {"acquire", Call::kAcquire},
                                     {"cancelAcquire", Call::kCancelAcquire},
                                     {"acquireAll", Call::kAcquireAll},
                                     {"release", Call::kRelease},
                                     {"releaseAll", Call::kReleaseAll},
                                     {"setHolderValue", Call::kSetHolderValue},
                                     {"revokeLock", Call::kRevokeLock},
                                     {"checkToken", Call::kCheckToken},
                                     {"describeLock", Call::kDescribeLock},
                                     {"listLocks", Call::kListLocks},
                                     {"get", Call::kGet},
                                     {"getMany", Call::kGetMany},
                                     {"listKeys", Call::kListKeys},
                                     {"put", Call::kPut},
                                     {"create", Call::kCreate},
                                     {"remove", Call::kRemove},
                                     {"transact", Call::kTransact}};
  return kNames;
}

const Names<Mode> kModes = {
    {"EXCLUSIVE", Mode::kExclusive}, {"SHARED", Mode::kShared}, {"SEMAPHORE", Mode::kSemaphore}};
const Names<Status> kStatuses = {{"GRANTED", Status::kGranted},
                                 {"WAITING", Status::kWaiting},
                                 {"NOT_GRANTED", Status::kNotGranted},
                                 {"NOT_HELD", Status::kNotHeld}};
const Names<Reason> kReasons = {{"BUSY", Reason::kBusy},
                                {"TIMED_OUT", Reason::kTimedOut},
                                {"CANCELLED", Reason::kCancelled},
                                {"QUEUE_FULL", Reason::kQueueFull}};
const Names<EndReason> kEndReasons = {{"RELEASED", EndReason::kReleased},
                                      {"SESSION_CLOSED", EndReason::kSessionClosed},
                                      {"SESSION_EXPIRED", EndReason::kSessionExpired},
                                      {"REVOKED", EndReason::kRevoked},
                                      {"HANDED_OVER", EndReason::kHandedOver},
                                      {"SESSION_REVOKED", EndReason::kSessionRevoked},
                                      {"RESTORED", EndReason::kRestored}};
const Names<ReleaseStatus> kReleases = {{"RELEASED", ReleaseStatus::kReleased},
                                        {"NOT_HELD", ReleaseStatus::kNotHeld},
                                        {"HANDED_OVER", ReleaseStatus::kHandedOver},
                                        {"TARGET_GONE", ReleaseStatus::kTargetGone},
                                        {"TARGET_BLOCKED", ReleaseStatus::kTargetBlocked}};

std::vector<Wanted> wanted_of(const Json* list) {
  std::vector<Wanted> all;
  if (list == nullptr) return all;
  if (!list->is_array()) throw Malformed("'locks' is not a list");
  for (const Json& item : *list) {
    Fields fields(item, "locks");
    Wanted wanted;
    fields.string("path", wanted.path);
    fields.name("mode", kModes, wanted.mode);
    fields.number("permits", wanted.permits);
    fields.number("limit", wanted.limit);
    fields.done();
    all.push_back(std::move(wanted));
  }
  return all;
}

Arguments arguments_of(const Json& json) {
  Fields fields(json, "'arguments'");
  Arguments a;
  fields.number("session", a.session);
  fields.number("sequence", a.sequence);
  fields.string("secret", a.secret);
  fields.string("path", a.path);
  fields.string("prefix", a.path);
  fields.string("page", a.page);
  fields.name("mode", kModes, a.mode);
  fields.number("permits", a.permits);
  fields.number("limit", a.limit);
  fields.number("waitMs", a.wait_ms);
  fields.number("maxQueue", a.max_queue);
  fields.number("lockDelayMs", a.lock_delay_ms);
  fields.string("value", a.value);
  fields.string("owner", a.owner);
  fields.number("acquireSequence", a.acquire_sequence);
  fields.number("holderId", a.holder_id);
  fields.number("to", a.to);
  fields.number("token", a.token);
  fields.boolean("local", a.local);
  fields.number("minRevision", a.min_revision);
  fields.boolean("force", a.force);
  a.locks = wanted_of(fields.find("locks"));
  add_key_arguments(fields, a);
  fields.done();
  return a;
}

std::vector<Seen> seen_of(const Json* list, const char* what) {
  std::vector<Seen> all;
  if (list == nullptr) return all;
  if (!list->is_array()) throw Malformed(std::string("'") + what + "' is not a list");
  for (const Json& item : *list) {
    Fields fields(item, what);
    Seen seen;
    fields.number("holderId", seen.holder_id);
    fields.number("session", seen.session);
    fields.number("token", seen.token);
    fields.string("value", seen.value);
    fields.number("endRevision", seen.end_revision);
    fields.name("reason", kEndReasons, seen.end_reason);
    fields.string("owner", seen.owner);
    fields.done();
    all.push_back(seen);
  }
  return all;
}

std::vector<Listed> listed_of(const Json* list) {
  std::vector<Listed> all;
  if (list == nullptr) return all;
  if (!list->is_array()) throw Malformed("'locks' is not a list");
  for (const Json& item : *list) {
    Fields fields(item, "locks");
    Listed listed;
    fields.string("path", listed.path);
    listed.holders = seen_of(fields.find("holders"), "holders");
    fields.number("holderCount", listed.holder_count);
    fields.number("waiterCount", listed.waiter_count);
    fields.done();
    all.push_back(std::move(listed));
  }
  return all;
}

Answer error_of(Fields& fields) {
  Answer answer;
  fields.string("error", answer.error);
  std::string applied;
  fields.string("applied", applied);
  fields.done();
  if (applied != "NO" && applied != "UNKNOWN") {
    throw Malformed("an error needs 'applied', NO or UNKNOWN, not '" + applied + "'");
  }
  answer.known = applied == "NO";
  return answer;
}

Answer answer_of(const Json& json) {
  Answer answer;
  if (json == "unknown") return answer;
  Fields fields(json, "'result'");
  if (json.contains("error")) return error_of(fields);
  answer.known = true;
  fields.name("status", kStatuses, answer.status);
  fields.name("reason", kReasons, answer.reason);
  fields.name("endReason", kEndReasons, answer.end_reason);
  fields.name("release", kReleases, answer.release);
  fields.number("session", answer.session);
  fields.number("holderId", answer.holder_id);
  fields.number("token", answer.token);
  fields.number("position", answer.position);
  fields.number("leaseMs", answer.lease_ms);
  fields.boolean("current", answer.current);
  fields.boolean("closed", answer.closed);
  answer.holders = seen_of(fields.find("holders"), "holders");
  answer.waiters = seen_of(fields.find("waiters"), "waiters");
  answer.tenures = seen_of(fields.find("tenures"), "tenures");
  answer.locks = listed_of(fields.find("locks"));
  fields.string("nextPage", answer.next_page);
  add_key_answer(fields, answer);
  fields.done();
  return answer;
}

Operation operation_of(const Json& json) {
  Fields fields(json, "the line");
  Operation op;
  std::string call;
  fields.string("client", op.client);
  fields.string("process", op.process);
  fields.string("call", call);
  const auto at = calls().find(call);
  if (at == calls().end()) throw Malformed("'call' is unknown: '" + call + "'");
  op.call = at->second;
  op.arguments = arguments_of(fields.need("arguments"));
  const Json& invoked = fields.need("invoked");
  if (!invoked.is_number_integer()) throw Malformed("'invoked' is not a whole number");
  op.invoked = invoked.get<int64_t>();
  const Json* returned = fields.find("returned");
  if (returned != nullptr && !returned->is_null()) {
    if (!returned->is_number_integer()) throw Malformed("'returned' is not a whole number or null");
    op.returned = returned->get<int64_t>();
  }
  op.answer = answer_of(fields.need("result"));
  fields.number("revision", op.revision);
  fields.done();
  return op;
}

}  // namespace

std::optional<std::string> read_json_lines(std::istream& in, History& history) {
  size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    std::optional<std::string> fault;
    try {
      Operation op = operation_of(Json::parse(line));
      op.line = number;
      fault = history.record(std::move(op));
    } catch (const Malformed& malformed) {
      fault = malformed.what();
    } catch (const Json::exception& malformed) {
      fault = std::string("not JSON: ") + malformed.what();
    }
    if (fault) return "line " + std::to_string(number) + ": " + *fault;
  }
  return std::nullopt;
}

}  // namespace holdfast::history
