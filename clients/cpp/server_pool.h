// The servers a client knows: one connection each, who leads, and whom to leave alone for a while.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/error.h"
#include "base/net/loop.h"
#include "clients/cpp/connection.h"

namespace holdfast::client {

struct PoolOptions {
  ConnectionOptions connection;
  /// After a failed or lost connection a server is left alone this long, doubling up to the second.
  Duration backoff_min = 20ms;
  Duration backoff_max = 1s;
  /// How long a server may say nothing while it owes an answer, before its connection is given up;
  /// doubles each time in a row, so that a slow server is not stormed.
  Duration patience_min = 500ms;
  Duration patience_max = 4s;
  /// Follow the leader named in replies. Off for administration ports, which replies do not name.
  bool follow_leader = true;
  /// A cluster that is being formed is waited for; false: once every server has said that it is in
  /// none, that is the answer.
  bool wait_for_a_cluster = true;
  /// A server that loads its state is waited for, at an administration port too; false: there, that
  /// is the answer.
  bool wait_for_a_state = true;
};

/// One server of the pool; lives as long as the pool.
struct Server {
  net::Address address;
  std::string name;  ///< host:port
  std::shared_ptr<Connection> connection;
  Instant retry_at{};  ///< not dialled and not chosen before
  Duration backoff{0};
  Duration patience{0};
  std::string last_error;      ///< with the server's name; empty if its last answer was none
  bool in_no_cluster = false;  ///< by its last answer
  bool unreached = false;      ///< there was no connection, the last time it was tried
};

/// Told when a reply comes from another cluster than the replies before: it was restored, and what
/// was granted before may be granted anew (ARCHITECTURE, Durability).
class ClusterObserver {
 public:
  virtual void on_other_cluster() = 0;

 protected:
  ~ClusterObserver() = default;
};

/// Loop thread only.
class ServerPool final : private Connection::Owner {
 public:
  ServerPool(net::Loop& loop, Entropy& entropy, const PoolOptions& options);
  ~ServerPool();
  ServerPool(const ServerPool&) = delete;
  ServerPool& operator=(const ServerPool&) = delete;

  /// Adds a server if it is new. BAD_ARGUMENT if `text` is not host:port.
  Status add(const std::string& text);
  /// Servers named by a reply: added if they are new; none is ever dropped.
  void add_all(const std::vector<api::ServerAddress>& servers);

  /// The server to ask now: the leader if it is known and not in backoff, else the next in turn;
  /// `avoid` only if there is no other. Null while all are in backoff: ask again at next_try().
  Server* pick(const Server* avoid = nullptr);
  Instant next_try() const;
  /// The server's connection, dialled if need be; never closed.
  Connection& connect(Server& server);

  /// Every answer's header comes here: who leads, and that the server is well.
  void answered(Server& server, const api::ResponseHeader& header);
  /// And if that answer was a refusal, what it said.
  void refused(Server& server, const std::string& why) {
    server.last_error = server.name + ": " + why;
  }
  /// Every server has said that it is in no cluster, and none is to be waited for.
  bool serves_nobody() const;
  /// Such a refusal of the server, which bids nobody wait, ends by itself: it is in a cluster and
  /// has no state yet.
  bool is_to_have_a_state(const Server& server, ErrorCode refusal) const {
    return options_.wait_for_a_state && refusal == ErrorCode::kNoLeader && !server.in_no_cluster;
  }
  /// The server has said that it is in no cluster, and not every other one has.
  bool knows_less_than_others(const Server& server) const;
  /// The server owes an answer and has said nothing for longer than its patience: its connection is
  /// given up, so that everything outstanding on it goes elsewhere.
  void gave_no_answer(Server& server);

  void add_observer(ClusterObserver& observer) { observers_.insert(&observer); }
  void remove_observer(ClusterObserver& observer) { observers_.erase(&observer); }

  const std::vector<std::unique_ptr<Server>>& servers() const { return servers_; }
  const Server* leader() const { return leader_; }
  /// The newest revision that any server has shown; starts anew with another cluster. A read that
  /// asks for it sees what was seen before, whichever server answers.
  int64_t newest_revision() const { return newest_revision_; }
  net::Loop& loop() { return loop_; }
  Entropy& entropy() { return entropy_; }
  /// Of no server was there a connection, the last time it was tried.
  bool reached_nobody() const;
  /// For messages: each server with what went wrong last.
  std::string describe() const;
  /// The same of those that were not reached, each behind "; ".
  std::string describe_unreached() const;

 private:
  void on_connection_closed(Connection& connection, const std::string& why) override;
  void back_off(Server& server);
  Server* find(const std::string& name);
  bool may_try(const Server& server) const { return server.retry_at <= loop_.now(); }
  void learn_leader(const api::ResponseHeader& header);
  void learn_cluster(int64_t cluster_id);

  net::Loop& loop_;
  Entropy& entropy_;
  const PoolOptions options_;
  std::vector<std::unique_ptr<Server>> servers_;
  size_t next_ = 0;
  Server* leader_ = nullptr;
  int32_t leader_id_ = 0;
  int64_t leader_term_ = 0;
  int64_t cluster_id_ = 0;
  int64_t newest_revision_ = 0;
  std::set<ClusterObserver*> observers_;
};

}  // namespace holdfast::client
