// How a server comes into a cluster that runs, follows the changes of its members, and finds that
// it is none any more.
#include <glog/logging.h>

#include <utility>

#include "coordinator/server/initial_cluster.h"
#include "coordinator/server/server.h"

namespace holdfast::server {
namespace {

/// A server that is to be added answers at once or does not run.
constexpr Duration kIdentityTimeout = 2s;

}  // namespace

void Server::begin_join() {
  const auto waits = [this](const std::string& line) {
    LOG(INFO) << "waiting to be added: " << line;
    waits_because(line);
  };
  waits_because("asking the servers of --join which cluster they are of");
  joiner_ = std::make_unique<Joiner>(
      loop_, transport_->self(), options_.join,
      Joiner::Events{waits, [this](const Error& error) { stop_with(failure_of(error)); }});
}

std::optional<Failure> Server::begin_again(const std::string& genesis) {
  if (options_.join.empty()) return begin_serving(genesis);
  if (auto failed = know_genesis(genesis)) return failed;
  check_join();
  return std::nullopt;
}

// Meanwhile it says which cluster it is of: those that start with it and ask the same need to hear
// it, and nobody offers it an entry 1. It says so only once it can say who the members are, too
// (InboundConnection::Owner::knows_no_members()): as far as that is known without the state.
void Server::check_join() {
  join();
  const raft::Configuration known = last_known_members(genesis_, *snapshots_, log_->recovered());
  transport_->set_peers(peers_of(options_, known.members), known.removed, known.level);
  raft::PeerIdentity self = transport_->self();
  self.cluster = genesis_.cluster;
  join_check_ = std::make_unique<JoinCheck>(
      loop_, std::move(self), options_.join, [this](const std::optional<std::string>& other) {
        join_check_.reset();
        if (other) {
          return stop_with({ExitCode::kWrongDirectory,
                            "--data_dir=" + options_.data_dir + " belongs to cluster " +
                                std::to_string(genesis_.cluster.value) + ", and of --join " +
                                *other +
                                ": this is the wrong directory or the wrong list; leave --join out "
                                "if the directory is meant"});
        }
        if (auto failed = load_and_serve()) stop_with(std::move(*failed));
      });
}

MemberPorts Server::member_ports() {
  return {[this](const std::string& address, MemberPorts::Identified done) {
            identify(address, std::move(done));
          },
          [this](const Reach& members) { reach(members); },
          [this](NodeId peer) { return transport_->level_of(peer); }};
}

void Server::identify(const std::string& address, MemberPorts::Identified done) {
  const auto parsed = net::parse_address(address);
  if (!parsed.ok()) return done(parsed.error());
  const uint64_t number = ++last_identity_call_;
  auto call = std::make_unique<raft::IdentityCall>(
      loop_, raft::IdentityQuery{options_.node_id}, *parsed, kIdentityTimeout,
      [this, number, done = std::move(done)](Result<raft::IdentityReply> answer) {
        const auto kept = identity_calls_.extract(number);
        done(std::move(answer));
      });
  identity_calls_.emplace(number, std::move(call));
}

void Server::reach(const Reach& reach) {
  if (retired_) return;
  transport_->set_peers(peers_of(options_, reach.members), reach.removed, reach.level);
  for (const raft::RemovedMember& removed : reach.removed) {
    if (removed.id != options_.node_id || removed.store != directory_->store()) continue;
    note_removed("node " + std::to_string(removed.id.value) +
                 " was removed from the cluster at entry " + std::to_string(removed.index.value));
  }
}

void Server::note_removed(const std::string& how) {
  if (!removed_.empty()) return;
  removed_ = how;
  loop_.again();
}

void Server::told_removed(const std::string& how) {
  if (!removed_.empty()) return;
  note_removed(how);
  if (engine_) engine_->stand_aside();
}

// The process goes on, so that whoever looks for it is told; clients find their connections closed
// and go to the others. One that had lost its state ends to ask for it: nobody gives it one.
void Server::retire() {
  retired_ = true;
  LOG(ERROR) << "REMOVED: " << removed_ << "; this server serves nobody any more";
  if (engine_) {
    engine_->retire(removed_);
  } else {
    drop_engine();
  }
  client_port_->stop_accepting();
  client_port_->close_all_after_flush();
  transport_->set_peers({});
}

}  // namespace holdfast::server
