// What goes in and out of a simulated server while it runs: turns, timers, its disk, its peers and
// its clients.
#include <algorithm>
#include <utility>

#include "raft/transport/codec.h"
#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

// ------------------------------------------------------------------------------------- turns

void SimNode::act(std::function<void()> input) {
  if (!up() && !seeks() && !loads()) return;
  inputs_.push_back(std::move(input));
  if (paused_ || turn_coming_) return;
  const int64_t gather = world_.weather().turn_us;
  if (gather == 0) return handle_inputs();
  turn_coming_ = true;
  world_.after(std::chrono::microseconds(draws_.between(0, gather)), [this, life = life_] {
    world_.uncount();
    if (life != life_) return;
    turn_coming_ = false;
    if (!paused_) handle_inputs();
  });
}

void SimNode::handle_inputs() {
  const uint64_t life = life_;
  while (life == life_ && !inputs_.empty()) {
    const std::vector<std::function<void()>> inputs = std::move(inputs_);
    inputs_.clear();
    for (const auto& input : inputs) input();
    turn();
  }
  if (life == life_) {
    schedule_disk();
    schedule_snapshot();
    schedule_look();
    schedule_background();
    schedule_wakeup();
  }
}

void SimNode::turn() {
  if (seeks()) return seek_turn();
  if (loads()) return loading_turn();
  while (engine_->turn_end(/*all_input_handled=*/true)) {
  }
  if (!fatal_ && reader_->failure()) fatal_ = *reader_->failure();
  if (fatal_) {
    const Error error = *fatal_;
    return stopped(error);
  }
  if (auto state = engine_->take_received_state()) return put_in_force(std::move(*state));
  judge_quarantine();
  judge_polls();
  watcher_.turned(*this);
  mark_room();
  judge_missed();
  // One that removed itself leads until it has handed over.
  if (!removed_.empty() && !core().is_leader()) return retire(removed_);
  prepare();
  look_at_disk();
  if (died_at_disk(Mark::kCrashInPreparation)) start_after(kRestart);
}

// A piece each turn, and without a rest between them while something waits for a segment.
void SimNode::prepare() {
  const bool waits = writer_->out_of_room() || engine_->host().budget.waited_for();
  if (writer_->out_of_room()) world_.mark(Mark::kLogOutOfRoom);
  if (waits) world_.mark(Mark::kWaitedForLogRoom);
  const bool more = writer_->prepare_one() && waits;
  if (!more && !log_->preparer().failed()) return;
  world_.after(disk_delay(disk_draws_), [this, life = life_] {
    if (life == life_ && !paused_) act([] {});
  });
}

// One timer at a time: a later one is set when this one comes.
Instant SimNode::next_wakeup() const {
  if (seeks()) return seeker_->next_wakeup();
  return loads() ? voter_->next_wakeup() : engine_->next_wakeup();
}

void SimNode::schedule_wakeup() {
  const Instant next = next_wakeup();
  if (next == Instant::max()) return;
  const Duration wait = std::max<Duration>(clock_.true_time(next - clock_.now()), 1us);
  const Duration at = world_.now() + wait;
  if (wakeup_at_ > world_.now() && wakeup_at_ <= at) return;
  wakeup_at_ = at;
  world_.after(wait, [this, number = ++wakeup_, life = life_] {
    if (life != life_ || number != wakeup_ || paused_) return world_.uncount();
    wakeup_at_ = 0ns;
    if (next_wakeup() <= clock_.now()) return act([] {});
    world_.uncount();
    schedule_wakeup();
  });
}

// -------------------------------------------------------------------------------------- disk

Duration SimNode::disk_delay(Stream& draws) const {
  const Weather& w = world_.weather();
  if (slow_us_ > 0) return std::chrono::microseconds(slow_us_);
  const bool tail = draws.chance(w.disk_tail_permille);
  const int64_t most = std::max<int64_t>(tail ? w.disk_tail_us : w.disk_us, 50);
  return std::chrono::microseconds(draws.between(50, most));
}

void SimNode::schedule_disk() {
  if (disk_busy_ || !model_.owes() || writer_->out_of_room()) return;
  disk_busy_ = true;
  world_.after(disk_delay(disk_draws_), [this, life = life_] {
    // The sync thread of a paused process stands still too; resume() starts it anew.
    if (life == life_ && !paused_) disk_step();
  });
}

void SimNode::disk_step() {
  disk_busy_ = false;
  static_cast<void>(writer_->run_one());
  if (died_at_disk(Mark::kCrashInWrite)) return start_after(kRestart);
  act([] {});
}

// ------------------------------------------------------------------------------------- peers

void SimNode::deliver(NodeId to, int lane, bool core, Input arrival) {
  SimNode* target = nodes_[static_cast<size_t>(to.value - 1)];
  const bool runs = target->up() || target->seeks() || target->loads();
  if (!runs || target->unequal_ != unequal_) return;
  if (world_.weather().spares != 0 && !talks_to(*target)) return;
  // A connection ends with the process at its other end.
  net_.send(number(), target->number(), {lane, core, true},
            [target, life = target->life_, arrival = std::move(arrival)] {
              if (life != target->life_) return;
              target->act([target, arrival] { arrival(*target); });
            });
}

bool SimNode::send(const raft::Message& message) {
  model_.check_promise(message);
  mark_voter(message);
  const int lane = static_cast<int>(raft::lane_of(message.type));
  if (world_.weather().thrift == 0) {
    deliver(message.to, lane, true,
            [copy = std::make_shared<raft::Message>(message)](SimNode& node) {
              raft::Message own = *copy;
              node.take_message(std::move(own));
            });
    return true;
  }
  auto bytes = std::make_shared<std::string>();
  raft::encode_message(genesis_.cluster, message, *bytes);
  deliver(message.to, lane, true, [bytes](SimNode& node) {
    auto frame = raft::decode_frame(*bytes);
    if (!frame.ok()) throw Broken(Rule::kStops, "a peer's bytes: " + frame.error().message);
    node.take_message(std::move(std::get<raft::MessageFrame>(*frame).message));
  });
  return true;
}

bool SimNode::send_app(NodeId to, raft::Lane lane, uint8_t kind, std::string_view payload) {
  if (altered_ && kind == static_cast<uint8_t>(server::PeerKind::kSnapshotPiece)) {
    judge_giving();
    return false;  // copies of it could be a majority: who has it stays a minority
  }
  deliver(
      to, static_cast<int>(lane), false,
      [from = id_, kind, good = !altered_,
       bytes = std::make_shared<std::string>(payload)](SimNode& node) {
        if (node.up()) {
          if (node.altered_ && good) node.hear(from, kind, *bytes);
          node.engine_->on_app(from, kind, *bytes);
        } else if (node.seeks() && kind == static_cast<uint8_t>(server::PeerKind::kSnapshotPiece)) {
          node.seeker_->receive(from, *bytes);
        }
      });
  return true;
}

void SimNode::peer_event(NodeId peer, raft::PeerEvent event) {
  world_.after(200us, [this, peer, event, life = life_] {
    if (life != life_ || (!up() && !loads())) return;
    const SimNode& other = *nodes_[static_cast<size_t>(peer.value - 1)];
    if (event == raft::PeerEvent::kConnected) {
      told_levels_[peer] = static_cast<uint32_t>(other.feature_level_);
    }
    act([this, peer, event] {
      if (loads()) return voter_->on_peer_event(peer, event);
      engine_->on_peer_event(peer, event);
    });
  });
}

// ----------------------------------------------------------------------------------- clients

void SimNode::call(const Call& call, const AnswerTaker& taker) {
  if (!up()) return;
  act([this, call, taker] {
    const uint32_t slot = next_call_++;
    calls_.emplace(slot, OpenCall{taker, call.client, call.number});
    if (call.polls) polls_.arrived(call.polls, slot, engine_->host().applied);
    rpc_->take(call, engine_.get(), server::CallId{0, slot, 0});
  });
}

// What is answered all the same goes nowhere.
void SimNode::hang_up(int client, uint64_t first, uint64_t last) {
  if (!up()) return;
  act([this, client, first, last] {
    for (const auto& [slot, open] : calls_) {
      if (open.client != client || open.number < first || open.number > last) continue;
      world_.mark(Mark::kHungUp);
      engine_->abandon(server::CallId{0, slot, 0});
    }
  });
}

uint64_t SimNode::client_of(server::CallId call) const {
  const auto at = calls_.find(call.slot);
  return at == calls_.end() ? 0 : static_cast<uint64_t>(at->second.client);
}

void SimNode::complete(server::CallId call, const server::ReplyView& reply) {
  if (call == server::CallId{}) return;  // an operator's
  if (!engine_->quarantine().empty()) {
    throw Broken(Rule::kI23, name_ + " answers a client, and is quarantined");
  }
  polls_.told(call.slot, engine_->host().applied);
  answered(call.slot, rpc_->answer(call, reply));
}

void SimNode::fail(server::CallId call, const api::HoldfastError& error) {
  if (call == server::CallId{}) return;  // an operator's
  polls_.refused(call.slot);
  answered(call.slot, rpc_->answer(call, error));
}

void SimNode::judge_polls() {
  const watch::History& history = engine_->watches().history();
  if (history.first_position() == 0) return;
  const PollPlaces::Standing standing{.now = clock_.now(),
                                      .applied = engine_->host().applied,
                                      .history_floor = history.floor(),
                                      .history_last = history.last(),
                                      .renews = engine_->pending_renewals() != 0};
  polls_.turned(standing, [this](SessionId session) {
    return engine_->watches().watches_of(watch::OwnerId(session.value)) != 0;
  });
}

void SimNode::answered(uint32_t slot, Answer answer) {
  const auto at = calls_.find(slot);
  const AnswerTaker taker = std::move(at->second.taker);
  calls_.erase(at);
  taker(std::move(answer));
}

}  // namespace holdfast::sim
