// One session on the event loop: its commands, each applied exactly once (PROMISES 4); its locks,
// each with a deadline of its own (PROMISES 5); its places in queues.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/net/timer.h"
#include "clients/cpp/caller.h"
#include "clients/cpp/hold.h"
#include "clients/cpp/keeper.h"
#include "clients/cpp/sequence_set.h"
#include "clients/cpp/watch.h"
#include "clients/cpp/watch_keeper.h"

namespace holdfast::client {

class ClientCore;

/// How to ask for a lock.
struct LockOptions {
  api::LockMode::type mode = api::LockMode::EXCLUSIVE;
  int32_t permits = 1;  ///< SEMAPHORE only
  int32_t limit = 0;    ///< SEMAPHORE only: permits of the lock
  /// 0 tries; -1 waits as long as the session lives; else ms of cluster time.
  int64_t wait_ms = -1;
  std::string value = {};  ///< published with the holder
  int64_t lock_delay_ms = 0;
  int32_t max_queue = 0;
  std::string owner = {};  ///< the handle's name, for people
};

/// What an acquire came to: `hold` if it was granted, else `result` says why not.
struct Acquired {
  std::shared_ptr<Hold> hold;
  api::AcquireResult result;
};

/// Loop thread only. Made by ClientCore::open_session, which keeps it while it is open; no call but
/// the destructor is allowed once the client is gone.
class SessionCore final : public std::enable_shared_from_this<SessionCore>,
                          private Keeper::Events,
                          private ClusterObserver {
 public:
  using AcquireDone = std::function<void(Outcome<Acquired>)>;
  /// Names a pending acquire: the sequence it was sent with.
  using Ticket = int64_t;

  SessionCore(ClientCore& client, api::RequestContext context, int64_t ttl_ms);

  int64_t id() const { return context_.sessionId; }
  int64_t ttl_ms() const { return ttl_ms_; }
  bool open() const { return !over_; }
  /// Why a server has ended the session; empty while none has.
  const std::optional<CallError>& ended_by() const { return ended_by_; }
  const Lease& lease() const { return lease_; }

  /// Asks for a lock. `done` comes once: granted (and reliable at that moment), refused, or an
  /// error that says so. It never says "maybe": while the servers are out of reach it waits.
  Ticket acquire(const std::string& path, const LockOptions& options, AcquireDone done);
  /// Asks for several locks, all or none. The options' mode, permits and limit are not used.
  Ticket acquire_all(std::vector<api::LockWanted> locks, const LockOptions& options,
                     AcquireDone done);
  /// Takes a pending acquire back. Its `done` is called with what it came to: granted if the grant
  /// came first. Unknown tickets are ignored.
  void cancel(Ticket ticket);

  using ReleaseDone = std::function<void(Outcome<api::ReleaseStatus::type>)>;
  /// Gives the lock back. From this call on the hold is not to be relied on.
  void release(const std::shared_ptr<Hold>& hold, ReleaseDone done);
  /// Hands the lock to the waiter with that holder id. TARGET_GONE, TARGET_BLOCKED, and an error
  /// that was not applied: it is kept. BAD_ARGUMENT for locks of one acquireAll.
  void hand_over(const std::shared_ptr<Hold>& hold, int64_t to, ReleaseDone done);
  /// Publishes another value; NOT_HELD is an error.
  void set_value(const std::shared_ptr<Hold>& hold, const std::string& value,
                 const std::function<void(Outcome<bool>)>& done);
  /// Begins a watch and names it. It goes on wherever the session is polled, without a gap, until
  /// unwatch() or the session's end.
  int64_t watch(const std::string& path, const WatchOptions& options, WatchHandlers handlers);
  /// Ends a watch; nothing is told after this. Unknown ones are ignored.
  void unwatch(int64_t watch);
  /// Ends the session; its locks and places go at once. `done` may come with an error if no server
  /// could be told: then the servers end it when its TTL has passed.
  void close(std::function<void(Outcome<bool>)> done);
  /// Stops without telling the servers.
  void abandon();

  /// A command of this session: numbered, sent until its outcome is known.
  template <class Call>
  void command(typename Call::Request request, Caller::Done<Call> done) {
    command_as<Call>(++last_sequence_, std::move(request), std::move(done));
  }
  /// A read that sees at least everything this client has seen.
  template <class Call>
  void read(typename Call::Request request, Caller::Done<Call> done) {
    caller_.call<Call>(read_context(), std::move(request), {.timeout = read_timeout_},
                       std::move(done));
  }

  /// Called once when a server has ended the session.
  std::function<void(const CallError&)> on_ended;
  /// Called for every revocation announced against a lock of this session.
  std::function<void(const api::RevocationNotice&)> on_revocation;

 private:
  friend class ClientCore;

  /// An acquire whose end is not known.
  struct Waiting {
    std::variant<api::AcquireRequest, api::AcquireAllRequest> request;
    AcquireDone done;
    std::unique_ptr<net::Timer> ask_again;
    Instant wait_ends = Instant::max();
    int64_t asked_after = 0;  ///< so many moves, see moves_
    bool asking = false;
    bool asked_for = false;  ///< a hint came while the answer to an earlier question was on its way
    bool applied = false;    ///< a server has said so: it has had its place, or the lock
  };

  void opened(const api::OpenSessionResult& result, Instant sent);

  // Commands.
  template <class Call>
  void command_as(int64_t sequence, typename Call::Request request, Caller::Done<Call> done);
  template <class Call>
  void send_command(int64_t sequence, typename Call::Request request, Caller::Done<Call> done,
                    Duration timeout);
  api::RequestContext command_context(int64_t sequence);
  std::function<void(api::RequestContext&)> acknowledging(int64_t sequence);
  api::RequestContext read_context() const;
  void command_done(int64_t sequence, bool acknowledge);

  // Acquires.
  Ticket begin_acquire(Waiting waiting, int64_t wait_ms);
  void ask(Ticket ticket);
  template <class Call>
  void ask_as(Ticket ticket, const typename Call::Request& request);
  void on_answer(Ticket ticket, const Outcome<api::AcquireResult>& outcome);
  void release_rest(const Waiting& waiting, const api::AcquireResult& result);
  bool has_a_place(Ticket ticket) const;
  void withdraw_unless_known(Ticket ticket, const CallError& error);
  void wait_on(Ticket ticket, Waiting& waiting);
  void finish(Ticket ticket, Outcome<Acquired> outcome);
  void end_acquires(const CallError& error);
  std::shared_ptr<Hold> make_hold(const Waiting& waiting, const api::AcquireResult& result);
  void granted(Ticket ticket, Waiting& waiting, const api::AcquireResult& result);
  void ask_again_under_lease();

  // Holds.
  void renewed(Instant sent, int64_t lease_ms,
               const std::vector<api::RevocationNotice>& revocations);
  void lose(const std::shared_ptr<Hold>& hold, LostReason reason);
  void lose_all(LostReason reason);
  void take_loss(const api::LossNotice& loss);
  void verify(const std::shared_ptr<Hold>& hold);
  void verify_token(const std::shared_ptr<Hold>& hold);
  void verify_holder(const std::shared_ptr<Hold>& hold);
  void found(const std::shared_ptr<Hold>& hold, bool held);
  void forget(const Hold& hold);
  void watch_deadlines();
  void on_deadline();
  void send_release(const std::shared_ptr<Hold>& hold, int64_t to, ReleaseDone done);
  void over(const CallError& error);

  void on_poll(const api::PollResult& result, const Keeper::Answer& answer) override;
  void on_server_changed() override;
  void on_session_over(const CallError& error) override { over(error); }
  void on_other_cluster() override;

  ClientCore& client_;
  Caller& caller_;
  api::RequestContext context_;  ///< session id and secret
  const int64_t ttl_ms_;
  const Duration read_timeout_;
  Lease lease_;
  Keeper keeper_;
  net::Timer deadline_timer_;

  int64_t last_sequence_ = 0;
  SequenceSet acknowledged_;
  size_t next_told_ = 0;  ///< range of them that the next command tells first, if there are many
  size_t outstanding_ = 0;
  std::deque<std::function<void()>> queued_;  ///< commands that wait for room in the window

  std::map<Ticket, Waiting> waiting_;
  std::unordered_map<int64_t, std::shared_ptr<Hold>> holds_;  ///< by holder id
  std::vector<Ticket> unleased_;  ///< granted while no lease was in force
  /// Holders whose loss was told before the answer that grants; some, the oldest go first.
  std::deque<int64_t> lost_unseen_;
  int64_t moves_ = 0;                     ///< how often another server began to answer polls
  Server* polled_ = nullptr;              ///< whose poll was taken up last
  int64_t polled_epoch_ = 0;              ///< and of which process
  std::unique_ptr<WatchKeeper> watches_;  ///< null until there was a watch
  bool over_ = false;
  std::optional<CallError> ended_by_;
};

}  // namespace holdfast::client
