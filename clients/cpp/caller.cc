#include "clients/cpp/caller.h"

#include <algorithm>

namespace holdfast::client {
namespace {

// What a server is told of our patience: it answers TIMEOUT itself after this long.
constexpr Duration kServerDeadline = 5s;
// With less time left than this no server is asked again after a refusal: it is the answer.
constexpr Duration kAttemptMin = 100ms;
// Waits between refusals without a retryAfterMs of their own.
constexpr Duration kRefusalDelayMin = 5ms;
constexpr Duration kRefusalDelayMax = 200ms;
// No call is sent to a server for which this much waits to leave: what is queued beyond a bound
// ends the connection, and renewals stand behind all of it.
constexpr size_t kOutputBytesMax = 1 << 20;
constexpr Duration kOutputDelay = 2ms;

Instant add_saturating(Instant at, Duration more) {
  return more >= Instant::max() - at ? Instant::max() : at + more;
}

std::string within(Duration timeout) { return std::to_string(to_ms(timeout)) + " ms"; }

/// Who says so knows nobody who could judge the call, if he knows no leader.
bool may_be_for_want_of_a_leader(ErrorCode code) {
  return code == ErrorCode::kNoLeader || code == ErrorCode::kTimeout ||
         code == ErrorCode::kShuttingDown;
}

/// Judged by one server for itself, so it says nothing about an earlier copy sent elsewhere.
bool speaks_of_this_copy_only(const CallError& error) {
  switch (error.code) {
    // No room for one result more, for now; other limits are the command's recorded outcome.
    case ErrorCode::kLimitExceeded:
      return error.retryable;
    case ErrorCode::kUnsupported:
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kTimeout:
    case ErrorCode::kNoLeader:
    case ErrorCode::kOverloaded:
    case ErrorCode::kNoSpace:
    case ErrorCode::kShuttingDown:
    case ErrorCode::kSessionExpired:
    case ErrorCode::kSessionUnknown:
    case ErrorCode::kInternal:
    case ErrorCode::kResultForgotten:  // what an earlier copy came to is gone
      return true;
    default:
      return false;
  }
}

}  // namespace

Caller::~Caller() = default;

void Caller::start(std::unique_ptr<Pending> pending) {
  Pending& started = *pending;
  pending_.emplace(started.id, std::move(pending));
  started.begin();
}

std::unique_ptr<Caller::Pending> Caller::take(CallId id) {
  auto node = pending_.extract(id);
  return node.empty() ? nullptr : std::move(node.mapped());
}

void Caller::cancel(CallId id) { take(id); }

std::string Caller::waits_for_room() const {
  for (const auto& [id, pending] : pending_) {
    if (pending->waits_for_room()) return pending->no_room();
  }
  return "";
}

Caller::Pending::Pending(Caller& caller, api::RequestContext context, const CallOptions& options)
    : id(++caller.last_id_),
      caller_(caller),
      context_(std::move(context)),
      options_(options),
      deadline_(add_saturating(caller.pool().loop().now(), options.timeout)),
      timer_(caller.pool().loop(), [this] { on_timer(); }) {}

Caller::Pending::~Pending() { drop_attempt(); }

// From the timer, so that `done` never runs inside call().
void Caller::Pending::begin() { timer_.arm(caller_.pool().loop().now()); }

void Caller::Pending::attempt() {
  ServerPool& pool = caller_.pool();
  server_ = pool.pick(avoid_);
  if (server_ == nullptr) return wait_until(pool.next_try());
  Connection& connection = pool.connect(*server_);
  if (connection.output_bytes() > kOutputBytesMax) {
    return wait_until(pool.loop().now() + kOutputDelay);
  }
  avoid_ = nullptr;
  connection_ = connection.weak_from_this();
  info_.sent = pool.loop().clock().now();
  if (info_.attempts++ > 0 && options_.update_context) options_.update_context(context_);
  unseen_revision_ = context_.minRevision > pool.newest_revision();
  const Duration left = deadline_ == Instant::max() ? kForever : deadline_ - info_.sent;
  last_attempt_ = left <= options_.timeout / 2;
  // A tenth is left for the answer's way, so that it is the server that says what was wrong.
  context_.deadlineMs = std::max<int64_t>(1, to_ms(std::min(left - left / 10, kServerDeadline)));
  seqid_ = send(connection, id);
  if (seqid_ == 0) {
    CallError error = connection.too_long();
    error.maybe_applied = fate_unknown_;
    return give_up(std::move(error));
  }
  wait_until(info_.sent + options_.parked + server_->patience);
}

void Caller::Pending::drop_attempt() {
  if (seqid_ == 0) return;
  if (const auto connection = connection_.lock()) connection->forget(seqid_);
  seqid_ = 0;
}

void Caller::Pending::wait_until(Instant when) { timer_.arm(std::min(when, deadline_)); }

void Caller::Pending::retry_after(Duration delay) {
  const Instant next = caller_.pool().loop().now() + delay;
  if (last_refusal_ && deadline_ - next < kAttemptMin) return give_up(timed_out());
  wait_until(next);
}

void Caller::Pending::on_timer() {
  if (caller_.pool().loop().now() >= deadline_) return give_up(timed_out());
  if (seqid_ == 0) return attempt();
  owed_answer();
}

// A server without a leader is as silent as one that is frozen: it keeps the call until its
// deadline in case one is elected. Giving up earlier is worth it where the call can be sent again.
// A write that cannot is of unknown fate then; and the last attempt has nothing better to do than
// to hear why no server could answer.
bool Caller::Pending::waits_for_the_servers_word() const {
  return options_.resend == Resend::kOnlyOnce || last_attempt_;
}

void Caller::Pending::ask_another() {
  drop_attempt();
  fate_unknown_ = true;
  avoid_ = server_;
  attempt();
}

// The answer is overdue. A server that has said nothing at all is given up with everything on its
// connection; one that talks is merely slow, and keeps the call until its own deadline is over. A
// revision that none has shown may not be there yet, and a server is silent until it is: another
// may have it, but the silence says nothing of all else on that connection.
void Caller::Pending::owed_answer() {
  const auto connection = connection_.lock();
  const bool reached = connection != nullptr && connection->opened();
  const bool talks = reached && connection->last_received() > info_.sent;
  const bool keeps_the_call = talks || (reached && waits_for_the_servers_word());
  if (!keeps_the_call && reached && unseen_revision_) return ask_another();
  if (!keeps_the_call) return caller_.pool().gave_no_answer(*server_);
  const Instant last_moment = info_.sent + options_.parked + kServerDeadline + server_->patience;
  if (caller_.pool().loop().now() < last_moment) return wait_until(last_moment);
  if (options_.resend == Resend::kSafe) return ask_another();
  drop_attempt();
  fate_unknown_ = true;
  give_up(timed_out());
}

void Caller::Pending::on_lost(uint64_t, Connection& from) {
  seqid_ = 0;
  if (from.opened()) fate_unknown_ = true;
  if (fate_unknown_ && options_.resend == Resend::kOnlyOnce) {
    return give_up(
        {ErrorCode::kOutcomeUnknown,
         "the connection to " + net::to_string(from.peer()) + " was lost before the answer came",
         true});
  }
  avoid_ = server_;
  retry_after(Duration(0));
}

void Caller::Pending::answered(const api::ResponseHeader& header) {
  seqid_ = 0;
  info_.server = server_;
  caller_.pool().answered(*server_, header);
}

Duration Caller::Pending::refusal_delay(const CallError& error) {
  const int doublings = std::min(refusals_++, 6);
  const Duration own = std::min(kRefusalDelayMin * (1 << doublings), Duration(kRefusalDelayMax));
  return std::max(own, error.retry_after);
}

void Caller::Pending::refused(const api::HoldfastError& refusal) {
  CallError error = to_call_error(refusal);
  const bool may_repeat = options_.resend == Resend::kSafe || !error.maybe_applied;
  const bool waits =
      options_.retry_refusals && (options_.wait_for_room || error.code != ErrorCode::kNoSpace);
  // Administration ports of servers in no cluster bid nobody wait; another may have the answer.
  const ServerPool& pool = caller_.pool();
  const bool lasts = !error.retryable && !pool.knows_less_than_others(*server_) &&
                     !pool.is_to_have_a_state(*server_, error.code);
  const bool final = lasts || !waits || pool.serves_nobody();
  leaderless_ = refusal.header.leaderId == 0 && may_be_for_want_of_a_leader(error.code);
  // What such a server says besides is for who sent the call: how long it kept it, and to repeat
  // it.
  const bool kept_in_vain = leaderless_ && error.code == ErrorCode::kTimeout;
  caller_.pool().refused(*server_, kept_in_vain ? "this server knows no leader" : error.message);
  if (final || !may_repeat) {
    if (speaks_of_this_copy_only(error)) error.maybe_applied |= fate_unknown_;
    return give_up(std::move(error));
  }
  if (error.maybe_applied) fate_unknown_ = true;
  last_refusal_ = error;
  if (error.code == ErrorCode::kNoSpace) no_room_ = error.message;
  // What has no number reads or renews, for which another server may have time.
  const bool elsewhere = error.code == ErrorCode::kOverloaded && options_.resend == Resend::kSafe &&
                         context_.sequence == 0;
  if (elsewhere || error.code == ErrorCode::kNoLeader || error.code == ErrorCode::kShuttingDown) {
    avoid_ = server_;
  }
  retry_after(refusal_delay(error));
}

CallError Caller::Pending::timed_out() const {
  const bool once = options_.resend == Resend::kOnlyOnce;
  const bool in_flight = seqid_ != 0 || fate_unknown_;
  // Without a leader the copy on its way would have been answered no differently.
  if (last_refusal_ && (seqid_ == 0 || (leaderless_ && !once))) {
    CallError error = *last_refusal_;
    error.maybe_applied |= in_flight;
    if (leaderless_) {
      error.code = ErrorCode::kNoLeader;
      error.message = "no leader was found within " + within(options_.timeout) + " (" +
                      caller_.pool().describe() + ")";
      // Servers without room may be why nobody leads, and for whom somebody has to do something.
      if (!no_room_.empty()) {
        error.code = ErrorCode::kNoSpace;
        error.message = no_room_ + "; then " + error.message;
      }
    } else {
      error.message +=
          "; tried for " + within(options_.timeout) + caller_.pool().describe_unreached();
    }
    return error;
  }
  return {in_flight && once ? ErrorCode::kOutcomeUnknown : ErrorCode::kTimeout,
          std::string(caller_.pool().reached_nobody() ? "no server was reached" : "no answer") +
              " within " + within(options_.timeout) + " (" + caller_.pool().describe() + ")",
          in_flight, true};
}

void Caller::Pending::give_up(CallError error) {
  const auto self = leave();
  drop_attempt();
  finish_with(std::move(error), info_);
}

}  // namespace holdfast::client
