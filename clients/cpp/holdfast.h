// The C++ client library: blocking calls and guards over the client core, which runs on a thread of
// its own. Everything here may be used from any thread, except from inside callbacks, which run on
// the library's thread and must not block.
//
//   auto client = holdfast::client::Client::connect({.servers = {"127.0.0.1:7411"}});
//   auto session = (*client)->open_session({.ttl = 10s, .name = "billing-7"});
//   auto lock = session->acquire("/jobs/nightly");
//   if (lock && *lock) write_somewhere(lock->token());   // released when it goes out of scope
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/client_core.h"
#include "clients/cpp/keys.h"

namespace holdfast::client {

class LoopThread;

/// One granted acquire or acquireAll, given back when the guard goes; or a refused one. Movable.
class LockGuard {
 public:
  LockGuard() = default;
  LockGuard(LockGuard&&) noexcept = default;
  LockGuard& operator=(LockGuard&& other) noexcept;
  ~LockGuard();

  /// It was granted. Whether it is still held is check()'s answer.
  explicit operator bool() const { return hold_ != nullptr; }
  /// Why it was not granted, and who holds the lock.
  const api::AcquireResult& refusal() const { return refusal_; }

  int64_t token() const { return hold_ == nullptr ? 0 : hold_->token; }
  int64_t holder_id() const { return hold_ == nullptr ? 0 : hold_->holder_id; }
  /// May the lock be relied on now? Reads the clock: true after a pause only if the deadline has
  /// not passed. What is written after a check() is protected by the token alone.
  bool check() const { return remaining() > Duration(0); }
  /// How long it may be relied on if nothing more is heard from the servers.
  Duration remaining() const;
  /// Why it is lost; kNone while held.
  LostReason lost() const;
  /// Calls back once, on the library's thread, when the lock is lost other than by release(); at
  /// once if that has happened.
  void on_lost(std::function<void(LostReason)> callback);

  /// Gives it back and waits for the answer, however long that takes within the session's life.
  /// RELEASED, or NOT_HELD if it had ended before. The destructor does not wait.
  Outcome<api::ReleaseStatus::type> release();
  /// Hands it to the waiter with that holder id (see describe()). TARGET_GONE, TARGET_BLOCKED, and
  /// an error that was not applied: it is kept. BAD_ARGUMENT for locks of one acquire_all().
  Outcome<api::ReleaseStatus::type> hand_over(int64_t to);
  /// Publishes another value with the holder.
  Outcome<bool> set_value(const std::string& value);

 private:
  friend class Session;
  void give_back();

  std::shared_ptr<LoopThread> thread_;
  std::shared_ptr<SessionCore> session_;
  std::shared_ptr<Hold> hold_;
  api::AcquireResult refusal_;
};

/// A session that is kept alive until close(), the last copy's end, or a server's word.
class Session {
 public:
  int64_t id() const;
  /// Waits as `options` say. A refused or timed-out acquire is a guard that is false, not an error.
  Outcome<LockGuard> acquire(const std::string& path, const LockOptions& options = {});
  /// All or none, in one place of every queue.
  Outcome<LockGuard> acquire_all(const std::vector<api::LockWanted>& locks,
                                 const LockOptions& options = {});
  /// Stands for election until elected: the guard is the leadership, `value` what it publishes.
  Outcome<LockGuard> campaign(const std::string& path, const std::string& value);
  /// What the leader of an election publishes; empty if nobody leads.
  Outcome<std::string> leader(const std::string& path);
  /// Keys; its writes are this session's, each applied exactly once.
  Keys keys() const;
  /// Begins a watch and waits until it stands. `told` and `ended` are called on the library's
  /// thread; `started` is not.
  Outcome<Watch> watch(const std::string& path, const WatchOptions& options,
                       WatchHandlers handlers);
  /// Ends it; locks and places go at once.
  Outcome<bool> close();
  /// Calls back once, on the library's thread, when a server has ended the session; at once if that
  /// has happened.
  void on_ended(std::function<void(const CallError&)> callback);

 private:
  friend class Client;
  struct Owned;
  std::shared_ptr<Owned> owned_;
};

class Client {
 public:
  /// Connects lazily: an error only if an address is ill-formed. `clock` must outlive the client;
  /// null: the machine's.
  static Outcome<std::unique_ptr<Client>> connect(const ClientOptions& options,
                                                  Clock* clock = nullptr);
  Outcome<Session> open_session(const SessionOptions& options = {});
  /// For resources: is this token still the current one?
  Outcome<bool> check_token(const std::string& path, int64_t token);
  Outcome<api::LockInfo> describe(const std::string& path);
  /// Keys without a session: a write is sent at most once.
  Keys keys() const { return {thread_, nullptr}; }

 private:
  std::shared_ptr<LoopThread> thread_;
};

}  // namespace holdfast::client
