#include "coordinator/server/host.h"

namespace holdfast::server {

Host::Host(const EngineOptions& engine_options, Clock& clock_port, Entropy& entropy_port,
           raft::Transport& transport_port, ReplySink& reply_sink, rsm::StateMachine& state_machine)
    : options(engine_options),
      clock(clock_port),
      entropy(entropy_port),
      transport(transport_port),
      machine(state_machine),
      members(engine_options.members),
      leaderless_since(clock_port.now()),
      applied(state_machine.applied()),
      sink_(reply_sink),
      next_read_(entropy_port.next_id()) {}

// A stamp is the last one in the log at the election plus the boot time since (ARCHITECTURE,
// "Time"): outages do not count, idle time does. Commands are proposed only after the own no-op was
// applied, and with it everything older, so the state's cluster time is that last stamp.
void Host::begin_leadership(Instant elected_at) {
  serving = true;
  stamp_base_ms_ = machine.cluster_time_ms();
  stamp_from_ = elected_at;
}

int64_t Host::cluster_now_ms() const { return stamp_base_ms_ + to_ms(clock.now() - stamp_from_); }

NodeId Host::other_leader() const { return soft.leader == options.self ? NodeId{} : soft.leader; }

const raft::Member* Host::member(NodeId id) const {
  for (const raft::Member& m : members) {
    if (m.id == id) return &m;
  }
  return nullptr;
}

void Host::fill(api::ResponseHeader& header, int64_t sequence) const {
  header.revision = static_cast<int64_t>(applied.value);
  header.sequence = sequence;
  header.leaderId = static_cast<int32_t>(soft.leader.value);
  const raft::Member* leader = member(soft.leader);
  if (leader != nullptr) {
    header.leaderAddress = leader->client_address;
  } else {
    header.leaderAddress.clear();
  }
  header.term = static_cast<int64_t>(soft.term.value);
  header.clusterId = static_cast<int64_t>(options.cluster.value);
  header.serverId = static_cast<int32_t>(options.self.value);
}

namespace {

/// The code by which every client turns to another server. What a call that was under way came to
/// is for the others to say.
Refusal quarantine_refusal(bool maybe_applied) {
  return {ErrorCode::kShuttingDown, "this server is quarantined; use another", maybe_applied, true,
          0};
}

}  // namespace

void Host::complete(CallId call, const ReplyView& reply) {
  if (!quarantined_) return sink_.complete(call, reply);
  refuse(call, quarantine_refusal(/*maybe_applied=*/true), 0);
}

void Host::fail(CallId call, const Refusal& refusal, int64_t sequence) {
  // That nobody will ever know the fate of a command says nothing of the state here.
  const bool lost = refusal.code == ErrorCode::kOutcomeUnknown;
  if (!quarantined_ || lost) return refuse(call, refusal, sequence);
  refuse(call, quarantine_refusal(refusal.maybe_applied), sequence);
}

void Host::refuse(CallId call, const Refusal& refusal, int64_t sequence) {
  error_.code = static_cast<api::ErrorCode::type>(refusal.code);
  error_.codeName = error_code_name(refusal.code);
  error_.message = refusal.message;
  error_.applied = refusal.maybe_applied ? api::Applied::UNKNOWN : api::Applied::NO;
  error_.retryable = refusal.retryable;
  error_.retryAfterMs = refusal.retry_after_ms;
  fill(error_.header, sequence);
  sink_.fail(call, error_);
}

Refusal Host::no_leader(const std::string& what) {
  return {ErrorCode::kNoLeader, what, /*maybe_applied=*/false, /*retryable=*/true, 50};
}

uint64_t Host::new_read_context(ReadPurpose purpose) {
  return (++next_read_) * kReadPurposes + static_cast<uint64_t>(purpose);
}

static_assert(static_cast<int>(ErrorCode::kBadArgument) == api::ErrorCode::BAD_ARGUMENT &&
              static_cast<int>(ErrorCode::kOutcomeUnknown) == api::ErrorCode::OUTCOME_UNKNOWN &&
              static_cast<int>(ErrorCode::kSessionExpired) == api::ErrorCode::SESSION_EXPIRED &&
              static_cast<int>(ErrorCode::kNotHeld) == api::ErrorCode::NOT_HELD &&
              static_cast<int>(ErrorCode::kInternal) == api::ErrorCode::INTERNAL);

}  // namespace holdfast::server
