#include "coordinator/server/digest_watch.h"

#include <algorithm>
#include <utility>

#include "coordinator/server/alarms.h"
#include "coordinator/snapshot/writer.h"
#include "raft/core/quorum.h"

namespace holdfast::server {
namespace {

int64_t wire(uint64_t number) { return static_cast<int64_t>(number); }
uint64_t number(int64_t wire) { return static_cast<uint64_t>(wire); }

bool same_digests(const std::vector<DigestVote>& votes) {
  return std::ranges::all_of(
      votes, [&](const DigestVote& vote) { return vote.digest == votes.front().digest; });
}

const DigestVote* vote_of(NodeId node, const std::vector<DigestVote>& votes) {
  const auto at = std::ranges::find(votes, node, &DigestVote::node);
  return at == votes.end() ? nullptr : &*at;
}

std::string node_list(const std::vector<NodeId>& nodes) {
  std::string text = nodes.size() == 1 ? "node " : "nodes ";
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i > 0) text += i + 1 == nodes.size() ? " and " : ", ";
    text += std::to_string(nodes[i].value);
  }
  return text;
}

std::vector<NodeId> nodes_with(const Digest& digest, const std::vector<DigestVote>& votes) {
  std::vector<NodeId> nodes;
  for (const DigestVote& vote : votes) {
    if (vote.digest == digest) nodes.push_back(vote.node);
  }
  std::ranges::sort(nodes);
  return nodes;
}

}  // namespace

std::optional<Digest> agreed_digest(const raft::Configuration& configuration,
                                    const std::vector<DigestVote>& votes) {
  for (const DigestVote& candidate : votes) {
    const bool agreed = raft::quorum_value(configuration, [&](NodeId voter) {
      const DigestVote* vote = vote_of(voter, votes);
      return vote != nullptr && vote->digest == candidate.digest;
    });
    if (agreed) return candidate.digest;
  }
  return std::nullopt;
}

std::string describe_votes(const std::vector<DigestVote>& votes) {
  std::string text;
  std::vector<Digest> told;
  for (const DigestVote& vote : votes) {
    if (std::ranges::find(told, vote.digest) != told.end()) continue;
    told.push_back(vote.digest);
    if (!text.empty()) text += ", ";
    text += node_list(nodes_with(vote.digest, votes)) + " had " + snapshot::to_text(vote.digest);
  }
  return text;
}

DigestWatch::DigestWatch(Host& host, PeerCodec& codec)
    : host_(host), codec_(codec), state_(host.entropy.next_id()), next_(host.clock.now()) {
  if (host_.applied) on_applied();  // a state that was loaded is compared where it stands
}

// The first report to a leader goes at once: it may be of a state that was just loaded. Until it
// has been answered this server may still be asked for what it withheld: the doubt stays.
void DigestWatch::on_leader_changed() {
  reported_.clear();
  quarantined_at_.clear();
  difference_.reset();
  report_soon();
}

void DigestWatch::turn_end() {
  const Instant now = host_.clock.now();
  if (difference_ && now >= difference_->seen_at + kFresh) difference_.reset();
  if (doubt_ && now >= doubt_->seen_at + kFresh) doubt_.reset();
  if (now < next_) return;
  next_ = now + kEvery;
  if (!leads() && host_.soft.leader) report();
}

// ------------------------------------------------------------------------- what servers report

// From a quarantined state nothing is compared; that it is quarantined is said, to all: who is to
// be rebuilt from it should know.
void DigestWatch::report() {
  peer::DigestReport message;
  message.term = wire(host_.soft.term.value);
  message.state = wire(state_);
  message.number = wire(++number_);
  message.quarantined = host_.quarantined();
  std::vector<DigestPoint> points;
  if (!message.quarantined) points_.newest(kPointsOfEach, points);
  for (const DigestPoint& point : points) {
    peer::DigestPoint out;
    out.index = wire(point.index.value);
    out.high = wire(point.digest.high);
    out.low = wire(point.digest.low);
    message.points.push_back(std::move(out));
  }
  ++stats_.reports;
  if (!message.quarantined) return report_to(host_.soft.leader, message);
  for (const NodeId node : raft::member_ids(configuration())) {
    if (node != host_.options.self) report_to(node, message);
  }
}

void DigestWatch::report_to(NodeId node, const peer::DigestReport& message) {
  host_.transport.send_app(node, raft::Lane::kControl,
                           static_cast<uint8_t>(PeerKind::kDigestReport), codec_.encode(message));
}

void DigestWatch::receive_report(NodeId from, std::string_view bytes) {
  peer::DigestReport message;
  if (!codec_.decode(bytes, message) || message.points.size() > kPointsMax) return;
  if (message.term != wire(host_.soft.term.value)) return;
  if (!raft::is_member(configuration(), from)) return;
  if (!leads() && message.quarantined) quarantined_at_[from] = host_.clock.now();
  if (!leads() || host_.quarantined() || !take_report(from, message)) return;
  compare(reported_.at(from));
  if (difference_) tell(from);
}

/// A report that a later one has overtaken, or of a state that another has replaced, is dropped.
/// Which replaced which is known by what came last alone, and one that is late over restarts comes
/// last too: what has been silent for kFresh since has replaced nothing.
bool DigestWatch::take_report(NodeId from, const peer::DigestReport& message) {
  Reported& last = reported_[from];
  const uint64_t state = number(message.state);
  if (state == last.former_state && state != 0 && heard_lately(from)) return false;
  if (state == last.state && number(message.number) <= last.number) return false;
  if (state != last.state) last = {.state = state, .former_state = last.state};
  last.number = number(message.number);
  last.quarantined = message.quarantined;
  last.heard_at = host_.clock.now();
  last.points.clear();
  for (const peer::DigestPoint& point : message.points) {
    last.points.push_back(
        {LogIndex(number(point.index)), {.low = number(point.low), .high = number(point.high)}});
  }
  return true;
}

// ----------------------------------------------------------------------------- the comparison

/// An index at which enough is known to decide goes before a later one.
void DigestWatch::compare(const Reported& reported) {
  std::optional<Difference> found;
  for (const DigestPoint& point : reported.points) {
    std::vector<DigestVote> votes = votes_at(point.index);
    if (votes.size() < 2) continue;
    ++stats_.compared;
    const auto agreed = agreed_digest(configuration(), votes);
    note_agreement(point.index, agreed);
    if (same_digests(votes)) continue;
    doubt(point.index);
    if (found && !agreed) continue;
    found = Difference{point.index, std::move(votes), agreed, host_.clock.now()};
    if (agreed) break;
  }
  if (found) take_difference(std::move(*found));
}

/// Only digests of the very same index are held against each other.
std::vector<DigestVote> DigestWatch::votes_at(LogIndex index) const {
  std::vector<DigestVote> votes;
  if (const auto own = points_.at(index)) votes.push_back({host_.options.self, state_, *own});
  for (const auto& [node, reported] : reported_) {
    if (!heard_lately(node) || !raft::is_member(configuration(), node)) continue;
    const auto at = std::ranges::find(reported.points, index, &DigestPoint::index);
    if (at != reported.points.end()) votes.push_back({node, reported.state, at->digest});
  }
  std::ranges::sort(votes, {}, &DigestVote::node);
  return votes;
}

void DigestWatch::note_agreement(LogIndex index, const std::optional<Digest>& agreed) {
  if (agreed && agreed == points_.at(index)) agreed_through_ = std::max(agreed_through_, index);
}

/// The last entry counts, and any difference that is open keeps it so. What is agreed on since is
/// known by then.
void DigestWatch::doubt(LogIndex index) {
  if (index <= agreed_through_) return;
  doubt_ = {doubt_ ? std::max(doubt_->index, index) : index, host_.clock.now()};
}

/// What was decided stands until it is carried out: one that is undecided says less.
void DigestWatch::take_difference(Difference difference) {
  ++stats_.mismatches;
  if (difference_ && difference_->agreed && !difference.agreed) return;
  difference_ = std::move(difference);
  judge_self(*difference_);
}

/// Of another state, one that this server had or has not yet, it says nothing; and a majority that
/// is none by this server's own configuration decides nothing.
void DigestWatch::judge_self(const Difference& difference) {
  const DigestVote* own = vote_of(host_.options.self, difference.votes);
  if (own == nullptr || own->state != state_ || host_.quarantined()) return;
  const auto known = points_.at(difference.index);
  if (known && *known != own->digest) return;
  const auto agreed = agreed_digest(configuration(), difference.votes);
  if (!agreed || *agreed == own->digest) return;
  verdict_ =
      DigestVerdict{difference.index, own->digest, *agreed, nodes_with(*agreed, difference.votes)};
}

// ------------------------------------------------------------------------- what the leader says

void DigestWatch::tell(NodeId node) {
  peer::DigestNews message;
  message.term = wire(host_.soft.term.value);
  message.index = wire(difference_->index.value);
  for (const DigestVote& vote : difference_->votes) {
    peer::DigestVote out;
    out.nodeId = static_cast<int32_t>(vote.node.value);
    out.state = wire(vote.state);
    out.high = wire(vote.digest.high);
    out.low = wire(vote.digest.low);
    message.votes.push_back(std::move(out));
  }
  host_.transport.send_app(node, raft::Lane::kControl, static_cast<uint8_t>(PeerKind::kDigestNews),
                           codec_.encode(message));
}

void DigestWatch::receive_news(NodeId from, std::string_view bytes) {
  peer::DigestNews message;
  if (leads() || from != host_.soft.leader || !codec_.decode(bytes, message)) return;
  if (message.term != wire(host_.soft.term.value)) return;
  if (message.votes.empty() || message.votes.size() > raft::kMaxMembers) return;
  std::vector<DigestVote> votes;
  for (const peer::DigestVote& vote : message.votes) {
    votes.push_back({NodeId(static_cast<uint64_t>(std::max(0, vote.nodeId))),
                     number(vote.state),
                     {.low = number(vote.low), .high = number(vote.high)}});
  }
  const auto agreed = agreed_digest(configuration(), votes);
  difference_ = {LogIndex(number(message.index)), std::move(votes), agreed, host_.clock.now()};
  doubt(difference_->index);
  judge_self(*difference_);
}

// --------------------------------------------------------------------------------- what it shows

std::optional<DigestVerdict> DigestWatch::take_verdict() {
  return std::exchange(verdict_, std::nullopt);
}

bool DigestWatch::quarantined(NodeId node) const {
  const auto said = quarantined_at_.find(node);
  if (said != quarantined_at_.end() && host_.clock.now() < said->second + kFresh) return true;
  const auto at = reported_.find(node);
  return at != reported_.end() && at->second.quarantined;
}

bool DigestWatch::heard_lately(NodeId node) const {
  const auto at = reported_.find(node);
  return at != reported_.end() && host_.clock.now() < at->second.heard_at + kFresh;
}

void DigestWatch::add_alarms(std::vector<api::Alarm>& alarms) const {
  if (difference_) {
    alarms.push_back(
        make_alarm("DIGEST_MISMATCH", NodeId(),
                   "the states after entry " + std::to_string(difference_->index.value) +
                       " differ: " + describe_votes(difference_->votes) +
                       (difference_->agreed ? "; who differs from the majority is quarantined"
                                            : "; no majority agrees, so nobody is quarantined")));
  }
  for (const auto& [node, reported] : reported_) {
    if (!reported.quarantined || !raft::is_member(configuration(), node)) continue;
    alarms.push_back(make_alarm(
        "NODE_QUARANTINED", node,
        "node " + std::to_string(node.value) + " is quarantined: ask it for its status"));
  }
}

}  // namespace holdfast::server
