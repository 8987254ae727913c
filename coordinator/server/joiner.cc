#include "coordinator/server/joiner.h"

#include <utility>

#include "raft/transport/handshake.h"

namespace holdfast::server {

Joiner::Joiner(net::Loop& loop, raft::PeerIdentity self, std::vector<net::Address> servers,
               Events events)
    : loop_(loop),
      self_(std::move(self)),
      servers_(std::move(servers)),
      events_(std::move(events)),
      next_round_(loop, [this] { begin_round(); }) {
  next_round_.arm_after(0s);
}

std::optional<std::string> Joiner::contradiction(ClusterId offered) const {
  if (cluster_ == offered) return {};
  if (!cluster_) return "no server of --join has said yet which cluster it is of";
  return "the servers of --join are of cluster " + std::to_string(cluster_.value);
}

void Joiner::begin_round() {
  calls_.clear();
  answers_.clear();
  for (const net::Address& server : servers_) {
    calls_.push_back(
        std::make_unique<raft::IdentityCall>(loop_, raft::IdentityQuery{self_.node}, server, kRound,
                                             [this, &server](Result<raft::IdentityReply> answer) {
                                               answered(server, std::move(answer));
                                             }));
  }
}

void Joiner::answered(const net::Address& server, Result<raft::IdentityReply> answer) {
  answers_.emplace(net::to_string(server), std::move(answer));
  if (answers_.size() == servers_.size()) end_round();
}

// The first answer binds: a list that names two clusters is a mistake whose second half is told.
void Joiner::end_round() {
  std::string lines;
  std::string without_us;
  const char* are = " is";
  for (const auto& [server, answer] : answers_) {
    const std::string line = line_of(server, answer);
    if (line.empty()) {
      if (!without_us.empty()) are = " are";
      without_us += (without_us.empty() ? "" : ", ") + server;
    } else {
      lines += (lines.empty() ? "" : "; ") + line;
    }
  }
  if (!without_us.empty()) {
    lines = without_us + are + " of " + how_to_add() + (lines.empty() ? "" : "; ") + lines;
  }
  if (refusal_) return events_.refused(*refusal_);
  if (lines != told_) events_.waits(told_ = lines);
  next_round_.arm_after(kRound);
}

std::string Joiner::how_to_add() const {
  const std::string node = std::to_string(self_.node.value);
  return "cluster " + std::to_string(cluster_.value) + ", which has no node " + node +
         " yet: run `holdfast member add " + node + " " + self_.peer_address +
         "` (or member replace) against that cluster";
}

std::string Joiner::line_of(const std::string& server, const Result<raft::IdentityReply>& answer) {
  if (!answer.ok()) return server + ": " + answer.error().message;
  const ClusterId theirs = answer->self.cluster;
  const std::string who = server + ", " + raft::describe(answer->self) + ",";
  if (!theirs) return who + " belongs to no cluster yet";
  if (!cluster_) cluster_ = theirs;
  const std::string of = who + " of cluster " + std::to_string(theirs.value);
  if (theirs != cluster_) {
    refusal_ = Error{ErrorCode::kBadArgument, "--join names servers of two clusters: " + of +
                                                  ", another one of cluster " +
                                                  std::to_string(cluster_.value)};
    return refusal_->message;
  }
  const std::string node = "node " + std::to_string(self_.node.value);
  if (answer->asker_removed) {
    refusal_ = Error{ErrorCode::kBadArgument,
                     of + " has removed " + node +
                         " for good, and takes no server under that id again: start this one with "
                         "an empty directory under an id that was never used (`holdfast member "
                         "list` shows which were), and add that one"};
    return refusal_->message;
  }
  if (!answer->asker_store) return "";
  if (answer->asker_store == self_.store) return of + " has this server and will give it entry 1";
  refusal_ =
      Error{ErrorCode::kBadArgument,
            of + " has " + node + " under store " + std::to_string(answer->asker_store.value) +
                ", this is the empty store " + std::to_string(self_.store.value) +
                ": the disk was wiped or swapped, this is the wrong --data_dir, or another server "
                "runs with this --node_id. Start it under an id that was never used and, only if " +
                node + " is lost, run `holdfast member replace " +
                std::to_string(self_.node.value) + " NEW_ID " + self_.peer_address + "`"};
  return refusal_->message;
}

}  // namespace holdfast::server
