// SessionCore's command templates; included by its own sources only.
#pragma once

#include "clients/cpp/session_core.h"

namespace holdfast::client {

/// Commands in flight at once; the servers keep at most 1,024 unacknowledged results a session.
inline constexpr size_t kCommandWindow = 512;

/// True when this answer was the sequence's last: its stored result may be dropped. A grant may
/// have to be asked for once more before it is one.
template <class Result>
bool is_final(const Result&) {
  return true;
}
inline bool is_final(const api::AcquireResult& result) {
  return result.status != api::AcquireStatus::WAITING &&
         result.status != api::AcquireStatus::GRANTED;
}

/// And of an acquire that was or may have been applied it is needed yet, to take it back.
template <class Result>
bool is_settled(const Outcome<Result>& outcome, bool was_applied) {
  if (outcome) return is_final(*outcome);
  if (!std::is_same_v<Result, api::AcquireResult>) return true;
  return !was_applied && !outcome.error().maybe_applied;
}

template <class Call>
void SessionCore::command_as(int64_t sequence, typename Call::Request request,
                             Caller::Done<Call> done) {
  if (over_) {
    return caller_.pool().loop().post([done = std::move(done)] {
      done(CallError{ErrorCode::kSessionExpired, "the session is over"}, CallInfo{});
    });
  }
  if (outstanding_ < kCommandWindow) {
    return send_command<Call>(sequence, std::move(request), std::move(done), kForever);
  }
  queued_.push_back([this, sequence, request = std::move(request), done = std::move(done)] {
    send_command<Call>(sequence, request, done, kForever);
  });
}

// PROMISES 4: sent with the same sequence until a server tells the outcome. The only end without
// one is the end of the session, which a server tells, too. A server whose window of unacknowledged
// results is full refuses it until it is sent with what was acknowledged meanwhile.
template <class Call>
void SessionCore::send_command(int64_t sequence, typename Call::Request request,
                               Caller::Done<Call> done, Duration timeout) {
  ++outstanding_;
  const auto finished = [weak = weak_from_this(), sequence, done = std::move(done)](
                            const Outcome<typename Call::Result>& outcome, const CallInfo& info) {
    const auto self = weak.lock();
    if (self != nullptr) {
      self->command_done(sequence, is_settled(outcome, self->has_a_place(sequence)));
    }
    done(outcome, info);
    const bool ended = !outcome && (outcome.error().code == ErrorCode::kSessionExpired ||
                                    outcome.error().code == ErrorCode::kSessionUnknown);
    if (self != nullptr && ended) self->over(outcome.error());
  };
  caller_.call<Call>(command_context(sequence), std::move(request),
                     {.timeout = timeout, .update_context = acknowledging(sequence)}, finished);
}

}  // namespace holdfast::client
