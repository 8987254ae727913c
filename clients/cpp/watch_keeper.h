// Keeps the watches of one session on whichever server is polled, and puts together what that
// server tells (docs/watches.md). The polls themselves are the Keeper's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/net/timer.h"
#include "clients/cpp/resync_view.h"
#include "clients/cpp/server_pool.h"
#include "clients/cpp/watch.h"

namespace holdfast::client {

/// Loop thread only. Handlers may call anything here; it must outlive them.
class WatchKeeper final : private ReplySink {
 public:
  /// `session`: id and secret.
  WatchKeeper(ServerPool& pool, const api::RequestContext& session);
  ~WatchKeeper();
  WatchKeeper(const WatchKeeper&) = delete;
  WatchKeeper& operator=(const WatchKeeper&) = delete;

  /// Begins a watch and names it.
  int64_t add(api::WatchRequest request, WatchHandlers handlers);
  /// Ends one without a word; unknown numbers are ignored.
  void remove(int64_t number);

  /// `server` is polled, and its process is that of `epoch`. Watches that stand elsewhere are
  /// registered here, each from the last revision that it has told.
  void polled(Server& server, int64_t epoch);
  /// A reply that the next poll acknowledges.
  void taken_up(Server& server, const api::PollResult& result);
  /// The session is over: all watches are told.
  void end(const CallError& error);
  /// Forgets all watches untold.
  void stop();

  size_t size() const { return watches_.size(); }

 private:
  struct Watch {
    api::WatchRequest request;  ///< its sinceRevision goes on with what was told
    WatchHandlers handlers;
    int64_t id = 0;        ///< on the server polled; 0: not there
    uint64_t attempt = 0;  ///< the registration under way; 0: none
    bool started = false;
    std::vector<api::WatchEvent> part;  ///< of a group that is not whole yet
    std::optional<ResyncView> resync;
  };
  /// A call that is not answered.
  struct Call {
    int64_t watch = 0;  ///< registers this one; 0: a StopWatch
    int64_t stops = 0;  ///< the id that a StopWatch names
    std::weak_ptr<Connection> connection;
    int32_t seqid = 0;
  };
  /// Watches that stand on a server that is no longer polled.
  struct Left {
    int64_t epoch = 0;
    std::vector<int64_t> ids;
  };

  void move_to(Server& server, int64_t epoch);
  void leave();
  void register_missing();
  void register_at(int64_t number, Watch& watch, Connection& connection);
  void stop_watch(Connection& connection, int64_t id);
  void registered(int64_t number, const std::shared_ptr<Watch>& watch,
                  const api::WatchResult& result);
  void refused(int64_t number, const std::shared_ptr<Watch>& watch,
               const api::HoldfastError& error);
  void take(const api::WatchDelivery& delivery);
  static void take_group(Watch& watch, const api::WatchDelivery& delivery);
  static void tell(Watch& watch, const WatchBatch& batch);
  void take_progress(int64_t revision, int64_t newest_id);
  void stop_stray(int64_t id);
  void attempt(Watch& watch, uint64_t tag);
  Call take_call(uint64_t tag);
  bool is_stopping(const Connection& connection, int64_t id) const;

  void on_reply(uint64_t tag, Connection& from, Reply& reply) override;
  void on_lost(uint64_t tag, Connection& from) override;

  ServerPool& pool_;
  const api::RequestContext session_;
  net::Timer retry_;
  Server* server_ = nullptr;  ///< the one polled
  int64_t epoch_ = 0;
  std::map<int64_t, std::shared_ptr<Watch>> watches_;  ///< by number
  std::unordered_map<int64_t, int64_t> numbers_;       ///< of the ids on the server polled
  std::unordered_map<Server*, Left> left_;
  std::unordered_map<uint64_t, Call> calls_;
  std::unordered_multimap<int64_t, uint64_t> stops_;  ///< tags of calls, by Call::stops
  size_t attempts_ = 0;                               ///< watches with a registration under way
  int64_t last_number_ = 0;
  uint64_t last_tag_ = 0;
};

}  // namespace holdfast::client
