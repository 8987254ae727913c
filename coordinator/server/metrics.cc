#include "coordinator/server/metrics.h"

#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <vector>

#include "base/net/loop.h"
#include "coordinator/server/engine.h"
#include "coordinator/server/port.h"
#include "lockmgr/lock_table.h"
#include "session/session_table.h"

namespace holdfast::server {

struct Metrics::Gauges {
  prometheus::Registry registry;

  prometheus::Gauge& make(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
  }

  prometheus::Gauge& term = make("holdfast_raft_term", "Raft term of this server");
  prometheus::Gauge& leading = make("holdfast_raft_leading", "1 if this server leads and serves");
  prometheus::Gauge& has_leader = make("holdfast_raft_has_leader", "1 if a leader is known");
  prometheus::Gauge& commit = make("holdfast_raft_commit_index", "Highest index known committed");
  prometheus::Gauge& applied = make("holdfast_raft_applied_index", "Highest index applied");
  prometheus::Gauge& elections = make("holdfast_raft_elections", "Elections this server stood for");
  prometheus::Gauge& reads =
      make("holdfast_raft_read_rounds", "Quorum rounds for reads and leases");
  prometheus::Gauge& sessions = make("holdfast_sessions", "Sessions open");
  prometheus::Gauge& locks = make("holdfast_locks", "Locks held, queued for or closed");
  prometheus::Gauge& holders = make("holdfast_lock_holders", "Holders of all locks");
  prometheus::Gauge& waiters = make("holdfast_lock_waiters", "Waiters of all locks");
  prometheus::Gauge& pending = make("holdfast_commands_pending", "Commands under way here");
  prometheus::Gauge& answered = make("holdfast_commands_answered", "Commands answered here");
  prometheus::Gauge& parked = make("holdfast_calls_parked", "Polls and acquires parked here");
  prometheus::Gauge& renewals = make("holdfast_renewals_pending", "Renewals under way here");
  prometheus::Gauge& connections = make("holdfast_client_connections", "Client connections");
  prometheus::Gauge& calls = make("holdfast_client_calls", "Calls received from clients");
  prometheus::Gauge& malformed = make("holdfast_client_malformed", "Frames that were no call");
  prometheus::Gauge& overloaded = make("holdfast_client_overloaded", "Calls refused by a port");
  prometheus::Gauge& turns = make("holdfast_loop_turns", "Turns of the event loop");
  prometheus::Gauge& gaps = make("holdfast_loop_gaps", "Times the loop did not turn for long");
  prometheus::Gauge& longest = make("holdfast_loop_longest_turn_ms", "Longest turn of the loop");
};

Metrics::Metrics() : gauges_(std::make_unique<Gauges>()) {}
Metrics::~Metrics() = default;

void Metrics::publish(const Engine& engine, const Port& clients, const net::LoopStats& loop) {
  const auto set = [](prometheus::Gauge& gauge, auto value) {
    gauge.Set(static_cast<double>(value));
  };
  Gauges& g = *gauges_;
  const raft::Raft& core = engine.node().core();
  set(g.term, core.term().value);
  set(g.leading, engine.host().serving ? 1 : 0);
  set(g.has_leader, engine.host().soft.leader ? 1 : 0);
  set(g.commit, core.commit().value);
  set(g.applied, engine.host().applied.value);
  set(g.elections, core.counters().elections);
  set(g.reads, core.counters().read_rounds);
  set(g.sessions, engine.machine().sessions().size());
  set(g.locks, engine.machine().locks().lock_count());
  set(g.holders, engine.machine().locks().holder_count());
  set(g.waiters, engine.machine().locks().waiter_count());
  set(g.pending, engine.pending_commands());
  set(g.answered, engine.stats().commands_answered);
  set(g.parked, engine.parked_calls());
  set(g.renewals, engine.pending_renewals());
  set(g.connections, clients.connections());
  set(g.calls, clients.stats().calls);
  set(g.malformed, clients.stats().malformed);
  set(g.overloaded, clients.stats().overloaded);
  set(g.turns, loop.turns);
  set(g.gaps, loop.gaps);
  set(g.longest, to_ms(loop.longest_turn));
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(gauges_->registry.Collect());
}

}  // namespace holdfast::server
