// Administration, and the outcomes of commands on their way back to their calls.
#include <algorithm>
#include <cstdio>

#include "base/list_text.h"
#include "base/version.h"
#include "coordinator/rsm/path.h"
#include "coordinator/server/alarms.h"
#include "coordinator/server/api_views.h"
#include "coordinator/server/engine_calls.h"
#include "gen/cpp/command_types.tcc"
#include "lockmgr/lock_table.h"

namespace holdfast::server {

using command::CommandKind;
using raft::Role;

namespace {

/// About how long a list of settings in an audit line may become.
constexpr size_t kAuditBytes = 1'000;

api::RaftRole::type api_role(Role role) {
  switch (role) {
    case Role::kFollower:
      return api::RaftRole::FOLLOWER;
    case Role::kPreCandidate:
      return api::RaftRole::PRE_CANDIDATE;
    case Role::kCandidate:
      return api::RaftRole::CANDIDATE;
    case Role::kLeader:
      return api::RaftRole::LEADER;
  }
  return api::RaftRole::UNSPECIFIED;
}

std::string hex(const Digest& digest) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(digest.high),
                static_cast<unsigned long long>(digest.low));
  return text;
}

template <class T>
int64_t number(T value) {
  return static_cast<int64_t>(value.value);
}

api::StateTransfer api_transfer(const SnapshotFetchProgress& arriving) {
  api::StateTransfer transfer;
  transfer.fromNode = static_cast<int32_t>(arriving.from.value);
  transfer.receivedBytes = static_cast<int64_t>(arriving.received_bytes);
  transfer.totalBytes = static_cast<int64_t>(arriving.total_bytes);
  return transfer;
}

std::string why_it_cannot_lead(const raft::Configuration& members, NodeId node,
                               const std::string& who) {
  if (std::ranges::find(members.learners, node) != members.learners.end()) {
    return who + " is a learner, and only voters lead: `holdfast member promote " +
           std::to_string(node.value) + "` makes it one";
  }
  return who + " is not another voter of this cluster: the voters are " + list_text(members.voters);
}

}  // namespace

void Engine::on_outcome(const PendingCommand& command, const rsm::CommandResult& result) {
  ++stats_.commands_answered;
  const int64_t sequence = command.header.sequence;
  const CommandKind::type kind = command.header.kind;
  if (kind == CommandKind::ACQUIRE || kind == CommandKind::ACQUIRE_ALL) {
    return finish_acquire(command, result);
  }
  if (result.code != ErrorCode::kOk) return host_.fail(command.call, refusal_of(result), sequence);
  const auto answer = [&](auto reply) {
    host_.fill(reply.header, sequence);
    host_.complete(command.call, &reply);
  };
  switch (kind) {
    case CommandKind::OPEN_SESSION:
      return finish_open(command, result);
    case CommandKind::CLOSE_SESSION:
      return answer(api::CloseSessionResult{});
    case CommandKind::RELEASE:
    case CommandKind::RELEASE_ALL: {
      api::ReleaseResult reply;
      reply.status = static_cast<api::ReleaseStatus::type>(result.status);
      return answer(reply);
    }
    case CommandKind::CANCEL_ACQUIRE: {
      api::CancelAcquireResult reply;
      reply.status = static_cast<api::AcquireStatus::type>(result.status);
      reply.reason = static_cast<api::RefusalReason::type>(result.reason);
      reply.holderId = number(result.id);
      reply.token = number(result.token);
      return answer(reply);
    }
    case CommandKind::SET_HOLDER_VALUE:
      return answer(api::SetHolderValueResult{});
    case CommandKind::REVOKE_LOCK: {
      api::RevokeLockResult reply;
      reply.noticeId = number(result.id);
      reply.holders = static_cast<int32_t>(result.count);
      return answer(reply);
    }
    case CommandKind::REVOKE_SESSION:
      return answer(api::ExpireSessionResult{});
    case CommandKind::CHANGE_SETTINGS:
      return answer_settings(command.call, sequence);
    case CommandKind::PUT_KEY:
    case CommandKind::CREATE_KEY:
    case CommandKind::REMOVE_KEY:
    case CommandKind::TRANSACT:
      return finish_write(command, result);
    default:
      return host_.fail(
          command.call,
          {ErrorCode::kInternal, "no answer is defined for this command", true, false, 0},
          sequence);
  }
}

// Texts are the caller's: quoted, so that none of them ends the line or looks like another.
void Engine::audit_traced(const std::string& trace, std::string act) const {
  if (!trace.empty()) act += " trace=" + rsm::quote(trace, kTraceBytesMax);
  ports_.audit(act);
}

void Engine::status(CallId call, const api::RequestContext& context, const api::StatusRequest&) {
  const raft::RaftStatus raft = node_.core().status();
  api::StatusResult reply;
  host_.fill(reply.header, context.sequence);
  reply.nodeId = static_cast<int32_t>(host_.options.self.value);
  const bool learns = raft::contains(raft.configuration.learners, raft.id);
  reply.role = learns ? api::RaftRole::LEARNER : api_role(raft.role);
  reply.term = number(raft.term);
  reply.votedFor = static_cast<int32_t>(raft.vote.value);
  reply.leaderId = static_cast<int32_t>(raft.leader.value);
  reply.commitIndex = number(raft.commit);
  reply.appliedIndex = number(host_.applied);
  reply.firstIndex = number(raft.first);
  reply.lastIndex = number(raft.last);
  reply.lastTerm = number(raft.last_term);
  reply.durableIndex = number(raft.durable);
  reply.stateDigest = hex(machine_.digest());
  for (const raft::PeerStatus& peer : raft.peers) {
    api::PeerProgress progress;
    progress.nodeId = static_cast<int32_t>(peer.id.value);
    progress.matchIndex = number(peer.match);
    progress.nextIndex = number(peer.next);
    progress.state = raft::progress_state_name(peer.state);
    progress.inflight = static_cast<int32_t>(peer.inflight);
    reply.progress.push_back(std::move(progress));
  }
  if (ports_.connections) reply.connections = ports_.connections();
  reply.alarms = alarms();
  if (ports_.disk) reply.disk = ports_.disk();
  for (const NodeId id : raft.configuration.voters) {
    reply.voters.push_back(static_cast<int32_t>(id.value));
  }
  for (const NodeId id : raft.configuration.learners) {
    reply.learners.push_back(static_cast<int32_t>(id.value));
  }
  for (const NodeId id : raft.configuration.outgoing) {
    reply.outgoing.push_back(static_cast<int32_t>(id.value));
  }
  reply.configurationIndex = number(raft.configuration_index);
  reply.sessions = static_cast<int64_t>(machine_.sessions().size());
  reply.locks = static_cast<int64_t>(machine_.locks().lock_count());
  reply.waiters = static_cast<int64_t>(machine_.locks().waiter_count());
  reply.version = kVersion;
  reply.storeId = number(host_.options.store);
  reply.clusterTimeMs = machine_.cluster_time_ms();
  reply.uptimeMs = to_ms(host_.clock.now() - started_at_);
  reply.featureLevel = machine_.level();
  reply.knownLevel = host_.options.feature_level;
  if (const auto arriving = fetch_ ? fetch_->how_far() : std::nullopt) {
    reply.__set_receiving(api_transfer(*arriving));
  }
  host_.show(call, &reply);
}

std::vector<api::Alarm> Engine::alarms() const {
  std::vector<api::Alarm> all;
  if (ports_.alarms) all = ports_.alarms();
  digests_.add_alarms(all);
  member_changes_.levels().add_alarms(all);
  if (host_.quarantined()) all.push_back(quarantine_alarm());
  if (const auto hold = restore_hold()) all.push_back(*hold);
  if (host_.leaderless_since && !draining_) {
    add_no_leader_alarm(
        host_.options.self, host_.clock.now() - *host_.leaderless_since,
        node_.core().status().configuration.voters,
        ports_.connections ? ports_.connections() : std::vector<api::PeerConnection>(), all);
  }
  return all;
}

int64_t Engine::held_until_ms() const {
  return machine_.settings().get(rsm::SettingId::kRestoreHoldUntilMs);
}

std::optional<api::Alarm> Engine::restore_hold() const {
  const int64_t now_ms = host_.serving ? host_.cluster_now_ms() : machine_.cluster_time_ms();
  const int64_t left_ms = held_until_ms() - now_ms;
  if (left_ms <= 0) return std::nullopt;
  return restore_hold_alarm(left_ms, host_.serving);
}

void Engine::expire_session(CallId call, const api::RequestContext& context,
                            const api::ExpireSessionRequest& request) {
  audit(context, "expireSession session=" + std::to_string(request.sessionId) +
                     " noticeMs=" + std::to_string(request.noticeMs) +
                     (request.force ? " force" : "") + " reason=" + rsm::quote(request.reason));
  command::RevokeSession body;
  body.sessionId = request.sessionId;
  body.noticeMs = request.noticeMs;
  body.reason = request.reason;
  body.force = request.force;
  submit_sessionless(call, context, CommandKind::REVOKE_SESSION, body);
}

void Engine::settings(CallId call, const api::RequestContext& context,
                      const api::SettingsRequest& request) {
  if (request.changes.empty()) {
    return read(call, context, api::Consistency::LINEARIZABLE, /*bytes=*/0,
                [this, call, sequence = context.sequence] { answer_settings(call, sequence); });
  }
  std::string line = "settings";
  for (const auto& [name, value] : request.changes) {
    if (line.size() > kAuditBytes) {
      line += " and others, " + std::to_string(request.changes.size()) + " in all";
      break;
    }
    line += " " + rsm::quote(name) + "=" + std::to_string(value);
  }
  audit(context, line);
  command::ChangeSettings body;
  body.changes = request.changes;
  submit_sessionless(call, context, CommandKind::CHANGE_SETTINGS, body);
}

void Engine::answer_settings(CallId call, int64_t sequence) {
  api::SettingsResult reply;
  host_.fill(reply.header, sequence);
  for (const rsm::SettingInfo& info : rsm::setting_infos()) {
    api::Setting setting;
    setting.name = info.name;
    setting.value = machine_.settings().get(info.id);
    setting.smallest = info.smallest;
    setting.largest = info.largest;
    setting.initial = info.initial;
    setting.help = info.help;
    reply.settings.push_back(std::move(setting));
  }
  host_.complete(call, &reply);
}

// ------------------------------------------------------------------- handing leadership over

NodeId Engine::best_of(const std::vector<NodeId>& voters) const {
  const NodeId roomy = furthest_of(voters, [this](NodeId id) { return room_.has_said_so(id); });
  return roomy ? roomy : furthest_of(voters, [](NodeId) { return true; });
}

// To one that has room, never from full to full: so leadership rests when nobody has any.
void Engine::hand_over_if_full() {
  if (!room_.wants_to_hand_over()) return;
  const NodeId successor = furthest_of(node_.core().configuration().voters,
                                       [this](NodeId id) { return room_.has_said_so(id); });
  if (!successor) return;
  room_.began_to_hand_over();
  ports_.audit("leadership goes to node " + std::to_string(successor.value) +
               ", because this server's disk has no room");
  node_.transfer_leadership(successor);
}

// Who is quarantined would not stand.
NodeId Engine::furthest_of(const std::vector<NodeId>& voters,
                           const std::function<bool(NodeId)>& fits) const {
  const raft::RaftStatus raft = node_.core().status();
  NodeId best;
  LogIndex furthest;
  for (const raft::PeerStatus& peer : raft.peers) {
    if (!std::binary_search(voters.begin(), voters.end(), peer.id) || !fits(peer.id)) continue;
    if (!raft::is_voter(raft.configuration, peer.id) || digests_.quarantined(peer.id)) continue;
    if (!best || peer.match > furthest) {
      best = peer.id;
      furthest = peer.match;
    }
  }
  return best;
}

void Engine::transfer_leadership(CallId call, const api::RequestContext& context,
                                 const api::TransferLeadershipRequest& request) {
  if (refuse_stopping(call, context)) return;
  audit(context, "transferLeadership to=" + std::to_string(request.nodeId));
  const NodeId leader = host_.soft.leader;
  if (!leader) {
    return host_.fail(call, Host::no_leader("there is no leader to hand over from"), 0);
  }
  transfers_.push_back({call, deadline_of(context), leader, ++transfer_number_});
  peer::TransferRequest message;
  message.request = transfer_number_;
  message.nodeId = request.nodeId;
  const std::string_view bytes = codec_.encode(message);
  if (leader == host_.options.self) return receive_transfer_request(leader, std::string(bytes));
  host_.transport.send_app(leader, raft::Lane::kControl,
                           static_cast<uint8_t>(PeerKind::kTransferRequest), bytes);
}

void Engine::receive_transfer_request(NodeId from, std::string_view bytes) {
  peer::TransferRequest message;
  if (!codec_.decode(bytes, message)) return;
  auto refusal = begin_transfer(message.nodeId);
  if (!refusal) return;
  refusal->request = message.request;
  const std::string answer(codec_.encode(*refusal));
  if (from == host_.options.self) return receive_transfer_refusal(answer);
  host_.transport.send_app(from, raft::Lane::kControl,
                           static_cast<uint8_t>(PeerKind::kTransferRefusal), answer);
}

std::optional<peer::TransferRefusal> Engine::begin_transfer(int32_t asked) {
  const NodeId target =
      asked == 0 ? best_successor() : NodeId(static_cast<uint64_t>(std::max(0, asked)));
  const raft::Raft& core = node_.core();
  peer::TransferRefusal refusal;
  refusal.code = api::ErrorCode::BAD_ARGUMENT;
  const std::string node =
      "node " + (target ? std::to_string(target.value) : std::to_string(asked));
  if (digests_.quarantined(target)) {
    refusal.message = node + " is quarantined and does not lead";
    return refusal;
  }
  if (room_.would_not_stay_leader(target)) {
    refusal.code = api::ErrorCode::NO_SPACE;
    refusal.message = node + " has no room on its disk and would hand leadership on at once";
    return refusal;
  }
  // One that hands over to another at this moment is not to be relied on as leader.
  const bool leads = core.is_leader() && target == core.id();
  const raft::TransferResult result = leads && core.transferring()
                                          ? raft::TransferResult::kAlreadyRunning
                                          : node_.transfer_leadership(target);
  switch (result) {
    case raft::TransferResult::kStarted:
      return std::nullopt;
    case raft::TransferResult::kNotVoter:
      refusal.leads = leads;
      refusal.message = leads ? node + " leads already"
                        : target || asked != 0
                            ? why_it_cannot_lead(core.configuration(), target, node)
                            : "there is no other voter that could lead";
      break;
    case raft::TransferResult::kAlreadyRunning:
      refusal.code = api::ErrorCode::OVERLOADED;
      refusal.message = "leadership is being handed over already";
      break;
    default:
      refusal.code = api::ErrorCode::NO_LEADER;
      refusal.message = "this server does not lead any more";
      break;
  }
  return refusal;
}

void Engine::receive_transfer_refusal(std::string_view bytes) {
  peer::TransferRefusal refusal;
  if (!codec_.decode(bytes, refusal)) return;
  const auto at = std::find_if(transfers_.begin(), transfers_.end(),
                               [&](const Transfer& t) { return t.number == refusal.request; });
  if (at == transfers_.end()) return;
  const CallId call = at->call;
  transfers_.erase(at);
  if (refusal.leads) {
    api::TransferLeadershipResult reply;
    host_.fill(reply.header, 0);
    reply.ledAlready = true;
    return host_.complete(call, &reply);
  }
  const bool retryable = refusal.code != api::ErrorCode::BAD_ARGUMENT;
  host_.fail(call, {static_cast<ErrorCode>(refusal.code), refusal.message, false, retryable, 100},
             0);
}

void Engine::check_transfers(Instant now) {
  for (size_t i = 0; i < transfers_.size();) {
    const Transfer transfer = transfers_[i];
    const bool done = host_.soft.leader && host_.soft.leader != transfer.from;
    const bool given_up = transfer.then && node_.core().is_leader() && !node_.core().transferring();
    if (!done && !given_up && now < transfer.deadline) {
      ++i;
      continue;
    }
    transfers_.erase(transfers_.begin() + static_cast<ptrdiff_t>(i));
    end_transfer(transfer, done);
  }
}

void Engine::end_transfer(const Transfer& transfer, bool done) {
  if (transfer.then) {
    if (done) return transfer.then();
    return host_.fail(transfer.call,
                      {ErrorCode::kTimeout,
                       "this server leads, and leadership was not handed over in time: it was not "
                       "rebuilt; see `holdfast transfer-leader`",
                       false, true, 0},
                      0);
  }
  if (done) {
    api::TransferLeadershipResult reply;
    host_.fill(reply.header, 0);
    return host_.complete(transfer.call, &reply);
  }
  host_.fail(transfer.call,
             {ErrorCode::kTimeout, "leadership was not handed over in time; it may still be", true,
              true, 0},
             0);
}

}  // namespace holdfast::server
