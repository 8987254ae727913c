// Calls that survive servers: one call is sent, and sent again, to whichever server can answer it,
// until its outcome is known or its time is up.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/net/timer.h"
#include "clients/cpp/server_pool.h"

namespace holdfast::client {

/// Waits without an end.
inline constexpr Duration kForever = Duration::max();

/// May a call be sent again after its fate was lost?
enum class Resend : uint8_t {
  kSafe,      ///< reads, openSession, and commands that carry a session's sequence
  kOnlyOnce,  ///< writes without a session: lost means OUTCOME_UNKNOWN
};

struct CallOptions {
  /// Whole time for all attempts; kForever: until it is known.
  Duration timeout = 10s;
  Resend resend = Resend::kSafe;
  /// The server may hold the answer back this long.
  Duration parked{0};
  /// Errors marked retryable are waited out; false: they are the answer.
  bool retry_refusals = true;
  /// Called before the call is sent again: what its context says may be out of date by then.
  std::function<void(api::RequestContext&)> update_context = {};
  /// So NO_SPACE alone; false where another server may have the room that this one lacks.
  bool wait_for_room = true;
};

/// How the answered attempt went.
struct CallInfo {
  Instant sent;  ///< when it was sent: leases count from here
  int attempts = 0;
  Server* server = nullptr;  ///< who answered; null if nobody did
};

/// Loop thread only. Pending calls are dropped untold when the caller is destroyed.
class Caller {
 public:
  using CallId = uint64_t;
  template <class Call>
  using Done = std::function<void(Outcome<typename Call::Result>, const CallInfo&)>;

  explicit Caller(ServerPool& pool) : pool_(pool) {}
  ~Caller();
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  /// Starts a call. `done` is called exactly once, never from inside, unless cancel() comes first.
  /// `context.deadlineMs` is set per attempt.
  template <class Call>
  CallId call(api::RequestContext context, typename Call::Request request,
              const CallOptions& options, Done<Call> done);
  /// Forgets a call: `done` will not be called. Unknown ids are ignored.
  void cancel(CallId id);

  /// Why there is no room for a call that is pending, as it was refused last; empty: there is none.
  std::string waits_for_room() const;

  ServerPool& pool() { return pool_; }
  size_t pending() const { return pending_.size(); }

 private:
  class Pending;
  template <class Call>
  class TypedPending;

  void start(std::unique_ptr<Pending> pending);
  std::unique_ptr<Pending> take(CallId id);

  ServerPool& pool_;
  CallId last_id_ = 0;
  std::unordered_map<CallId, std::unique_ptr<Pending>> pending_;
};

/// One call on its way: which attempt, on which server, when to give up. What does not depend on
/// the call's types.
class Caller::Pending : public ReplySink {
 public:
  Pending(Caller& caller, api::RequestContext context, const CallOptions& options);
  virtual ~Pending();
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

  void begin();
  /// Its last refusal was for want of room.
  bool waits_for_room() const {
    return last_refusal_ && last_refusal_->code == ErrorCode::kNoSpace;
  }
  /// What the last refusal for want of room said; empty: there was none.
  const std::string& no_room() const { return no_room_; }
  const CallId id;

 protected:
  virtual int32_t send(Connection& connection, uint64_t tag) = 0;
  virtual void finish_with(CallError error, const CallInfo& info) = 0;

  void on_lost(uint64_t tag, Connection& from) override;
  /// A server's answer; true if it ends the call.
  void answered(const api::ResponseHeader& header);
  void refused(const api::HoldfastError& error);
  void give_up(CallError error);
  std::unique_ptr<Pending> leave() { return caller_.take(id); }

  Caller& caller_;
  api::RequestContext context_;
  CallInfo info_;

 private:
  void attempt();
  void on_timer();
  void owed_answer();
  void ask_another();
  void retry_after(Duration delay);
  void wait_until(Instant when);
  void drop_attempt();
  bool waits_for_the_servers_word() const;
  CallError timed_out() const;
  Duration refusal_delay(const CallError& error);

  const CallOptions options_;
  const Instant deadline_;
  net::Timer timer_;
  std::weak_ptr<Connection> connection_;
  Server* server_ = nullptr;
  const Server* avoid_ = nullptr;
  int32_t seqid_ = 0;  ///< of the attempt in flight, 0 = none
  int refusals_ = 0;
  std::optional<CallError> last_refusal_;
  std::string no_room_;
  bool leaderless_ = false;    ///< the last refusal was for want of a leader
  bool last_attempt_ = false;  ///< begun in the second half of the time: see attempt()
  /// The attempt asks for a revision that no server had shown when it was sent.
  bool unseen_revision_ = false;
  bool fate_unknown_ = false;  ///< an earlier attempt may have been applied
};

template <class Call>
class Caller::TypedPending final : public Caller::Pending {
 public:
  TypedPending(Caller& caller, api::RequestContext context, typename Call::Request request,
               const CallOptions& options, Done<Call> done)
      : Pending(caller, std::move(context), options),
        request_(std::move(request)),
        done_(std::move(done)) {}

 private:
  int32_t send(Connection& connection, uint64_t tag) override {
    return connection.send<Call>(context_, request_, *this, tag);
  }
  void finish_with(CallError error, const CallInfo& info) override {
    done_(std::move(error), info);
  }
  void on_reply(uint64_t tag, Connection& from, Reply& reply) override {
    typename Call::Result result;
    api::HoldfastError error;
    bool failed = false;
    if (!reply.read<Call>(result, error, &failed)) return on_lost(tag, from);
    answered(failed ? error.header : result.header);
    if (failed) return refused(error);
    const auto self = leave();
    done_(std::move(result), info_);
  }

  typename Call::Request request_;
  Done<Call> done_;
};

template <class Call>
Caller::CallId Caller::call(api::RequestContext context, typename Call::Request request,
                            const CallOptions& options, Done<Call> done) {
  auto pending = std::make_unique<TypedPending<Call>>(*this, std::move(context), std::move(request),
                                                      options, std::move(done));
  const CallId id = pending->id;
  start(std::move(pending));
  return id;
}

}  // namespace holdfast::client
