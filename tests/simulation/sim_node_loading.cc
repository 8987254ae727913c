// A simulated server that has a snapshot takes its time to load it, and is a voter meanwhile, as
// the real one is (coordinator/server/server_storage.cc).
#include <utility>

#include "tests/simulation/sim_node.h"

namespace holdfast::sim {

bool SimNode::takes_time_to_load(const std::optional<server::StoredState>& state) {
  const Weather& w = world_.weather();
  // A watched disk is watched by the engine.
  if (w.load_ms == 0 || w.room_bytes != 0 || !state) return false;
  return state->machine->applied().value > 0;
}

void SimNode::vote_meanwhile(server::StoredState state) {
  raft::Config config = engine_options().raft;
  voter_ = std::make_unique<server::Voter>(
      config, initial_state(&state),
      server::VoterPorts{{clock_, *reader_, *writer_, *this},
                         {},
                         member_ports().reach,
                         [this](const Error& error) { fatal_ = error; }});
  loaded_ = std::move(state);
  served_ = true;
  watcher_.began_to_vote(*this);
  log_line("loads its state, and votes meanwhile");
  tell_peers_of_start();
  const Duration wait = from_ms(loading_draws_.between(0, world_.weather().load_ms));
  world_.after(wait, [this, life = life_] {
    if (life != life_) return;
    act([this] { voter_->finish(); });
  });
  act([] {});
}

void SimNode::loading_turn() {
  while (voter_->turn_end()) {
  }
  if (!fatal_ && reader_->failure()) fatal_ = *reader_->failure();
  if (fatal_) {
    const Error error = *fatal_;
    return stopped(error);
  }
  watcher_.voted(*this);
  const bool more = writer_->prepare_one() && writer_->out_of_room();
  if (died_at_disk(Mark::kCrashInPreparation)) return start_after(kRestart);
  if (more) act([] {});
  if (voter_->at_rest()) go_on_from_loaded();
}

void SimNode::go_on_from_loaded() {
  server::StoredState state = std::move(*std::exchange(loaded_, std::nullopt));
  raft::PlacedConfiguration membership = state.membership;
  if (!membership.index) membership.configuration = genesis_.configuration;
  raft::InitialState initial = voter_->log_behind(state.machine->applied(), membership);
  std::vector<raft::Message> late = voter_->take_late();
  if (!late.empty()) world_.mark(Mark::kLateForVoter);
  watcher_.ended_voting(*this);
  voter_.reset();
  writer_ = std::make_unique<WatchedWriter>(*log_, model_);
  run_engine(std::move(state), std::move(initial));
  for (raft::Message& message : late) {
    act([this, own = std::make_shared<raft::Message>(std::move(message))] {
      engine_->on_message(std::move(*own));
    });
  }
}

void SimNode::mark_voter(const raft::Message& message) {
  if (!loads() || message.reject) return;
  if (message.type == raft::MessageType::kVoteResponse) world_.mark(Mark::kVotedWhileLoading);
  if (message.type == raft::MessageType::kAppendResponse &&
      message.index > loaded_->machine->applied()) {
    world_.mark(Mark::kStoredWhileLoading);
  }
}

void SimNode::take_message(raft::Message&& message) {
  if (loads()) {
    voter_->receive(std::move(message));
  } else if (up()) {
    engine_->on_message(std::move(message));
  }
}

}  // namespace holdfast::sim
