#include "coordinator/server/engine.h"

#include <algorithm>
#include <utility>

#include "raft/core/configuration.h"
#include "raft/transport/genesis.h"
#include "session/session_table.h"

namespace holdfast::server {

using command::CommandKind;
using raft::Role;

Engine::Engine(const EngineOptions& options, raft::InitialState initial, EnginePorts ports)
    : Engine(options, std::move(initial), ports,
             {std::make_unique<rsm::StateMachine>(
                  rsm::StateMachine::Options{ports.entropy.next_u64(), options.feature_level}),
              Term{},
              0,
              false,
              {}}) {}

Engine::Engine(const EngineOptions& options, raft::InitialState initial, EnginePorts ports,
               StoredState state)
    : ports_(std::move(ports)),
      owned_machine_(std::move(state.machine)),
      machine_(*owned_machine_),
      host_(options, ports_.clock, ports_.entropy, ports_.transport, ports_.sink, machine_),
      commands_(host_, codec_, *this),
      renewals_(host_, codec_, commands_, *this),
      reads_(host_),
      caught_up_(host_),
      hub_(host_),
      polls_(host_, hub_),
      waits_(host_),
      key_waits_(host_),
      lease_queries_(host_, codec_,
                     [this](SessionId session) { return renewals_.lease_left_ms(session); }),
      member_changes_(host_, codec_, ports_.members),
      snapshots_(host_, ports_.snapshots.spans, ports_.genesis, state.snapshot_bytes,
                 state.wal_bytes),
      room_(host_, codec_, snapshots_, ports_.room),
      gate_(host_.budget, {.bytes = options.raft.max_inflight_bytes},
            [this](raft::Message&& message) { node_.receive(std::move(message)); }),
      source_(
          host_, codec_, snapshots_,
          {ports_.snapshots.background, ports_.snapshots.files, ports_.snapshots.store,
           [this] { return node_.core().log().first(); }, ports_.snapshots.log,
           [this](const std::string& trace, const std::string& act) { audit_traced(trace, act); },
           [this](uint64_t bytes) { return room_.no_room_for_copy(bytes); }}),
      digests_(host_, codec_),
      node_(options.raft, std::move(initial),
            {ports_.clock, ports_.reader, ports_.writer, ports_.transport}, *this),
      started_at_(ports_.clock.now()),
      logged_at_start_(node_.core().log().last()) {
  host_.node = &node_;
  host_.applied_term = state.applied_term;
  if (ports_.snapshots.background != nullptr) {
    const SnapshotPorts& disk = ports_.snapshots;
    fetch_.emplace(
        SnapshotFetchPorts{ports_.clock,
                           ports_.entropy,
                           ports_.transport,
                           *disk.background,
                           *disk.files,
                           disk.store->incoming_path(),
                           disk.store->writers_vfs(),
                           {.cluster = options.cluster,
                            .node = options.self,
                            .hash_seed = disk.hash_seed,
                            .log = disk.log,
                            .feature_level = options.feature_level},
                           [this](uint64_t bytes) { return room_.no_room_for_copy(bytes); }});
  }
  if (ports_.quarantine.standing) begin_quarantine(*ports_.quarantine.standing, NodeId());
}

Engine::~Engine() = default;

// ------------------------------------------------------------------------------- turns and time

bool Engine::turn_end(Instant handled_until) {
  room_.turn();
  gate_.turn();
  hand_over_if_full();
  if (host_.clock.now() >= keep_again_) keep_quarantine();
  flush();
  bool more = pump();
  if (node_.stopped()) return false;
  if (host_.serving) {
    renewals_.decide(handled_until);
    run_tick();
  }
  member_changes_.turn_end();
  digests_.turn_end();
  sweep();
  polls_.answer_the_due();
  // What apply and decisions brought forth leaves in this turn too.
  flush();
  more = pump() || more;
  if (const Status written = snapshot_turn(); !written.ok()) ports_.fatal(written.error());
  ++host_.turn;
  return more || polls_.more() || reads_.more() || key_waits_.more() || !abandoned_.empty();
}

// Whatever was proposed or accepted is with the log's writer then.
bool Engine::pump() {
  const bool more = node_.pump();
  host_.budget.handed_over();
  return more;
}

Status Engine::snapshot_turn() {
  if (fetch_) ports_.snapshots.background->deliver();
  if (Status written = snapshots_.turn_end(); !written.ok()) return written;
  source_.turn_end();
  rebuild_turn();
  if (fetch_) fetch_->turn_end();
  if (!host_.quarantined()) cut_log();
  return ok_status();
}

// The log goes by whole segments, and the core keeps what is there.
void Engine::cut_log() {
  LogIndex through = snapshots_.cut_through();
  // A log that had to wait for a copy would keep the disk full; for whom the copy is too old then,
  // another is made when there is room.
  const auto pinned = room_.full() ? std::nullopt : source_.pinned();
  if (pinned) through = std::min(through, *pinned);
  if (through <= cut_asked_) return;
  cut_asked_ = through;
  const LogIndex first = ports_.snapshots.cut_log(through);
  if (first > node_.core().log().first()) node_.compact(first.prev());
}

void Engine::on_snapshot_offer(const raft::SnapshotOffer& offer) {
  if (fetch_) fetch_->begin(offer.from, offer.index);
}

// What was applied meanwhile may have overtaken it, unless that is not to be believed: then the log
// goes on from any state that it has not been cut behind since the state was asked for.
std::optional<StoredState> Engine::take_received_state() {
  if (!fetch_) return std::nullopt;
  auto state = fetch_->take();
  if (!state) return std::nullopt;
  const LogIndex applied = state->machine->applied();
  const bool any = host_.quarantined() && applied.next() >= node_.core().log().first();
  if (any || applied > host_.applied) return state;
  fetch_->discard();
  return std::nullopt;
}

void Engine::flush() {
  if (polls_.take_urgent()) renewals_.hurry();
  renewals_.flush();
  commands_.flush();
  reads_.flush();
  lease_queries_.flush();
  caught_up_.flush();
}

void Engine::sweep() {
  const Instant now = host_.clock.now();
  for (const CallId call : std::exchange(abandoned_, {})) {
    reads_.abandon(call);
    key_waits_.abandon(call);
  }
  commands_.sweep(now);
  renewals_.sweep(now);
  reads_.sweep(now);
  polls_.sweep(now);
  waits_.sweep(now);
  key_waits_.sweep(now);
  lease_queries_.sweep(now);
  check_transfers(now);
}

Instant Engine::next_wakeup() const {
  Instant next = std::min({node_.next_wakeup(), commands_.next_deadline(), next_decision(),
                           reads_.next_deadline(), polls_.next_deadline(), waits_.next_deadline(),
                           key_waits_.next_deadline(), lease_queries_.next_deadline(),
                           snapshots_.next_wakeup(), source_.next_wakeup(), room_.next_wakeup(),
                           member_changes_.next_deadline(), digests_.next_wakeup(),
                           caught_up_.next_wakeup(), keep_again_});
  if (fetch_) next = std::min(next, fetch_->next_wakeup());
  if (!transfers_.empty()) next = std::min(next, host_.clock.now() + 20ms);
  return next;
}

// Of this leader itself. One for which the log has no room is not tried without a pause.
Instant Engine::next_decision() const {
  Instant next = renewals_.next_wakeup();
  if (host_.serving && tick_in_flight_ == 0) {
    const auto due = machine_.next_due_ms();
    if (due) {
      const int64_t left = std::max<int64_t>(0, *due - host_.cluster_now_ms());
      next = std::min(next, host_.clock.now() + from_ms(left + 1));
    }
  }
  return host_.budget.waited_for() ? std::max(next, host_.clock.now() + 20ms) : next;
}

// A timer of the replicated state is due: an entry that carries the time makes it happen.
void Engine::run_tick() {
  if (tick_in_flight_ != 0 || host_.budget.left(LogBudget::Use::kFrees) == 0) return;
  const auto due = machine_.next_due_ms();
  if (!due || *due > host_.cluster_now_ms()) return;
  command::Tick tick;
  tick.appliedRevision = static_cast<int64_t>(host_.applied.value);
  tick_in_flight_ = commands_.propose_own(CommandKind::TICK, Term{}, tick);
}

void Engine::on_pause(Duration gap) {
  renewals_.note_gap(gap);
  node_.on_pause(gap);
}

// ----------------------------------------------------------------------------------- the log

Status Engine::apply(const raft::Entry& entry) {
  effects_.clear();
  const auto done = entry.type == raft::EntryType::kCommand
                        ? machine_.apply(entry.index, entry.term, entry.data.view(), effects_)
                        : machine_.skip(entry.index, raft::recorded_level(entry));
  if (done == rsm::ApplyStatus::kNeedsUpgrade) {
    return Error{ErrorCode::kUnsupported,
                 "log entry " + std::to_string(entry.index.value) +
                     " needs a feature level above " + std::to_string(host_.options.feature_level) +
                     ", the highest that this program knows; upgrade this server"};
  }
  host_.applied = entry.index;
  ++stats_.entries_applied;
  // Before anything is answered: a poll that an effect wakes walks the state of this entry.
  hub_.on_entry(entry.index, machine_.key_events(), effects_);
  if (entry.term != host_.applied_term) {
    host_.applied_term = entry.term;
    commands_.on_term_applied(entry.term);
    const bool leads = host_.soft.role == Role::kLeader && entry.term == host_.soft.term;
    if (leads && !host_.quarantined()) begin_serving();
  }
  for (const rsm::Effect& effect : effects_) handle(effect);
  key_waits_.on_events(machine_.key_events());
  snapshots_.on_entry(entry);
  digests_.on_applied();
  renewals_.on_applied();
  reads_.on_applied();
  return ok_status();
}

void Engine::handle(const rsm::Effect& effect) {
  renewals_.on_effect(effect);
  state_stats_.count(effect);
  switch (effect.kind) {
    case rsm::EffectKind::kReply:
      if (effect.origin_node == host_.options.self) {
        commands_.on_reply(effect.origin_request, effect.result);
      }
      return;
    case rsm::EffectKind::kMalformed:
      ++stats_.malformed_entries;
      return;
    case rsm::EffectKind::kSessionEnded:
      verified_secrets_.erase(effect.session);
      hub_.forget(effect.session);
      break;
    default:
      break;
  }
  waits_.on_effect(effect);
  polls_.on_effect(effect);
}

// The own no-op is applied, and with it all that any earlier leader committed (dissertation 6.4):
// from here on this server stamps, proposes and renews.
void Engine::begin_serving() {
  host_.begin_leadership(elected_at_);
  renewals_.begin_leadership();
  renewals_.on_leader_changed();
  commands_.on_leader_changed();
  member_changes_.levels().look();
  apply_ttl_flag();
}

// --session_ttl_min_ms other than the default becomes the replicated limit.
void Engine::apply_ttl_flag() {
  const int64_t wanted = host_.options.session_ttl_min_ms;
  if (wanted == EngineOptions{}.session_ttl_min_ms) return;
  if (machine_.settings().get(rsm::SettingId::kSessionTtlMsMin) == wanted) return;
  for (const rsm::SettingInfo& info : rsm::setting_infos()) {
    if (info.id != rsm::SettingId::kSessionTtlMsMin) continue;
    command::ChangeSettings change;
    change.changes[info.name] = wanted;
    commands_.propose_own(CommandKind::CHANGE_SETTINGS, Term{}, change);
  }
}

void Engine::on_soft_state(const raft::SoftState& state) {
  const bool led = host_.serving;
  const bool other_leader = state.leader != host_.soft.leader || state.term != host_.soft.term;
  if (state.leader && state.leader != host_.soft.leader) ++stats_.leader_changes;
  host_.soft = state;
  if (state.leader) {
    host_.leaderless_since.reset();
  } else if (!host_.leaderless_since) {
    host_.leaderless_since = host_.clock.now();
  }
  if (state.role == Role::kLeader && !led) elected_at_ = host_.clock.now();
  if (led && (state.role != Role::kLeader || other_leader)) {
    host_.serving = false;
    tick_in_flight_ = 0;
    renewals_.end_leadership();
    if (state.role == Role::kLeader) elected_at_ = host_.clock.now();
  }
  if (other_leader) {
    renewals_.forget_remote();
    caught_up_.on_leader_changed();
    lease_queries_.on_leader_changed();
    digests_.on_leader_changed();
  }
  if (other_leader && state.leader && state.leader != host_.options.self) {
    renewals_.on_leader_changed();
    commands_.on_leader_changed();
  }
}

void Engine::on_read(uint64_t context, LogIndex index) {
  switch (Host::purpose_of(context)) {
    case ReadPurpose::kReads:
      return reads_.on_read(context, index);
    case ReadPurpose::kLeases:
      return renewals_.on_read(context, index);
    case ReadPurpose::kCaughtUp:
      return caught_up_.on_read(context, index);
  }
}

void Engine::on_read_failed(uint64_t context) {
  switch (Host::purpose_of(context)) {
    case ReadPurpose::kReads:
      return reads_.on_read_failed(context);
    case ReadPurpose::kLeases:
      return renewals_.on_read_failed(context);
    case ReadPurpose::kCaughtUp:
      return caught_up_.on_read_failed(context);
  }
}

void Engine::on_fatal(const Error& error) { ports_.fatal(error); }

void Engine::on_own_applied(uint64_t request) {
  if (request == tick_in_flight_) tick_in_flight_ = 0;
  renewals_.on_own_applied(request);
}

void Engine::on_own_refused(uint64_t request) {
  if (request == tick_in_flight_) tick_in_flight_ = 0;
  renewals_.on_own_refused(request);
}

// ---------------------------------------------------------------------------------- the peers

void Engine::on_app(NodeId from, uint8_t kind, std::string_view payload) {
  switch (static_cast<PeerKind>(kind)) {
    case PeerKind::kForwardBatch:
      return commands_.receive_forwards(from, payload);
    case PeerKind::kForwardRefusals:
      return commands_.receive_refusals(from, payload);
    case PeerKind::kRenewalBatch:
      return renewals_.receive_batch(from, payload);
    case PeerKind::kRenewalReplies:
      return renewals_.receive_replies(from, payload);
    case PeerKind::kTransferRequest:
      return receive_transfer_request(from, payload);
    case PeerKind::kTransferRefusal:
      return receive_transfer_refusal(payload);
    case PeerKind::kLeaseQuery:
      return lease_queries_.receive_query(from, payload);
    case PeerKind::kLeaseReply:
      return lease_queries_.receive_reply(from, payload);
    case PeerKind::kSnapshotAsk:
      // While it is open which state is right, none is spread: copies are no witnesses.
      if (!host_.quarantined() && !digests_.withholds()) source_.receive(from, payload);
      return;
    case PeerKind::kMemberChange:
      return member_changes_.receive_request(from, payload);
    case PeerKind::kMemberChangeReply:
      return member_changes_.receive_reply(from, payload);
    case PeerKind::kSnapshotPiece:
      if (fetch_) fetch_->receive(from, payload);
      return;
    case PeerKind::kDigestReport:
      digests_.receive_report(from, payload);
      return judge_digests();
    case PeerKind::kDigestNews:
      digests_.receive_news(from, payload);
      return judge_digests();
    case PeerKind::kRoomReport:
      return room_.receive(from, payload);
  }
}

void Engine::on_peer_event(NodeId peer, raft::PeerEvent event) {
  node_.on_peer_event(peer, event);
  if (event == raft::PeerEvent::kConnected) member_changes_.levels().look();
  if (event == raft::PeerEvent::kConnected && peer == host_.soft.leader) {
    commands_.on_leader_reconnected();
    renewals_.on_leader_reconnected();
  }
}

// ----------------------------------------------------------------------------------- stopping

void Engine::begin_drain() {
  if (draining_) return;
  draining_ = true;
  snapshots_.finish();
  if (host_.soft.role != Role::kLeader) return;
  const NodeId successor = best_successor();
  if (successor) node_.transfer_leadership(successor);
}

bool Engine::drained() const {
  const bool leads_others = host_.soft.role == Role::kLeader && best_successor();
  return !leads_others && commands_.size() == 0 && reads_.size() == 0 &&
         lease_queries_.size() == 0 && snapshots_.settled();
}

void Engine::finish_drain() { answer_all(); }

void Engine::answer_all() {
  commands_.shut_down();
  reads_.shut_down();
  lease_queries_.shut_down();
  member_changes_.shut_down();
  waits_.shut_down();
  key_waits_.shut_down();
  source_.shut_down();
  renewals_.shut_down();
  polls_.shut_down();
  for (const Transfer& transfer : transfers_) {
    host_.fail(transfer.call, {ErrorCode::kShuttingDown, stopping_, true, true, 0}, 0);
  }
  transfers_.clear();
}

bool Engine::ready() const {
  return !draining_ && !host_.quarantined() && host_.soft.leader && caught_up_.yes();
}

LogIndex Engine::replay_through() const {
  return std::min(logged_at_start_, node_.core().log().last());
}

}  // namespace holdfast::server
