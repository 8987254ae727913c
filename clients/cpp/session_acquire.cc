// SessionCore's acquires: queued at once (`enqueue`), granted by a hint in a poll, and settled by
// repeating the acquire with its own sequence, which is the truth (API, Sessions).
#include <algorithm>

#include "clients/cpp/client_core.h"
#include "clients/cpp/session_commands.h"

namespace holdfast::client {
namespace {

// A place is asked for without a hint this often: hints can be lost, places cannot.
constexpr Duration kAskAgain = 30s;
// After a timed wait should have ended: cluster time may run behind ours.
constexpr Duration kAskAfterEnd = 50ms;

Instant in_ms(Instant now, int64_t ms) {
  return ms > to_ms(Instant::max() - now) ? Instant::max() : now + from_ms(ms);
}

std::vector<std::string> paths_of(const api::AcquireRequest& request) { return {request.path}; }
std::vector<std::string> paths_of(const api::AcquireAllRequest& request) {
  std::vector<std::string> paths;
  for (const auto& wanted : request.locks) paths.push_back(wanted.path);
  return paths;
}

bool is_shared(const api::AcquireRequest& request) {
  return request.mode != api::LockMode::EXCLUSIVE;
}
bool is_shared(const api::AcquireAllRequest& request) {
  return std::ranges::any_of(request.locks, [](const api::LockWanted& wanted) {
    return wanted.mode == api::LockMode::SHARED || wanted.mode == api::LockMode::SEMAPHORE;
  });
}

// Of an acquire of which somebody tells who was not asked about it, as when its session ends: it
// was sent, or was to be, and may have had its place in a queue, or even the lock.
CallError of_unknown_fate(CallError error) {
  error.maybe_applied = true;
  return error;
}

template <class Request>
void set_common(Request& request, const LockOptions& options) {
  request.waitMs = options.wait_ms;
  request.value = options.value;
  request.lockDelayMs = options.lock_delay_ms;
  request.maxQueue = options.max_queue;
  request.owner = options.owner;
  request.enqueue = true;
}

}  // namespace

SessionCore::Ticket SessionCore::acquire(const std::string& path, const LockOptions& options,
                                         AcquireDone done) {
  api::AcquireRequest request;
  request.path = path;
  request.mode = options.mode;
  if (options.mode == api::LockMode::SEMAPHORE) {
    request.permits = options.permits;
    request.limit = options.limit;
  }
  set_common(request, options);
  return begin_acquire({.request = std::move(request), .done = std::move(done)}, options.wait_ms);
}

SessionCore::Ticket SessionCore::acquire_all(std::vector<api::LockWanted> locks,
                                             const LockOptions& options, AcquireDone done) {
  api::AcquireAllRequest request;
  request.locks = std::move(locks);
  set_common(request, options);
  return begin_acquire({.request = std::move(request), .done = std::move(done)}, options.wait_ms);
}

SessionCore::Ticket SessionCore::begin_acquire(Waiting waiting, int64_t wait_ms) {
  const Ticket ticket = ++last_sequence_;
  net::Loop& loop = caller_.pool().loop();
  if (wait_ms >= 0) waiting.wait_ends = in_ms(loop.clock().now(), wait_ms);
  waiting.ask_again = std::make_unique<net::Timer>(loop, [this, ticket] { ask(ticket); });
  waiting_.emplace(ticket, std::move(waiting));
  ask(ticket);
  return ticket;
}

void SessionCore::ask(Ticket ticket) {
  const auto at = waiting_.find(ticket);
  if (at == waiting_.end()) return;
  Waiting& waiting = at->second;
  if (waiting.asking) {
    waiting.asked_for = true;
    return;
  }
  waiting.asking = true;
  waiting.asked_after = moves_;
  waiting.asked_for = false;
  if (const auto* one = std::get_if<api::AcquireRequest>(&waiting.request)) {
    ask_as<Acquire>(ticket, *one);
  } else {
    ask_as<AcquireAll>(ticket, std::get<api::AcquireAllRequest>(waiting.request));
  }
}

template <class Call>
void SessionCore::ask_as(Ticket ticket, const typename Call::Request& request) {
  const auto weak = weak_from_this();
  command_as<Call>(ticket, request,
                   [weak, ticket](const Outcome<api::AcquireResult>& outcome, const CallInfo&) {
                     const auto self = weak.lock();
                     if (self == nullptr) return;
                     const auto at = self->waiting_.find(ticket);
                     if (at != self->waiting_.end()) at->second.asking = false;
                     self->on_answer(ticket, outcome);
                   });
}

void SessionCore::on_answer(Ticket ticket, const Outcome<api::AcquireResult>& outcome) {
  const auto at = waiting_.find(ticket);
  if (at == waiting_.end()) return;
  if (!outcome) {
    CallError error = outcome.error();
    error.maybe_applied |= at->second.applied;
    withdraw_unless_known(ticket, error);
    return finish(ticket, std::move(error));
  }
  at->second.applied = true;
  if (outcome->status == api::AcquireStatus::WAITING) return wait_on(ticket, at->second);
  if (outcome->status != api::AcquireStatus::GRANTED) {
    if (outcome->status == api::AcquireStatus::NOT_HELD) release_rest(at->second, *outcome);
    return finish(ticket, Acquired{nullptr, *outcome});
  }
  if (std::erase(lost_unseen_, outcome->holderId) > 0) {
    acknowledged_.add(ticket);
    api::AcquireResult lost = *outcome;
    lost.status = api::AcquireStatus::NOT_HELD;
    lost.endReason = api::EndReason::REVOKED;
    release_rest(at->second, lost);
    return finish(ticket, Acquired{nullptr, std::move(lost)});
  }
  granted(ticket, at->second, *outcome);
}

// A grant counts only under a lease: while none is in force (the servers were out of reach for a
// while) one is waited for, and the servers are asked again, for the lock may have been taken away
// meanwhile with nobody left who tells of it.
void SessionCore::granted(Ticket ticket, Waiting& waiting, const api::AcquireResult& result) {
  if (lease_.deadline() <= caller_.pool().loop().clock().now()) {
    unleased_.push_back(ticket);
    return keeper_.renew_now();
  }
  acknowledged_.add(ticket);
  const auto hold = make_hold(waiting, result);
  const bool moved = waiting.asked_after != moves_;
  holds_.emplace(hold->holder_id, hold);
  watch_deadlines();
  finish(ticket, Acquired{hold, result});
  if (moved && !over_) verify(hold);
}

void SessionCore::ask_again_under_lease() {
  if (unleased_.empty() || lease_.deadline() <= caller_.pool().loop().clock().now()) return;
  for (const Ticket ticket : std::exchange(unleased_, {})) ask(ticket);
}

bool SessionCore::has_a_place(Ticket ticket) const {
  const auto at = waiting_.find(ticket);
  return at != waiting_.end() && at->second.applied;
}

// A server that refused it without looking at its number, after another has or may have taken it:
// no place and no grant must stay behind that nobody knows of.
void SessionCore::withdraw_unless_known(Ticket ticket, const CallError& error) {
  const bool session_ends =
      error.code == ErrorCode::kSessionExpired || error.code == ErrorCode::kSessionUnknown;
  if (!error.maybe_applied || session_ends || over_) return;
  const Waiting& waiting = waiting_.at(ticket);
  const bool all = std::holds_alternative<api::AcquireAllRequest>(waiting.request);
  auto paths = std::visit([](const auto& request) { return paths_of(request); }, waiting.request);
  api::CancelAcquireRequest request;
  request.path = paths.front();
  request.acquireSequence = ticket;
  command<CancelAcquire>(request, [weak = weak_from_this(), ticket, all, paths = std::move(paths)](
                                      const auto& outcome, const CallInfo&) {
    const auto self = weak.lock();
    if (self == nullptr || !outcome) return;
    self->acknowledged_.add(ticket);
    // Of an acquireAll one lock may be lost and the others held.
    const bool part = all && outcome->status == api::AcquireStatus::NOT_HELD;
    if (outcome->status != api::AcquireStatus::GRANTED && !part) return;
    const auto unwanted =
        std::make_shared<Hold>(self->lease_.clock(), paths, outcome->holderId, outcome->token, all);
    self->send_release(unwanted, 0, [](const auto&) {});
  });
}

// One lock of an acquireAll ended before its grant was known here; the others are held yet.
void SessionCore::release_rest(const Waiting& waiting, const api::AcquireResult& result) {
  if (!std::holds_alternative<api::AcquireAllRequest>(waiting.request)) return;
  api::ReleaseAllRequest request;
  request.holderId = result.holderId;
  command<ReleaseAll>(request, [](const auto&, const auto&) {});
}

void SessionCore::wait_on(Ticket ticket, Waiting& waiting) {
  if (waiting.asked_for) return ask(ticket);
  const Instant now = caller_.pool().loop().clock().now();
  const Instant after_end = std::max(waiting.wait_ends, now);
  const Duration to_end =
      waiting.wait_ends == Instant::max() ? kAskAgain : after_end - now + kAskAfterEnd;
  waiting.ask_again->arm(now + std::min(kAskAgain, to_end));
}

void SessionCore::finish(Ticket ticket, Outcome<Acquired> outcome) {
  auto node = waiting_.extract(ticket);
  if (node.empty()) return;
  node.mapped().done(std::move(outcome));
}

void SessionCore::end_acquires(const CallError& error) {
  while (!waiting_.empty()) finish(waiting_.begin()->first, of_unknown_fate(error));
}

std::shared_ptr<Hold> SessionCore::make_hold(const Waiting& waiting,
                                             const api::AcquireResult& result) {
  auto paths = std::visit([](const auto& request) { return paths_of(request); }, waiting.request);
  const bool all = std::holds_alternative<api::AcquireAllRequest>(waiting.request);
  const bool shared =
      std::visit([](const auto& request) { return is_shared(request); }, waiting.request);
  auto hold = std::make_shared<Hold>(lease_.clock(), std::move(paths), result.holderId,
                                     result.token, all, shared);
  hold->cap(lease_.cap_for(*hold));
  return hold;
}

// API, cancelAcquire: its answer is the acquire's outcome, whichever came first.
void SessionCore::cancel(Ticket ticket) {
  const auto at = waiting_.find(ticket);
  if (at == waiting_.end()) return;
  api::CancelAcquireRequest request;
  request.path = std::visit([](const auto& r) { return paths_of(r).front(); }, at->second.request);
  request.acquireSequence = ticket;
  const auto weak = weak_from_this();
  command<CancelAcquire>(
      request, [weak, ticket](const Outcome<api::CancelAcquireResult>& outcome, const CallInfo&) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        // Who refuses that says nothing of the acquire, which was sent before.
        if (!outcome) return self->on_answer(ticket, of_unknown_fate(outcome.error()));
        const bool granted = outcome->status == api::AcquireStatus::GRANTED;
        if (!granted) self->acknowledged_.add(ticket);
        api::AcquireResult result;
        result.header = outcome->header;
        result.status = outcome->status;
        result.reason = outcome->reason;
        result.holderId = outcome->holderId;
        result.token = outcome->token;
        self->on_answer(ticket, result);
      });
}

}  // namespace holdfast::client
