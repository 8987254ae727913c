// What a hand writes: in its session, where the answer must be that of the log (I17), and without
// one, where every copy is a command of its own (sessionless_writes.h).
#include <algorithm>

#include "tests/simulation/hand.h"
#include "tests/simulation/key_space.h"

namespace holdfast::sim {

namespace {

/// Bits of Op::compares.
enum Compared : int64_t {
  kExists = 1,
  kVersion = 2,
  kValue = 4,
  kModifyRevision = 8,
  kCreateRevision = 16,
  kHolds = 32,
};

/// Ends the value of what a transaction writes if its conditions do not hold.
constexpr char kOtherwise = '-';

Sequence sequence_id(int64_t number) { return Sequence(static_cast<uint64_t>(number)); }

// Copies of a write without a session are commands of their own: each has values of its own.
void stamp(std::string& value, int64_t copy) {
  value.insert(value.find(kTagEnd) + 1, std::to_string(copy) + kTagEnd);
}
void stamp(api::PutRequest& request, int64_t copy) { stamp(request.value, copy); }
void stamp(api::CreateRequest& request, int64_t copy) { stamp(request.value, copy); }
void stamp(api::RemoveRequest&, int64_t) {}
void stamp(api::TransactRequest& request, int64_t copy) {
  for (auto* steps : {&request.thenOperations, &request.otherwiseOperations}) {
    for (api::Operation& step : *steps) {
      if (step.__isset.put) stamp(step.put, copy);
      if (step.__isset.create) stamp(step.create, copy);
    }
  }
}

std::string tag_of(const api::PutRequest& request) { return write_tag(request.value); }
std::string tag_of(const api::CreateRequest& request) { return write_tag(request.value); }
std::string tag_of(const api::RemoveRequest& request) { return removal_tag(request.path); }
std::string tag_of(const api::TransactRequest& request) {
  return write_tag(request.thenOperations, request.otherwiseOperations);
}

}  // namespace

// ------------------------------------------------------------------------------------- writes

/// In the session or without one, as the script says.
template <class Request>
void Hand::write(const Request& request) {
  if (op_.sessionless == 0) return write_with(request, finish_this());
  tell(sim::describe(op_));
  write_sessionless(request, client_.pick(), op_.copies);
}

/// A key command of the session; `then` runs when its outcome is known.
template <class Request>
void Hand::write_with(const Request& request, const std::function<void()>& then) {
  tell(sim::describe(op_));
  const int64_t sequence = client_.next_sequence();
  const auto copies = std::make_shared<Copies>();
  client_.command<Request>(
      request, sequence, op_.give_up != 0, copies,
      [this, sequence, copies, then](const Outcome<ResultOf<Request>>& outcome) {
        const SessionId session = client_.session();
        if (outcome.result != nullptr) {
          client_.history().check_reply(session, sequence_id(sequence), *outcome.result);
          client_.ledger().check_write(copies->floor, outcome.result->revision, name_ + "'s write");
        } else if (outcome.error != nullptr) {
          client_.history().check_refusal(session, sequence_id(sequence), *outcome.error);
          mark_refusal(*outcome.error);
        }
        client_.done(sequence);
        then();
      });
}

void Hand::mark_refusal(const api::HoldfastError& error) {
  World& world = client_.world();
  if (error.code == api::ErrorCode::BAD_VERSION) world.mark(Mark::kBadVersion);
  if (error.code == api::ErrorCode::LIMIT_EXCEEDED) world.mark(Mark::kKeyLimit);
}

/// A copy. While nobody knows what it did, or it did nothing, further ones go to other servers.
template <class Request>
void Hand::write_sessionless(const Request& request, SimNode& node, int64_t copies) {
  client_.history().sessionless().sent(tag_of(request));
  Request copy = request;
  stamp(copy, copies);
  api::RequestContext context;
  context.deadlineMs = client_.world().weather().election_max_ms;
  const Duration patience =
      op_.cancel_ms > 0 ? from_ms(op_.cancel_ms) : from_ms(context.deadlineMs) + 1s;
  client_.ask_at<Request>(
      node, copy, context, patience,
      [this, request, copies,
       floor = client_.ledger().newest()](const Outcome<ResultOf<Request>>& outcome) {
        judge_sessionless(request, floor, outcome);
        const bool open =
            outcome.nothing() ||
            (outcome.error != nullptr &&
             (outcome.error->retryable || outcome.error->applied != api::Applied::NO));
        if (!open || copies == 0 || client_.quiescent()) return finish();
        client_.later(5ms, [this, request, copies, turn = turn_] {
          if (turn == turn_) write_sessionless(request, client_.pick_another(), copies - 1);
        });
      });
}

template <class Request>
void Hand::judge_sessionless(const Request& request, int64_t floor,
                             const Outcome<ResultOf<Request>>& outcome) {
  SessionlessWrites& writes = client_.history().sessionless();
  if (outcome.result != nullptr) {
    client_.note(outcome.result->header);
    client_.ledger().check_write(floor, outcome.result->revision, name_ + "'s write");
    writes.answered(tag_of(request), outcome.result->revision);
    client_.history().check_reply(SessionId{}, Sequence{}, *outcome.result);
  } else if (outcome.error != nullptr) {
    const auto code = static_cast<ErrorCode>(outcome.error->code);
    const bool refused = outcome.error->applied == api::Applied::NO;
    refused ? writes.refused(tag_of(request), code) : writes.unknown(tag_of(request), code);
    mark_refusal(*outcome.error);
  }
}

std::function<void()> Hand::finish_this() {
  return [this, turn = turn_] {
    if (turn == turn_) finish();
  };
}

api::LockGuard Hand::own_grant() const {
  api::LockGuard guard;
  guard.path = client_.last_grant().first;
  guard.holderId = client_.last_grant().second;
  return guard;
}

/// By the lock that was last granted to this client or to another, held still or not.
api::LockGuard Hand::guard() const {
  if (op_.guard == 1) return own_grant();
  api::LockGuard guard;
  if (op_.guard == 0) return guard;
  const auto& [path, holder] = client_.grant_of(op_.target);
  guard.path = path;
  guard.holderId = holder;
  return guard;
}

int64_t Hand::expected_version(const std::string& path) const {
  if (op_.version == 1) return -1;
  if (op_.version == 0) return 0;
  const auto seen = versions_.find(path);
  return seen == versions_.end() ? 1 : seen->second;
}

/// No other write has it: by its value a read tells which write it shows.
std::string Hand::new_value(char fill) const {
  return (tag_ + kTagEnd).append(static_cast<size_t>(op_.value), fill);
}

api::PutRequest Hand::put_request(const std::string& path) const {
  api::PutRequest request;
  request.path = path;
  request.value = new_value(static_cast<char>('a' + turn_ % 26));
  request.makeParents = op_.parents != 0;
  return request;
}

void Hand::put() {
  api::PutRequest request = put_request(key_path(op_.path));
  request.expectedVersion = expected_version(request.path);
  request.guard = guard();
  write(request);
}

/// While a lock is held: only as long as that is so.
void Hand::put_guarded() {
  if (op_.step_guards != 0) return transact_guarded();
  api::PutRequest request = put_request(key_path(op_.path));
  request.makeParents = true;
  request.guard.path = claims_.front().path;
  request.guard.holderId = static_cast<int64_t>(holder_.value);
  write_with(request, [] {});
}

api::CreateRequest Hand::create_request(const std::string& path) const {
  api::CreateRequest request;
  request.path = path;
  request.value = new_value('c');
  request.kind = static_cast<api::KeyKind::type>(op_.key_kind);
  request.sequential = op_.sequential != 0;
  request.makeParents = op_.parents != 0;
  if (request.kind == api::KeyKind::TTL) request.ttlMs = op_.ttl_ms;
  return request;
}

void Hand::create() {
  api::CreateRequest request = create_request(key_path(op_.path));
  request.guard = guard();
  write(request);
}

void Hand::remove() {
  api::RemoveRequest request;
  request.path = key_path(op_.path);
  request.recursive = op_.recursive != 0;
  request.guard = guard();
  if (op_.version == 2) request.expectedVersion = expected_version(request.path);
  write(request);
}

// ------------------------------------------------------------------------------- transactions

api::Compare Hand::holding(const api::LockGuard& lock) {
  api::Compare compare;
  compare.target = api::CompareTarget::HOLDS;
  compare.relation = api::CompareRelation::EQUAL;
  compare.path = lock.path;
  compare.number = lock.holderId;
  return compare;
}

/// One, on what is there or on a lock.
api::Compare Hand::condition() const {
  api::Compare compare;
  compare.path = key_path(op_.path);
  switch (op_.scope) {
    case 1:
      compare.target = api::CompareTarget::EXISTS;
      compare.number = op_.recursive;
      break;
    case 2:
      compare.target = api::CompareTarget::VERSION;
      compare.number = std::max<int64_t>(0, expected_version(compare.path));
      break;
    default:
      compare.target = api::CompareTarget::MODIFY_REVISION;
      compare.relation = api::CompareRelation::LESS;
      compare.number = client_.last_revision();
  }
  const api::LockGuard lock = guard();
  return lock.holderId == 0 ? compare : holding(lock);
}

/// Several: that everything is as it was read. The last number may be compared otherwise.
std::vector<api::Compare> Hand::conditions(const api::GetResult& read) const {
  std::vector<api::Compare> all;
  const api::KeyStat& stat = read.key.stat;
  const auto add = [&](Compared bit, api::CompareTarget::type target, int64_t number) {
    if ((op_.compares & bit) == 0) return;
    api::Compare compare;
    compare.target = target;
    compare.relation = api::CompareRelation::EQUAL;
    compare.path = key_path(op_.path);
    compare.number = number;
    if (target == api::CompareTarget::VALUE) compare.value = read.key.value;
    all.push_back(compare);
  };
  add(kExists, api::CompareTarget::EXISTS, int64_t{read.found});
  if (read.found) add(kValue, api::CompareTarget::VALUE, 0);
  add(kVersion, api::CompareTarget::VERSION, read.found ? stat.version : 0);
  add(kModifyRevision, api::CompareTarget::MODIFY_REVISION, read.found ? stat.modifyRevision : 0);
  add(kCreateRevision, api::CompareTarget::CREATE_REVISION, read.found ? stat.createRevision : 0);
  if (!all.empty() && all.back().target != api::CompareTarget::EXISTS) {
    all.back().relation = static_cast<api::CompareRelation::type>(op_.relation);
  }
  const api::LockGuard lock = op_.guard == 0 ? own_grant() : guard();
  if ((op_.compares & kHolds) != 0 && lock.holderId != 0) all.push_back(holding(lock));
  return all;
}

/// Steps by the bits of `mask`: two of them touch one key, and one may not be possible.
api::TransactRequest Hand::steps_request() const {
  const std::string path = key_path(op_.path);
  const std::string other = key_path(op_.path + 1 + op_.permits);
  api::TransactRequest request;
  const auto add = [](std::vector<api::Operation>& list) -> api::Operation& {
    return list.emplace_back();
  };
  auto& steps = request.thenOperations;
  if ((op_.mask & 1) != 0) add(steps).__set_put(put_request(path));
  if ((op_.mask & 2) != 0) add(steps).__set_create(create_request(path + "/t"));
  if ((op_.mask & 4) != 0) {
    api::RemoveRequest remove;
    remove.path = other;
    remove.recursive = true;
    add(steps).__set_remove(remove);
  }
  if ((op_.mask & 8) != 0) add(steps).__set_put(put_request(path));
  if ((op_.mask & 16) != 0) {
    api::PutRequest put = put_request(other);
    put.value += kOtherwise;
    add(request.otherwiseOperations).__set_put(put);
  }
  return request;
}

void Hand::guard_steps(api::TransactRequest& request, const api::LockGuard& lock) const {
  for (auto* steps : {&request.thenOperations, &request.otherwiseOperations}) {
    for (size_t i = 0; i < steps->size(); ++i) {
      if ((op_.step_guards >> i & 1) == 0) continue;
      api::Operation& step = (*steps)[i];
      if (step.__isset.put) step.put.guard = lock;
      if (step.__isset.create) step.create.guard = lock;
      if (step.__isset.remove) step.remove.guard = lock;
    }
  }
}

void Hand::transact() {
  if (op_.compares == 0) return transact_if({condition()});
  // What the key is like now is compared: others may be faster.
  api::GetRequest request;
  request.path = key_path(op_.path);
  client_.ask<api::GetRequest>(
      request, read_context(), 3s,
      [this, request, floor = read_floor()](const Outcome<api::GetResult>& outcome) {
        if (outcome.result == nullptr) return finish();
        take_read(request, *outcome.result, floor);
        client_.later(from_ms(op_.wait_ms), [this, turn = turn_, read = outcome.result] {
          if (turn == turn_) transact_if(conditions(*read));
        });
      });
}

void Hand::transact_if(const std::vector<api::Compare>& compares) {
  api::TransactRequest request = steps_request();
  request.compares = compares;
  guard_steps(request, op_.guard == 0 ? own_grant() : guard());
  write(request);
}

/// While a lock is held: the condition and the steps name it.
void Hand::transact_guarded() {
  api::LockGuard lock;
  lock.path = claims_.front().path;
  lock.holderId = static_cast<int64_t>(holder_.value);
  api::TransactRequest request;
  request.compares.push_back(holding(lock));
  for (int i = 0; i < 3; ++i) {
    api::PutRequest put = put_request(key_path(op_.path + i));
    put.makeParents = true;
    request.thenOperations.emplace_back().__set_put(put);
  }
  guard_steps(request, lock);
  write_with(request, [] {});
}

}  // namespace holdfast::sim
