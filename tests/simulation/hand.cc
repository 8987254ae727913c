// What a hand does with locks. Reads and the operator's commands are in hand_asks.cc.
#include "tests/simulation/hand.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {

namespace {

Revision revision_id(int64_t number) { return Revision(static_cast<uint64_t>(number)); }

/// A queued acquire is the truth and poll a hint: it is repeated at least so often.
constexpr Duration kAskAgain = 400ms;
/// In the calm nothing is held longer.
constexpr int64_t kHurryMs = 50;

}  // namespace

Hand::Hand(SimClient& client, Script script)
    : client_(client),
      script_(std::move(script)),
      name_(client.name() + "/" + std::to_string(script_.hand)) {}

void Hand::tell(const std::string& what) const {
  if (client_.world().listens()) client_.world().tell(name_, what);
}

std::string Hand::describe_state() const {
  static constexpr const char* kStates[] = {"is idle", "acquires", "waits",
                                            "holds",   "releases", "asks"};
  return std::string(kStates[static_cast<int>(state_)]) + ": " + sim::describe(op_);
}

std::string Hand::path() const {
  const int64_t plain = client_.world().weather().paths;
  if (op_.mode == 3) return "/sem/" + std::to_string(op_.path);
  return "/lock/" + std::to_string(op_.path % plain);
}

LockHistory::Claim Hand::claim() const {
  LockHistory::Claim claim{path(), static_cast<lockmgr::LockMode>(op_.mode), 0, 0};
  if (op_.mode == 3) {
    claim.limit = static_cast<uint32_t>(2 + op_.path % 3);
    claim.permits = static_cast<uint32_t>(1 + op_.permits % claim.limit);
  }
  return claim;
}

// ------------------------------------------------------------------------------------- script

void Hand::begin() {
  if (!thinking_ && state_ == State::kIdle) next();
}

void Hand::drop() {
  ++turn_;
  state_ = State::kIdle;
  sure_ = thinking_ = asking_ = cancelling_ = false;
  holder_ = token_ = Revision{};
}

void Hand::next() {
  if (at_ >= script_.ops.size() || client_.quiescent()) return;
  thinking_ = true;
  client_.later(from_ms(script_.ops[at_].think_ms), [this] {
    thinking_ = false;
    if (client_.quiescent()) return;
    op_ = script_.ops[at_++];
    run();
  });
}

void Hand::run() {
  ++turn_;
  tag_ = std::to_string(client_.number()) + "." + std::to_string(script_.hand) + "." +
         std::to_string(turn_);
  state_ = State::kAsking;
  switch (op_.kind) {
    case OpKind::kLock:
    case OpKind::kLockAll:
      sequence_ = client_.next_sequence();
      copies_ = std::make_shared<Copies>();
      state_ = State::kAcquiring;
      asking_ = cancelling_ = false;
      tell(sim::describe(op_) + " on " + (op_.kind == OpKind::kLock ? path() : "several"));
      acquire();
      if (op_.early != 0) cancel_later();
      return;
    case OpKind::kDescribe:
      return describe();
    case OpKind::kCheck:
      return check_token();
    case OpKind::kList:
      return list();
    case OpKind::kRevoke:
      return revoke();
    case OpKind::kExpire:
      return expire();
    case OpKind::kSetting:
      return change_setting();
    case OpKind::kStray:
      return stray();
    case OpKind::kPut:
      return put();
    case OpKind::kCreate:
      return create();
    case OpKind::kRemove:
      return remove();
    case OpKind::kTransact:
      return transact();
    case OpKind::kGet:
      return get();
    case OpKind::kGetMany:
      return get_many();
    case OpKind::kListKeys:
      return list_keys();
    case OpKind::kAwait:
      return await_change(client_.last_revision() / (op_.since == 2 ? 2 : 1),
                          client_.world().now() + from_ms(op_.wait_ms));
    case OpKind::kWatch:
      return watch();
    case OpKind::kClose:
      tell("closes the session");
      return client_.close();
    case OpKind::kCount:
      break;
  }
  finish();
}

void Hand::finish() {
  ++turn_;
  state_ = State::kIdle;
  sure_ = false;
  holder_ = token_ = Revision{};
  next();
}

void Hand::hurry() {
  if (state_ == State::kHolding) give_back();
}

// ------------------------------------------------------------------------------------ acquire

api::AcquireRequest Hand::lock_request() const {
  const LockHistory::Claim wanted = claim();
  api::AcquireRequest request;
  request.path = wanted.path;
  request.mode = static_cast<api::LockMode::type>(op_.mode);
  request.permits = static_cast<int32_t>(wanted.permits);
  request.limit = static_cast<int32_t>(wanted.limit);
  request.waitMs = op_.wait_ms;
  request.lockDelayMs = op_.delay_ms;
  request.maxQueue = static_cast<int32_t>(op_.max_queue);
  request.enqueue = op_.enqueue != 0;
  request.value.assign(static_cast<size_t>(op_.value), 'v');
  request.owner = name_;
  return request;
}

api::AcquireAllRequest Hand::lock_all_request() const {
  api::AcquireAllRequest request;
  for (const LockHistory::Claim& each : claims_) {
    api::LockWanted wanted;
    wanted.path = each.path;
    wanted.mode = static_cast<api::LockMode::type>(each.mode);
    request.locks.push_back(std::move(wanted));
  }
  request.waitMs = op_.wait_ms;
  request.lockDelayMs = op_.delay_ms;
  request.enqueue = op_.enqueue != 0;
  request.owner = name_;
  return request;
}

template <class Request>
void Hand::acquire_with(const Request& request) {
  client_.command<Request>(request, sequence_, op_.give_up != 0, copies_,
                           [this, turn = turn_](const Outcome<api::AcquireResult>& outcome) {
                             if (turn != turn_) return;
                             asking_ = false;
                             if (outcome.result != nullptr) return on_acquire(*outcome.result);
                             // Refused for good (a limit, another kind of lock), or given up.
                             client_.done(sequence_);
                             finish();
                           });
}

void Hand::acquire() {
  if (asking_) return;
  asking_ = true;
  claims_.clear();
  if (op_.kind == OpKind::kLock) {
    claims_.push_back(claim());
    return acquire_with(lock_request());
  }
  const int64_t plain = client_.world().weather().paths;
  for (int64_t i = 0; i < plain; ++i) {
    if ((op_.mask >> i & 1) == 0 && i != op_.path % plain) continue;
    const auto mode = op_.mode == 2 ? lockmgr::LockMode::kShared : lockmgr::LockMode::kExclusive;
    claims_.push_back({"/lock/" + std::to_string(i), mode, 0, 0});
  }
  acquire_with(lock_all_request());
}

void Hand::hint(int64_t acquire_sequence) {
  if (state_ == State::kWaiting && acquire_sequence == sequence_) acquire();
}

void Hand::on_acquire(const api::AcquireResult& result) {
  const SessionId session = client_.session();
  client_.history().check_reply(session, Sequence(static_cast<uint64_t>(sequence_)), result);
  if (result.holderId > 0) {
    client_.ledger().check_write(copies_->floor, result.holderId, name_ + "'s acquire");
  }
  switch (result.status) {
    case api::AcquireStatus::GRANTED:
      return on_granted(result);
    case api::AcquireStatus::WAITING:
      return on_waiting();
    case api::AcquireStatus::NOT_HELD:
      client_.world().mark(Mark::kRetryNotHeld);
      tell("learns that it lost it");
      client_.done(sequence_);
      // Of an acquireAll the first tenure that ended is told: the other locks may still be held.
      if (op_.kind != OpKind::kLockAll) return finish();
      state_ = State::kReleasing;
      holder_ = revision_id(result.holderId);
      return release_all();
    default:
      tell("does not get it");
      client_.done(sequence_);
      return finish();
  }
}

void Hand::on_granted(const api::AcquireResult& result) {
  if (state_ != State::kAcquiring && state_ != State::kWaiting) return;
  state_ = State::kHolding;
  holder_ = revision_id(result.holderId);
  token_ = revision_id(result.token);
  sure_ = true;
  sure_ = client_.sure(holder_);
  tell("holds " + claims_.front().path + ", token " + std::to_string(token_.value) +
       (sure_ ? "" : ", and is not sure of it"));
  client_.granted(claims_.front().path, result.holderId);
  if (sure_) client_.ledger().believe(client_, holder_, token_, claims_);
  const int64_t hold = client_.quiescent() ? std::min(op_.hold_ms, kHurryMs) : op_.hold_ms;
  if (op_.value > 0) {
    client_.later(from_ms(hold / 2), [this, turn = turn_] {
      if (turn == turn_ && state_ == State::kHolding) set_value();
    });
  }
  if (op_.guard != 0) {
    client_.later(from_ms(hold / 3), [this, turn = turn_] {
      if (turn == turn_ && state_ == State::kHolding) put_guarded();
    });
  }
  client_.later(from_ms(hold), [this, turn = turn_] {
    if (turn == turn_ && state_ == State::kHolding) give_back();
  });
}

void Hand::on_waiting() {
  const bool first = state_ == State::kAcquiring;
  state_ = State::kWaiting;
  if (first && op_.early == 0) cancel_later();
  client_.later(kAskAgain, [this, turn = turn_] {
    if (turn == turn_ && state_ == State::kWaiting) acquire();
  });
}

void Hand::cancel_later() {
  if (op_.cancel_ms == 0) return;
  client_.later(from_ms(op_.cancel_ms), [this, turn = turn_] {
    const bool open = state_ == State::kAcquiring || state_ == State::kWaiting;
    if (turn == turn_ && open) cancel();
  });
}

void Hand::cancel() {
  if (cancelling_) return;
  cancelling_ = true;
  const int64_t sequence = client_.next_sequence();
  api::CancelAcquireRequest request;
  request.path = claims_.front().path;
  request.acquireSequence = sequence_;
  client_.command<api::CancelAcquireRequest>(
      request, sequence, false, std::make_shared<Copies>(),
      [this, sequence, turn = turn_](const Outcome<api::CancelAcquireResult>& outcome) {
        if (outcome.result != nullptr) {
          client_.history().check_reply(client_.session(),
                                        Sequence(static_cast<uint64_t>(sequence)), *outcome.result);
        }
        client_.done(sequence);
        // Whatever came first: the acquire itself says what it has come to.
        if (turn == turn_ && state_ == State::kWaiting) acquire();
      });
}

void Hand::check_deadline() {
  if (!sure_ || state_ != State::kHolding) return;
  if (client_.local_now() < client_.handle_until(holder_)) return;
  client_.world().mark(Mark::kHandleEnded);
  tell("passes its deadline");
  sure_ = false;
}

void Hand::set_value() {
  api::SetHolderValueRequest request;
  request.path = claims_.front().path;
  request.holderId = static_cast<int64_t>(holder_.value);
  request.value.assign(static_cast<size_t>(op_.value), 'w');
  const int64_t sequence = client_.next_sequence();
  client_.command<api::SetHolderValueRequest>(
      request, sequence, false, std::make_shared<Copies>(),
      [this, sequence](const Outcome<api::SetHolderValueResult>&) { client_.done(sequence); });
}

// ------------------------------------------------------------------------------------ release

void Hand::give_back() {
  state_ = State::kReleasing;
  if (client_.under_notice(holder_)) client_.world().mark(Mark::kReleasedUnderNotice);
  // The sure interval ends where the release leaves.
  sure_ = false;
  client_.done(sequence_);
  if (op_.handover != 0 && op_.kind == OpKind::kLock) return hand_over();
  if (op_.kind == OpKind::kLockAll && op_.permits % 2 == 0) return release_all();
  release(0);
}

/// Looks for the last waiter, and gives the lock to that one.
void Hand::hand_over() {
  api::DescribeLockRequest request;
  request.path = claims_.front().path;
  client_.ask<api::DescribeLockRequest>(
      request, client_.context(0), 2s,
      [this, turn = turn_](const Outcome<api::DescribeLockResult>& outcome) {
        if (turn != turn_) return;
        const bool waits = outcome.result != nullptr && !outcome.result->lock.waiters.empty();
        release(waits ? outcome.result->lock.waiters.back().holderId : 0);
      });
}

void Hand::release(int64_t to) {
  api::ReleaseRequest request;
  request.path = claims_.back().path;
  request.holderId = static_cast<int64_t>(holder_.value);
  request.to = to;
  const int64_t sequence = client_.next_sequence();
  client_.command<api::ReleaseRequest>(
      request, sequence, false, std::make_shared<Copies>(),
      [this, sequence, turn = turn_](const Outcome<api::ReleaseResult>& outcome) {
        if (turn != turn_) return;
        if (outcome.result == nullptr) {
          client_.done(sequence);
          return finish();
        }
        on_release(sequence, *outcome.result);
      });
}

void Hand::on_release(int64_t sequence, const api::ReleaseResult& result) {
  client_.history().check_reply(client_.session(), Sequence(static_cast<uint64_t>(sequence)),
                                result);
  client_.done(sequence);
  const bool kept = result.status == api::ReleaseStatus::TARGET_GONE ||
                    result.status == api::ReleaseStatus::TARGET_BLOCKED;
  if (kept) return release(0);
  claims_.pop_back();
  if (claims_.empty()) return finish();
  release(0);
}

void Hand::release_all() {
  api::ReleaseAllRequest request;
  request.holderId = static_cast<int64_t>(holder_.value);
  const int64_t sequence = client_.next_sequence();
  client_.command<api::ReleaseAllRequest>(
      request, sequence, false, std::make_shared<Copies>(),
      [this, sequence, turn = turn_](const Outcome<api::ReleaseResult>& outcome) {
        client_.done(sequence);
        if (turn != turn_) return;
        if (outcome.result != nullptr) {
          client_.history().check_reply(client_.session(),
                                        Sequence(static_cast<uint64_t>(sequence)), *outcome.result);
        }
        finish();
      });
}

}  // namespace holdfast::sim
