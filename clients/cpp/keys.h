// Keys and watches for the blocking library: what Client::keys(), Session::keys() and
// Session::watch() give. docs/keys.md and docs/watches.md say what keys and watches are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/client_core.h"

namespace holdfast::client {

class LoopThread;

struct ReadOptions {
  /// LOCAL: from one server's own state, which may lag, but never behind what this client has seen.
  api::Consistency::type consistency = api::Consistency::LINEARIZABLE;
  bool stat_only = false;  ///< without the value
  /// Seen is at least this revision, for example of a write that another program told of: TIMEOUT
  /// if no server comes to it. 0: what this client has seen.
  int64_t min_revision = 0;
};

struct ListOptions {
  bool subtree = false;  ///< all below the path, not only its children
  bool with_values = false;
  api::Consistency::type consistency = api::Consistency::LINEARIZABLE;
  int32_t page_size = 1'000;  ///< keys asked for at once
  int64_t min_revision = 0;   ///< as in ReadOptions
};

struct PutOptions {
  /// 0: any; -1: the key must not exist; else the version that it must have.
  int64_t expected_version = 0;
  bool make_parents = false;
  api::LockGuard guard = {};  ///< sessions only: NOT_HELD unless this holder holds the lock
};

struct CreateOptions {
  /// EPHEMERAL: sessions only; it goes with the session.
  api::KeyKind::type kind = api::KeyKind::PERSISTENT;
  bool sequential = false;
  Duration ttl{0};  ///< kind TTL only
  bool make_parents = false;
  api::LockGuard guard = {};
};

struct RemoveOptions {
  int64_t expected_version = 0;  ///< 0: any
  bool recursive = false;        ///< with all below it
  api::LockGuard guard = {};
};

/// The calls about keys. Of a session, writes are done exactly once and wait until their outcome is
/// known; of a client they are sent at most once, and OUTCOME_UNKNOWN is the error when the answer
/// was lost. Reads see at least what this client has seen before. Copies are the same.
class Keys {
 public:
  /// A key that does not exist is no error: `found` is false.
  Outcome<api::GetResult> get(const std::string& path, const ReadOptions& options = {}) const;
  /// At one revision, in the order asked for. Ends early at 1 MiB: ask again for the rest.
  Outcome<api::GetManyResult> get_many(const std::vector<std::string>& paths,
                                       const ReadOptions& options = {}) const;
  /// One page; pass its nextPage as `page` to go on.
  Outcome<api::ListKeysResult> list_page(const std::string& path, const ListOptions& options = {},
                                         const std::string& page = {}) const;
  /// All pages. What is created or removed meanwhile is seen or not; what is there all the time is
  /// in it once.
  Outcome<std::vector<api::KeyEntry>> list(const std::string& path,
                                           const ListOptions& options = {}) const;
  /// Waits until the key was written or removed after that revision, at most a minute.
  Outcome<api::WaitForChangeResult> wait_for_change(const std::string& path, int64_t after_revision,
                                                    Duration max_wait = 60s) const;

  Outcome<api::PutResult> put(const std::string& path, const std::string& value,
                              const PutOptions& options = {}) const;
  Outcome<api::CreateResult> create(const std::string& path, const std::string& value,
                                    const CreateOptions& options = {}) const;
  Outcome<api::RemoveResult> remove(const std::string& path,
                                    const RemoveOptions& options = {}) const;
  Outcome<api::TransactResult> transact(const api::TransactRequest& request) const;

 private:
  friend class Client;
  friend class Session;
  Keys(std::shared_ptr<LoopThread> thread, std::shared_ptr<SessionCore> session)
      : thread_(std::move(thread)), session_(std::move(session)) {}
  template <class Call>
  Outcome<typename Call::Result> read(typename Call::Request request, int64_t min_revision) const;
  template <class Call>
  Outcome<typename Call::Result> write(typename Call::Request request) const;

  std::shared_ptr<LoopThread> thread_;
  std::shared_ptr<SessionCore> session_;  ///< null: without a session
};

/// A watch that ends when this goes. Movable.
class Watch {
 public:
  Watch() = default;
  Watch(Watch&& other) noexcept;
  Watch& operator=(Watch&& other) noexcept;
  ~Watch();

  /// What happens after this revision is told.
  int64_t revision() const { return revision_; }
  /// Ends it and waits for calls of the handlers that are under way, except from inside them.
  void stop();

 private:
  friend class Session;
  std::shared_ptr<LoopThread> thread_;
  std::shared_ptr<SessionCore> session_;
  int64_t number_ = 0;
  int64_t revision_ = 0;
};

}  // namespace holdfast::client
