// What a quorum is. In a joint configuration every quorum is a majority of the voters and a
// majority of the outgoing voters (dissertation 4.3): commit, votes, check-quorum and read rounds
// all count by these functions and no other.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"
#include "raft/core/types.h"

namespace holdfast::raft {

/// Most ids in one list of a configuration.
inline constexpr size_t kMaxMembers = 64;

bool contains(const std::vector<NodeId>& ids, NodeId id);
/// In `voters` or `outgoing`.
bool is_voter(const Configuration& configuration, NodeId id);
/// In any list.
bool is_member(const Configuration& configuration, NodeId id);
/// All ids of all lists, ascending, once each.
std::vector<NodeId> member_ids(const Configuration& configuration);
/// Voters of both lists, ascending, once each.
std::vector<NodeId> voter_ids(const Configuration& configuration);
/// Lists ascend without repetition, are not too long, there is a voter, and no voter is a learner.
/// An outgoing voter may be one: it is about to be.
bool well_formed(const Configuration& configuration);

/// The largest value that a majority of `ids` has reached; `value_of(NodeId)` never shrinks it.
template <class ValueOf>
auto majority_value(const std::vector<NodeId>& ids, ValueOf&& value_of) {
  using Value = decltype(value_of(NodeId()));
  HF_CHECK(!ids.empty() && ids.size() <= kMaxMembers, "size of a voter list");
  std::array<Value, kMaxMembers> values{};
  for (size_t i = 0; i < ids.size(); ++i) values[i] = value_of(ids[i]);
  const auto end = values.begin() + static_cast<ptrdiff_t>(ids.size());
  const auto nth = values.begin() + static_cast<ptrdiff_t>(ids.size() / 2);
  std::nth_element(values.begin(), nth, end, [](const Value& a, const Value& b) { return b < a; });
  return *nth;
}

/// The largest value that a quorum has reached.
template <class ValueOf>
auto quorum_value(const Configuration& configuration, ValueOf&& value_of) {
  auto value = majority_value(configuration.voters, value_of);
  if (!configuration.outgoing.empty()) {
    value = std::min(value, majority_value(configuration.outgoing, value_of));
  }
  return value;
}

/// Answers of one election. A voter's first answer counts.
class Votes {
 public:
  void record(NodeId voter, bool granted);
  bool granted_by(NodeId voter) const { return contains(granted_, voter); }
  bool refused_by(NodeId voter) const { return contains(refused_, voter); }

 private:
  std::vector<NodeId> granted_;
  std::vector<NodeId> refused_;
};

enum class ElectionOutcome : uint8_t { kPending, kWon, kLost };
/// Won with a quorum of grants; lost when no quorum can come together any more.
ElectionOutcome tally(const Configuration& configuration, const Votes& votes);

}  // namespace holdfast::raft
