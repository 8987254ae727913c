#include "coordinator/server/commands.h"

#include <algorithm>
#include <utility>

#include "base/byte_text.h"
#include "coordinator/server/room.h"

namespace holdfast::server {

using command::CommandKind;

namespace {

constexpr size_t kForwardBytesMax = 1 << 20;
constexpr int64_t kSlowedRetryMs = 200;

}  // namespace

Commands::Commands(Host& host, PeerCodec& codec, Owner& owner)
    : host_(host),
      codec_(codec),
      owner_(owner),
      next_request_(host.entropy.next_id() >> 1),
      notices_(host) {}

void Commands::submit(PendingCommand pending) {
  if (const auto refusal = no_room_for(pending)) return refuse(pending, *refusal);
  ++stats_.submitted;
  const uint64_t request = ++next_request_;
  pending.header.level = rsm::level_of(pending.header.kind);
  pending.header.originNode = static_cast<int32_t>(host_.options.self.value);
  pending.header.originRequest = static_cast<int64_t>(request);
  pending.arrived = host_.clock.now();
  deadlines_.add_in_steps(request, pending.deadline, pending.arrived);
  pending_bytes_ += pending.body.size();
  pending_.emplace(request, std::move(pending));
  waiting_.push_back(request);
}

std::optional<Refusal> Commands::too_large(size_t bytes) const {
  if (bytes <= kCommandBytesMax) return std::nullopt;
  return Refusal{ErrorCode::kTooLarge,
                 "the command has " + std::to_string(bytes) + " bytes, the limit is " +
                     std::to_string(kCommandBytesMax) + "; of a key's value it is " +
                     std::to_string(host_.machine.settings().get(rsm::SettingId::kValueBytesMax)),
                 false, false, 0};
}

std::optional<Refusal> Commands::no_room_for(const PendingCommand& pending) const {
  const auto overloaded = [](const std::string& what) {
    return Refusal{ErrorCode::kOverloaded, "this server has its " + what, false, true, 20};
  };
  const size_t bytes = pending.body.size();
  if (auto refusal = too_large(bytes)) return refusal;
  if (pending_.size() >= host_.options.max_pending_commands) {
    return overloaded(std::to_string(host_.options.max_pending_commands) + " commands under way");
  }
  // As the core does: one alone passes however large it is, else it never could.
  const bool exempt = is_exempt(pending.header.kind, bytes);
  const uint64_t bytes_max = host_.options.raft.max_uncommitted_bytes * (exempt ? 2 : 1);
  if (pending_bytes_ > 0 && pending_bytes_ + bytes > bytes_max) {
    return overloaded(std::to_string(bytes_max) + " bytes of commands under way");
  }
  return std::nullopt;
}

// Whoever has the entry must know it, and who knows what is what the level in force says
// (ARCHITECTURE, State machine). That of the state here is committed: what is proposed comes behind
// it in every log.
std::optional<Refusal> Commands::above_level(const command::CommandHeader& header) const {
  const int32_t in_force = host_.machine.level();
  if (header.level <= in_force) return std::nullopt;
  return Refusal{ErrorCode::kUnsupported,
                 "this needs feature level " + std::to_string(header.level) + ", and " +
                     std::to_string(in_force) +
                     " is in force: raise it when all servers are upgraded",
                 false, false, 0};
}

PendingCommand Commands::take(Pending::iterator at) {
  PendingCommand done = std::move(at->second);
  pending_.erase(at);
  pending_bytes_ -= done.body.size();
  return done;
}

command::CommandHeader Commands::own_header(CommandKind::type kind, Term decided_term) {
  command::CommandHeader header;
  header.level = rsm::level_of(kind);
  header.kind = kind;
  header.originNode = static_cast<int32_t>(host_.options.self.value);
  header.originRequest = static_cast<int64_t>(++next_request_);
  header.decidedTerm = static_cast<int64_t>(decided_term.value);
  return header;
}

void Commands::add_to_batch(command::CommandHeader& header, std::string_view body, bool own) {
  header.clusterTimeMs = host_.cluster_now_ms();
  header.wallUnixMs = host_.clock.wall_unix_ms();
  Batch& batch = batch_of(header.kind, own ? 0 : body.size());
  batch.proposals.push_back({raft::EntryType::kCommand, encoder_.entry(header, body)});
  batch.origins.push_back(origin_of(header, own));
}

// A path, a name and a reason are small: nobody fills memory, or what is kept of the log for a full
// disk, with what says that it frees something.
bool Commands::is_exempt(CommandKind::type kind, size_t bytes) {
  return frees_or_keeps_alive(kind) && bytes <= kExemptBytesMax;
}

Commands::Batch& Commands::batch_of(CommandKind::type kind, size_t bytes) {
  return is_exempt(kind, bytes) ? exempt_batch_ : batch_;
}

Commands::Origin Commands::origin_of(const command::CommandHeader& header, bool own) {
  return {NodeId(static_cast<uint64_t>(header.originNode)),
          static_cast<uint64_t>(header.originRequest), own};
}

void Commands::flush() {
  if (host_.serving) {
    propose_waiting();
  } else if (const NodeId leader = host_.other_leader()) {
    forward_waiting(leader);
  }
  send_refusals();
}

// What there is no room for in the log now waits, in order, unless it is refused. While writes are
// slowed the first takes all that is let in: by turns that is what others forwarded. A turn is over
// when something was let in: most calls find nothing left since the last time.
void Commands::propose_waiting() {
  exempt_batch_.closed = batch_.closed = false;
  notices_.settle();
  drop_own_without_room();
  later_.clear();
  if (own_first_) propose_own();
  propose_forwarded();
  if (!own_first_) propose_own();
  if (!batch_.proposals.empty()) own_first_ = host_.pace.slowed() && !own_first_;
  propose(exempt_batch_, /*exempt=*/true);
  propose(batch_, /*exempt=*/false);
  // Behind what was put off although there was room.
  waiting_.insert(waiting_.end(), later_.begin(), later_.end());
}

void Commands::propose_forwarded() {
  put_off_bytes_ = 0;
  size_t later = 0;
  for (peer::ForwardedCommand& held : held_forwards_) {
    const Room room = room_for(held.header, held.body);
    if (room == Room::kLater && &held != &held_forwards_[later]) {
      std::swap(held, held_forwards_[later]);
    }
    if (room == Room::kLater) ++later;
  }
  held_forwards_.resize(later);
}

void Commands::propose_own() {
  put_off_bytes_ = 0;
  gathering_.clear();
  gathering_.swap(waiting_);
  for (const uint64_t request : gathering_) {
    const auto at = pending_.find(request);
    if (at == pending_.end()) continue;
    const Room room = room_for(at->second.header, at->second.body.view());
    if (room == Room::kNow) at->second.sent_term = host_.soft.term;
    if (room == Room::kLater) later_.push_back(request);
  }
}

// A refusal comes before anything is proposed, so nothing of it is applied (ARCHITECTURE, State
// machine).
Commands::Room Commands::room_for(command::CommandHeader& header, std::string_view body) {
  Batch& batch = batch_of(header.kind, body.size());
  const bool frees = &batch == &exempt_batch_;
  const Origin origin = origin_of(header);
  if (const auto refusal = above_level(header)) return refuse_before_proposal(origin, *refusal);
  if (host_.no_space && !frees) return refuse_before_proposal(origin, *host_.no_space);
  if (batch.closed) return frees ? Room::kLater : put_off(origin, body.size());
  add_to_batch(header, body, /*own=*/false);
  const std::string_view entry = batch.proposals.back().data.view();
  if (const auto refusal = notices_.judge(header, entry)) {
    batch.pop_back();
    return refuse_before_proposal(origin, *refusal);
  }
  const auto use = frees ? LogBudget::Use::kFrees : LogBudget::Use::kAny;
  const bool in_time = frees || host_.pace.open();
  if (in_time && host_.budget.take(entry.size(), use)) {
    if (!frees) host_.pace.charge(entry.size());
    notices_.take();
    return Room::kNow;
  }
  batch.pop_back();
  if (host_.no_space && host_.budget.full()) {
    Refusal refusal = *host_.no_space;
    refusal.message = "the log's reserve is used up: nothing is done until its disk has room";
    return refuse_before_proposal(origin, refusal);
  }
  batch.closed = true;
  return frees ? Room::kLater : put_off(origin, body.size());
}

// Slowed writes wait a second at most; who is behind them is told at once (PROMISE 13).
Commands::Room Commands::put_off(const Origin& origin, size_t bytes) {
  if (host_.pace.slowed() && static_cast<double>(put_off_bytes_) > host_.pace.patience_bytes()) {
    return refuse_before_proposal(
        origin, {ErrorCode::kOverloaded,
                 "writes are slowed, because the snapshots do not keep up with them: " +
                     byte_text(put_off_bytes_) + " wait already",
                 false, true, kSlowedRetryMs});
  }
  put_off_bytes_ += bytes + raft::kEntryOverheadBytes;
  return Room::kLater;
}

Commands::Room Commands::refuse_before_proposal(const Origin& origin, const Refusal& refusal) {
  if (origin.node != host_.options.self) {
    refuse_remote(origin.node, origin.request, refusal);
  } else {
    fail(origin.request, refusal);
  }
  return Room::kNever;
}

// What this leader decided itself it decides again.
void Commands::drop_own_without_room() {
  std::vector<raft::Proposal>& own = exempt_batch_.proposals;
  size_t kept = 0;
  while (kept < own.size() && host_.budget.take(own[kept].data.size(), LogBudget::Use::kFrees)) {
    ++kept;
  }
  for (; own.size() > kept; exempt_batch_.pop_back()) {
    owner_.on_own_refused(exempt_batch_.origins.back().request);
  }
}

void Commands::propose(Batch& batch, bool exempt) {
  if (batch.proposals.empty()) return;
  const raft::ProposeResult result = host_.node->propose(batch.proposals, exempt);
  if (result.accepted()) {
    proposed(batch.origins, result.first);
  } else if (result.outcome == raft::ProposeResult::Outcome::kOverCap) {
    propose_one_by_one(batch, exempt);
  } else {
    for (const Origin& origin : batch.origins) refused(origin, result);
  }
  batch.clear();
}

// The whole batch does not fit under the cap: take what does, in order.
void Commands::propose_one_by_one(Batch& batch, bool exempt) {
  for (size_t i = 0; i < batch.proposals.size(); ++i) {
    const raft::ProposeResult result =
        host_.node->propose(std::span(&batch.proposals[i], 1), exempt);
    if (result.accepted()) {
      proposed(std::span(&batch.origins[i], 1), result.first);
    } else {
      refused(batch.origins[i], result);
    }
  }
}

void Commands::proposed(std::span<const Origin> origins, LogIndex first) {
  stats_.proposed += origins.size();
  for (size_t i = 0; i < origins.size(); ++i) {
    notices_.proposed(origins[i].node, origins[i].request, first + i);
  }
}

void Commands::refused(const Origin& origin, const raft::ProposeResult& result) {
  notices_.give_back(origin.node, origin.request);
  if (origin.own) return owner_.on_own_refused(origin.request);
  const bool transferring = result.outcome == raft::ProposeResult::Outcome::kTransferring;
  Refusal refusal = Host::no_leader("this server stopped leading before the command was proposed");
  if (transferring) {
    refusal = {ErrorCode::kOverloaded, "leadership is being handed over", false, true, 50};
  } else if (result.outcome == raft::ProposeResult::Outcome::kOverCap) {
    refusal = {ErrorCode::kOverloaded,
               "the leader has its " + std::to_string(host_.options.raft.max_uncommitted_bytes) +
                   " bytes of uncommitted commands",
               false, true, 20};
  }
  if (origin.node != host_.options.self) return refuse_remote(origin.node, origin.request, refusal);
  const auto at = pending_.find(origin.request);
  if (at == pending_.end()) return;
  if (at->second.repeatable()) {
    // While leadership moves, what can be repeated waits: for the next leader, or for the transfer
    // to come to nothing.
    if (transferring) {
      at->second.sent_term = Term{};
      return waiting_.push_back(origin.request);
    }
    if (refusal.code == ErrorCode::kNoLeader) return;
  }
  fail(origin.request, refusal);
}

void Commands::refuse_remote(NodeId node, uint64_t request, const Refusal& refusal) {
  peer::ForwardRefusal item;
  item.originRequest = static_cast<int64_t>(request);
  item.code = static_cast<api::ErrorCode::type>(refusal.code);
  item.message = refusal.message;
  item.retryAfterMs = refusal.retry_after_ms;
  refusals_[node].refusals.push_back(std::move(item));
}

void Commands::send_refusals() {
  if (refusals_.empty()) return;
  for (const auto& [node, batch] : refusals_) {
    host_.transport.send_app(node, raft::Lane::kBulk,
                             static_cast<uint8_t>(PeerKind::kForwardRefusals),
                             codec_.encode(batch));
  }
  refusals_.clear();
}

void Commands::forward_waiting(NodeId leader) {
  size_t bytes = 0;
  std::vector<uint64_t> unsent;
  forwarding_.clear();
  const auto send = [&] {
    // Once the transport has no room, the rest waits too, in order.
    if (!unsent.empty() || (!forwarding_.empty() && !send_forwards(leader))) {
      unsent.insert(unsent.end(), forwarding_.begin(), forwarding_.end());
    }
    forwarding_.clear();
    bytes = 0;
  };
  for (const uint64_t request : waiting_) {
    const auto at = pending_.find(request);
    if (at == pending_.end()) continue;
    forwarding_.push_back(request);
    bytes += at->second.body.size() + 64;
    if (bytes >= kForwardBytesMax) send();
  }
  send();
  waiting_ = std::move(unsent);
}

bool Commands::send_forwards(NodeId leader) {
  forwards_.commands.clear();
  forwards_.term = static_cast<int64_t>(host_.soft.term.value);
  for (const uint64_t request : forwarding_) {
    const PendingCommand& pending = pending_.at(request);
    peer::ForwardedCommand item;
    item.header = pending.header;
    item.body.assign(pending.body.view());
    forwards_.commands.push_back(std::move(item));
  }
  const bool sent = host_.transport.send_app(leader, raft::Lane::kBulk,
                                             static_cast<uint8_t>(PeerKind::kForwardBatch),
                                             codec_.encode(forwards_));
  if (!sent) return false;
  stats_.forwarded += forwarding_.size();
  for (const uint64_t request : forwarding_) pending_.at(request).sent_term = host_.soft.term;
  return true;
}

void Commands::receive_forwards(NodeId from, std::string_view bytes) {
  peer::ForwardBatch batch;
  if (!codec_.decode(bytes, batch)) return;
  const bool leading = host_.soft.role == raft::Role::kLeader &&
                       static_cast<uint64_t>(batch.term) == host_.soft.term.value;
  if (leading && held_term_ != host_.soft.term) {
    held_forwards_.clear();
    held_term_ = host_.soft.term;
  }
  stats_.received += batch.commands.size();
  for (peer::ForwardedCommand& item : batch.commands) {
    if (item.header.originNode != static_cast<int32_t>(from.value)) continue;
    if (!leading) {
      refuse_remote(from, static_cast<uint64_t>(item.header.originRequest),
                    Host::no_leader("node " + std::to_string(host_.options.self.value) +
                                    " does not lead in term " + std::to_string(batch.term)));
    } else if (held_forwards_.size() >= host_.options.max_pending_commands) {
      refuse_remote(from, static_cast<uint64_t>(item.header.originRequest),
                    {ErrorCode::kOverloaded, "the leader is taking over", false, true, 20});
    } else {
      held_forwards_.push_back(std::move(item));
    }
  }
}

void Commands::receive_refusals(NodeId, std::string_view bytes) {
  peer::ForwardRefusals batch;
  if (!codec_.decode(bytes, batch)) return;
  for (const peer::ForwardRefusal& item : batch.refusals) {
    const auto request = static_cast<uint64_t>(item.originRequest);
    const auto at = pending_.find(request);
    if (at == pending_.end()) continue;
    // Repeatable ones wait for the leader that the next change of leadership brings.
    if (item.code == api::ErrorCode::NO_LEADER && at->second.repeatable()) continue;
    const bool retryable =
        item.code != api::ErrorCode::UNSUPPORTED && item.code != api::ErrorCode::LIMIT_EXCEEDED;
    fail(request,
         {static_cast<ErrorCode>(item.code), item.message, false, retryable, item.retryAfterMs});
  }
}

void Commands::on_reply(uint64_t request, const rsm::CommandResult& result) {
  const auto at = pending_.find(request);
  if (at == pending_.end()) return owner_.on_own_applied(request);
  const PendingCommand done = take(at);
  if (done.has_call) owner_.on_outcome(done, result);
}

void Commands::on_term_applied(Term term) {
  std::vector<uint64_t> never;
  for (const auto& [request, pending] : pending_) {
    if (!pending.repeatable() && pending.sent_term && pending.sent_term < term) {
      never.push_back(request);
    }
  }
  std::sort(never.begin(), never.end());
  for (const uint64_t request : never) {
    fail(request, Host::no_leader("leadership changed before the command was committed"));
  }
}

void Commands::on_leader_changed() {
  if (held_term_ != host_.soft.term) held_forwards_.clear();
  std::vector<uint64_t> again;
  for (const auto& [request, pending] : pending_) {
    if (pending.repeatable() && pending.sent_term && pending.sent_term < host_.soft.term) {
      again.push_back(request);
    }
  }
  std::sort(again.begin(), again.end());
  send_again(again);
}

void Commands::on_leader_reconnected() {
  std::vector<uint64_t> again;
  for (const auto& [request, pending] : pending_) {
    if (pending.repeatable() && pending.sent_term) again.push_back(request);
  }
  std::sort(again.begin(), again.end());
  send_again(again);
}

void Commands::send_again(const std::vector<uint64_t>& requests) {
  for (const uint64_t request : requests) {
    PendingCommand& pending = pending_.at(request);
    pending.sent_term = Term{};
    pending.copied = true;
  }
  stats_.repeated += requests.size();
  waiting_.insert(waiting_.end(), requests.begin(), requests.end());
}

void Commands::sweep(Instant now) {
  deadlines_.take_due(now, [&](uint64_t request) { expire(request, now); });
}

void Commands::expire(uint64_t request, Instant now) {
  const auto at = pending_.find(request);
  if (at == pending_.end()) return;
  const PendingCommand& pending = at->second;
  if (now < pending.deadline) return deadlines_.add_in_steps(request, pending.deadline, now);
  const std::string waited = std::to_string(to_ms(now - pending.arrived)) + " ms";
  // A repeatable command may have been handed over before and be waiting again now: only one that
  // never left is known not to be applied.
  const bool never_left = !pending.sent_term && !pending.repeatable();
  if (!pending.has_call) {
    take(at);
  } else if (never_left && host_.serving) {
    const std::string why = host_.pace.slowed()
                                ? "writes are slowed, because the snapshots do not keep up with "
                                  "them: the command waited for "
                                : "the log had no room for the command for ";
    fail(request, {ErrorCode::kOverloaded, why + waited, false, true, 20});
  } else if (never_left) {
    fail(request, Host::no_leader("no leader took the command for " + waited));
  } else if (pending.repeatable()) {
    fail(request, {ErrorCode::kTimeout,
                   std::string(host_.soft.leader ? "" : "this server knows no leader: ") +
                       "no outcome after " + waited + "; repeat with this sequence",
                   true, true, 0});
  } else {
    fail(request,
         {ErrorCode::kOutcomeUnknown,
          "no outcome after " + waited + "; the command may still be applied", true, false, 0});
  }
}

void Commands::fail(uint64_t request, Refusal refusal) {
  const auto at = pending_.find(request);
  if (at == pending_.end()) return;
  const PendingCommand done = take(at);
  refusal.maybe_applied |= done.copied;
  refuse(done, refusal);
}

// Of what cannot be repeated a client must not read that another server will know the outcome.
void Commands::refuse(const PendingCommand& command, Refusal refusal) {
  const bool lost = refusal.maybe_applied && !command.repeatable();
  if (lost && refusal.code != ErrorCode::kOutcomeUnknown) {
    refusal = {ErrorCode::kOutcomeUnknown,
               refusal.message + "; the command may still be applied, and no other server can tell",
               true, false, 0};
  }
  ++stats_.refused[std::min(static_cast<size_t>(refusal.code), stats_.refused.size() - 1)];
  if (command.has_call) host_.fail(command.call, refusal, command.header.sequence);
}

void Commands::shut_down() {
  std::vector<uint64_t> all;
  for (const auto& [request, pending] : pending_) all.push_back(request);
  std::sort(all.begin(), all.end());
  for (const uint64_t request : all) {
    const bool sent = static_cast<bool>(pending_.at(request).sent_term);
    fail(request,
         {ErrorCode::kShuttingDown, "this server is stopping; use another", sent, true, 0});
  }
}

}  // namespace holdfast::server
