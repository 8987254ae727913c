// The client core: everything one process needs to talk to one cluster, on one event loop. All of
// it is asynchronous: calls return at once and their outcome comes as a callback on the loop's
// thread. clients/cpp/holdfast.h is the blocking library on top.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/entropy.h"
#include "clients/cpp/caller.h"
#include "clients/cpp/session_core.h"

namespace holdfast::client {

// Every member of these has an initializer: {.ttl = 10s} is then whole, and no compiler warns.
struct ClientOptions {
  /// "host:port" of some servers; the rest is learned from them.
  std::vector<std::string> servers = {"127.0.0.1:7411"};
  PoolOptions pool = {};
  /// For calls outside sessions, and for opening one.
  Duration call_timeout = 10s;
};

/// What the session is for and how long it outlives its client.
struct SessionOptions {
  Duration ttl = 10s;
  std::string name = {};  ///< for people: "billing-7@host"
  std::map<std::string, std::string> attributes = {};
};

/// Loop thread only, construction and destruction included.
class ClientCore {
 public:
  /// BAD_ARGUMENT if a server is not host:port or none is given.
  static Outcome<std::unique_ptr<ClientCore>> create(net::Loop& loop, Entropy& entropy,
                                                     const ClientOptions& options);
  /// Sessions still open are abandoned: the servers keep them until their TTL passes.
  ~ClientCore();
  ClientCore(const ClientCore&) = delete;
  ClientCore& operator=(const ClientCore&) = delete;

  using Opened = std::function<void(Outcome<std::shared_ptr<SessionCore>>)>;
  /// Opens a session and keeps it until it is closed or a server ends it. Never called back from
  /// inside. A session opened after its opener gave up is left to expire.
  void open_session(const SessionOptions& options, const Opened& done);

  /// A call without a session. Reads are repeated until they are answered, and see at least all
  /// that this client was shown before, and that revision; of a write that may have been applied
  /// the outcome is kOutcomeUnknown.
  template <class Call>
  void read(typename Call::Request request, Caller::Done<Call> done, int64_t min_revision = 0) {
    caller_.call<Call>(read_context(min_revision), std::move(request),
                       {.timeout = options_.call_timeout}, std::move(done));
  }
  template <class Call>
  void write(typename Call::Request request, Caller::Done<Call> done) {
    caller_.call<Call>({}, std::move(request),
                       {.timeout = options_.call_timeout, .resend = Resend::kOnlyOnce},
                       std::move(done));
  }

  /// Waits for a key to change: as long as the request says, besides the time that any read has.
  void wait_for_change(api::WaitForChangeRequest request, Caller::Done<WaitForChange> done) {
    constexpr int64_t kWaitMsMax = 60'000;  // servers refuse more
    const Duration wait = from_ms(std::clamp<int64_t>(request.maxWaitMs, 0, kWaitMsMax));
    caller_.call<WaitForChange>(read_context(), std::move(request),
                                {.timeout = wait + options_.call_timeout, .parked = wait},
                                std::move(done));
  }

  ServerPool& pool() { return pool_; }
  Caller& caller() { return caller_; }
  const ClientOptions& options() const { return options_; }

 private:
  friend class SessionCore;
  ClientCore(net::Loop& loop, Entropy& entropy, const ClientOptions& options);
  api::RequestContext read_context(int64_t min_revision = 0) const {
    api::RequestContext context;
    // A revision that cannot be is the server's to refuse.
    context.minRevision =
        min_revision < 0 ? min_revision : std::max(min_revision, pool_.newest_revision());
    return context;
  }
  /// Nobody has got to know the session that a server may have opened for this request.
  void close_lost(const api::OpenSessionRequest& request);
  std::shared_ptr<SessionCore> adopt(const std::string& secret,
                                     const api::OpenSessionResult& opened, Instant sent);
  /// The session is over; it is let go at the end of the turn, when nothing of it runs any more.
  void retire(SessionCore& session);

  const ClientOptions options_;
  Entropy& entropy_;
  ServerPool pool_;
  Caller caller_;
  std::unordered_map<SessionCore*, std::shared_ptr<SessionCore>> sessions_;
  std::vector<std::shared_ptr<SessionCore>> retired_;
  net::Loop::Hook reap_;
};

}  // namespace holdfast::client
