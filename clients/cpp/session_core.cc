#include "clients/cpp/session_core.h"

#include <algorithm>
#include <utility>

#include "clients/cpp/client_core.h"
#include "clients/cpp/session_commands.h"

namespace holdfast::client {
namespace {

// What servers take of a path at most (docs/keys.md, Limits).
constexpr size_t kPathBytesMax = 8'192;

LostReason to_lost_reason(api::EndReason::type reason) {
  switch (reason) {
    case api::EndReason::SESSION_CLOSED:
    case api::EndReason::SESSION_EXPIRED:
    case api::EndReason::SESSION_REVOKED:
      return LostReason::kSessionEnded;
    case api::EndReason::RESTORED:
      return LostReason::kOtherCluster;
    default:
      return LostReason::kRevoked;
  }
}

std::vector<Notice> to_notices(const std::vector<api::RevocationNotice>& revocations) {
  std::vector<Notice> notices;
  notices.reserve(revocations.size());
  for (const auto& r : revocations) {
    notices.push_back({r.noticeId, r.path, r.holderId, r.noticeMs, r.reason});
  }
  return notices;
}

// How long a closing client waits for a server; after that the session is left to its TTL.
constexpr Duration kCloseTimeout = 5s;
constexpr size_t kLossesKept = 4'096;

}  // namespace

SessionCore::SessionCore(ClientCore& client, api::RequestContext context, int64_t ttl_ms)
    : client_(client),
      caller_(client.caller()),
      context_(std::move(context)),
      ttl_ms_(ttl_ms),
      read_timeout_(client.options().call_timeout),
      keeper_(client.pool(), *this, context_, ttl_ms),
      deadline_timer_(client.pool().loop(), [this] { on_deadline(); }) {
  client_.pool().add_observer(*this);
}

void SessionCore::opened(const api::OpenSessionResult& result, Instant sent) {
  renewed(sent, result.leaseMs, result.revocations);
  keeper_.start();
}

// ------------------------------------------------------------------------------------ commands

// Servers bound what a context may hold. Of more ranges a part is told that is another one each
// time, so that all are told in the end.
api::RequestContext SessionCore::command_context(int64_t sequence) {
  constexpr size_t kRangesMax = 64;
  api::RequestContext context = context_;
  context.sequence = sequence;
  const auto& ranges = acknowledged_.ranges();
  const bool in_part = ranges.size() > kRangesMax;
  for (size_t i = 0; i < std::min(ranges.size(), kRangesMax); ++i) {
    const auto& range = ranges[in_part ? next_told_++ % ranges.size() : i];
    auto& told = context.acknowledged.emplace_back();
    told.first = range.first;
    told.last = range.last;
  }
  return context;
}

std::function<void(api::RequestContext&)> SessionCore::acknowledging(int64_t sequence) {
  return [weak = weak_from_this(), sequence](api::RequestContext& context) {
    if (const auto self = weak.lock()) context = self->command_context(sequence);
  };
}

api::RequestContext SessionCore::read_context() const {
  api::RequestContext context;
  context.minRevision = caller_.pool().newest_revision();
  return context;
}

void SessionCore::command_done(int64_t sequence, bool acknowledge) {
  if (acknowledge) acknowledged_.add(sequence);
  --outstanding_;
  if (queued_.empty()) return;
  const auto next = std::move(queued_.front());
  queued_.pop_front();
  next();
}

// --------------------------------------------------------------------------------------- holds

void SessionCore::on_poll(const api::PollResult& result, const Keeper::Answer& answer) {
  const auto self = shared_from_this();
  renewed(answer.sent, result.leaseMs, result.revocations);
  for (const auto& loss : result.losses) take_loss(loss);
  for (const auto& grant : result.grants) {
    if (waiting_.contains(grant.acquireSequence)) ask(grant.acquireSequence);
  }
  if (!answer.taken_up || over_) return;
  polled_ = answer.server;
  polled_epoch_ = result.serverEpoch;
  if (watches_ != nullptr) watches_->taken_up(*answer.server, result);
}

// The answer that grants it may come later, over another connection.
void SessionCore::take_loss(const api::LossNotice& loss) {
  const LostReason reason = to_lost_reason(loss.reason);
  const auto at = holds_.find(loss.holderId);
  if (at != holds_.end()) return lose(std::shared_ptr<Hold>(at->second), reason);
  if (lost_unseen_.size() >= kLossesKept) lost_unseen_.pop_front();
  lost_unseen_.push_back(loss.holderId);
}

// News that it was taken away may have been lost with the server that had it for us. Asked until it
// is known.
void SessionCore::verify(const std::shared_ptr<Hold>& hold) {
  if (hold->shared) return verify_holder(hold);
  verify_token(hold);
}

void SessionCore::verify_token(const std::shared_ptr<Hold>& hold) {
  for (const std::string& path : hold->paths) {
    api::CheckTokenRequest request;
    request.path = path;
    request.token = hold->token;
    caller_.call<CheckToken>(read_context(), request, {.timeout = kForever},
                             [weak = weak_from_this(), hold](const auto& outcome, const auto&) {
                               const auto self = weak.lock();
                               if (self != nullptr && outcome) self->found(hold, outcome->current);
                             });
  }
}

// Those who were granted a lock together have one token. A transaction that does nothing names the
// holder, and costs the same however many there are.
void SessionCore::verify_holder(const std::shared_ptr<Hold>& hold) {
  api::TransactRequest request;
  for (const std::string& path : hold->paths) {
    auto& compare = request.compares.emplace_back();
    compare.target = api::CompareTarget::HOLDS;
    compare.relation = api::CompareRelation::EQUAL;
    compare.path = path;
    compare.number = hold->holder_id;
  }
  command<Transact>(request, [weak = weak_from_this(), hold](const auto& outcome, const auto&) {
    const auto self = weak.lock();
    if (self != nullptr && outcome) self->found(hold, outcome->succeeded);
  });
}

void SessionCore::found(const std::shared_ptr<Hold>& hold, bool held) {
  // What ends a handover says, or asks, what has become of the lock.
  if (over_ || held || hold->state() != Hold::State::kHeld) return;
  lose(hold, LostReason::kRevoked);
}

// A grant told by the old server may never have reached us: each place is asked for again. Nor a
// loss: so is each lock.
void SessionCore::on_server_changed() {
  ++moves_;
  for (const auto& [id, hold] : holds_) {
    if (hold->state() == Hold::State::kHeld) verify(hold);
  }
  std::vector<Ticket> tickets;
  for (const auto& [ticket, waiting] : waiting_) tickets.push_back(ticket);
  for (const Ticket ticket : tickets) ask(ticket);
}

// PROMISES 5. Handles whose deadline has passed end before the lease moves on: a handle that was
// not to be relied on for a moment never comes back.
void SessionCore::renewed(Instant sent, int64_t lease_ms,
                          const std::vector<api::RevocationNotice>& revocations) {
  on_deadline();
  auto fresh = lease_.note(to_notices(revocations), caller_.pool().loop().clock().now());
  std::vector<int64_t> in_force;
  for (const auto& revocation : revocations) in_force.push_back(revocation.noticeId);
  keeper_.acknowledge(std::move(in_force));
  if (!fresh.empty()) {
    for (const auto& [id, hold] : holds_) hold->cap(lease_.cap_for(*hold));
  }
  lease_.extend(sent, lease_ms);
  watch_deadlines();
  ask_again_under_lease();
  if (!on_revocation) return;
  std::ranges::sort(fresh);
  for (const auto& revocation : revocations) {
    const bool is_fresh = std::ranges::binary_search(fresh, revocation.noticeId);
    if (is_fresh && on_revocation) on_revocation(revocation);
  }
}

void SessionCore::watch_deadlines() {
  Instant earliest = Instant::max();
  for (const auto& [id, hold] : holds_) {
    // One that is being handed over ends by the answer, or is looked at again after it.
    if (hold->state() == Hold::State::kHeld) earliest = std::min(earliest, hold->deadline());
  }
  if (earliest == Instant::max()) return deadline_timer_.cancel();
  const bool soon_enough = deadline_timer_.armed() && deadline_timer_.deadline() <= earliest;
  if (!soon_enough) deadline_timer_.arm(earliest);
}

void SessionCore::on_deadline() {
  const auto self = shared_from_this();
  const Instant now = caller_.pool().loop().clock().now();
  std::vector<std::shared_ptr<Hold>> due;
  for (const auto& [id, hold] : holds_) {
    if (hold->deadline() <= now && hold->state() == Hold::State::kHeld) due.push_back(hold);
  }
  for (const auto& hold : due) {
    lose(hold, hold->capped() ? LostReason::kRevoked : LostReason::kLeaseRanOut);
  }
  watch_deadlines();
}

// The session and its other locks go on; the lock itself is given back when a server can be told.
void SessionCore::lose(const std::shared_ptr<Hold>& hold, LostReason reason) {
  if (hold->state() == Hold::State::kEnded) return;
  hold->end(reason);
  holds_.erase(hold->holder_id);
  const bool servers_hold_it = reason == LostReason::kLeaseRanOut || reason == LostReason::kRevoked;
  if (servers_hold_it && !over_) {
    send_release(hold, 0, [](const Outcome<api::ReleaseStatus::type>&) {});
  }
  if (hold->on_lost) hold->on_lost(reason);
}

void SessionCore::lose_all(LostReason reason) {
  std::vector<std::shared_ptr<Hold>> all;
  for (const auto& [id, hold] : holds_) all.push_back(hold);
  for (const auto& hold : all) lose(hold, reason);
}

void SessionCore::on_other_cluster() {
  const auto self = shared_from_this();
  lose_all(LostReason::kOtherCluster);
}

void SessionCore::send_release(const std::shared_ptr<Hold>& hold, int64_t to, ReleaseDone done) {
  const auto answered = [done = std::move(done)](const Outcome<api::ReleaseResult>& outcome,
                                                 const CallInfo&) {
    if (outcome) return done(outcome->status);
    done(outcome.error());
  };
  if (hold->of_acquire_all) {
    api::ReleaseAllRequest request;
    request.holderId = hold->holder_id;
    return command<ReleaseAll>(request, answered);
  }
  api::ReleaseRequest request;
  request.path = hold->paths.front();
  request.holderId = hold->holder_id;
  request.to = to;
  command<Release>(request, answered);
}

void SessionCore::release(const std::shared_ptr<Hold>& hold, ReleaseDone done) {
  if (hold->state() != Hold::State::kHeld) {
    return caller_.pool().loop().post([done] { done(api::ReleaseStatus::NOT_HELD); });
  }
  hold->end(LostReason::kReleased);
  holds_.erase(hold->holder_id);
  send_release(hold, 0, std::move(done));
}

void SessionCore::hand_over(const std::shared_ptr<Hold>& hold, int64_t to, ReleaseDone done) {
  if (hold->state() != Hold::State::kHeld) {
    return caller_.pool().loop().post(
        [done = std::move(done)] { done(api::ReleaseStatus::NOT_HELD); });
  }
  // To a server both would be a release.
  if (hold->of_acquire_all || to == 0) {
    const char* const why = to == 0 ? "to is 0: a waiter is named by its holder id"
                                    : "locks that were taken together cannot be handed over";
    return caller_.pool().loop().post([done = std::move(done), why] {
      done(CallError{ErrorCode::kBadArgument, why});
    });
  }
  hold->begin_giving_up();
  const auto self = shared_from_this();
  send_release(
      hold, to,
      [self, hold, done = std::move(done)](const Outcome<api::ReleaseStatus::type>& outcome) {
        // A server that refused the call has left the lock with us.
        const bool kept = outcome ? *outcome == api::ReleaseStatus::TARGET_GONE ||
                                        *outcome == api::ReleaseStatus::TARGET_BLOCKED
                                  : !outcome.error().maybe_applied;
        if (kept) {
          if (hold->state() == Hold::State::kGivingUp) hold->keep();
          self->on_deadline();
          // Unlike an answer of the lock's own, a refusal does not say that it was ours yet.
          if (!outcome && hold->state() == Hold::State::kHeld) self->verify(hold);
        } else if (outcome && *outcome == api::ReleaseStatus::HANDED_OVER) {
          hold->end(LostReason::kHandedOver);
          self->holds_.erase(hold->holder_id);
        } else {
          self->lose(hold, LostReason::kRevoked);
        }
        done(outcome);
      });
}

void SessionCore::set_value(const std::shared_ptr<Hold>& hold, const std::string& value,
                            const std::function<void(Outcome<bool>)>& done) {
  struct Left {
    size_t answers;
    std::optional<CallError> error;
  };
  const auto left = std::make_shared<Left>(Left{hold->paths.size(), std::nullopt});
  const auto self = shared_from_this();
  for (const std::string& path : hold->paths) {
    api::SetHolderValueRequest request;
    request.path = path;
    request.holderId = hold->holder_id;
    request.value = value;
    command<SetHolderValue>(request, [self, hold, left, done](const auto& outcome, const auto&) {
      if (!outcome) left->error = outcome.error();
      if (--left->answers > 0) return;
      if (!left->error) return done(true);
      if (left->error->code == ErrorCode::kNotHeld) self->lose(hold, LostReason::kRevoked);
      done(*left->error);
    });
  }
}

// -------------------------------------------------------------------------------------- watches

int64_t SessionCore::watch(const std::string& path, const WatchOptions& options,
                           WatchHandlers handlers) {
  std::optional<CallError> refusal;
  if (over_) refusal = {ErrorCode::kSessionExpired, "the session is over"};
  // Nobody is asked about a path that no call might carry.
  if (path.size() > kPathBytesMax) {
    refusal = {ErrorCode::kTooLarge, "the path has " + std::to_string(path.size()) +
                                         " bytes, the limit is " + std::to_string(kPathBytesMax)};
  }
  if (refusal) {
    caller_.pool().loop().post([ended = std::move(handlers.ended), error = *refusal] {
      if (ended) ended(error);
    });
    return 0;
  }
  if (watches_ == nullptr) {
    watches_ = std::make_unique<WatchKeeper>(caller_.pool(), context_);
    if (polled_ != nullptr) watches_->polled(*polled_, polled_epoch_);
  }
  api::WatchRequest request;
  request.path = path;
  request.scope = options.scope;
  request.space = options.space;
  request.sinceRevision = options.since_revision;
  request.withValues = options.with_values;
  request.filter = options.filter;
  return watches_->add(std::move(request), std::move(handlers));
}

void SessionCore::unwatch(int64_t watch) {
  if (watches_ != nullptr) watches_->remove(watch);
}

// --------------------------------------------------------------------------------------- ending

void SessionCore::over(const CallError& error) {
  if (over_) return;
  const auto self = shared_from_this();
  over_ = true;
  ended_by_ = error;
  keeper_.stop();
  deadline_timer_.cancel();
  lose_all(LostReason::kSessionEnded);
  end_acquires(error);
  if (watches_ != nullptr) watches_->end(error);
  // Each learns for itself from a server that the session is over.
  for (const auto& send : std::exchange(queued_, {})) send();
  client_.retire(*this);
  if (on_ended) on_ended(error);
}

void SessionCore::abandon() {
  if (over_) return;
  over_ = true;
  keeper_.stop();
  deadline_timer_.cancel();
  for (const auto& [id, hold] : holds_) hold->end(LostReason::kSessionEnded);
  holds_.clear();
  waiting_.clear();
  if (watches_ != nullptr) watches_->stop();
  queued_.clear();
  client_.retire(*this);
}

void SessionCore::close(std::function<void(Outcome<bool>)> done) {
  if (over_) return caller_.pool().loop().post([done = std::move(done)] { done(true); });
  const auto self = shared_from_this();
  over_ = true;
  keeper_.stop();
  deadline_timer_.cancel();
  for (const auto& [id, hold] : holds_) hold->end(LostReason::kReleased);
  holds_.clear();
  const CallError closed{ErrorCode::kSessionExpired, "the session was closed by its client"};
  end_acquires(closed);
  if (watches_ != nullptr) watches_->end(closed);
  for (const auto& send : std::exchange(queued_, {})) send();
  send_command<CloseSession>(
      ++last_sequence_, {},
      [self, done = std::move(done)](const auto& outcome, const auto&) {
        self->client_.retire(*self);
        if (outcome || outcome.error().code == ErrorCode::kSessionExpired) return done(true);
        done(outcome.error());
      },
      kCloseTimeout);
}

// For those who give commands from outside.
#define HF_COMMAND(Call) \
  template void SessionCore::command_as<Call>(int64_t, Call::Request, Caller::Done<Call>)
HF_COMMAND(PutKey);
HF_COMMAND(CreateKey);
HF_COMMAND(RemoveKey);
HF_COMMAND(Transact);
#undef HF_COMMAND

}  // namespace holdfast::client
