#include "clients/cli/lock_runner.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "clients/cli/args.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/output.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

// Releasing and closing at the end: the servers free the lock by themselves if nobody answers.
constexpr Duration kFarewell = 3s;
// A timed wait ends by a server's word, which comes a moment after it; without servers it ends
// here.
constexpr Duration kLastWord = 2s;
// And then the session is closed, if a server can be told.
constexpr Duration kLastCall = 500ms;
// A wait this long is told of, once: until then nobody wonders.
constexpr Duration kSilentWait = 1s;
// While the deadline is near it is looked at this often.
constexpr Duration kDeadlineLook = 20ms;

void say(const std::string& message) { say_on_stderr("holdfast: " + printable(message)); }

/// Servers may say "lockDelayMs", which nobody typed.
client::CallError in_words_of_ours(const client::CallError& refusal) {
  return in_words_of_flags(refusal, {{"ttlMs", "--ttl in ms"}, {"lockDelayMs", "--delay in ms"}});
}

/// ", held by web-1 with token 7 and 2 more": why a lock is waited for.
std::string why_waiting(const api::LockInfo& lock) {
  if (lock.closedForMs > 0) {
    return std::string(", closed by ") +
           (lock.restoreHold ? "the hold after a restore" : "lock-delay") + " for another " +
           format_ms(lock.closedForMs);
  }
  if (lock.holders.empty()) return "";
  const api::LockHolder& first = lock.holders.front();
  const std::string more =
      lock.holderCount > 1 ? " and " + std::to_string(lock.holderCount - 1) + " more" : "";
  return ", held by " + first.sessionName + " with token " + std::to_string(first.token) + more;
}

/// Whether the holders leave no room for what is asked for. Of more than a refusal shows, yes.
bool in_the_way(const std::vector<api::LockHolder>& holders, const client::LockOptions& wanted) {
  constexpr size_t kShownMax = 16;
  const bool semaphore = wanted.mode == api::LockMode::SEMAPHORE;
  if (wanted.mode == api::LockMode::EXCLUSIVE || (semaphore && holders.size() >= kShownMax)) {
    return !holders.empty();
  }
  int64_t permits = wanted.permits;
  for (const api::LockHolder& holder : holders) {
    if (holder.mode != wanted.mode) return true;
    permits += holder.permits;
  }
  return semaphore && permits > wanted.limit;
}

}  // namespace

LockRunner::LockRunner(const Context& context, LockJob job)
    : context_(context),
      job_(std::move(job)),
      lines_(context.json, say_on_stderr),
      deadline_timer_(loop_, [this] { on_deadline_timer(); }),
      give_up_timer_(loop_, [this] { give_up(); }),
      wait_timer_(loop_, [this] { ask_what_is_waited_for(); }) {}

LockRunner::~LockRunner() = default;

int LockRunner::run() {
  client::ClientOptions options = client_options(context_.timeout);
  options.servers = context_.servers;
  auto created = client::ClientCore::create(loop_, entropy_, options);
  if (!created) return report(created.error());
  client_ = std::move(*created);
  signals_ = std::make_unique<net::SignalWatcher>(
      loop_, std::vector<int>{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD},
      [this](int number) { on_signal(number); });
  if (job_.lock.wait_ms > 0) wait_ends_ = clock_.now() + from_ms(job_.lock.wait_ms);
  if (job_.lock.wait_ms > 0) give_up_timer_.arm(wait_ends_);
  open();
  while (!exit_code_) loop_.turn(1s);
  return *exit_code_;
}

void LockRunner::open() {
  client_->open_session(job_.session, [this](auto outcome) { opened(std::move(outcome)); });
}

void LockRunner::opened(client::Outcome<std::shared_ptr<client::SessionCore>> outcome) {
  if (exit_code_) return;
  if (!outcome) return finish(report(in_words_of_ours(outcome.error())));
  session_ = *outcome;
  session_->on_revocation = [this](const api::RevocationNotice& notice) {
    lines_.notice(session_->id(), notice);
    watch_deadline();
  };
  client::LockOptions lock = job_.lock;
  // The wait has begun with the command. What is left of it is not to become a mere try.
  if (lock.wait_ms > 0) lock.wait_ms = std::max<int64_t>(1, to_ms(wait_ends_ - clock_.now()));
  ticket_ = session_->acquire(
      job_.path, lock, [this](auto acquired_outcome) { acquired(std::move(acquired_outcome)); });
  if (lock.wait_ms > 0) give_up_timer_.arm(wait_ends_ + kLastWord);
  if (lock.wait_ms == 0) give_up_timer_.arm_after(context_.timeout);
  const bool may_wait = job_.lock.wait_ms < 0 || from_ms(job_.lock.wait_ms) > kSilentWait;
  if (may_wait && !job_.quiet) wait_timer_.arm_after(kSilentWait);
}

void LockRunner::ask_what_is_waited_for() {
  api::DescribeLockRequest request;
  request.path = job_.path;
  session_->read<client::DescribeLock>(request, [this](const auto& outcome, const auto&) {
    if (outcome && hold_ == nullptr && !lost_code_ && !exit_code_) tell_of_wait(outcome->lock);
  });
}

void LockRunner::tell_of_wait(const api::LockInfo& lock) {
  const auto own = std::ranges::find(lock.waiters, session_->id(), &api::LockWaiter::sessionId);
  const int32_t position = own == lock.waiters.end() ? 0 : own->position;
  nlohmann::json holders = nlohmann::json::array();
  for (const api::LockHolder& h : lock.holders) {
    holders.push_back(
        {{"session_id", h.sessionId}, {"session", h.sessionName}, {"token", h.token}});
  }
  lines_.say({{"type", "waiting"},
              {"session_id", session_->id()},
              {"path", job_.path},
              {"position", position},
              {"holders", holders},
              {"closed_for_ms", lock.closedForMs}},
             "waiting for " + job_.path + why_waiting(lock) +
                 (position > 0 ? "; place " + std::to_string(position) + " in the queue" : ""));
}

client::CallError LockRunner::why_given_up() const {
  const client::ServerPool& pool = client_->pool();
  const int64_t tried_ms = job_.lock.wait_ms > 0 ? job_.lock.wait_ms : to_ms(context_.timeout);
  const std::string within = " within " + std::to_string(tried_ms) + " ms";
  const std::string not_acquired = "the lock was not acquired";
  if (pool.reached_nobody()) {
    return {ErrorCode::kTimeout,
            not_acquired + ": no server was reached" + within + " (" + pool.describe() + ")"};
  }
  if (const std::string room = client_->caller().waits_for_room(); !room.empty()) {
    return {ErrorCode::kNoSpace, not_acquired + within + ": " + room};
  }
  return {ErrorCode::kNoLeader,
          not_acquired + ": no leader was found" + within + " (" + pool.describe() + ")"};
}

// A place that the servers may have noted goes with the session, if one of them can be told.
void LockRunner::give_up() {
  const int code = report(why_given_up());
  if (session_ == nullptr) return finish(code);
  given_up_ = true;
  lost_code_ = code;
  deadline_timer_.arm_after(kLastCall);
  session_->close([this, code](const auto&) { finish(code); });
}

void LockRunner::acquired(client::Outcome<client::Acquired> outcome) {
  give_up_timer_.cancel();
  wait_timer_.cancel();
  if (exit_code_ || given_up_) return;
  if (!outcome) return not_acquired(outcome.error());
  if (outcome->hold == nullptr) return not_granted(outcome->result);
  hold_ = outcome->hold;
  hold_->on_lost = [this](client::LostReason reason) { lost(reason); };
  if (lost_code_) return release_and_finish(*lost_code_);
  start_child();
}

void LockRunner::not_acquired(const client::CallError& error) {
  if (error.code != ErrorCode::kSessionExpired) {
    return release_and_finish(report(in_words_of_ours(error)));
  }
  // Nothing is wrong with what was asked for: it may be asked for again.
  lines_.session_ended(session_->id(), error.message,
                       job_.path + " was not granted: " + error.message);
  release_and_finish(kExitNotGranted);
}

void LockRunner::not_granted(const api::AcquireResult& result) {
  if (lost_code_) return release_and_finish(*lost_code_);
  std::string message = job_.path + " was not granted";
  if (result.status == api::AcquireStatus::NOT_HELD) message = job_.path + " was granted and lost";
  for (const auto& holder : result.holders) {
    message += "; held by " + holder.sessionName + " with token " + std::to_string(holder.token);
  }
  if (result.status == api::AcquireStatus::NOT_HELD || in_the_way(result.holders, job_.lock)) {
    say(message);
    return release_and_finish(kExitNotGranted);
  }
  explain_and_finish(job_.path + " was not granted");
}

// Nobody who holds it is in the way: others wait for it, or it is closed. The refusal does not say
// which.
void LockRunner::explain_and_finish(const std::string& message) {
  lost_code_ = kExitNotGranted;
  deadline_timer_.arm_after(kFarewell);
  api::DescribeLockRequest request;
  request.path = job_.path;
  session_->read<client::DescribeLock>(request, [this, message](const auto& outcome, const auto&) {
    std::string why;
    if (outcome && outcome->lock.closedForMs > 0) {
      why = std::string("; closed by ") +
            (outcome->lock.restoreHold ? "the hold after a restore" : "lock-delay") +
            " for another " + format_ms(outcome->lock.closedForMs);
    } else if (outcome && outcome->lock.waiterCount > 0) {
      why = "; " + std::to_string(outcome->lock.waiterCount) + " waiting before it";
    }
    say(message + why);
    release_and_finish(kExitNotGranted);
  });
}

void LockRunner::start_child() {
  std::string servers;
  for (const std::string& server : context_.servers) {
    servers += (servers.empty() ? "" : ",") + server;
  }
  const int error =
      child_.start(job_.command, {
                                     {"HOLDFAST_TOKEN", std::to_string(hold_->token)},
                                     {"HOLDFAST_LOCK", job_.path},
                                     {"HOLDFAST_HOLDER", std::to_string(hold_->holder_id)},
                                     {"HOLDFAST_SESSION", std::to_string(session_->id())},
                                     {"HOLDFAST_SERVERS", servers},
                                 });
  if (error != 0) {
    say("cannot run " + job_.command.front() + ": " + std::strerror(error));
    return release_and_finish(error == ENOENT ? kExitNotFound : kExitCannotRun);
  }
  watch_deadline();
}

void LockRunner::on_signal(int number) {
  if (number == SIGCHLD) {
    if (const auto code = child_.reap()) child_ended(*code);
    return;
  }
  if (child_.running()) return child_.signal(number);
  if (number == SIGUSR1 || number == SIGUSR2 || lost_code_ || exit_code_) return;
  // Nothing runs yet: the place in the queue is given up, and the lock if it is granted first.
  lost_code_ = 128 + number;
  if (session_ == nullptr) return finish(*lost_code_);
  session_->cancel(ticket_);
  deadline_timer_.arm_after(kFarewell);
}

void LockRunner::child_ended(int exit_code) {
  deadline_timer_.cancel();
  release_and_finish(lost_code_.value_or(exit_code));
}

// The deadline moves with every renewal: it is read anew whenever the timer fires.
void LockRunner::watch_deadline() {
  if (!child_.running()) return;
  const Instant now = clock_.now();
  const Instant deadline = hold_->deadline();
  const Instant next = told_to_stop_ ? deadline : deadline - job_.margin;
  const Instant soonest = now + (told_to_stop_ ? kDeadlineLook : Duration(0));
  deadline_timer_.arm(next <= now ? soonest : std::min(next, now + 1s));
}

// PROMISES 5 for programs that know nothing of Holdfast: SIGTERM before the local deadline,
// SIGKILL to the whole process group at it.
void LockRunner::on_deadline_timer() {
  if (!child_.running()) {
    if (!exit_code_ && lost_code_) finish(*lost_code_);
    return;
  }
  const Instant now = clock_.now();
  if (!hold_->held(now)) return lost(hold_->lost(now));
  if (!told_to_stop_ && now >= hold_->deadline() - job_.margin) {
    told_to_stop_ = true;
    lost_code_ = kExitLost;
    const int64_t left_ms = to_ms(hold_->deadline() - now);
    child_.signal(SIGTERM);
    child_.signal(SIGCONT);
    lines_.say({{"type", "stopping"},
                {"session_id", session_->id()},
                {"path", job_.path},
                {"left_ms", left_ms}},
               "the lock can be relied on for " + std::to_string(left_ms) +
                   " ms more; stopping the command");
  }
  watch_deadline();
}

void LockRunner::lost(client::LostReason reason) {
  lost_code_ = kExitLost;
  if (!child_.running() || std::exchange(told_lost_, true)) return;
  const std::string why = client::lost_reason_name(reason);
  child_.signal(SIGKILL);
  lines_.say(
      {{"type", "lost"}, {"session_id", session_->id()}, {"path", job_.path}, {"reason", why}},
      "the lock is lost (" + why + "); killing the command");
}

void LockRunner::release_and_finish(int exit_code) {
  if (session_ == nullptr || !session_->open()) return finish(exit_code);
  lost_code_ = exit_code;
  deadline_timer_.arm_after(kFarewell);
  // Released first, so that the tenure says so; closing alone would leave the lock to the session's
  // end. One that was lost is given back by the session itself.
  if (hold_ == nullptr) return close_and_finish(exit_code);
  session_->release(hold_, [this, exit_code](const auto&) { close_and_finish(exit_code); });
}

void LockRunner::close_and_finish(int exit_code) {
  session_->close([this, exit_code](const auto&) { finish(exit_code); });
}

void LockRunner::finish(int exit_code) {
  if (!exit_code_) exit_code_ = exit_code;
}

}  // namespace holdfast::cli
