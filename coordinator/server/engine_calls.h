// Templates shared by the engine's call handlers (engine_*.cc); nobody else includes this.
#pragma once

#include <string>
#include <utility>

#include "coordinator/server/engine.h"
#include "coordinator/server/request_bytes.h"
#include "coordinator/server/request_check.h"
#include "session/session_table.h"

namespace holdfast::server {

/// The revision that a caller asks for.
inline LogIndex min_revision_of(const api::RequestContext& context) {
  return LogIndex(static_cast<uint64_t>(context.minRevision));
}

template <auto Member, class Request>
bool Engine::admit_session(CallId call, const api::RequestContext& context,
                           const Request& request) {
  if (refuse_stopping(call, context)) return false;
  if (context.sessionId <= 0) {
    bad_argument(call, context,
                 "context.sessionId is " + std::to_string(context.sessionId) +
                     ": this call belongs to a session");
    return false;
  }
  const SessionId session(static_cast<uint64_t>(context.sessionId));
  switch (machine_.presence(session)) {
    case rsm::SessionPresence::kLive:
      break;
    case rsm::SessionPresence::kEnded:
      host_.fail(call,
                 {ErrorCode::kSessionExpired,
                  "session " + std::to_string(session.value) + " has ended", false, false, 0},
                 context.sequence);
      return false;
    case rsm::SessionPresence::kNotYet:
      // Opened through another server, and this one has not come that far.
      wait_for<Member>(session, call, context, request);
      return false;
  }
  if (secret_matches(session, context.sessionSecret)) return true;
  host_.fail(
      call,
      {ErrorCode::kSessionUnknown,
       "the secret is not that of session " + std::to_string(session.value), false, false, 0},
      context.sequence);
  return false;
}

template <auto Member, class Request>
bool Engine::admit_at_revision(CallId call, const api::RequestContext& context,
                               const Request& request) {
  if (!admit_session<Member>(call, context, request)) return false;
  const LogIndex revision = min_revision_of(context);
  if (revision <= host_.applied) return true;
  wait_for<Member>(revision, call, context, request);
  return false;
}

template <auto Member, class Request>
void Engine::wait_for(LogIndex revision, CallId call, const api::RequestContext& context,
                      const Request& request) {
  reads_.local(
      {.call = call,
       .sequence = context.sequence,
       .deadline = deadline_of(context),
       .min_revision = revision,
       .run = [this, call, copy = context, body = request] { (this->*Member)(call, copy, body); },
       .outlives_client = true,
       .bytes = bytes_of(context) + bytes_of(request)});
}

template <auto Member, class Request, class Body>
void Engine::submit(CallId call, const api::RequestContext& context, const Request& request,
                    command::CommandKind::type kind, const Body& body, Fault fault,
                    PendingCommand pending) {
  if (!fault) fault = check_context(context, /*opens_session=*/false);
  if (!may_be_a_copy(context) && refuse(call, context, fault)) return;
  if (!admit_session<Member>(call, context, request)) return;
  if (!fault) fault = check_numbering(context);
  const LogIndex revision = min_revision_of(context);
  if (!fault && revision > host_.applied) {
    return wait_for<Member>(revision, call, context, request);
  }
  const std::string_view bytes = commands_.encode(body);
  if (!fault) fault = commands_.too_large(bytes.size());
  pending.call = call;
  pending.header.kind = kind;
  pending.header.sessionId = context.sessionId;
  pending.header.sequence = context.sequence;
  pending.deadline = deadline_of(context);
  const uint64_t content = rsm::content_hash(kind, bytes);
  if (answer_known(pending, content)) return;
  if (fault) return refuse_if_new(std::move(pending), content, *fault);
  pending.header.acknowledged = context.acknowledged;
  pending.body = Blob(bytes);
  commands_.submit(std::move(pending));
}

template <class Body>
void Engine::submit_sessionless(CallId call, const api::RequestContext& context,
                                command::CommandKind::type kind, const Body& body,
                                std::string path) {
  if (refuse_stopping(call, context)) return;
  PendingCommand pending;
  pending.call = call;
  pending.header.kind = kind;
  pending.deadline = deadline_of(context);
  pending.path = std::move(path);
  pending.body = Blob(commands_.encode(body));
  commands_.submit(std::move(pending));
}

}  // namespace holdfast::server
