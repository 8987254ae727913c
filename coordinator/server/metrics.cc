#include "coordinator/server/metrics.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "base/version.h"
#include "coordinator/server/engine.h"
#include "coordinator/server/metric_page.h"
#include "coordinator/tree/key_tree.h"
#include "lockmgr/lock_table.h"
#include "session/session_table.h"

namespace holdfast::server {

namespace {

/// The names of lockmgr::EndReason, by its numbers.
constexpr std::array<const char*, StateStats::kReasons> kEndReasons{
    "",        "released",    "session_closed",  "session_expired",
    "revoked", "handed_over", "session_revoked", "restored"};

/// The names of net::CloseCause, in its order.
constexpr std::array<const char*, std::tuple_size_v<decltype(RpcPortStats::closed)>> kCloseCauses{
    "peer_closed",   "refused",       "connect_timeout", "connect_failed", "frame_too_large",
    "frame_timeout", "write_timeout", "output_overflow", "idle",           "io_error",
    "local"};

using Reasons = std::array<uint64_t, StateStats::kReasons>;

void add_reasons(MetricPage& page, const Reasons& counts,
                 std::initializer_list<lockmgr::EndReason> shown) {
  for (const lockmgr::EndReason reason : shown) {
    const auto at = static_cast<size_t>(reason);
    page.add(static_cast<double>(counts[at]), {{"reason", kEndReasons[at]}});
  }
}

/// Codes that have been seen, so that a page is not mostly zeros.
template <class Counts>
void add_codes(MetricPage& page, const Counts& counts, const MetricPage::Labels& labels,
               bool with_ok) {
  for (size_t code = 0; code < counts.size(); ++code) {
    const bool shown = counts[code] != 0 || (with_ok && code == 0);
    if (!shown) continue;
    MetricPage::Labels all = labels;
    all.push_back({"code", code == 0 ? "OK" : error_code_name(static_cast<ErrorCode>(code))});
    page.add(static_cast<double>(counts[code]), std::move(all));
  }
}

std::string number(NodeId node) { return std::to_string(node.value); }

void add_build(MetricPage& page, const MetricSources& from) {
  page.gauge("holdfast_build_info", "1; the labels say which build this is");
  page.add(1, {{"version", kVersion}, {"feature_level", std::to_string(rsm::kFeatureLevel)}});
  if (from.engine != nullptr) {
    page.gauge("holdfast_feature_level", "The feature level in force, as applied here",
               from.engine->machine().level());
  }
  page.gauge("holdfast_start_time_seconds", "When the process started, in seconds since 1970",
             static_cast<double>(from.started_unix_ms) / 1000);
}

// ------------------------------------------------------------------------------- the engine

void add_alarms(MetricPage& page, const Engine& engine) {
  std::map<std::string, int> standing;
  for (const api::Alarm& alarm : engine.alarms()) ++standing[alarm.name];
  page.gauge("holdfast_alarms", "Alarms that this server raises now, as `holdfast status` shows");
  for (const auto& [name, count] : standing) page.add(count, {{"alarm", name}});
}

void add_raft_state(MetricPage& page, const Engine& engine) {
  const raft::RaftStatus raft = engine.node().core().status();
  page.gauge("holdfast_raft_role", "1 for the role that this server has");
  for (const raft::Role role : {raft::Role::kFollower, raft::Role::kPreCandidate,
                                raft::Role::kCandidate, raft::Role::kLeader}) {
    page.add(raft.role == role ? 1 : 0, {{"role", raft::role_name(role)}});
  }
  page.gauge("holdfast_raft_serving", "1 if this server leads and has applied its own first entry",
             engine.host().serving ? 1 : 0);
  page.gauge("holdfast_raft_leader_id", "Node id of the leader known here, 0 if none",
             raft.leader.value);
  page.gauge("holdfast_raft_term", "Raft term", raft.term.value);
  page.gauge("holdfast_raft_commit_index", "Highest index known to be committed",
             raft.commit.value);
  page.gauge("holdfast_raft_applied_index", "Highest index applied to the state",
             engine.host().applied.value);
  page.gauge("holdfast_raft_first_index", "First index of the log", raft.first.value);
  page.gauge("holdfast_raft_last_index", "Last index of the log", raft.last.value);
  page.gauge("holdfast_raft_durable_index", "Last index that is on this server's disk",
             raft.durable.value);
  page.gauge("holdfast_raft_uncommitted_bytes", "Payload proposed here and not yet committed",
             raft.uncommitted_bytes);
  page.gauge("holdfast_raft_peer_match_index", "Leader: highest index durable at a peer");
  for (const raft::PeerStatus& peer : raft.peers) {
    page.add(static_cast<double>(peer.match.value), {{"peer", number(peer.id)}});
  }
  page.gauge("holdfast_raft_peer_inflight_appends", "Leader: appends that a peer has not answered");
  for (const raft::PeerStatus& peer : raft.peers) {
    page.add(peer.inflight, {{"peer", number(peer.id)}});
  }
}

void add_raft_events(MetricPage& page, const Engine& engine) {
  const raft::Counters& raft = engine.node().core().counters();
  page.counter("holdfast_raft_leader_changes_total", "Times another leader became known here",
               engine.stats().leader_changes);
  page.counter("holdfast_raft_pre_elections_total", "Times this server asked whether it could win",
               raft.pre_elections);
  page.counter("holdfast_raft_elections_total", "Elections this server stood for", raft.elections);
  page.counter("holdfast_raft_elections_won_total", "Elections this server won",
               raft.elections_won);
  page.counter("holdfast_raft_fast_campaigns_total",
               "Elections begun on evidence that the leader's process is gone",
               raft.fast_campaigns);
  page.counter("holdfast_raft_step_downs_total", "Times this leader had lost its quorum",
               raft.check_quorum_step_downs);
  page.counter("holdfast_raft_transfers_total", "Leadership transfers begun here", raft.transfers);
  page.counter("holdfast_raft_transfers_aborted_total", "Leadership transfers that came to nothing",
               raft.transfers_aborted);
  page.counter("holdfast_raft_read_rounds_total", "Leader: quorum rounds for reads and leases",
               raft.read_rounds);
  page.counter("holdfast_raft_reads_failed_total", "Reads and leases that no quorum confirmed",
               raft.reads_failed);
  page.counter("holdfast_raft_appends_rejected_total", "Appends that did not fit this server's log",
               raft.appends_rejected);
  page.counter("holdfast_raft_log_truncations_total", "Times uncommitted entries were replaced",
               raft.truncations);
  page.counter("holdfast_raft_probes_total", "Leader: times a peer's log had to be searched",
               raft.probes);
  page.counter("holdfast_raft_inflight_full_total", "Leader: appends that waited for a peer",
               raft.inflight_full);
  page.counter("holdfast_raft_log_reads_total", "Reads of entries that were no longer in memory",
               raft.log_reads);
  page.counter("holdfast_raft_snapshots_needed_total",
               "Leader: times a peer needed entries that the log no longer has",
               raft.snapshots_needed);
  page.counter("holdfast_raft_messages_ignored_total", "Raft messages that were dropped");
  page.add(static_cast<double>(raft.ignored_misaddressed), {{"reason", "misaddressed"}});
  page.add(static_cast<double>(raft.ignored_unknown_sender), {{"reason", "unknown_sender"}});
  page.add(static_cast<double>(raft.ignored_malformed), {{"reason", "malformed"}});
  page.add(static_cast<double>(raft.ignored_stale), {{"reason", "stale"}});
  page.add(static_cast<double>(raft.ignored_sticky), {{"reason", "leader_lives"}});
}

void add_commands(MetricPage& page, const Engine& engine) {
  const CommandStats& stats = engine.command_stats();
  page.counter("holdfast_commands_submitted_total", "Commands that clients sent to this server",
               stats.submitted);
  page.counter("holdfast_commands_forwarded_total", "Commands sent on to the leader",
               stats.forwarded);
  page.counter("holdfast_commands_received_total", "Commands that other servers sent here",
               stats.received);
  page.counter("holdfast_commands_repeated_total",
               "Commands handed to a leader again, because the first copy may be lost",
               stats.repeated);
  page.counter("holdfast_commands_proposed_total",
               "Commands put into the log by this server as leader", stats.proposed);
  page.counter("holdfast_commands_answered_total", "Commands answered with what they came to",
               engine.stats().commands_answered);
  page.counter("holdfast_commands_refused_total", "Commands answered without an outcome");
  add_codes(page, stats.refused, {}, false);
  page.gauge("holdfast_commands_pending", "Commands of this server's clients under way",
             engine.pending_commands());
  page.gauge("holdfast_reads_pending", "Reads that wait for a quorum or for entries",
             engine.pending_reads());
  page.counter("holdfast_entries_applied_total", "Log entries applied to the state",
               engine.stats().entries_applied);
  page.counter("holdfast_entries_malformed_total", "Log entries that were no command",
               engine.stats().malformed_entries);
}

void add_sessions(MetricPage& page, const Engine& engine) {
  using enum lockmgr::EndReason;
  const StateStats& state = engine.state_stats();
  page.gauge("holdfast_sessions", "Sessions open", engine.machine().sessions().size());
  page.counter("holdfast_sessions_opened_total", "Sessions opened", state.sessions_opened);
  page.counter("holdfast_sessions_ended_total", "Sessions ended");
  add_reasons(page, state.sessions_ended,
              {kSessionClosed, kSessionExpired, kSessionRevoked, kRestored});
  page.counter("holdfast_sessions_late_total", "Times a session was marked late", state.late_marks);
  const RenewalStats& renewals = engine.renewal_stats();
  page.counter("holdfast_renewals_received_total", "Renewals that clients sent to this server",
               renewals.received);
  page.counter("holdfast_renewals_forwarded_total", "Renewals sent on to the leader",
               renewals.forwarded);
  page.counter("holdfast_renewals_acknowledged_total", "Renewals answered with a lease",
               renewals.acknowledged);
  page.counter("holdfast_renewals_refused_total", "Renewals answered without a lease",
               renewals.refused);
  page.counter("holdfast_lease_rounds_total", "Leader: quorum rounds that confirmed renewals",
               renewals.rounds);
  page.gauge("holdfast_renewals_pending", "Renewals under way", engine.pending_renewals());
}

void add_locks(MetricPage& page, const Engine& engine) {
  using enum lockmgr::EndReason;
  const StateStats& state = engine.state_stats();
  const lockmgr::LockTable& locks = engine.machine().locks();
  page.gauge("holdfast_locks", "Locks held, queued for or closed", locks.lock_count());
  page.gauge("holdfast_lock_holders", "Holders of all locks", locks.holder_count());
  page.gauge("holdfast_lock_waiters", "Waiters of all locks", locks.waiter_count());
  page.counter("holdfast_lock_grants_total", "Locks granted", state.grants);
  page.counter("holdfast_lock_tenures_ended_total", "Tenures of locks that ended");
  add_reasons(page, state.tenures_ended,
              {kReleased, kSessionClosed, kSessionExpired, kRevoked, kHandedOver, kSessionRevoked,
               kRestored});
  page.counter("holdfast_lock_waits_ended_total", "Waits that ended without a grant",
               state.waits_ended);
  page.counter("holdfast_lock_revocations_total", "Revocations announced to holders",
               state.revocations);
}

void add_keys(MetricPage& page, const Engine& engine) {
  const tree::KeyTree& keys = engine.machine().keys();
  page.gauge("holdfast_keys", "Keys", keys.key_count());
  page.gauge("holdfast_key_bytes", "Bytes of the names and values of all keys", keys.bytes());
  page.gauge("holdfast_keys_ephemeral", "Keys that go with a session", keys.ephemeral_count());
  const watch::Watches& watches = engine.watches();
  page.gauge("holdfast_watches", "Watches on this server", watches.watch_count());
  page.gauge("holdfast_watching_sessions", "Sessions that watch on this server",
             watches.owner_count());
  page.gauge("holdfast_history_events", "Past changes kept for watches", watches.history().size());
  page.gauge("holdfast_history_bytes", "Memory of the past changes kept for watches",
             watches.history().bytes());
  page.gauge("holdfast_history_floor_index", "Watches resume from here on without a resync",
             watches.history().floor().value);
}

void add_digests(MetricPage& page, const Engine& engine) {
  const DigestStats& digests = engine.digests().stats();
  page.gauge("holdfast_quarantined", "1 if this server's state is quarantined",
             engine.quarantine().empty() ? 0 : 1);
  page.gauge("holdfast_digest_mismatch",
             "1 if the servers' states are known here to differ, and that is not over yet",
             engine.digests().mismatch() ? 1 : 0);
  page.counter("holdfast_digest_reports_total", "Reports of state digests sent to a leader",
               digests.reports);
  page.counter("holdfast_digest_compared_total",
               "Indexes at which this leader compared the digests of servers", digests.compared);
  page.counter("holdfast_digest_mismatches_total", "Times that they differed", digests.mismatches);
}

void add_snapshots(MetricPage& page, const Engine& engine, const MetricSources& from) {
  const SnapshotStats& snapshots = engine.snapshot_stats();
  page.gauge("holdfast_snapshot_index", "The state after this entry is in the snapshot on disk",
             snapshots.applied.value);
  page.gauge("holdfast_snapshot_bytes", "Size of the snapshot, as last written", snapshots.bytes);
  page.counter("holdfast_snapshot_writes_total", "Times that changes were written to the snapshot",
               snapshots.spans);
  page.counter("holdfast_snapshot_rows_total", "Rows written in them", snapshots.rows);
  page.gauge("holdfast_snapshot_write_seconds", "How long the last of these took",
             std::chrono::duration<double>(snapshots.last_taken).count());
  page.gauge("holdfast_snapshot_waiting_bytes",
             "Of the log that is applied, what is not in the snapshot yet",
             engine.snapshots().waiting_bytes());
  page.gauge("holdfast_snapshot_waiting_limit_bytes", "With more of it writes are slowed",
             engine.snapshots().waiting_bytes_max());
  page.counter("holdfast_writes_slowed_seconds_total",
               "How long this leader has let in no more writes than the snapshots take",
               std::chrono::duration<double>(engine.room().stats().slowed).count());
  const SnapshotSourceStats& sent = engine.snapshot_source_stats();
  page.counter("holdfast_snapshot_copies_total",
               "Copies made for servers that are too far behind for the log", sent.copies);
  page.counter("holdfast_snapshot_sent_bytes_total", "Bytes of these that were sent", sent.bytes);
  page.counter("holdfast_snapshot_fetched_bytes_total",
               "Bytes received of another server's state since one was last put in force",
               engine.snapshot_fetch_stats().bytes);
  page.counter("holdfast_snapshot_received_total",
               "States of other servers that were put in force here", from.states_received);
}

void add_disk(MetricPage& page, const Engine& engine, const MetricSources& from) {
  const raft::DiskRoom& disk = engine.room().disk();
  page.gauge("holdfast_disk_state", "Room on the disk: 0 ok, 1 low, 2 full",
             static_cast<double>(disk.state));
  page.gauge("holdfast_disk_free_bytes", "Bytes that this server may still take of its disk",
             disk.free_bytes);
  page.gauge("holdfast_disk_needed_bytes", "With fewer bytes free the disk counts as full",
             disk.needed_bytes);
  page.gauge("holdfast_disk_reserve_bytes", "Bytes kept for the snapshot", disk.reserve_bytes);
  page.gauge("holdfast_log_segments_ready", "Segments of the log that are allocated ahead",
             from.log_segments_ready);
  const RoomStats& stats = engine.room().stats();
  page.counter("holdfast_room_hand_overs_total",
               "Times that this leader began to hand over because its disk was full",
               stats.hand_overs);
  page.counter("holdfast_room_appends_refused_total",
               "Messages with entries of a leader that its log had no room for",
               engine.gate().lost());
}

// -------------------------------------------------------------------- what surrounds the engine

struct PortReading {
  const char* name;
  const RpcPortStats& stats;
  size_t connections;
  std::span<const RpcMethod> methods;
};

std::array<PortReading, 2> ports(const MetricSources& from) {
  return {{{"client", from.clients, from.client_connections, client_methods()},
           {"admin", from.admins, from.admin_connections, admin_methods()}}};
}

void add_calls(MetricPage& page, const MetricSources& from) {
  page.counter("holdfast_calls_total", "Calls answered, by method and outcome");
  for (const PortReading& port : ports(from)) {
    for (size_t i = 0; i < port.methods.size(); ++i) {
      add_codes(page, port.stats.methods[i].answered,
                {{"port", port.name}, {"method", port.methods[i].name}}, true);
    }
  }
  page.histogram("holdfast_call_duration_seconds", "From a call's arrival to its answer");
  for (const PortReading& port : ports(from)) {
    for (size_t i = 0; i < port.methods.size(); ++i) {
      page.add(port.stats.methods[i].durations,
               {{"port", port.name}, {"method", port.methods[i].name}});
    }
  }
  page.gauge("holdfast_calls_in_flight", "Calls received and not yet answered");
  for (const PortReading& port : ports(from)) {
    page.add(static_cast<double>(port.stats.calls - port.stats.answered), {{"port", port.name}});
  }
  page.gauge("holdfast_calls_parked", "Calls held until there is something to tell");
  if (from.engine == nullptr) return;
  page.add(static_cast<double>(from.engine->parked_polls()), {{"kind", "poll"}});
  page.add(static_cast<double>(from.engine->parked_acquires()), {{"kind", "acquire"}});
  page.add(static_cast<double>(from.engine->parked_key_waits()), {{"kind", "change"}});
}

void add_connections(MetricPage& page, const MetricSources& from) {
  const auto each = [&](auto&& value) {
    for (const PortReading& port : ports(from)) {
      page.add(static_cast<double>(value(port)), {{"port", port.name}});
    }
  };
  page.gauge("holdfast_connections", "Connections open");
  each([](const PortReading& port) { return port.connections; });
  page.counter("holdfast_connections_accepted_total", "Connections accepted");
  each([](const PortReading& port) { return port.stats.connections_accepted; });
  page.counter("holdfast_connections_refused_total", "Connections closed at once: too many");
  each([](const PortReading& port) { return port.stats.connections_refused; });
  page.counter("holdfast_connections_closed_total", "Connections that ended");
  for (const PortReading& port : ports(from)) {
    for (size_t i = 0; i < kCloseCauses.size(); ++i) {
      if (port.stats.closed[i] == 0) continue;
      page.add(static_cast<double>(port.stats.closed[i]),
               {{"port", port.name}, {"cause", kCloseCauses[i]}});
    }
  }
  page.counter("holdfast_frames_refused_total", "Frames that were no well-formed call");
  each([](const PortReading& port) { return port.stats.malformed; });
  page.counter("holdfast_received_bytes_total", "Bytes of frames received");
  each([](const PortReading& port) { return port.stats.bytes_received; });
  page.counter("holdfast_sent_bytes_total", "Bytes of frames sent");
  each([](const PortReading& port) { return port.stats.bytes_sent; });
}

void add_peers(MetricPage& page, const MetricSources& from) {
  const auto each = [&](auto&& value) {
    for (const raft::PeerLink& peer : from.peers) {
      page.add(static_cast<double>(value(peer)), {{"peer", number(peer.id)}});
    }
  };
  page.gauge("holdfast_peer_connected", "1 if both connections to the peer stand");
  each([](const raft::PeerLink& peer) { return peer.control_up && peer.bulk_up ? 1 : 0; });
  page.counter("holdfast_peer_connects_total", "Connections to the peer that came up");
  each([](const raft::PeerLink& peer) { return peer.connects; });
  page.counter("holdfast_peer_messages_sent_total", "Messages handed to the connections");
  each([](const raft::PeerLink& peer) { return peer.messages_sent; });
  page.counter("holdfast_peer_messages_received_total", "Messages from the peer");
  each([](const raft::PeerLink& peer) { return peer.messages_received; });
  page.counter("holdfast_peer_messages_dropped_total", "Messages not sent: no connection, no room");
  each([](const raft::PeerLink& peer) { return peer.messages_dropped; });
  page.gauge("holdfast_peer_queued_bytes", "Bytes that the kernel has not taken yet");
  each([](const raft::PeerLink& peer) { return peer.queued_bytes; });
}

void add_log(MetricPage& page, const MetricSources& from) {
  page.histogram("holdfast_log_sync_duration_seconds", "Writing and syncing one batch of the log");
  page.add(from.log.durations);
  page.counter("holdfast_log_written_bytes_total", "Payload bytes written to the log",
               from.log.bytes);
  page.gauge("holdfast_log_bytes", "Size of the files that hold the log", from.log_bytes);
  page.gauge("holdfast_log_sync_recent_seconds", "The same of the last minute");
  page.add(to_seconds(from.log.recent.median), {{"part", "median"}});
  page.add(to_seconds(from.log.recent.p99), {{"part", "p99"}});
  page.add(to_seconds(std::max(from.log.recent.max, from.log.under_way)), {{"part", "max"}});
  page.gauge("holdfast_log_waiting_bytes", "Payload bytes that wait for the disk",
             from.log_waiting_bytes);
}

void add_loop(MetricPage& page, const MetricSources& from) {
  const net::LoopStats& loop = from.loop;
  page.histogram("holdfast_loop_turn_duration_seconds", "Turns of the event loop, without sleep");
  page.add(loop.turn_durations);
  page.counter("holdfast_loop_receives_total", "Calls of recv()", loop.receives);
  page.counter("holdfast_loop_sends_total", "Calls of send()", loop.sends);
  page.counter("holdfast_loop_received_bytes_total", "Bytes received by all connections",
               loop.bytes_received);
  page.counter("holdfast_loop_sent_bytes_total", "Bytes sent by all connections", loop.bytes_sent);
  page.counter("holdfast_loop_wakeups_total", "Times another thread had to wake the loop",
               loop.wakeups);
  page.counter("holdfast_pauses_total", "Times this process ran more than 50 ms later than planned",
               loop.gaps);
  page.counter("holdfast_pause_seconds_total", "By how much it ran later than planned",
               to_seconds(loop.gap_total));
}

}  // namespace

std::string metrics_text(const MetricSources& sources) {
  MetricPage page;
  add_build(page, sources);
  if (sources.engine != nullptr) {
    add_alarms(page, *sources.engine);
    add_raft_state(page, *sources.engine);
    add_raft_events(page, *sources.engine);
    add_commands(page, *sources.engine);
    add_sessions(page, *sources.engine);
    add_locks(page, *sources.engine);
    add_keys(page, *sources.engine);
    add_snapshots(page, *sources.engine, sources);
    add_digests(page, *sources.engine);
    add_disk(page, *sources.engine, sources);
  }
  add_calls(page, sources);
  add_connections(page, sources);
  add_peers(page, sources);
  add_log(page, sources);
  add_loop(page, sources);
  return page.text();
}

}  // namespace holdfast::server
