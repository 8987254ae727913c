#include "coordinator/server/member_changes.h"

#include <algorithm>
#include <utility>

#include "raft/core/configuration.h"

namespace holdfast::server {
namespace {

/// Requests that one server has open; each is an operator that waits.
constexpr size_t kAskedMax = 64;
constexpr size_t kWorksMax = 64;
/// A leader that cannot make a change now is asked again no sooner.
constexpr Duration kAgainAfter = 100ms;
/// Of a change that the leader has not begun with: nobody was asked.
constexpr size_t kHeldBack = SIZE_MAX;

Refusal overloaded(const std::string& what, size_t limit) {
  return {ErrorCode::kOverloaded, what + ", the limit is " + std::to_string(limit), false, true,
          500};
}

/// What else a change does may have been left undone: somebody else may have removed the member.
bool removes_only(const api::ChangeMembersRequest& request, NodeId id) {
  return request.removed == std::vector{static_cast<int32_t>(id.value)} && request.added.empty() &&
         request.promoted.empty();
}

/// What a newcomer must know: as recorded, or as an entry of the founding needed it.
uint32_t level_in_force(const Host& host) {
  return std::max(host.node->core().configuration().level,
                  static_cast<uint32_t>(host.machine.level()));
}

std::string why_no_leader(const api::ChangeMembersRequest& request) {
  std::string why = "there is no leader that could make the change";
  if (request.force) {
    why +=
        ", and none without a majority of the voters, --force or not: if most of them are lost for "
        "good, see `holdfast recover`";
  }
  return why;
}

/// A joint configuration is not left before both majorities have it, and not taken back by a
/// command (paper, section 6).
std::string why_undone(const raft::Configuration& configuration) {
  std::string why = "the change was not done in time and may still be";
  if (raft::is_joint(configuration)) {
    why += ", once a majority of the voters, and one of those that are outgoing, have it";
  }
  return why;
}

}  // namespace

MemberChanges::MemberChanges(Host& host, PeerCodec& codec, MemberPorts ports)
    : host_(host),
      codec_(codec),
      ports_(std::move(ports)),
      levels_(host, ports_.level_of),
      last_number_(static_cast<int64_t>(host.entropy.next_id() >> 12)) {}

// ---------------------------------------------------------------------------- whom to reach

void MemberChanges::on_configuration() {
  host_.members = host_.node->core().configuration().members;
  stale_ = true;
  levels_.look();
  publish();
}

Reach reach_of(const raft::Raft& core) {
  const raft::ConfigurationLog& log = core.configurations();
  const raft::PlacedConfiguration& base = log.placed_at(core.commit());
  std::map<NodeId, raft::Member> members;
  for (const raft::PlacedConfiguration& placed : log.all()) {
    if (placed.index < base.index) continue;
    for (const raft::Member& member : placed.configuration.members) members[member.id] = member;
  }
  Reach reach;
  for (auto& [id, member] : members) reach.members.push_back(std::move(member));
  reach.removed = base.configuration.removed;
  reach.level = base.configuration.level;
  return reach;
}

void MemberChanges::publish() {
  const raft::Raft& core = host_.node->core();
  const raft::ConfigurationLog& log = core.configurations();
  const bool committed = log.latest_index() <= core.commit();
  if (!stale_ && told_index_ == log.latest_index() && told_committed_ == committed) return;
  stale_ = false;
  told_index_ = log.latest_index();
  told_committed_ = committed;
  Reach reach = reach_of(core);
  if (reach == told_) return;
  told_ = std::move(reach);
  if (ports_.reach) ports_.reach(told_);
}

// --------------------------------------------------------------------------------- who asks

void MemberChanges::ask(CallId call, const api::ChangeMembersRequest& request,
                        const std::string& trace, Instant deadline) {
  if (asked_.size() >= kAskedMax) {
    return host_.fail(call, overloaded("too many changes of the members are waited for", kAskedMax),
                      0);
  }
  Asked& asked = asked_.emplace_back();
  asked.call = call;
  asked.number = ++last_number_;
  asked.request = request;
  asked.trace = trace;
  asked.deadline = deadline;
}

void MemberChanges::send(Asked& asked) {
  asked.leader = host_.soft.leader;
  asked.begun = {};
  asked.again_at = Instant::max();
  ++asked.sent;
  peer::MemberChange message;
  message.request = asked.number;
  message.change = asked.request;
  message.trace = asked.trace;
  if (asked.leader == host_.options.self) return begin(asked.leader, std::move(message));
  host_.transport.send_app(asked.leader, raft::Lane::kControl,
                           static_cast<uint8_t>(PeerKind::kMemberChange), codec_.encode(message));
}

void MemberChanges::receive_reply(NodeId from, std::string_view bytes) {
  peer::MemberChangeReply message;
  if (codec_.decode(bytes, message)) take_reply(from, message);
}

void MemberChanges::take_reply(NodeId from, const peer::MemberChangeReply& message) {
  const auto at = std::find_if(asked_.begin(), asked_.end(),
                               [&](const Asked& a) { return a.number == message.request; });
  if (at == asked_.end() || at->begun) return;
  if (message.code != api::ErrorCode::UNSPECIFIED) return take_refusal(from, *at, message);
  at->begun = LogIndex(static_cast<uint64_t>(std::max<int64_t>(1, message.index)));
  at->changed |= message.changed;
}

// What a former leader refuses, the present one may be doing. And once a request was repeated, what
// an earlier leader made of it is not known: that another change is under way may be this very one.
void MemberChanges::take_refusal(NodeId from, Asked& asked,
                                 const peer::MemberChangeReply& message) {
  if (from != asked.leader) return;
  const bool repeated = asked.sent > 1;
  if (repeated && message.retryable) {
    asked.again_at = host_.clock.now() + kAgainAfter;
    return;
  }
  asked.refusal = Refusal{static_cast<ErrorCode>(message.code), message.message, repeated,
                          message.retryable, to_ms(kAgainAfter)};
}

bool MemberChanges::decided(const Asked& asked) const {
  const raft::Raft& core = host_.node->core();
  return asked.begun && core.commit() >= asked.begun && is_settled(core);
}

bool MemberChanges::done(const Asked& asked) const {
  return decided(asked) && left_to_do(host_.node->core().configuration(), asked.request).empty();
}

// What another leader replaced by an entry of its own is asked for again; and whatever it was that
// the last leader began with, the next one may not have it.
bool MemberChanges::settle(Asked& asked) {
  if (done(asked)) return complete(asked);
  const NodeId leader = host_.soft.leader;
  const Instant now = host_.clock.now();
  if (decided(asked) || now >= asked.again_at) asked.leader = {};
  if (leader && asked.leader != leader) send(asked);
  if (asked.refusal) return fail(asked, *asked.refusal);
  if (done(asked)) return complete(asked);
  if (now < asked.deadline) return false;
  const bool was_sent = asked.sent > 0;
  const raft::Raft& core = host_.node->core();
  const std::string why =
      was_sent ? why_undone(core.configuration()) : why_no_leader(asked.request);
  return fail(asked, {was_sent ? ErrorCode::kTimeout : ErrorCode::kNoLeader,
                      why + "; the members are " + describe_members(core), was_sent, false, 0});
}

bool MemberChanges::complete(const Asked& asked) {
  api::ChangeMembersResult reply;
  host_.fill(reply.header, 0);
  reply.changed = asked.changed;
  reply.members = members_of(host_.node->core());
  // A server that was told of its own removal may not have the entry by which the leaving have
  // left.
  std::erase_if(reply.members,
                [](const api::Member& member) { return member.role == api::MemberRole::LEAVING; });
  reply.featureLevel = static_cast<int32_t>(level_in_force(host_));
  host_.show(asked.call, &reply);
  return true;
}

bool MemberChanges::fail(const Asked& asked, const Refusal& refusal) {
  host_.fail(asked.call, refusal, 0);
  return true;
}

void MemberChanges::on_removed() {
  for (const Asked& asked : std::exchange(asked_, {})) {
    if (removes_only(asked.request, host_.options.self)) {
      complete(asked);
    } else {
      fail(asked, {ErrorCode::kOutcomeUnknown,
                   "this server was removed from the cluster; ask another one", true, false, 0});
    }
  }
}

void MemberChanges::turn_end() {
  publish();
  levels_.turn_end();
  begin_held_back();
  for (size_t i = 0; i < asked_.size();) {
    if (settle(asked_[i])) {
      asked_.erase(asked_.begin() + static_cast<ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

Instant MemberChanges::next_deadline() const {
  Instant next = levels_.next_deadline();
  for (const Asked& asked : asked_) {
    next = std::min(next, asked.deadline);
    if (asked.leader) next = std::min(next, asked.again_at);
  }
  return next;
}

void MemberChanges::shut_down() {
  for (const Asked& asked : asked_) {
    fail(asked, {ErrorCode::kShuttingDown, "this server is stopping", true, true, 0});
  }
  asked_.clear();
}

// -------------------------------------------------------------------------------- the leader

void MemberChanges::receive_request(NodeId from, std::string_view bytes) {
  peer::MemberChange message;
  if (codec_.decode(bytes, message)) begin(from, std::move(message));
}

void MemberChanges::begin(NodeId from, peer::MemberChange message) {
  const int64_t request = message.request;
  if (host_.soft.role != raft::Role::kLeader) {
    return refuse(from, request, Host::no_leader("this server does not lead"));
  }
  if (const auto fault = fault_of(message.change)) {
    return refuse(from, request, {ErrorCode::kBadArgument, *fault, false, false, 0});
  }
  if (works_.size() >= kWorksMax) {
    return refuse(from, request, overloaded("too many changes of the members wait", kWorksMax));
  }
  const uint64_t number = ++last_work_;
  works_.emplace(number, Work{from, std::move(message), kHeldBack, {}});
  if (host_.serving) judge(number);
}

/// Until its own first entry is applied a leader may not know all that is committed.
void MemberChanges::begin_held_back() {
  if (!host_.serving && host_.soft.role == raft::Role::kLeader) return;
  std::vector<uint64_t> held;
  for (const auto& [number, work] : works_) {
    if (work.unanswered == kHeldBack) held.push_back(number);
  }
  for (const uint64_t number : held) {
    if (host_.serving) {
      judge(number);
    } else {
      const Work work = std::move(works_.extract(number).mapped());
      refuse(work.from, work.message.request,
             Host::no_leader("this server does not lead any more"));
    }
  }
}

/// What needs no answer of anybody is refused before anybody is asked.
void MemberChanges::judge(uint64_t number) {
  const Work& work = works_.at(number);
  const raft::Configuration& configuration = host_.node->core().configuration();
  std::optional<Refusal> refusal = overtaken(configuration, work.message.change);
  for (const api::NewMember& added : work.message.change.added) {
    if (!refusal) refusal = never_a_member(added, configuration);
  }
  if (!refusal) return identify(number);
  refuse(work.from, work.message.request, *refusal);
  works_.erase(number);
}

/// Asks the servers that are to be added; what they say decides.
void MemberChanges::identify(uint64_t number) {
  Work& work = works_.at(number);
  const MembersLeft left = left_to_do(host_.node->core().configuration(), work.message.change);
  work.unanswered = left.added.size();
  for (const api::NewMember& added : left.added) {
    auto done = [this, number, id = added.nodeId](Result<raft::IdentityReply> answer) {
      answered(number, id, std::move(answer));
    };
    if (ports_.identify) {
      ports_.identify(added.peerAddress, std::move(done));
    } else {
      done(Error{ErrorCode::kUnsupported, "this server dials nobody"});
    }
  }
  if (left.added.empty()) {
    const Work done = std::move(work);
    works_.erase(number);
    propose(done);
  }
}

void MemberChanges::answered(uint64_t number, int32_t node, Result<raft::IdentityReply> answer) {
  Work& work = works_.at(number);
  work.answers.emplace(node, std::move(answer));
  if (--work.unanswered > 0) return;
  const Work done = std::move(work);
  works_.erase(number);
  propose(done);
}

std::optional<Refusal> MemberChanges::add_members(const Work& work, const MembersLeft& left,
                                                  raft::ConfigurationChange& change) const {
  for (const api::NewMember& added : left.added) {
    const auto at = work.answers.find(added.nodeId);
    if (at == work.answers.end()) return Host::no_leader("the members have changed meanwhile");
    const Result<raft::IdentityReply>& answer = at->second;
    if (!answer.ok()) {
      return Refusal{ErrorCode::kTimeout,
                     "node " + std::to_string(added.nodeId) + " does not answer at " +
                         added.peerAddress + ": " + answer.error().message +
                         "; start it with --join first",
                     false, false, 0};
    }
    if (auto wrong = obstacle(added, *answer, host_.options.cluster, level_in_force(host_))) {
      return wrong;
    }
    raft::Member member{NodeId(static_cast<uint64_t>(added.nodeId)), answer->self.store,
                        added.peerAddress, answer->self.client_address, answer->self.feature_level};
    const bool votes = added.role == api::MemberRole::VOTER;
    member.promote = !votes && added.role != api::MemberRole::LEARNER;
    (votes ? change.voters : change.learners).push_back(std::move(member));
  }
  return {};
}

void MemberChanges::propose(const Work& work) {
  const raft::Raft& core = host_.node->core();
  const int64_t request = work.message.request;
  if (!host_.serving) {
    return refuse(work.from, request, Host::no_leader("this server does not lead any more"));
  }
  if (const auto refusal = overtaken(core.configuration(), work.message.change)) {
    return refuse(work.from, request, *refusal);
  }
  const MembersLeft left = left_to_do(core.configuration(), work.message.change);
  peer::MemberChangeReply begun;
  begun.request = request;
  begun.index = static_cast<int64_t>(core.configurations().latest_index().value);
  if (left.empty()) return reply(work.from, begun);
  raft::ConfigurationChange change;
  change.promote = left.promoted;
  change.remove = left.removed;
  change.raise = left.raise;
  change.force = work.message.change.force;
  if (const auto refusal = add_members(work, left, change)) {
    return refuse(work.from, request, *refusal);
  }
  if (const auto refusal = levels_.obstacle(left.raise)) {
    return refuse(work.from, request, *refusal);
  }
  const raft::ChangeResult result = host_.node->propose_change(change);
  if (!result.accepted()) return refuse(work.from, request, refusal_of(result, change, core));
  begun.index = static_cast<int64_t>(result.index.value);
  begun.changed = true;
  reply(work.from, begun);
}

void MemberChanges::refuse(NodeId to, int64_t request, const Refusal& refusal) {
  peer::MemberChangeReply message;
  message.request = request;
  message.code = static_cast<api::ErrorCode::type>(refusal.code);
  message.message = refusal.message;
  message.retryable = refusal.retryable;
  reply(to, message);
}

void MemberChanges::reply(NodeId to, const peer::MemberChangeReply& message) {
  if (to == host_.options.self) return take_reply(to, message);
  host_.transport.send_app(to, raft::Lane::kControl,
                           static_cast<uint8_t>(PeerKind::kMemberChangeReply),
                           codec_.encode(message));
}

}  // namespace holdfast::server
