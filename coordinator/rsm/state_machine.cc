#include "coordinator/rsm/state_machine.h"

#include "coordinator/rsm/core.h"

namespace holdfast::rsm {

StateMachine::StateMachine() : StateMachine(Options{}) {}
StateMachine::StateMachine(const Options& options) : core_(std::make_unique<Core>(options)) {}
StateMachine::~StateMachine() = default;

ApplyStatus StateMachine::apply(LogIndex index, Term entry_term, std::string_view payload,
                                Effects& effects) {
  return core_->apply(index, entry_term, payload, effects);
}
ApplyStatus StateMachine::skip(LogIndex index, uint32_t level) { return core_->skip(index, level); }

LogIndex StateMachine::applied() const { return core_->applied(); }
int64_t StateMachine::cluster_time_ms() const { return core_->cluster_time_ms(); }
int32_t StateMachine::level() const { return core_->level(); }
const session::SessionTable& StateMachine::sessions() const { return core_->sessions(); }
const lockmgr::LockTable& StateMachine::locks() const { return core_->locks(); }
const tree::KeyTree& StateMachine::keys() const { return core_->keys(); }
std::span<const tree::Event> StateMachine::key_events() const { return core_->key_events(); }
const Settings& StateMachine::settings() const { return core_->settings(); }

SessionPresence StateMachine::presence(SessionId session) const {
  if (session > core_->applied()) return SessionPresence::kNotYet;
  return sessions().find(session) == nullptr ? SessionPresence::kEnded : SessionPresence::kLive;
}

uint64_t StateMachine::owned_by(SessionId session) const { return core_->owned_by(session); }

std::optional<CommandResult> StateMachine::lookup(SessionId session, Sequence sequence) const {
  return core_->lookup(session, sequence);
}
void StateMachine::notices_of(SessionId session, std::vector<lockmgr::Notice>& out) const {
  core_->notices_of(session, out);
}
std::optional<int64_t> StateMachine::next_due_ms() const { return core_->next_due_ms(); }

const RowLog& StateMachine::row_changes() const { return core_->rows(); }
Digest StateMachine::digest() const { return core_->digest(); }
Status StateMachine::load(RowTable table, uint64_t id, std::string_view row) {
  return core_->load(table, id, row);
}
Status StateMachine::finish_load() { return core_->finish_load(); }
std::string StateMachine::check_invariants() const { return core_->check_invariants(); }

}  // namespace holdfast::rsm
