// Commands of sessions that may be copies of what was applied already. Each is applied once however
// often it is sent (PROMISE 4), and what it came to is in the session's window: so a copy that is
// refused where it comes in, because this server finds something wrong with it, is refused only if
// the window does not know it. The first copy may have come to a server of another version, or have
// been another one in what does not count as its content (context.deadlineMs, acknowledged, ...).
#include <utility>

#include "coordinator/rsm/path.h"
#include "coordinator/server/engine_calls.h"

namespace holdfast::server {

namespace {

SessionId session_of(const PendingCommand& command) {
  return SessionId(static_cast<uint64_t>(command.header.sessionId));
}

Sequence sequence_of(const PendingCommand& command) {
  return Sequence(static_cast<uint64_t>(command.header.sequence));
}

}  // namespace

// Of another kind it is not a retry: apply says so.
bool Engine::answer_known(const PendingCommand& pending, uint64_t content) {
  const session::Session* s = machine_.sessions().find(session_of(pending));
  if (s == nullptr) return false;
  const Sequence sequence = sequence_of(pending);
  const session::Known known = s->window.know(sequence, content);
  if (known != session::Known::kKept && known != session::Known::kWaiting) return false;
  const auto result = machine_.lookup(s->id, sequence);
  if (!result || result->kind != pending.header.kind) return false;
  on_outcome(pending, *result);
  return true;
}

// As a read: the window here is looked at once it is as late as the leader's. What waits for that
// is not the command but its hash, and the path that answers show if it is one.
void Engine::refuse_if_new(PendingCommand pending, uint64_t content, const Refusal& refusal) {
  if (pending.header.sequence <= 0) {
    return host_.fail(pending.call, refusal, pending.header.sequence);
  }
  if (!rsm::check_form(pending.path).ok()) pending.path = std::string();
  PendingRead read{.call = pending.call,
                   .sequence = pending.header.sequence,
                   .deadline = pending.deadline,
                   .bytes = sizeof pending + pending.path.size() + refusal.message.size()};
  read.run = [this, pending = std::move(pending), content, refusal] {
    if (!answer_known(pending, content)) refuse_new(pending, content, refusal);
  };
  reads_.linearizable(std::move(read));
}

void Engine::refuse_new(const PendingCommand& pending, uint64_t content, const Refusal& refusal) {
  const session::Session* s = machine_.sessions().find(session_of(pending));
  if (s == nullptr) {
    return host_.fail(pending.call,
                      {ErrorCode::kSessionExpired,
                       "session " + std::to_string(pending.header.sessionId) + " has ended",
                       /*maybe_applied=*/true, false, 0},
                      pending.header.sequence);
  }
  if (s->window.know(sequence_of(pending), content) == session::Known::kForgotten) {
    return host_.fail(
        pending.call,
        {ErrorCode::kResultForgotten,
         "sequence " + std::to_string(pending.header.sequence) + " was acknowledged by the client",
         false, false, 0},
        pending.header.sequence);
  }
  host_.fail(pending.call, refusal, pending.header.sequence);
}

}  // namespace holdfast::server
