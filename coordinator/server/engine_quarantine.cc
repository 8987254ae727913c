// A server whose state is not to be believed: it stores the log, acknowledges and votes, so that
// the cluster keeps its quorum, and does nothing else until it has another server's state.
#include <algorithm>

#include "coordinator/server/alarms.h"
#include "coordinator/server/engine_calls.h"

namespace holdfast::server {

namespace {

constexpr auto kKeepAgain = 1s;
constexpr const char* kAskedFor = "an operator asked for it to be rebuilt";

std::string sentence(NodeId self, const DigestVerdict& verdict) {
  const std::vector<DigestVote> own = {{self, 0, verdict.own}};
  std::vector<DigestVote> agreed;
  for (const NodeId node : verdict.agreeing) agreed.push_back({node, 0, verdict.agreed});
  return "after entry " + std::to_string(verdict.index.value) + " " + describe_votes(own) +
         " for its state digest, while " + describe_votes(agreed) + ", a majority";
}

/// Whichever database of that directory is in force when it is set aside.
std::string beside(const std::string& path) {
  return path.substr(0, path.rfind('/')) + "/state-*.db.damaged";
}

/// Who is asked for its state and is in doubt about it keeps silent (PROMISE 11). Of the doubt the
/// leader tells a server that is quarantined, too; in the first moments of a rebuild it is still
/// about the state that this server had.
constexpr const char* kWithheld =
    "; servers whose states differ, as DIGEST_MISMATCH says, give them to nobody: if that lasts, "
    "rebuild the wrong one of them, too";

std::string no_state_to_give(NodeId node, const std::string& why) {
  return "node " + std::to_string(node.value) + " has no state to give: it " + why;
}

}  // namespace

// What servers had asked for before is not given either.
void Engine::judge_digests() {
  if (digests_.withholds()) source_.forget_servers();
  const auto verdict = digests_.take_verdict();
  if (!verdict) return;
  enter_quarantine(sentence(host_.options.self, *verdict), best_of(verdict->agreeing));
}

// Remembered before anything else is done, so that no crash brings the state back into service.
void Engine::enter_quarantine(const std::string& why, NodeId successor) {
  if (host_.quarantined()) return;
  quarantine_ = why;
  keep_quarantine();
  begin_quarantine(why, successor);
}

// A server that ended for want of room would come back with that state in service: this one is
// quarantined all the same, and remembers it as soon as there is room (PROMISE 12).
void Engine::keep_quarantine() {
  keep_again_ = Instant::max();
  if (!ports_.quarantine.keep) return;
  const Status kept = ports_.quarantine.keep(quarantine_);
  if (kept.ok()) return;
  if (kept.error().code != ErrorCode::kNoSpace) return ports_.fatal(kept.error());
  keep_again_ = host_.clock.now() + kKeepAgain;
}

void Engine::begin_quarantine(const std::string& why, NodeId successor) {
  quarantine_ = why;
  // What was asked for is no error, in later lives of the process neither.
  if (why == kAskedFor) {
    ports_.audit("QUARANTINED: " + why + "; this server serves nobody until it is");
  } else if (ports_.quarantine.log) {
    ports_.quarantine.log("QUARANTINED: " + why +
                          "; this server serves nobody until `holdfast rebuild`");
  }
  host_.quarantine();
  digests_.report_soon();
  host_.serving = false;
  tick_in_flight_ = 0;
  renewals_.end_leadership();
  answer_all();
  snapshots_.stop();
  node_.bar(successor);
}

api::Alarm Engine::quarantine_alarm() const {
  const std::string progress = snapshot_progress();
  const auto arriving = fetch_ ? fetch_->how_far() : std::nullopt;
  const bool comes = arriving && arriving->total_bytes > 0;
  return make_alarm("QUARANTINED", host_.options.self,
                    "node " + std::to_string(host_.options.self.value) +
                        " serves nobody: " + quarantine_ +
                        (rebuild_    ? "; it is being rebuilt"
                         : draining_ ? ""
                                     : "; run `holdfast rebuild`") +
                        (progress.empty() ? "" : ": " + progress) +
                        (rebuild_ && !comes && digests_.mismatch() ? kWithheld : "") +
                        (keep_again_ == Instant::max()
                             ? ""
                             : "; its disk has no room to remember that over a restart"));
}

// ------------------------------------------------------------------------------- the way out

// Answered at once: when the state is put in force all connections are closed.
void Engine::rebuild_state(CallId call, const api::RequestContext& context,
                           const api::RebuildStateRequest& request) {
  const auto refuse = [&](ErrorCode code, const std::string& message) {
    host_.refuse(call, {code, message, false, false, 0}, context.sequence);
  };
  const NodeId from(static_cast<uint64_t>(std::max(0, request.fromNode)));
  const auto members = raft::member_ids(node_.core().configuration());
  // One that was removed among them: nobody gives it a state.
  if (draining_) return refuse(ErrorCode::kShuttingDown, stopping_);
  if (!fetch_) return refuse(ErrorCode::kUnsupported, "this server writes no snapshot");
  if (request.fromNode < 0 ||
      (from && (from == host_.options.self || !raft::contains(members, from)))) {
    return refuse(ErrorCode::kBadArgument, "node " + std::to_string(request.fromNode) +
                                               " is no other member to get the state from");
  }
  if (members.size() < 2) {
    return refuse(ErrorCode::kBadArgument, "the cluster has no other server to get the state from");
  }
  if (!host_.quarantined() && !request.force) {
    return refuse(ErrorCode::kBadArgument,
                  "this server is not quarantined; it is rebuilt all the same if force is set");
  }
  if (digests_.quarantined(from)) {
    return refuse(ErrorCode::kBadArgument, no_state_to_give(from, "is quarantined"));
  }
  if (host_.quarantined()) return begin_rebuild(call, context, request);
  if (const auto kept = only_state(from)) return host_.refuse(call, *kept, context.sequence);
  if (node_.core().is_leader()) return hand_over_to_rebuild(call, context, request);
  begin_rebuild(call, context, request);
}

void Engine::begin_rebuild(CallId call, const api::RequestContext& context,
                           const api::RebuildStateRequest& request) {
  audit(context,
        "rebuildState from=" + std::to_string(request.fromNode) + (request.force ? " force" : ""));
  enter_quarantine(kAskedFor, NodeId());
  rebuild_ = NodeId(static_cast<uint64_t>(request.fromNode));
  api::RebuildStateResult reply;
  host_.fill(reply.header, context.sequence);
  if (snapshots_.stats().written) {
    // A span that is under way may yet be written to another database, which is then the one.
    const snapshot::SnapshotStore& store = *ports_.snapshots.store;
    reply.keptAs = snapshots_.settled() ? store.aside_path() : beside(store.path());
  }
  host_.show(call, &reply);
}

// Of two servers that are asked at once each may know that the other has a state. So a server goes
// into quarantine for an operator's word only while another leads, as far as it knows: that one
// cannot have gone for such a word itself, because who is quarantined never leads again, and does
// not go as long as it leads that term. Of all that went, each relying on the leader of some term,
// the leader of the last of these terms is left, whatever was lost on the way.
void Engine::hand_over_to_rebuild(CallId call, const api::RequestContext& context,
                                  const api::RebuildStateRequest& request) {
  const NodeId successor = successor_with_state();
  if (auto refusal = begin_transfer(static_cast<int32_t>(successor.value))) {
    return host_.refuse(call,
                        {static_cast<ErrorCode>(refusal->code),
                         "this server leads, and hands over first: " + refusal->message, false,
                         refusal->code != api::ErrorCode::BAD_ARGUMENT, 100},
                        context.sequence);
  }
  audit(context, "leadership goes to node " + std::to_string(successor.value) +
                     ", so that this server can be rebuilt");
  transfers_.push_back({call, deadline_of(context), host_.options.self, ++transfer_number_,
                        [=, this] { rebuild_state(call, context, request); }});
}

// What --force overrides is the doubt which of two states is right, not that there is one: a
// quarantined server does not lead, so once none but such are left nobody can give a state, and
// nothing brings one back but an operator's work on a stopped server. What the core knows counts,
// of which the host may not have heard yet.
std::optional<Refusal> Engine::only_state(NodeId from) const {
  const NodeId leader = node_.core().leader();
  if (!leader) {
    return Host::no_leader(
        "no leader is known to this server, so it cannot know that another has a state to give");
  }
  if (leader != host_.options.self) return std::nullopt;  // that one has it: it leads
  const auto refused = [](const std::string& why) {
    return Refusal{ErrorCode::kBadArgument, why, false, false, 0};
  };
  if (const std::string why = from ? no_state_of(from) : ""; !why.empty()) {
    return refused(no_state_to_give(from, why));
  }
  if (successor_with_state()) return std::nullopt;
  std::string all;
  for (const NodeId voter : node_.core().configuration().voters) {
    if (voter == leader) continue;
    all += (all.empty() ? "node " : ", node ") + std::to_string(voter.value) + " " +
           no_state_of(voter);
  }
  return refused(
      "this server has the only state that the cluster can go on with, and is not rebuilt "
      "if force is set either: " +
      (all.empty() ? "there is no other voter" : all) +
      "; start or rebuild those first, or, if they are lost, see `holdfast recover`");
}

NodeId Engine::successor_with_state() const {
  std::vector<NodeId> voters = node_.core().configuration().voters;
  std::erase_if(voters, [this](NodeId voter) { return !no_state_of(voter).empty(); });
  return best_of(voters);
}

/// Why nobody can go on with what that node has, as this leader knows it; empty: one can.
std::string Engine::no_state_of(NodeId node) const {
  if (!digests_.heard_lately(node)) return "is not heard from";
  if (digests_.quarantined(node)) return "is quarantined";
  const std::vector<raft::PeerStatus> peers = node_.core().status().peers;
  const auto peer = std::ranges::find(peers, node, &raft::PeerStatus::id);
  return peer != peers.end() && peer->caught_up ? "" : "lacks the newest entries";
}

// A state as late as the one that is here, so that nothing that was durable is missing in it; the
// log goes on from there, and is not cut meanwhile.
void Engine::rebuild_turn() {
  if (rebuild_) fetch_->begin_any(rebuild_sources(), host_.applied);
}

// The leader first; a server that does not answer, or is quarantined too, is given up by the fetch.
// None if all others were removed since this one was to be rebuilt.
std::vector<NodeId> Engine::rebuild_sources() {
  if (*rebuild_) return {*rebuild_};
  std::vector<NodeId> others = raft::member_ids(node_.core().configuration());
  std::erase(others, host_.options.self);
  const auto leader = std::ranges::find(others, host_.soft.leader);
  if (leader != others.end()) std::rotate(others.begin(), leader, others.end());
  return others;
}

}  // namespace holdfast::server
