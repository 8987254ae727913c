// Keys: reads from the state, writes through the log, waits and watches.
#include <algorithm>
#include <utility>

#include "coordinator/server/api_views.h"
#include "coordinator/server/engine_calls.h"
#include "coordinator/tree/key_tree.h"
#include "gen/cpp/command_types.tcc"

namespace holdfast::server {

using command::CommandKind;

namespace {

/// Always there, and never written: every other path is judged.
constexpr std::string_view kRoot = "/";
constexpr size_t kPathsMax = 1'000;
/// Longest that waitForChange waits.
constexpr int64_t kWaitMsMax = 60'000;

command::Guard guard_of(const api::LockGuard& guard) {
  command::Guard out;
  out.path = guard.path;
  out.holderId = guard.holderId;
  return out;
}

command::PutKey body_of(const api::PutRequest& request) {
  command::PutKey body;
  body.path = request.path;
  body.value = request.value;
  body.expectedVersion = request.expectedVersion;
  body.makeParents = request.makeParents;
  body.guard = guard_of(request.guard);
  return body;
}

command::CreateKey body_of(const api::CreateRequest& request) {
  command::CreateKey body;
  body.path = request.path;
  body.value = request.value;
  body.kind = request.kind == api::KeyKind::UNSPECIFIED ? api::KeyKind::PERSISTENT : request.kind;
  body.sequential = request.sequential;
  body.ttlMs = request.ttlMs;
  body.makeParents = request.makeParents;
  body.guard = guard_of(request.guard);
  return body;
}

command::RemoveKey body_of(const api::RemoveRequest& request) {
  command::RemoveKey body;
  body.path = request.path;
  body.expectedVersion = request.expectedVersion;
  body.recursive = request.recursive;
  body.guard = guard_of(request.guard);
  return body;
}

command::KeyCompare body_of(const api::Compare& compare) {
  command::KeyCompare body;
  body.target = compare.target;
  body.relation = compare.relation == api::CompareRelation::UNSPECIFIED
                      ? api::CompareRelation::EQUAL
                      : compare.relation;
  body.path = compare.path;
  body.number = compare.number;
  body.value = compare.value;
  return body;
}

/// Exactly the fields that the request set; apply says what is wrong with none or several.
command::KeyOperation body_of(const api::Operation& operation) {
  command::KeyOperation body;
  if (operation.__isset.put) body.__set_put(body_of(operation.put));
  if (operation.__isset.create) body.__set_create(body_of(operation.create));
  if (operation.__isset.remove) body.__set_remove(body_of(operation.remove));
  return body;
}

command::TransactOutcome decode_outcome(std::string_view payload) {
  auto transport = std::make_shared<FrameReader>();
  transport->reset(payload);
  apache::thrift::protocol::TCompactProtocolT<FrameReader> in(transport);
  command::TransactOutcome outcome;
  outcome.read(&in);
  return outcome;
}

}  // namespace

// -------------------------------------------------------------------------------------- writes

template <auto Member, class Request, class Body>
void Engine::submit_write(CallId call, const api::RequestContext& context, const Request& request,
                          CommandKind::type kind, const Body& body, std::string path) {
  const bool in_session = context.sessionId != 0;
  const Fault fault = check_request(request, in_session);
  if (!in_session) {
    if (!refuse(call, context, fault)) submit_sessionless(call, context, kind, body, path);
    return;
  }
  PendingCommand pending;
  pending.path = std::move(path);
  submit<Member>(call, context, request, kind, body, fault, std::move(pending));
}

void Engine::put(CallId call, const api::RequestContext& context, const api::PutRequest& request) {
  submit_write<&Engine::put>(call, context, request, CommandKind::PUT_KEY, body_of(request), {});
}

void Engine::create(CallId call, const api::RequestContext& context,
                    const api::CreateRequest& request) {
  submit_write<&Engine::create>(call, context, request, CommandKind::CREATE_KEY, body_of(request),
                                request.path);
}

void Engine::remove(CallId call, const api::RequestContext& context,
                    const api::RemoveRequest& request) {
  submit_write<&Engine::remove>(call, context, request, CommandKind::REMOVE_KEY, body_of(request),
                                {});
}

void Engine::transact(CallId call, const api::RequestContext& context,
                      const api::TransactRequest& request) {
  command::Transact body;
  for (const auto& each : request.compares) body.compares.push_back(body_of(each));
  for (const auto& each : request.thenOperations) body.thenOperations.push_back(body_of(each));
  for (const auto& each : request.otherwiseOperations) {
    body.otherwiseOperations.push_back(body_of(each));
  }
  submit_write<&Engine::transact>(call, context, request, CommandKind::TRANSACT, body, {});
}

void Engine::finish_write(const PendingCommand& command, const rsm::CommandResult& result) {
  const auto answer = [&](auto reply) {
    host_.fill(reply.header, command.header.sequence);
    reply.revision = static_cast<int64_t>(result.id.value);
    host_.complete(command.call, &reply);
  };
  switch (command.header.kind) {
    case CommandKind::PUT_KEY: {
      api::PutResult reply;
      reply.version = static_cast<int64_t>(result.version);
      return answer(reply);
    }
    case CommandKind::CREATE_KEY: {
      api::CreateResult reply;
      reply.path = result.payload.empty() ? command.path : result.payload;
      return answer(reply);
    }
    case CommandKind::REMOVE_KEY: {
      api::RemoveResult reply;
      reply.removed = result.count;
      return answer(reply);
    }
    default: {
      command::TransactOutcome outcome = decode_outcome(result.payload);
      api::TransactResult reply;
      reply.succeeded = outcome.succeeded;
      reply.results = std::move(outcome.results);
      return answer(reply);
    }
  }
}

// --------------------------------------------------------------------------------------- reads

void Engine::get(CallId call, const api::RequestContext& context, const api::GetRequest& request) {
  if (request.path != kRoot && !good_path(call, context, request.path)) return;
  read(call, context, request.consistency, request.path.size(),
       [this, call, sequence = context.sequence, path = request.path, value = !request.statOnly] {
         api::GetResult reply;
         host_.fill(reply.header, sequence);
         const auto key = machine_.keys().get(path);
         reply.found = key.has_value();
         if (key) reply.key = api_key(path, *key, value);
         host_.complete(call, &reply);
       });
}

void Engine::get_many(CallId call, const api::RequestContext& context,
                      const api::GetManyRequest& request) {
  if (request.paths.empty() || request.paths.size() > kPathsMax) {
    return bad_argument(call, context,
                        "getMany names " + std::to_string(request.paths.size()) +
                            " paths, it must be from 1 to " + std::to_string(kPathsMax));
  }
  size_t kept = 0;
  for (const std::string& path : request.paths) {
    if (path != kRoot && !good_path(call, context, path)) return;
    kept += sizeof path + path.size();
  }
  read(call, context, request.consistency, kept,
       [this, call, sequence = context.sequence, paths = request.paths, value = !request.statOnly] {
         api::GetManyResult reply;
         host_.fill(reply.header, sequence);
         size_t bytes = 0;
         for (const std::string& path : paths) {
           api::KeyLookup lookup;
           const auto key = machine_.keys().get(path);
           lookup.found = key.has_value();
           lookup.key.path = path;
           if (key) lookup.key = api_key(path, *key, value);
           bytes += tree::kStatBytes + path.size() + lookup.key.value.size();
           if (bytes > kPageBytesMax && !reply.keys.empty()) break;
           reply.keys.push_back(std::move(lookup));
         }
         host_.complete(call, &reply);
       });
}

void Engine::list_keys(CallId call, const api::RequestContext& context,
                       const api::ListKeysRequest& request) {
  const int32_t size = page_size(request.pageSize);
  if (size < 1 || size > kPageSizeMax) {
    return bad_argument(call, context,
                        "pageSize is " + std::to_string(size) + ", it must be from 1 to " +
                            std::to_string(kPageSizeMax));
  }
  if (request.path != kRoot && !good_path(call, context, request.path)) return;
  if (!request.page.empty() && !good_path(call, context, request.page)) return;
  read(call, context, request.consistency, request.path.size() + request.page.size(),
       [this, call, sequence = context.sequence, request, size = static_cast<size_t>(size)] {
         const auto page = machine_.keys().list(
             {.path = request.path,
              .scope = request.subtree ? tree::ListScope::kSubtree : tree::ListScope::kChildren,
              .after = request.page,
              .with_values = request.withValues,
              .count = size,
              .bytes = kPageBytesMax});
         if (!page.ok()) {
           return host_.fail(call, {page.error().code, page.error().message, false, false, 0},
                             sequence);
         }
         api::ListKeysResult reply;
         host_.fill(reply.header, sequence);
         for (const tree::ListedKey& key : page->keys) {
           reply.keys.push_back(api_key(key.path, {key.stat, key.value}));
         }
         if (page->more) reply.nextPage = reply.keys.back().path;
         host_.complete(call, &reply);
       });
}

void Engine::wait_for_change(CallId call, const api::RequestContext& context,
                             const api::WaitForChangeRequest& request) {
  if (refuse(call, context, check_number("afterRevision", request.afterRevision, 0))) return;
  if (refuse(call, context, check_number("maxWaitMs", request.maxWaitMs, 0, kWaitMsMax))) return;
  if (request.path != kRoot && !good_path(call, context, request.path)) return;
  api::RequestContext patient = context;
  patient.minRevision = std::max(context.minRevision, request.afterRevision);
  const Instant until = host_.clock.now() + from_ms(request.maxWaitMs);
  read(call, patient, api::Consistency::LOCAL, request.path.size(),
       [this, call, sequence = context.sequence, path = request.path, until,
        after = LogIndex(static_cast<uint64_t>(request.afterRevision))] {
         const bool changed = after.value == 0 || hub_.may_have_changed(path, after);
         const bool parks = !changed && host_.clock.now() < until;
         if (!parks) {
           key_waits_.answer(call, sequence, path, changed);
           return;
         }
         if (key_waits_.park(call, sequence, path, until)) return;
         host_.fail(call,
                    {ErrorCode::kOverloaded,
                     "this server has its " + std::to_string(key_waits_.parked()) +
                         " waits for changes parked, and no room for more",
                     false, true, 1'000},
                    sequence);
       });
}

// ------------------------------------------------------------------------------------- watches

void Engine::watch(CallId call, const api::RequestContext& context,
                   const api::WatchRequest& request) {
  if (refuse(call, context, check_number("sinceRevision", request.sinceRevision, 0))) return;
  if (!admit_at_revision<&Engine::watch>(call, context, request)) return;
  const SessionId session(static_cast<uint64_t>(context.sessionId));
  const Result<watch::Registered> registered = hub_.watch(session, request);
  if (!registered.ok()) {
    return host_.fail(call, {registered.error().code, registered.error().message, false, false, 0},
                      context.sequence);
  }
  api::WatchResult reply;
  host_.fill(reply.header, context.sequence);
  reply.watchId = static_cast<int64_t>(registered->id.value);
  reply.revision = static_cast<int64_t>(registered->since.value);
  reply.serverEpoch = hub_.epoch();
  host_.complete(call, &reply);
}

void Engine::unwatch(CallId call, const api::RequestContext& context,
                     const api::UnwatchRequest& request) {
  if (refuse(call, context, check_number("watchId", request.watchId, 1))) return;
  if (!admit_session<&Engine::unwatch>(call, context, request)) return;
  hub_.unwatch(SessionId(static_cast<uint64_t>(context.sessionId)), request.watchId);
  api::UnwatchResult reply;
  host_.fill(reply.header, context.sequence);
  host_.complete(call, &reply);
}

}  // namespace holdfast::server
