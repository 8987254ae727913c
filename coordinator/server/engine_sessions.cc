// Sessions: open, poll, keep alive, close.
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "coordinator/server/engine_calls.h"
#include "lockmgr/lock_table.h"

namespace holdfast::server {

using command::CommandKind;

namespace {

constexpr int64_t kDeadlineMsDefault = 5'000;
constexpr int64_t kDeadlineMsMax = 600'000;
/// How long a renewal looks for a leader before its call is answered NO_LEADER.
constexpr Duration kRenewalWait = 5s;

session::SecretHash hash_of(const std::string& secret) {
  session::SecretHash hash;
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(),
         reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

/// In time that does not depend on where they differ.
template <class A, class B>
bool same_bytes(const A& a, const B& b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

bool Engine::secret_matches(SessionId session, const std::string& secret) {
  if (secret.size() != kSecretBytes) return false;
  const auto known = verified_secrets_.find(session);
  if (known != verified_secrets_.end()) return same_bytes(known->second, secret);
  const session::Session* s = machine_.sessions().find(session);
  if (!same_bytes(s->secret_hash, hash_of(secret))) return false;
  std::copy(secret.begin(), secret.end(), verified_secrets_[session].begin());
  return true;
}

Instant Engine::deadline_of(const api::RequestContext& context) const {
  const int64_t ms =
      context.deadlineMs <= 0 ? kDeadlineMsDefault : std::min(context.deadlineMs, kDeadlineMsMax);
  return host_.clock.now() + from_ms(ms);
}

void Engine::bad_argument(CallId call, const api::RequestContext& context,
                          const std::string& message) {
  host_.fail(call, {ErrorCode::kBadArgument, message, false, false, 0}, context.sequence);
}

// Of what the caller said and not of the state, so that it is told by a quarantined server too.
bool Engine::refuse(CallId call, const api::RequestContext& context,
                    const std::optional<Refusal>& refusal) {
  if (refusal) host_.refuse(call, *refusal, context.sequence);
  return refusal.has_value();
}

bool Engine::refuse_stopping(CallId call, const api::RequestContext& context) {
  if (!draining_ && !host_.quarantined()) return false;
  host_.fail(call, {ErrorCode::kShuttingDown, stopping_ + "; use another", false, true, 0},
             context.sequence);
  return true;
}

void Engine::refuse_overloaded(CallId call, const std::string& why) {
  host_.fail(call, {ErrorCode::kOverloaded, why, false, true, 50}, 0);
}

void Engine::open_session(CallId call, const api::RequestContext& context,
                          const api::OpenSessionRequest& request) {
  if (refuse_stopping(call, context)) return;
  if (request.secret.size() != kSecretBytes) {
    return bad_argument(call, context,
                        "secret has " + std::to_string(request.secret.size()) +
                            " bytes, it must have " + std::to_string(kSecretBytes));
  }
  const session::SecretHash hash = hash_of(request.secret);
  const SessionId existing = machine_.sessions().find_by_secret(hash);
  if (existing) {
    RenewalTarget target;
    target.kind = RenewalTarget::Kind::kOpen;
    target.call = call;
    target.session = existing;
    target.deadline = deadline_of(context);
    renewals_.renew(target);
    return;
  }
  command::OpenSession body;
  body.secretHash.assign(hash.data(), hash.size());
  body.ttlMs = request.ttlMs;
  body.name = request.name;
  if (!request.attributes.empty()) {
    command::SessionAttributes attributes;
    attributes.values = request.attributes;
    body.attributes.assign(commands_.encode(attributes));
  }
  submit_sessionless(call, context, CommandKind::OPEN_SESSION, body);
}

void Engine::finish_open(const PendingCommand& command, const rsm::CommandResult& result) {
  // Opened by this very entry: the leader counts its TTL from its apply, after the client sent
  // this.
  if (result.id == host_.applied) {
    return answer_open(command.call, result.id,
                       session::lease_ms(result.ttl_ms, host_.options.drift_ppm));
  }
  RenewalTarget target;
  target.kind = RenewalTarget::Kind::kOpen;
  target.call = command.call;
  target.session = result.id;
  target.deadline = command.deadline;
  renewals_.renew(target);
}

void Engine::answer_open(CallId call, SessionId id, int64_t lease_ms) {
  const session::Session* s = machine_.sessions().find(id);
  if (s == nullptr) {
    return host_.fail(call,
                      {ErrorCode::kSessionExpired,
                       "session " + std::to_string(id.value) + " has ended", false, false, 0},
                      0);
  }
  api::OpenSessionResult reply;
  host_.fill(reply.header, 0);
  reply.sessionId = static_cast<int64_t>(id.value);
  reply.ttlMs = s->ttl_ms;
  reply.leaseMs = lease_ms;
  for (const raft::Member& member : host_.members) {
    api::ServerAddress server;
    server.nodeId = static_cast<int32_t>(member.id.value);
    server.address = member.client_address;
    reply.servers.push_back(std::move(server));
  }
  fill_revocations(host_, id, reply.revocations);
  host_.complete(call, &reply);
}

// A server that lags behind, one whose disk is full for one, may not know the session for longer
// than its TTL: the call waits for the opening, what it renews does not (PROMISES 6 and 12).
void Engine::renew_unseen(const api::RequestContext& context) {
  const SessionId session(static_cast<uint64_t>(context.sessionId));
  const bool passed_on = !host_.serving && session > machine_.applied() &&
                         context.sessionSecret.size() == kSecretBytes && !draining_ &&
                         !host_.quarantined();
  if (!passed_on) return;
  RenewalTarget target;
  target.kind = RenewalTarget::Kind::kUnseen;
  target.session = session;
  target.deadline = host_.clock.now() + kRenewalWait;
  target.unchecked = hash_of(context.sessionSecret);
  renewals_.renew(target);
}

void Engine::poll(CallId call, const api::RequestContext& context,
                  const api::PollRequest& request) {
  if (refuse(call, context, check_request(request))) return;
  if (context.sessionId > 0) renew_unseen(context);
  if (!admit_session<&Engine::poll>(call, context, request)) return;
  const SessionId session(static_cast<uint64_t>(context.sessionId));
  if (!request.acknowledgedNotices.empty()) {
    acknowledge_notices(session, request.acknowledgedNotices);
  }
  std::optional<uint64_t>* const ticket = polls_.arrive(call, session, request);
  if (ticket == nullptr) return;
  RenewalTarget target;
  target.kind = RenewalTarget::Kind::kPoll;
  target.call = call;
  target.session = session;
  target.revision = min_revision_of(context);
  target.deadline = host_.clock.now() + kRenewalWait;
  *ticket = renewals_.renew(target, *ticket);
}

// Only what is in force and not yet acknowledged costs an entry; clients repeat themselves.
void Engine::acknowledge_notices(SessionId session, std::vector<int64_t> named) {
  std::sort(named.begin(), named.end());
  std::vector<lockmgr::Notice> in_force;
  machine_.notices_of(session, in_force);
  command::AcknowledgeNotices body;
  for (const lockmgr::Notice& notice : in_force) {
    const auto id = static_cast<int64_t>(notice.notice_id.value);
    if (notice.acknowledged || !std::binary_search(named.begin(), named.end(), id)) continue;
    body.noticeIds.push_back(id);
  }
  // A notice to several holders stands there for each.
  std::sort(body.noticeIds.begin(), body.noticeIds.end());
  body.noticeIds.erase(std::unique(body.noticeIds.begin(), body.noticeIds.end()),
                       body.noticeIds.end());
  if (body.noticeIds.empty()) return;
  PendingCommand pending;
  pending.has_call = false;
  pending.header.kind = CommandKind::ACKNOWLEDGE_NOTICES;
  pending.header.sessionId = static_cast<int64_t>(session.value);
  pending.deadline = host_.clock.now() + kRenewalWait;
  pending.body = Blob(commands_.encode(body));
  commands_.submit(std::move(pending));
}

void Engine::keep_alive(CallId call, const api::RequestContext& context,
                        const api::KeepAliveRequest& request) {
  if (context.sessionId > 0) renew_unseen(context);
  if (!admit_session<&Engine::keep_alive>(call, context, request)) return;
  RenewalTarget target;
  target.kind = RenewalTarget::Kind::kKeepAlive;
  target.call = call;
  target.session = SessionId(static_cast<uint64_t>(context.sessionId));
  target.sequence = context.sequence;
  target.revision = min_revision_of(context);
  target.deadline = host_.clock.now() + kRenewalWait;
  renewals_.renew(target);
}

void Engine::on_renewed(const RenewalTarget& target, const Renewed& outcome) {
  if (target.kind == RenewalTarget::Kind::kUnseen) return;
  if (outcome.code != ErrorCode::kOk) {
    Refusal refusal = Host::no_leader("no leader acknowledged the renewal in time");
    if (outcome.code == ErrorCode::kSessionExpired) {
      refusal = {ErrorCode::kSessionExpired,
                 "session " + std::to_string(target.session.value) + " has ended", false, false, 0};
    } else if (outcome.code == ErrorCode::kShuttingDown) {
      refusal = {ErrorCode::kShuttingDown, "this server is stopping; use another", false, true, 0};
    } else if (outcome.code == ErrorCode::kOverloaded) {
      // Not OVERLOADED: a client that stays with a server behind the others loses its locks.
      refusal = {ErrorCode::kNoLeader,
                 "this server has its " + std::to_string(host_.options.max_pending_reads) +
                     " renewals that wait for a revision",
                 false, true, 50};
    }
    if (target.kind == RenewalTarget::Kind::kPoll) {
      return polls_.renewal_failed(target.call, target.session, refusal);
    }
    return host_.fail(target.call, refusal, target.sequence);
  }
  switch (target.kind) {
    case RenewalTarget::Kind::kPoll:
      return polls_.renewed(target.call, target.session, outcome.lease_ms);
    case RenewalTarget::Kind::kOpen:
      return answer_open(target.call, target.session, outcome.lease_ms);
    default:
      break;
  }
  api::KeepAliveResult reply;
  host_.fill(reply.header, target.sequence);
  reply.leaseMs = outcome.lease_ms;
  fill_revocations(host_, target.session, reply.revocations);
  host_.complete(target.call, &reply);
}

void Engine::close_session(CallId call, const api::RequestContext& context,
                           const api::CloseSessionRequest& request) {
  submit<&Engine::close_session>(call, context, request, CommandKind::CLOSE_SESSION,
                                 command::CloseSession{});
}

}  // namespace holdfast::server
