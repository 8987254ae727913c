#include "raft/core/quorum.h"

#include <iterator>

namespace holdfast::raft {
namespace {

bool ascending(const std::vector<NodeId>& ids) {
  return ids.size() <= kMaxMembers &&
         std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end();
}

std::vector<NodeId> merged(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  std::vector<NodeId> all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

}  // namespace

bool contains(const std::vector<NodeId>& ids, NodeId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

bool is_voter(const Configuration& configuration, NodeId id) {
  return contains(configuration.voters, id) || contains(configuration.outgoing, id);
}

bool is_member(const Configuration& configuration, NodeId id) {
  return is_voter(configuration, id) || contains(configuration.learners, id);
}

std::vector<NodeId> member_ids(const Configuration& configuration) {
  return merged(voter_ids(configuration), configuration.learners);
}

std::vector<NodeId> voter_ids(const Configuration& configuration) {
  return merged(configuration.voters, configuration.outgoing);
}

bool well_formed(const Configuration& configuration) {
  const auto votes = [&](NodeId id) { return contains(configuration.voters, id); };
  return !configuration.voters.empty() && ascending(configuration.voters) &&
         ascending(configuration.outgoing) && ascending(configuration.learners) &&
         std::none_of(configuration.learners.begin(), configuration.learners.end(), votes);
}

void Votes::record(NodeId voter, bool granted) {
  if (granted_by(voter) || refused_by(voter)) return;
  (granted ? granted_ : refused_).push_back(voter);
}

ElectionOutcome tally(const Configuration& configuration, const Votes& votes) {
  // 2: granted, 1: no answer yet, 0: refused. The value that a quorum has reached is the outcome.
  const int reached = quorum_value(configuration, [&votes](NodeId id) {
    if (votes.granted_by(id)) return 2;
    return votes.refused_by(id) ? 0 : 1;
  });
  if (reached == 2) return ElectionOutcome::kWon;
  return reached == 1 ? ElectionOutcome::kPending : ElectionOutcome::kLost;
}

}  // namespace holdfast::raft
