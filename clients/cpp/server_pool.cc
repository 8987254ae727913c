#include "clients/cpp/server_pool.h"

#include <algorithm>

namespace holdfast::client {
namespace {

// More than a cluster ever has; bounds what replies can make a client remember.
constexpr size_t kServersMax = 64;

}  // namespace

ServerPool::ServerPool(net::Loop& loop, Entropy& entropy, const PoolOptions& options)
    : loop_(loop), entropy_(entropy), options_(options) {}

ServerPool::~ServerPool() {
  for (auto& server : servers_) {
    if (server->connection == nullptr) continue;
    server->connection->detach();
    server->connection->close();
  }
}

Server* ServerPool::find(const std::string& name) {
  for (auto& server : servers_) {
    if (server->name == name) return server.get();
  }
  return nullptr;
}

Status ServerPool::add(const std::string& text) {
  auto address = net::parse_address(text);
  if (!address) return address.error();
  const std::string name = net::to_string(*address);
  if (find(name) != nullptr || servers_.size() >= kServersMax) return ok_status();
  auto server = std::make_unique<Server>();
  server->address = *address;
  server->name = name;
  server->patience = options_.patience_min;
  servers_.push_back(std::move(server));
  // Clients of one list should not all begin with its first server.
  next_ = entropy_.next_u64() % servers_.size();
  return ok_status();
}

void ServerPool::add_all(const std::vector<api::ServerAddress>& servers) {
  for (const auto& server : servers) {
    if (const Status added = add(server.address); !added) continue;
  }
}

Server* ServerPool::pick(const Server* avoid) {
  if (leader_ != nullptr && leader_ != avoid && may_try(*leader_)) return leader_;
  Server* last_resort = nullptr;
  for (size_t i = 0; i < servers_.size(); ++i) {
    Server* server = servers_[(next_ + i) % servers_.size()].get();
    if (!may_try(*server)) continue;
    if (server == avoid) {
      last_resort = server;
      continue;
    }
    next_ = (next_ + i) % servers_.size();
    return server;
  }
  return last_resort;
}

Instant ServerPool::next_try() const {
  Instant earliest = Instant::max();
  for (const auto& server : servers_) earliest = std::min(earliest, server->retry_at);
  return earliest;
}

Connection& ServerPool::connect(Server& server) {
  if (server.connection == nullptr || server.connection->closed()) {
    server.connection = Connection::dial(loop_, server.address, options_.connection, this);
  }
  return *server.connection;
}

void ServerPool::back_off(Server& server) {
  server.backoff =
      std::clamp(server.backoff * 2, options_.backoff_min, Duration(options_.backoff_max));
  // Between half and all of it, so that clients that lost a server together do not return together.
  const auto half = static_cast<uint64_t>(server.backoff.count() / 2);
  server.retry_at =
      loop_.now() + server.backoff / 2 + Duration(static_cast<int64_t>(entropy_.next_u64() % half));
  if (leader_ != &server && servers_.size() > 1) next_ = (next_ + 1) % servers_.size();
}

void ServerPool::on_connection_closed(Connection& connection, const std::string& why) {
  for (auto& server : servers_) {
    if (server->connection.get() != &connection) continue;
    server->last_error = why;
    server->unreached = !connection.opened();
    back_off(*server);
  }
}

void ServerPool::answered(Server& server, const api::ResponseHeader& header) {
  server.backoff = Duration(0);
  server.patience = options_.patience_min;
  server.last_error.clear();
  server.unreached = false;
  server.in_no_cluster = header.clusterId == 0;
  if (header.clusterId != cluster_id_) learn_cluster(header.clusterId);
  newest_revision_ = std::max(newest_revision_, header.revision);
  if (options_.follow_leader) learn_leader(header);
}

bool ServerPool::serves_nobody() const {
  return !options_.wait_for_a_cluster &&
         std::all_of(servers_.begin(), servers_.end(),
                     [](const auto& server) { return server->in_no_cluster; });
}

bool ServerPool::reached_nobody() const {
  return std::all_of(servers_.begin(), servers_.end(),
                     [](const auto& server) { return server->unreached; });
}

bool ServerPool::knows_less_than_others(const Server& server) const {
  return server.in_no_cluster &&
         std::any_of(servers_.begin(), servers_.end(),
                     [](const auto& other) { return !other->in_no_cluster; });
}

void ServerPool::learn_cluster(int64_t cluster_id) {
  if (cluster_id == 0) return;
  const bool other = cluster_id_ != 0;
  cluster_id_ = cluster_id;
  if (!other) return;
  newest_revision_ = 0;
  leader_term_ = 0;
  leader_id_ = 0;
  leader_ = nullptr;
  const std::set<ClusterObserver*> told = observers_;
  for (ClusterObserver* observer : told) {
    if (observers_.contains(observer)) observer->on_other_cluster();
  }
}

void ServerPool::learn_leader(const api::ResponseHeader& header) {
  if (header.leaderId == leader_id_ && header.term == leader_term_) return;
  // What a server of an older term believes is not news.
  if (header.term < leader_term_ || header.leaderAddress.empty()) return;
  if (const Status added = add(header.leaderAddress); !added) return;
  leader_id_ = header.leaderId;
  leader_term_ = header.term;
  leader_ = find(net::to_string(*net::parse_address(header.leaderAddress)));
}

void ServerPool::gave_no_answer(Server& server) {
  server.last_error = server.name + " does not answer";
  server.unreached = server.connection == nullptr || !server.connection->opened();
  server.patience = std::min(server.patience * 2, options_.patience_max);
  back_off(server);
  if (server.connection == nullptr) return;
  const auto connection = server.connection;
  connection->close();
}

std::string ServerPool::describe() const {
  std::string out;
  for (const auto& server : servers_) {
    if (!out.empty()) out += "; ";
    out += server->last_error.empty() ? server->name + " has not answered yet" : server->last_error;
  }
  return out;
}

std::string ServerPool::describe_unreached() const {
  std::string out;
  for (const auto& server : servers_) {
    if (server->unreached) out += "; " + server->last_error;
  }
  return out;
}

}  // namespace holdfast::client
