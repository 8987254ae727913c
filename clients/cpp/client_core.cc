#include "clients/cpp/client_core.h"

namespace holdfast::client {
namespace {

// How long a session is looked for whose opening was given up; after that it is left to its TTL.
constexpr Duration kLookForLost = 5s;

}  // namespace

ClientCore::ClientCore(net::Loop& loop, Entropy& entropy, const ClientOptions& options)
    : options_(options),
      entropy_(entropy),
      pool_(loop, entropy, options.pool),
      caller_(pool_),
      reap_(loop.on_turn_end(1000, [this] { retired_.clear(); })) {}

ClientCore::~ClientCore() {
  const auto open = sessions_;
  for (const auto& [key, session] : open) session->abandon();
  retired_.clear();
}

Outcome<std::unique_ptr<ClientCore>> ClientCore::create(net::Loop& loop, Entropy& entropy,
                                                        const ClientOptions& options) {
  std::unique_ptr<ClientCore> client(new ClientCore(loop, entropy, options));
  for (const std::string& server : options.servers) {
    if (const Status added = client->pool_.add(server); !added) {
      return CallError{added.error().code, added.error().message};
    }
  }
  if (options.servers.empty()) {
    return CallError{ErrorCode::kBadArgument, "no server is given: host:port,... is needed"};
  }
  return client;
}

void ClientCore::open_session(const SessionOptions& options, const Opened& done) {
  api::OpenSessionRequest request;
  request.ttlMs = to_ms(options.ttl);
  request.name = options.name;
  request.attributes = options.attributes;
  request.secret.resize(16);
  entropy_.fill(request.secret.data(), request.secret.size());
  caller_.call<OpenSession>(
      {}, request, {.timeout = options_.call_timeout},
      [this, request, done](const Outcome<api::OpenSessionResult>& outcome, const CallInfo& info) {
        if (outcome) return done(adopt(request.secret, *outcome, info.sent));
        if (outcome.error().maybe_applied) close_lost(request);
        done(outcome.error());
      });
}

// By its secret it is told from any other.
void ClientCore::close_lost(const api::OpenSessionRequest& request) {
  caller_.call<OpenSession>(
      {}, request, {.timeout = kLookForLost},
      [this, secret = request.secret](const Outcome<api::OpenSessionResult>& outcome,
                                      const CallInfo& info) {
        if (outcome) adopt(secret, *outcome, info.sent)->close([](const auto&) {});
      });
}

std::shared_ptr<SessionCore> ClientCore::adopt(const std::string& secret,
                                               const api::OpenSessionResult& opened, Instant sent) {
  pool_.add_all(opened.servers);
  api::RequestContext context;
  context.sessionId = opened.sessionId;
  context.sessionSecret = secret;
  auto session = std::make_shared<SessionCore>(*this, std::move(context), opened.ttlMs);
  sessions_.emplace(session.get(), session);
  session->opened(opened, sent);
  return session;
}

void ClientCore::retire(SessionCore& session) {
  pool_.remove_observer(session);
  auto node = sessions_.extract(&session);
  if (!node.empty()) retired_.push_back(std::move(node.mapped()));
}

}  // namespace holdfast::client
