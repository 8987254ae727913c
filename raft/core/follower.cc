// The receiving side of replication: Raft paper, figure 2, AppendEntries receiver implementation.
#include <algorithm>

#include "base/check.h"
#include "raft/core/configuration.h"
#include "raft/core/raft.h"

namespace holdfast::raft {

/// A word from the leader of this term. False if it contradicts election safety.
bool Raft::hear_leader(const Message& m) {
  if (term_leader_ && term_leader_ != m.from) {
    raise(Violation::Kind::kTwoLeaders, m, LogIndex());
    return false;
  }
  term_leader_ = m.from;
  if (leader() != m.from) become_follower(term(), m.from);
  as<FollowerRole>().heard = now_;
  fast_.reset();
  reset_election_timer();
  return true;
}

/// Figure 2, candidates: "if AppendEntries RPC received from new leader: convert to follower".
void Raft::concede_append(Message& m) {
  become_follower(term(), NodeId());
  on_append_request(m);
}

void Raft::concede_heartbeat(Message& m) {
  become_follower(term(), NodeId());
  on_heartbeat_request(m);
}

void Raft::on_append_request(Message& m) {
  if (!hear_leader(m)) return;
  // Figure 2, 2: "reply false if log doesn't contain an entry at prevLogIndex whose term matches
  // prevLogTerm". What lies before our log's start is committed and matches.
  const bool compacted = m.index.next() < log_.first();
  if (compacted) {
    ++counters_.appends_compacted;
  } else if (!log_.matches(m.index, m.log_term)) {
    reject_append(m);
    return;
  }
  const LogIndex through = m.index + m.entries.size();
  const LogIndex leader_commit = m.commit;
  if (!store_entries(m)) return;
  // Figure 2, 5: "if leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last
  // new entry)": what lies behind that one may differ from the leader's log.
  follow_commit(std::min(leader_commit, through));
  Message answer = make(MessageType::kAppendResponse, m.from);
  answer.index = std::max(through, log_.first().prev());
  send_when_durable(std::move(answer), through);
}

/// Paper 5.3: name the place where the leader should look next: the last entry of ours, at or below
/// the one in question, whose term is not above the leader's there.
void Raft::reject_append(const Message& m) {
  if (m.index <= commit_) {
    raise(Violation::Kind::kCommittedConflict, m, m.index);
    return;
  }
  ++counters_.appends_rejected;
  Message answer = make(MessageType::kAppendResponse, m.from);
  answer.reject = true;
  answer.index = m.index;
  answer.hint = log_.last_not_above(m.index, m.log_term);
  answer.log_term = log_.term(answer.hint);
  send(std::move(answer));
}

/// Figure 2, 3 and 4: "if an existing entry conflicts with a new one, delete the existing entry and
/// all that follow it; append any new entries not already in the log". Entries that are there
/// already stay, and what follows them too: the message may be old. False on a violation.
bool Raft::store_entries(Message& m) {
  for (Entry& entry : m.entries) {
    const bool compacted = entry.index.next() < log_.first();
    if (compacted || log_.matches(entry.index, entry.term)) continue;
    if (entry.index <= commit_) {
      raise(Violation::Kind::kCommittedConflict, m, entry.index);
      return false;
    }
    if (entry.index <= log_.last()) {
      truncate_from(entry.index);
    }
    if (entry.type == EntryType::kConfiguration) {
      configurations_.append(entry.index, *decode_configuration(entry.data.view()));
      on_configuration_changed();
    }
    log_.append(std::move(entry));
  }
  return true;
}

/// Dissertation 4.1: "a server must be prepared to fall back to the previous configuration in its
/// log".
void Raft::truncate_from(LogIndex index) {
  log_.truncate_from(index);
  ++counters_.truncations;
  if (!configurations_.truncate_from(index)) return;
  ++counters_.configurations_truncated;
  on_configuration_changed();
}

void Raft::follow_commit(LogIndex index) {
  HF_CHECK(index <= log_.last() || index <= commit_, "commit index beyond the log");
  commit_ = std::max(commit_, index);
}

void Raft::on_heartbeat_request(Message& m) {
  if (!hear_leader(m)) return;
  // The leader names what we acknowledged in its term, and nobody truncates that within the term:
  // if it is missing, or an older entry stands in its place, our disk lost what it had synced.
  const bool known = m.log_term && m.index.next() >= log_.first();
  if (m.index > log_.last() || (known && log_.term(m.index) != m.log_term)) {
    raise(Violation::Kind::kLostEntries, m, m.index);
    return;
  }
  follow_commit(m.commit);
  if (m.round == 0) return;
  Message answer = make(MessageType::kHeartbeatResponse, m.from);
  answer.round = m.round;
  send(std::move(answer));
}

}  // namespace holdfast::raft
